// Logins of databases that the program has no more: after a rotation, when all who had them are gone.
import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import type { Engine } from "../../components/docker-engine/client.ts";
import { say } from "../../toolchain/steps.ts";
import { runInContainer } from "../exec/run-in-container.ts";

interface Found {
  Id: string;
  State: string;
  Labels: Record<string, string>;
}

/**
 * Takes away the old logins of every Postgres of a stack, after an update that went well: then nobody uses them but who
 * should not. Gives their names. One that cannot be taken away now is taken away after the next update.
 *
 * @param label the stack's, as `bulkhead.stack` has it.
 */
export async function retireOldLogins(engine: Engine, label: string): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`bulkhead.stack=${label}`] }));
  const containers = await engine.get<Found[]>(`/containers/json?all=1&filters=${filters}`);
  // The jobs that made them stay, and say which.
  const jobs = containers.filter(({ Labels }) => Labels["bulkhead.login"] !== undefined);
  const retired: string[] = [];
  for (const { Id, State, Labels } of containers) {
    const current = jobs
      .filter((job) => job.Labels["bulkhead.for"] === Labels["bulkhead.name"])
      .map((job) => job.Labels["bulkhead.login"]!);
    // Of one that has none nothing is known.
    if (current.length === 0 || State !== "running" || Labels["bulkhead.role"] !== "database") continue;
    const { code, output } = await psql(engine, Id, current.join(" "));
    retired.push(...output.split("\n").filter((line) => /^[a-z0-9_]+$/.test(line)));
    if (code !== 0) say(`${Labels["bulkhead.name"]}: old logins could not be taken away now: ${output.trim()}`);
  }
  if (retired.length > 0) say(`Old logins taken away: ${retired.join(", ")}`);
  return retired;
}

async function psql(engine: Engine, id: string, current: string): Promise<{ code: number; output: string }> {
  const [stdin, out] = [new PassThrough(), new PassThrough()];
  const chunks: Buffer[] = [];
  out.on("data", (chunk: Buffer) => chunks.push(chunk));
  stdin.end(SQL);
  const command = ["psql", "-XqAtU", "postgres", "-v", "ON_ERROR_STOP=1", "-v", `current=${current}`, "-f", "-"];
  const code = await runInContainer(engine, id, command, { stdin, stdout: out, stderr: out });
  return { code, output: Buffer.concat(chunks).toString() };
}

const SQL = readFileSync(new URL("../../components/data/old-logins.sql", import.meta.url), "utf8");
