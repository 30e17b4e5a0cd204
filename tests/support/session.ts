import { readdirSync, readFileSync } from "node:fs";

/**
 * Kills the leader of a session and all that came of it, Pulumi's plugins in process groups of their own too, as a
 * machine does that dies: no process gets to act on the end of another.
 */
export function killSession(leader: number): void {
  // A process that is stopped starts no further one.
  for (const stopped = new Set<number>(); ;) {
    const others = membersOf(leader).filter((pid) => !stopped.has(pid));
    if (others.length === 0) break;
    for (const pid of others) {
      signal(pid, "SIGSTOP");
      stopped.add(pid);
    }
  }
  for (const pid of membersOf(leader)) signal(pid, "SIGKILL");
}

function membersOf(session: number): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && sessionOf(entry) === session)
    .map(Number);
}

function sessionOf(pid: string): number | undefined {
  try {
    // The name of the program stands in brackets and may hold anything; state, parent, group and session follow it.
    return Number(
      readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")[3],
    );
  } catch {
    // It has ended since.
    return undefined;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
