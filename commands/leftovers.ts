// What a killed run leaves: its lock, and things on the host that no state knows. Both are seen to in every `make up`.
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { say } from "../toolchain/steps.ts";
import { LABEL as RELEASE_LABEL } from "./releases.ts";
import { pulumi, type Stack } from "./stack.ts";

/**
 * Releases the lock of a run that is gone. The lock of one that is alive, or that runs on another machine, stays, and
 * pulumi refuses to run beside it.
 */
export async function releaseDeadLock(stack: Stack): Promise<void> {
  const [, state] = /^file:\/\/(.*)/.exec(stack.env["PULUMI_BACKEND_URL"] ?? "") ?? [];
  if (state === undefined) return;
  const directory = join(state, ".pulumi", "locks", "organization", "reach", stack.name);
  const files = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith(".json"));
  const locks = await Promise.all(files.map((file) => readFile(join(directory, file), "utf8")));
  const holders = locks.map((lock) => JSON.parse(lock) as { pid: number; hostname: string; timestamp: string });
  const [first] = holders;
  if (first === undefined) return;
  for (const { pid, hostname: machine } of holders) if (machine !== hostname() || (await isPulumi(pid))) return;
  say(`The run of ${first.timestamp.slice(0, 19)}Z was killed (process ${first.pid} is gone): releasing its lock`);
  await pulumi(stack, ["cancel", "--yes", "--stack", stack.name]);
}

/** Another program may have got the number since. */
async function isPulumi(pid: number): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
  return name.trim() === "pulumi";
}

/** The host's own time: what is older than this when a run begins, that run has not made. */
export async function hostTime({ engine }: Stack): Promise<Date> {
  return new Date((await engine.get<{ SystemTime: string }>("/info")).SystemTime);
}

/**
 * Removes containers and volumes that bear this stack's label, are older than the run, and are in no state: made by a
 * run that was killed before it could write them down. Never another stack's, never data, never what a run beside this
 * one makes. It comes after a good update, when the site is safe.
 */
export async function removeOrphans(stack: Stack, runBegan: Date): Promise<void> {
  const { engine, name } = stack;
  const state = JSON.parse(await pulumi(stack, ["stack", "export", "--stack", name])) as State;
  // What waits for its removal is known too.
  const known = new Set(state.deployment.resources?.flatMap(({ id }) => id ?? []));
  const label = `bulkhead.stack=reach-${name}`;
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const removed: string[] = [];

  const containers = await engine.get<{ Id: string; Names: string[]; Created: number }[]>(
    `/containers/json?all=1&filters=${filters}`,
  );
  for (const { Id, Names, Created } of containers) {
    if (known.has(Id) || Created * 1000 >= runBegan.getTime()) continue;
    // Its own time to end first: it may still hold a connection.
    await engine.post(`/containers/${Id}/stop?t=10`);
    await engine.delete(`/containers/${Id}`);
    removed.push(`container ${Names[0]?.slice(1)}`);
  }

  const { Volumes } = await engine.get<{
    Volumes: { Name: string; Labels: Record<string, string>; CreatedAt: string }[];
  }>(`/volumes?filters=${filters}`);
  for (const { Name, Labels, CreatedAt } of Volumes ?? []) {
    const isKept = Labels["bulkhead.data"] === "true" || RELEASE_LABEL in Labels;
    if (isKept || known.has(Name) || new Date(CreatedAt) >= runBegan) continue;
    await engine.delete(`/volumes/${Name}`);
    removed.push(`volume ${Name}`);
  }
  await forgetPendingCreates(stack, state);
  if (removed.length > 0) say(`Removed what a killed run had left: ${removed.join(", ")}`);
}

interface State {
  deployment: { resources?: { id?: string }[]; pending_operations?: { type: string }[] };
}

/** What a killed run was making when it was killed is removed now, so the state need not warn of it for ever. */
async function forgetPendingCreates(stack: Stack, state: State): Promise<void> {
  const pending = state.deployment.pending_operations ?? [];
  const others = pending.filter(({ type }) => type !== "creating");
  if (others.length === pending.length) return;
  const directory = await mkdtemp(join(tmpdir(), "bulkhead-state-"));
  try {
    const file = join(directory, "state.json");
    await writeFile(
      file,
      JSON.stringify({ ...state, deployment: { ...state.deployment, pending_operations: others } }),
    );
    await pulumi(stack, ["stack", "import", "--stack", stack.name, "--file", file]);
  } finally {
    await rm(directory, { recursive: true });
  }
}
