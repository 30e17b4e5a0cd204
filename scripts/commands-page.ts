import type { Command } from "commander";
import { bulkhead } from "../cli/bulkhead.ts";

/** docs/reference/commands.md: what `--help` shows of the command and of each verb. */
export function commandsPage(): string {
  return `# The command

\`bulkhead VERB\` works on the Pulumi program in this folder or the nearest one above. In this repository
\`./bulkhead VERB\` is the same from source, and \`make VERB\` takes the variables that stand for options:
\`make up STACK=prod YES=1\` is \`bulkhead up --stack prod --yes\`.

What is wrong is told on stderr: \`error: path: what is wrong: how to fix it\`, a line for each problem. Progress and questions
are there too: stdout is for results. Colours, and tables as wide as the screen, are on terminals alone.

This page is generated from \`--help\` by \`make generate\`.

${sections(bulkhead, "")}`;
}

function sections(command: Command, parents: string): string {
  const name = `${parents}${command.name()}`;
  const section = `## ${name}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`;
  return [section, ...command.commands.map((each) => sections(each, `${name} `))].join("\n");
}

/** As it is where there is no terminal. */
export function helpOf(command: Command): string {
  const parts: string[] = [];
  const before = command.configureOutput();
  const plain = { getOutHelpWidth: () => 100, getOutHasColors: () => false };
  command.configureOutput({ ...plain, writeOut: (part) => parts.push(part) });
  try {
    command.outputHelp();
  } finally {
    command.configureOutput(before);
  }
  return parts.join("").trimEnd();
}
