// `bulkhead restore`: databases and volumes from the vault, into new volumes, by ordinary updates. The first makes them beside
// what runs; the second, after a word was typed, lets what runs have them. The old volumes are kept.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Option, type Command } from "commander";
import { parseDocument } from "yaml";
import { provideDocker } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { withAcceptance, type Acceptance } from "./agreement.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED, NOT_REACHED } from "./exit-codes.ts";
import { updateWith } from "./backup/update-with.ts";
import { databaseOf } from "./backup/parts.ts";
import { momentOf, servedRestore, type Wanted } from "./backup/restore.ts";
import { ask } from "./report/prompt.ts";
import { listContainers, nameOf } from "./stack/containers.ts";
import { committedFile, openStack, type Stack } from "./stack/stack.ts";

interface Options extends StackOptions, Acceptance {
  to?: string;
  latest?: true;
  backup?: string;
  from?: "copy";
}

export const restore: Command = withAcceptance(
  stackCommand("restore", "restore databases and volumes from the vault into new volumes"),
)
  .argument("<name...>", "of the database or volume: the name that the program has for it")
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

On an empty host there is nothing to ask about: one update restores, and starts everything. So name
all that is to come back: what is not restored begins empty.
${examples(
  ["bulkhead restore db uploads edge-certificates --latest --stack prod", "all of them, on a new host"],
  ['bulkhead restore db --to "2026-01-31 12:00" --stack prod', "to just before that moment's end"],
  ["bulkhead restore db --latest --stack prod", "to the last seconds before the host was lost"],
)}`,
  )
  .action(exitsWith(goBack));

async function goBack(
  names: string[],
  { stack: name, to, latest, backup, from, ...accepted }: Options,
): Promise<number> {
  if (to === undefined && latest === undefined && backup === undefined)
    throw new Error("--to: missing: give it with a moment, or --latest, or --backup with a name of `bulkhead backups`");
  if (backup !== undefined && names.length > 1)
    throw new Error("--backup: is of one database or volume: give one name, or --to with a moment for all of them");
  const moment = latest ? "latest" : (backup ?? momentOf(to!, new Date()));
  const wanted: Wanted = { id: randomBytes(4).toString("hex"), to: moment, ...(from && { from }) };
  const stack = await openStack(name, provideDocker);
  const update = (valueOf: (name: string) => Wanted) =>
    updateWith(
      ...([stack, name] as const),
      { key: "restore", of: Object.fromEntries(names.map((each) => [each, valueOf(each)])) },
      "Not restored",
      accepted,
    );
  const document = parseDocument(await readFile(committedFile(name), "utf8"));
  // What an earlier restore made goes on serving until then.
  const tried = (each: string): Wanted => {
    const before = servedRestore(document, each);
    return { ...wanted, ...(before && { before }) };
  };
  const served = () => ({ ...wanted, serve: true });
  try {
    const listed = names.join(" ");
    if (!(await isOnHost(stack, names))) {
      say(`Nothing of ${listed} is on the host: it is restored before anything starts.`);
      return await update(served);
    }
    const code = await update(tried);
    if (code !== DONE && code !== NOT_REACHED) return code;
    say(`\n${await whatCameOfIt(stack, wanted.id)}`);
    const question =
      `${names.join(" and ")} still ${names.length > 1 ? "serve what they have" : "serves what it has"}. ` +
      `Type restore ${listed} to end it and to serve this instead.\n` +
      "What was written since that moment is then in the old volume alone, which is kept: ";
    if ((await ask(question, "a restore is for a person at a terminal")) !== `restore ${listed}`) {
      say(
        "Not served. `bulkhead restore` begins anew. To forget it, take it out of `restore` in the stack file, or give what " +
          "its `before` says, and `bulkhead up`.",
      );
      return FAILED;
    }
    return await update(served);
  } finally {
    stack.engine.close();
  }
}

/** Whether the host has a container of one of them, or one that backs it up. */
async function isOnHost({ engine, name }: Stack, names: readonly string[]): Promise<boolean> {
  const there = (await listContainers(engine, name)).flatMap((each) => [nameOf(each), databaseOf(each)]);
  return names.some((each) => there.includes(each) || there.includes(`${each}-owner`));
}

/** The last lines of the jobs that restored. */
async function whatCameOfIt({ engine, name }: Stack, id: string): Promise<string> {
  const jobs = (await listContainers(engine, name)).filter(({ Labels }) => Labels["bulkhead.restore"] === id);
  if (jobs.length === 0) return "What came of it is in no container any more.";
  const said = jobs.map(async (job) => {
    const lines = (await engine.logs(job.Id, 50)).split("\n");
    const last = lines.findLast((line) => line.startsWith("restored to")) ?? "";
    return jobs.length > 1 ? `${nameOf(job)}: ${last}` : last;
  });
  return (await Promise.all(said)).join("\n");
}
