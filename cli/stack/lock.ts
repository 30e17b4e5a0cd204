// Who works on a stack. Each run of Pulumi takes the stack's lock, and one that is killed leaves it behind.
import { readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { run, say } from "../../toolchain/steps.ts";
import { LOCKED, pulumi, pulumiForPerson, type Stack } from "./stack.ts";
import { lockFiles, removeTornFiles, stateDirectory } from "./state-files.ts";

/** A run that holds the lock. */
export interface Holder {
  user: string;
  machine: string;
  pid: number;
  since: Date;
  /** The lock itself, where the state is kept in files. */
  file?: string;
}

/**
 * Makes sure that no other run works on the stack, before anything is changed: releases the lock of one that was killed
 * on this machine, and throws where a run is alive, or may be. Of a state that is not in files nothing is seen before
 * Pulumi itself looks.
 */
export async function ensureAlone(stack: Omit<Stack, "engine">): Promise<void> {
  const state = await stateDirectory(stack);
  if (state === undefined) return;
  const holders = await holdersInFiles(state, stack.name);
  const dead = [];
  for (const holder of holders)
    if ((await processStatus(holder)) === "gone") dead.push(holder);
    else throw new Error(await refusal(stack.name, holder));
  for (const holder of dead) say(`${runOf(holder)} was killed: releasing its lock`);
  await release(stack, dead);
  await removeTornFiles(state, stack.name);
}

/** Runs pulumi for the person at the terminal; gives its exit code. Throws where another run has the lock. */
export async function runAlone(stack: Omit<Stack, "engine">, args: readonly string[]): Promise<number> {
  const { code, lockedBy } = await pulumiForPerson(stack, args);
  if (lockedBy === undefined) return code;
  throw await explainLock(stack.name, new Error(lockedBy));
}

/** What pulumi says of a lock recommends a command that takes it from a run that may be alive. */
export async function explainLock(stack: string, error: Error): Promise<Error> {
  const [holder] = holdersIn(error.message);
  return holder ? new Error(await refusal(stack, holder)) : error;
}

/** Whoever holds the lock, wherever the state is kept. */
export async function lockHolders(stack: Omit<Stack, "engine">): Promise<Holder[]> {
  const state = await stateDirectory(stack);
  if (state !== undefined) return holdersInFiles(state, stack.name);
  // Pulumi has no command that shows a lock, but each that changes something shows it; this one changes nothing.
  const { name } = stack;
  const message = await pulumi(stack, ["stack", "rename", name, "--stack", name]).catch(
    (error: Error) => error.message,
  );
  if (message.includes(LOCKED)) return holdersIn(message);
  if (message.includes("already exists")) return [];
  throw new Error(message);
}

export async function release(stack: Omit<Stack, "engine">, holders: readonly Holder[]): Promise<void> {
  // One by one, since pulumi's own way takes whatever lock is there, also one that a run has taken since.
  for (const { file } of holders)
    if (file !== undefined) for (const part of [file, `${file}.attrs`]) await rm(part, { force: true });
  if (holders.some(({ file }) => file === undefined)) await pulumi(stack, ["cancel", "--yes", "--stack", stack.name]);
}

/** In what pulumi says: pkg/backend/diy/lock.go. */
export function holdersIn(message: string): Holder[] {
  return [...message.matchAll(/: created by (.+)@(\S+) \(pid (\d+)\) at (\S+)$/gm)].map(
    ([, user, machine, pid, since]) => ({
      user: user!,
      machine: machine!,
      pid: Number(pid),
      since: new Date(since!),
    }),
  );
}

/** What of the run can be seen from here. */
export async function processStatus({ machine, pid }: Holder): Promise<"alive" | "gone" | "elsewhere"> {
  if (machine !== hostname()) return "elsewhere";
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Another user's process may not be signalled, but it is there.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return "gone";
  }
  const seen = await readFile(`/proc/${pid}/stat`, "utf8")
    .then((text) => text.replace(/^\d+ \((.*)\) (\S).*$/s, "$2 $1"))
    .catch(() => run("ps", ["-o", "stat=,comm=", "-p", String(pid)]))
    // What cannot be looked at is taken to be alive.
    .catch(() => "S pulumi");
  return isPulumi(seen) ? "alive" : "gone";
}

/** By state and name: another program may have got the number since, and who is dead may not be buried yet. */
export function isPulumi(seen: string): boolean {
  return /^\s*[^\sZ]\S*\s.*pulumi/.test(seen);
}

/** Like `The run of deploy@ci-7 (process 4711, since 2026-02-03 04:05:06 UTC)`. */
export function runOf({ user, machine, pid, since }: Holder): string {
  const time = since.toISOString().replace("T", " ").replace(/\..*/, " UTC");
  return `The run of ${user}@${machine} (process ${pid}, since ${time})`;
}

export async function refusal(stack: string, holder: Holder): Promise<string> {
  const where = await processStatus(holder);
  if (where === "alive")
    return `${runOf(holder)} works on the stack ${stack} and is alive. This run has changed nothing: wait for that one to end, then try again`;
  const seen =
    where === "gone"
      ? "If that was this machine, its process is gone:"
      : "Whether that one is still alive cannot be seen from here: wait for it to end, or if you know that it was killed,";
  return `${runOf(holder)} holds the lock of the stack ${stack}. This run has changed nothing. ${seen} \`bulkhead unlock --stack ${stack}\``;
}

async function holdersInFiles(state: string, stack: string): Promise<Holder[]> {
  return (await lockFiles(state, stack)).map(({ file, content }) => {
    const { username, hostname, pid, timestamp } = JSON.parse(content) as Record<string, string>;
    return { user: username!, machine: hostname!, pid: Number(pid), since: new Date(timestamp!), file };
  });
}
