// `bulkhead upgrade-database`: a PostgreSQL of the next major version, by ordinary updates. The first makes a trial beside the
// server that runs; the second, after a word was typed, ends it, copies it and starts the new one. The old volume is kept.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Option, type Command } from "commander";
import { parseDocument } from "yaml";
import { provideDocker } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { withAcceptance, type Acceptance } from "./agreement.ts";
import { updateWith } from "./backup/update-with.ts";
import { wantedUpgrade, type RunningServer, type WantedUpgrade } from "./backup/upgrade.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED, NOT_REACHED } from "./exit-codes.ts";
import { ask } from "./report/prompt.ts";
import { listContainers, nameOf } from "./stack/containers.ts";
import { committedFile, openStack, type Stack } from "./stack/stack.ts";

interface Options extends StackOptions, Acceptance {
  to: string;
}

export const upgradeDatabase: Command = withAcceptance(
  stackCommand("upgrade-database", "give a PostgreSQL its next major version, in a new volume"),
)
  .argument("<database>", "the name that the program has for it")
  .addOption(
    new Option("--to <version>", "the major version that the program has for it now")
      .choices(["16", "17"])
      .makeOptionMandatory(),
  )
  .addHelpText(
    "after",
    `
Before it, give the database in the program \`version\` and \`image\` of the new one. A first update
makes a trial: all of it is copied into a new volume beside the server that runs, and read there.
What came of it, and how long it took, is shown, and a word is asked for. Then a second update ends
the server, copies it again, compares every table and starts the new one: nothing answers in
between. The old volume is kept, and named. If anything fails, the old server runs again.
${examples(["bulkhead upgrade-database db --to 17 --stack prod", "asks before anything ends"])}`,
  )
  .action(exitsWith(upgradeIt));

async function upgradeIt(database: string, { stack: name, to, ...accepted }: Options): Promise<number> {
  const stack = await openStack(name, provideDocker);
  const document = parseDocument(await readFile(committedFile(name), "utf8"));
  const update = (value: WantedUpgrade) =>
    updateWith(stack, name, { key: "upgrade", of: { [database]: value } }, "Not upgraded", accepted);
  try {
    const server = await runningServer(stack, database);
    const wanted = wantedUpgrade(document, database, server, Number(to), randomBytes(4).toString("hex"));
    const tried = await update(wanted);
    if (tried !== DONE && tried !== NOT_REACHED) return tried;
    say(`\n${await whatCameOfIt(stack, wanted.id)}`);
    const question =
      `${database} still serves with PostgreSQL ${wanted.from}. Type upgrade ${database} to end it and to serve ` +
      `PostgreSQL ${wanted.to}.\nNothing answers for about as long as that, and some seconds more: `;
    if ((await ask(question, "an upgrade is for a person at a terminal")) !== `upgrade ${database}`) {
      say(
        "Not upgraded. To forget the trial, take `upgrade` out of the stack file, and the new version out of the program.",
      );
      return FAILED;
    }
    return await update({ ...wanted, serve: true }).finally(() => startAgain(stack, database));
  } finally {
    stack.engine.close();
  }
}

async function runningServer({ engine, name }: Stack, database: string): Promise<RunningServer> {
  const found = (await listContainers(engine, name)).find(
    (each) => nameOf(each) === database && each.State === "running" && each.Labels["bulkhead.role"] === "database",
  );
  if (found === undefined)
    throw new Error(
      `${database}: no such database runs: \`bulkhead status\` says what does, \`bulkhead up\` starts it`,
    );
  const { Config } = await engine.get<{ Config: { Image: string; Env: string[] } }>(`/containers/${found.Id}/json`);
  return { image: Config.Image, env: Config.Env };
}

/** Whatever else failed in the update: the server that was ended runs again, if no other does. */
async function startAgain({ engine, name }: Stack, database: string): Promise<void> {
  const servers = (await listContainers(engine, name)).filter((each) => nameOf(each) === database);
  const [newest] = servers;
  if (newest === undefined || servers.some(({ State }) => State === "running")) return;
  await engine.post(`/containers/${newest.Id}/start`);
  say(`${database}: the server of before runs again.`);
}

/** The last line of the job that made the new volume, and how long its jobs took. */
async function whatCameOfIt({ engine, name }: Stack, id: string): Promise<string> {
  const jobs = (await listContainers(engine, name)).filter(({ Labels }) => Labels["bulkhead.upgrade"] === id);
  const logs = await Promise.all(jobs.map(({ Id }) => engine.logs(Id, 50)));
  const line = logs.flatMap((log) => log.split("\n")).find((each) => each.startsWith("upgraded from"));
  if (line === undefined) return "What came of it is in no container any more.";
  const states = await Promise.all(
    jobs.map(({ Id }) => engine.get<{ State: { StartedAt: string; FinishedAt: string } }>(`/containers/${Id}/json`)),
  );
  const began = Math.min(...states.map(({ State }) => Date.parse(State.StartedAt)));
  const ended = Math.max(...states.map(({ State }) => Date.parse(State.FinishedAt)));
  return `${line}\nTo copy and to read it took ${Math.ceil((ended - began) / 1000)} s.`;
}
