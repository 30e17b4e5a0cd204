// The command: `bulkhead VERB`. Each verb is a file here, and what it is made of a folder.
import { styleText } from "node:util";
import { Command, CommanderError } from "commander";
import { saidOfArguments } from "./argument-errors.ts";
import { audit } from "./audit.ts";
import { backup, drill } from "./backup.ts";
import { backupKey } from "./backup-key.ts";
import { backups } from "./backups.ts";
import { checkCommit } from "./ci/check-commit.ts";
import { driftIssue } from "./ci/drift-issue.ts";
import { pullRequestComment } from "./ci/pull-request-comment.ts";
import { forgetEmptyVariables, takeFlags } from "./command.ts";
import { doctor } from "./doctor.ts";
import { down } from "./down.ts";
import { env } from "./env.ts";
import { exitCodes } from "./exit-codes.ts";
import { init } from "./init.ts";
import { newStack } from "./new-stack.ts";
import { preview } from "./preview.ts";
import { promote } from "./promote.ts";
import { restore } from "./restore.ts";
import { upgradeDatabase } from "./upgrade-database.ts";
import { rollback } from "./rollback.ts";
import { exec } from "./exec.ts";
import { generate } from "./generate.ts";
import { logs } from "./logs.ts";
import { releases } from "./releases.ts";
import { rotate } from "./rotate.ts";
import { run } from "./run.ts";
import { scan } from "./scan.ts";
import { status } from "./status.ts";
import { ownPackage } from "./stack/program.ts";
import { runCommand } from "./stack/stack.ts";
import { unlock } from "./unlock.ts";
import { up } from "./up.ts";

/** Every verb, in the order in which the help lists them. */
const verbs: readonly Command[] = [
  init,
  up,
  preview,
  rollback,
  down,
  status,
  logs,
  exec,
  run,
  backup,
  backups,
  drill,
  restore,
  upgradeDatabase,
  backupKey,
  releases,
  rotate,
  doctor,
  audit,
  newStack,
  promote,
  unlock,
  scan,
  env,
  generate,
  new Command("ci")
    .description("what the workflows on GitHub run")
    .addCommand(checkCommit)
    .addCommand(driftIssue)
    .addCommand(pullRequestComment),
];

export const bulkhead = new Command("bulkhead")
  .description("Turns a plain Docker host into a hardened production platform, and keeps it one.")
  .usage("VERB [options]")
  .version(ownPackage().version, "-V, --version", "show the version of Bulkhead")
  .helpOption("-h, --help", "show this")
  .helpCommand("help [verb]", "the options of a verb, and examples")
  .configureHelp({ styleTitle: (title) => styleText("bold", title, { validateStream: false }) })
  // What is wrong is said in one place, below.
  .configureOutput({ outputError: () => undefined })
  .exitOverride()
  .hook("preAction", (_, command) => takeFlags(command))
  .addHelpText(
    "after",
    () => `\n${listed("Exit codes:", exitCodes)}\n\n${listed("Environment:", VARIABLES)}\n\n${PAGES}`,
  );
for (const verb of verbs) adopt(bulkhead, verb);

/** Runs the command with these arguments; gives its exit code. What is wrong is said in one line, and not thrown. */
export async function main(args: readonly string[]): Promise<void> {
  forgetEmptyVariables(bulkhead);
  await runCommand(async () => {
    try {
      await bulkhead.parseAsync(args, { from: "user" });
      return Number(process.exitCode ?? 0);
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      // The help has been shown: to somebody who asked for it, or who gave no verb.
      if (/^commander\.(help|version)/.test(error.code)) return error.exitCode;
      error.message = saidOfArguments(error, bulkhead, args);
      throw error;
    }
  });
}

const VARIABLES = [
  ["STACK, YES …", "stand for the options with (env: …): an option that is given wins, an empty variable is none"],
  ["DEBUG=1", "shows where an error came from"],
  ["NO_COLOR=1", "takes colours away; they are on terminals alone"],
] as const;

/** Messages name pages by their paths there. */
const PAGES = "Pages, like docs/how-to/services.md, are in the package: node_modules/bulkhead/docs";

/** A verb is like the command in what it does with errors and help; so are its own verbs. */
function adopt(parent: Command, verb: Command): void {
  verb.copyInheritedSettings(parent);
  if (verb.parent === null) parent.addCommand(verb);
  for (const each of verb.commands) adopt(verb, each);
}

function listed(title: string, rows: readonly (readonly [term: string | number, meaning: string])[]): string {
  const help = bulkhead.createHelp();
  const width = Math.max(...rows.map(([term]) => String(term).length));
  const items = rows.map(([term, meaning]) => help.formatItem(String(term), width, meaning, help));
  return [title, ...items].join("\n");
}
