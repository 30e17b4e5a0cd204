// The containers of a backup, found by what their labels say of them.
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import type { Engine } from "../../components/docker-engine/client.ts";
import { runInContainer, type Streams } from "../exec/run-in-container.ts";
import { ensureKnown, listContainers, nameOf, type ListedContainer } from "../stack/containers.ts";

export type Part = "base" | "drill" | "shipper" | "receiver" | "watch";

/** The running container of a backup that does a part of it. @throws Error if there is none, or it is not clear which. */
export async function backupPart(
  engine: Engine,
  stack: string,
  part: Part,
  database: string | undefined,
): Promise<ListedContainer> {
  const all = (await listContainers(engine, stack)).filter(
    ({ Labels }) => Labels["bulkhead.backup"] === part && Labels["bulkhead.backup-of"] !== undefined,
  );
  const databases = [...new Set(all.map(databaseOf))];
  if (database !== undefined) ensureKnown("database or volume with backups", [database], databases);
  if (databases.length === 0)
    throw new Error("nothing of this stack is backed up: give the program a Backup, see docs/how-to/backup.md");
  if (database === undefined && databases.length > 1)
    throw new Error(`which of them? Give one of ${databases.sort().join(", ")}`);
  // While a rollout runs there are two: the newer one is what will stay.
  const found = all.find((each) => databaseOf(each) === (database ?? databases[0]) && each.State === "running");
  if (found === undefined) {
    const name = nameOf(all[0]!);
    throw new Error(
      `${name}: its container does not run: \`bulkhead logs ${name}\` says why, \`bulkhead up\` starts it`,
    );
  }
  return found;
}

/** One that has the key: what sends of a database, or reads a volume. @throws Error if none runs. */
export async function keyHolder(engine: Engine, stack: string): Promise<ListedContainer> {
  const found = (await listContainers(engine, stack)).find(
    ({ Labels, State }) =>
      State === "running" &&
      (Labels["bulkhead.backup"] === "shipper" || (Labels["bulkhead.backup"] === "base" && isOfVolume({ Labels }))),
  );
  // It says why there is none.
  return found ?? backupPart(engine, stack, "shipper", undefined);
}

/** Whether it is of a volume, and not of a database. */
export function isOfVolume({ Labels }: Pick<ListedContainer, "Labels">): boolean {
  return Labels["bulkhead.backup-kind"] === "volume";
}

export function databaseOf({ Labels }: Pick<ListedContainer, "Labels">): string {
  return Labels["bulkhead.backup-of"] ?? "";
}

/** Runs a scheduled job now, as it serves, in another mode: see schedule.sh. */
export async function runPart(engine: Engine, { Id }: ListedContainer, streams?: Streams): Promise<number> {
  const { Config } = await engine.get<{ Config: { Entrypoint: string[]; Cmd: string[] } }>(`/containers/${Id}/json`);
  const [, ...rest] = Config.Cmd;
  return runInContainer(engine, Id, [...Config.Entrypoint, "now", ...rest], streams);
}

/** What a command in a container writes. @throws Error with its last line if it fails. */
export async function outputOf(engine: Engine, container: string, command: readonly string[]): Promise<string> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  const [said, wrong] = [text(stdout), text(stderr)];
  const code = await runInContainer(engine, container, command, { stdin, stdout, stderr }).finally(() => {
    stdout.end();
    stderr.end();
  });
  if (code === 0) return said;
  throw new Error((await wrong).trim().split("\n").at(-1) || `it ended with exit code ${code}`);
}
