// Logins of databases that the program has no more: after a rotation, when all who had them are gone.
import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import type { Engine } from "../../components/docker-engine/client.ts";
import { say } from "../../toolchain/steps.ts";
import { runInContainer } from "../exec/run-in-container.ts";
import { labelFilter } from "./containers.ts";

interface Found {
  Id: string;
  State: string;
  Labels?: Record<string, string>;
}

/**
 * Takes away the old logins of every Postgres of a stack, after an update that went well: then nobody uses them but who
 * should not. Gives their names. One that cannot be taken away now is taken away after the next update.
 *
 * @param label the stack's, as `bulkhead.stack` has it.
 */
export async function retireOldLogins(engine: Engine, label: string): Promise<string[]> {
  const found = (of: string) => engine.get<Found[]>(`/containers/json?all=1&filters=${labelFilter(label, [of])}`);
  // The jobs that made them stay, and say which.
  const jobs = (await found("bulkhead.login")).filter(({ Labels }) => Labels?.["bulkhead.login"] !== undefined);
  if (jobs.length === 0) return [];
  const retired: string[] = [];
  for (const { Id, State, Labels = {} } of await found("bulkhead.role=database")) {
    const current = jobs
      .filter((job) => job.Labels?.["bulkhead.for"] === Labels["bulkhead.name"])
      .map((job) => job.Labels!["bulkhead.login"]!);
    // Of one that has none nothing is known.
    if (current.length === 0 || State !== "running") continue;
    try {
      retired.push(...(await psql(engine, Id, current, await usedLogins(engine, label))));
    } catch (error) {
      // The update is good all the same.
      say(`${Labels["bulkhead.name"]}: old logins could not be taken away now: ${(error as Error).message}`);
    }
  }
  if (retired.length > 0) say(`Old logins taken away: ${retired.join(", ")}`);
  return retired;
}

/** What looks like a login in the settings of what runs. */
async function usedLogins(engine: Engine, label: string): Promise<string[]> {
  const running = await engine.get<Found[]>(`/containers/json?filters=${labelFilter(label)}`);
  const settings = await Promise.all(
    running.map(({ Id }) => engine.find<{ Config: { Env: string[] | null } }>(`/containers/${Id}/json`)),
  );
  return settings
    .flatMap((each) => each?.Config.Env ?? [])
    .map((each) => each.slice(each.indexOf("=") + 1))
    .filter((value) => /^[a-z0-9_]+_[0-9a-f]{8}$/.test(value));
}

/** Gives the names of those that were taken away. */
async function psql(engine: Engine, id: string, current: string[], used: string[]): Promise<string[]> {
  const [stdin, out] = [new PassThrough(), new PassThrough()];
  const chunks: Buffer[] = [];
  out.on("data", (chunk: Buffer) => chunks.push(chunk));
  stdin.end(SQL);
  const variables = { ON_ERROR_STOP: "1", current: current.join(" "), used: used.join(" ") };
  const flags = Object.entries(variables).flatMap(([key, value]) => ["-v", `${key}=${value}`]);
  const command = ["psql", "-XqAtU", "postgres", ...flags, "-f", "-"];
  const code = await runInContainer(engine, id, command, { stdin, stdout: out, stderr: out });
  const output = Buffer.concat(chunks).toString().trim();
  if (code !== 0) throw new Error(output);
  return output.split("\n").filter((line) => /^[a-z0-9_]+$/.test(line));
}

const SQL = readFileSync(new URL("../../components/data/old-logins.sql", import.meta.url), "utf8");
