// `bulkhead preview`: what the next `bulkhead up` would do, in Pulumi's words and in those of a reviewer. It changes nothing.
import { writeFile } from "node:fs/promises";
import { Option } from "commander";
import { findDocker } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { withAcceptance, type Acceptance } from "./agreement.ts";
import { examples, exitsWith, jsonFlag, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED } from "./exit-codes.ts";
import { prepareLocalStack } from "./deploy.ts";
import { explainedPreview } from "./preview/explain.ts";
import { isRefused, markdown, reportForPrograms } from "./preview/report.ts";
import { environmentOf, hostOf, connect } from "./stack/stack.ts";

interface Options extends StackOptions, Acceptance {
  report?: string;
  json?: boolean;
}

export const preview = withAcceptance(
  stackCommand("preview", "tell what the next `bulkhead up` would do, and why; changes nothing")
    .addOption(new Option("--report <file>", "write what it means there, as Markdown, and not to stdout").env("REPORT"))
    .addOption(jsonFlag()),
)
  .addHelpText(
    "after",
    examples(
      ["bulkhead preview --stack prod", "Pulumi's own preview, and what it means"],
      ["bulkhead preview --stack prod --report preview.md", "for a pull request"],
      ["bulkhead preview --stack prod --json", "for programs; what Pulumi says goes to stderr"],
    ),
  )
  .action(exitsWith(tell));

async function tell({ stack: name, report: file, json = false, ...accepted }: Options): Promise<number> {
  const host = await hostOf(name, findDocker);
  const away: string[] = [];
  // A reviewer wants to see the rest all the same.
  const engine = await connect(host).catch((error: Error) => {
    if (name === "local") throw error;
    say(error.message);
    away.push(error.message);
    return undefined;
  });
  try {
    const stack = { name, engine, env: await environmentOf(name, host) };
    if (name === "local" && engine) await prepareLocalStack({ ...stack, engine });
    const explained = await explainedPreview(stack, accepted, { args: ["--diff"], keepStdout: json });
    const report = { ...explained, warnings: [...away, ...explained.warnings] };
    const text = markdown(report);
    if (file !== undefined) await writeFile(file, text);
    if (json) console.log(JSON.stringify(reportForPrograms(report), undefined, 2));
    else if (file === undefined) console.log(`\n${text}`);
    return isRefused(report) || report.unacknowledged.length > 0 ? FAILED : DONE;
  } finally {
    engine?.close();
  }
}
