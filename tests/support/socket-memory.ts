import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * MiB that the kernel keeps for the connections of a process's container. With cgroup v2 they are in the container's memory,
 * and this says 0. With v1 they are not, and are counted, from the first call on, of connections that come then.
 */
export function socketMemoryMb(pid: number): number {
  const [, path] = /^\d+:memory:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? [];
  if (path === undefined) return 0;
  const file = (name: string) => join("/sys/fs/cgroup/memory", path, `memory.kmem.tcp.${name}`);
  if (!existsSync(file("limit_in_bytes")))
    throw new Error(`nothing counts its connections: there is no ${file("limit_in_bytes")}`);
  // The kernel counts where there is a limit: this one is none.
  writeFileSync(file("limit_in_bytes"), String(2 ** 40));
  return Number(readFileSync(file("usage_in_bytes"), "utf8")) / 2 ** 20;
}
