import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** The most memory that Pulumi's processes had at once while something ran: Pulumi itself, the program and the plugins. */
export async function peakMemoryMb<T>(work: () => Promise<T>): Promise<{ result: T; memoryMb: number }> {
  let memoryMb = 0;
  let done = false;
  const watching = (async () => {
    for (; !done; await sleep(200)) memoryMb = Math.max(memoryMb, pulumiMemoryMb());
  })();
  try {
    return { result: await work(), memoryMb };
  } finally {
    done = true;
    await watching;
  }
}

function pulumiMemoryMb(): number {
  const pages = read(({ cmdline, statm }) =>
    /(^|\/)pulumi[\w-]*\0|\/@pulumi\/pulumi\/cmd\/run/.test(cmdline()) ? Number(statm().split(" ")[1]) : 0,
  );
  return (pages * 4096) / 2 ** 20;
}

/** CPU cores that everything in these namespaces takes when nothing is asked of it. */
export async function coresAtRest(seconds: number): Promise<number> {
  const before = cpuTicks();
  await sleep(seconds * 1000);
  return (cpuTicks() - before) / 100 / seconds;
}

/** Of all processes and of their children that have ended. */
function cpuTicks(): number {
  return read(({ stat }) => {
    const fields = stat()
      .replace(/^.*\) /, "")
      .split(" ");
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  });
}

/** The sum of something over all processes. Those that end meanwhile count nothing. */
function read(of: (files: Record<"cmdline" | "statm" | "stat", () => string>) => number): number {
  let sum = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const file = (name: string) => () => readFileSync(`/proc/${pid}/${name}`, "utf8");
    try {
      sum += of({ cmdline: file("cmdline"), statm: file("statm"), stat: file("stat") });
    } catch (error) {
      if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  return sum;
}
