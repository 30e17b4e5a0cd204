// `bulkhead restore`: a database from a backup, into a new volume, by ordinary updates. The first makes the volume beside the
// server that runs; the second, after a word was typed, lets the server have it. The old volume is kept.
import { randomBytes } from "node:crypto";
import { Option, type Command } from "commander";
import { provideDocker } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED, NOT_REACHED } from "./exit-codes.ts";
import { updateWith } from "./backup/update-with.ts";
import { momentOf, type Wanted } from "./backup/restore.ts";
import { ask } from "./report/prompt.ts";
import { listContainers, nameOf } from "./stack/containers.ts";
import { openStack, type Stack } from "./stack/stack.ts";

interface Options extends StackOptions {
  to?: string;
  latest?: true;
  backup?: string;
  from?: "copy";
}

export const restore: Command = stackCommand(
  "restore",
  "restore a database or a volume from the vault into a new volume",
)
  .argument("<name>", "of the database or volume: the name that the program has for it")
  .addOption(new Option("--to <moment>", 'the moment to go back to, in UTC: "2026-01-31 12:00"').conflicts("latest"))
  .addOption(new Option("--latest", "all that the vault has").conflicts("backup"))
  .addOption(new Option("--backup <name>", "a backup of `bulkhead backups`, to its end").conflicts("to"))
  .addOption(new Option("--from <place>", "the second place of the vault").choices(["copy"]))
  .addHelpText(
    "after",
    `
A first update makes the new volume beside the server that runs, and reads all of it. What came of
it is shown, and a word is asked for. Then a second update ends the server and starts it with the
new volume: nothing answers in between. The old volume is kept, and named.

On an empty host there is nothing to ask about: one update restores, and starts everything.
${examples(
  ['bulkhead restore db --to "2026-01-31 12:00" --stack prod', "to just before that moment's end"],
  ["bulkhead restore db --latest --stack prod", "to the last seconds before the host was lost"],
)}`,
  )
  .action(exitsWith(goBack));

async function goBack(database: string, { stack: name, to, latest, backup, from }: Options): Promise<number> {
  if (to === undefined && latest === undefined && backup === undefined)
    throw new Error("give --to with a moment, --latest, or --backup with a name of `bulkhead backups`");
  const moment = latest ? "latest" : (backup ?? momentOf(to!, new Date()));
  const wanted: Wanted = { id: randomBytes(4).toString("hex"), to: moment, ...(from && { from }) };
  const stack = await openStack(name, provideDocker);
  const update = (value: Wanted) => updateWith(stack, name, { key: "restore", of: database, value }, "Not restored");
  try {
    const isThere = (await listContainers(stack.engine, name)).some(
      (each) => nameOf(each) === database || nameOf(each) === `${database}-owner`,
    );
    if (!isThere) {
      say(`Nothing of ${database} is on the host: it is restored before anything starts.`);
      return await update({ ...wanted, serve: true });
    }
    const code = await update(wanted);
    if (code !== DONE && code !== NOT_REACHED) return code;
    say(`\n${await whatCameOfIt(stack, wanted.id)}`);
    const question =
      `${database} still serves what it has. Type restore ${database} to end it and to serve this instead.\n` +
      "What was written since that moment is then in the old volume alone, which is kept: ";
    if ((await ask(question, "a restore is for a person at a terminal")) !== `restore ${database}`) {
      say(
        "Not served. `bulkhead restore` begins anew; to forget it, take `restore` out of the stack file, and `bulkhead up`.",
      );
      return FAILED;
    }
    return await update({ ...wanted, serve: true });
  } finally {
    stack.engine.close();
  }
}

/** The last line of the job that restored. */
async function whatCameOfIt({ engine, name }: Stack, id: string): Promise<string> {
  const job = (await listContainers(engine, name)).find(({ Labels }) => Labels["bulkhead.restore"] === id);
  if (job === undefined) return "What came of it is in no container any more.";
  const lines = (await engine.logs(job.Id, 50)).split("\n");
  return lines.findLast((line) => line.startsWith("restored to")) ?? "";
}
