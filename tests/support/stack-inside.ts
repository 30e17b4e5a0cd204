// What tests ask of the containers of a stack, by their labels.
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandOptions, CommandResult } from "./command.ts";
import { currentTestEngine } from "./engine.ts";

export const docker = (...args: string[]) => currentTestEngine().exec("docker", args);

/**
 * @param stack as the label `bulkhead.stack` has it.
 * @param exec runs a command where the stack is.
 */
export function insideStack(stack: string, exec: Exec = (...command) => currentTestEngine().exec(...command)) {
  const docker = (...args: string[]) => exec("docker", args);

  async function find(name: string, ...options: string[]): Promise<string> {
    const filters = ["--filter", `label=bulkhead.stack=${stack}`, "--filter", `label=bulkhead.name=${name}`];
    return (await docker("ps", "--quiet", ...options, ...filters)).stdout.trim();
  }

  async function inspect<Of>(id: string): Promise<Of> {
    return (JSON.parse((await docker("inspect", id)).stdout) as [Of])[0];
  }

  /** The container that runs. */
  const idOf = (name: string) => find(name);

  /** What a job, which has ended, wrote. */
  const said = async (name: string) => (await docker("logs", await find(name, "--all"))).stdout;

  const health = async (name: string): Promise<{ status: string; said: string }> => {
    const { State } = await inspect<Health>(await idOf(name));
    return { status: State.Health.Status, said: State.Health.Log.at(-1)?.Output ?? "" };
  };

  /** A scheduled job now, as `bulkhead run` does it; after the run of its schedule, if the test came at that minute. */
  const runNow = async (name: string) => {
    const id = await idOf(name);
    const { Config } = await inspect<{ Config: { Entrypoint: string[]; Cmd: string[] } }>(id);
    const args = ["exec", id, ...Config.Entrypoint, "now", ...Config.Cmd.slice(1)];
    for (let left = 60; ; left--) {
      const result = await exec("docker", args, { timeoutMs: 400_000 });
      if (left === 0 || !result.stdout.includes("is skipped: the one before it still runs")) return result;
      await sleep(2_000);
    }
  };

  /** What the writer of tests/programs/backup was told that is committed. */
  const acknowledged = async (): Promise<{ nonce: string; at: number }[]> => {
    const { stdout } = await docker("exec", await idOf("writer"), "cat", "/tmp/acknowledged");
    return stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .map(([nonce, at]) => ({ nonce: nonce!, at: Number(at) }));
  };

  /** What Docker tells and keeps of each container of the stack: its settings and its log. */
  const toldOfAll = async (): Promise<string[]> => {
    const ids = (await docker("ps", "-aq", "--filter", `label=bulkhead.stack=${stack}`)).stdout.trim().split("\n");
    return Promise.all(
      ids
        .flatMap((id) => [docker("inspect", id), docker("logs", id)])
        .map(async (asked) => {
          const { code, stdout, stderr } = await asked;
          if (code !== 0) throw new Error(stderr);
          return stdout + stderr;
        }),
    );
  };

  /** A query, by the superuser of a server. Gives nothing where that is away, and throws what is wrong with the query. */
  const superuserOf = async (server: string, sql: string, database: string) => {
    const { stdout, stderr } = await docker(
      ...["exec", await idOf(server), "psql", "-XqAtU", "postgres", "-d", database, "-c", sql],
    );
    if (stderr.startsWith("ERROR:")) throw new Error(`${sql}: ${stderr}`);
    return stdout;
  };
  const superuser = (sql: string, database = "postgres") => superuserOf("db", sql, database);

  /** Which of them are there. */
  const committed = async (): Promise<Set<string>> =>
    new Set((await superuser("select nonce from acks", "app")).trim().split("\n"));

  return { idOf, said, health, runNow, acknowledged, committed, toldOfAll, superuser, superuserOf };
}

type Exec = (command: string, args: string[], options?: CommandOptions) => Promise<CommandResult>;

interface Health {
  State: { Health: { Status: string; Log: { Output: string }[] } };
}

export async function until(holds: () => Promise<boolean>, seconds = 60): Promise<void> {
  for (const end = performance.now() + seconds * 1000; !(await holds()); await sleep(200))
    if (performance.now() > end) throw new Error(`it did not come within ${seconds} s`);
}
