import type * as docker from "@pulumi/docker/container.js";
import { isDate } from "../../policy/exceptions.ts";

/** What a container may use, each enforced by the kernel. */
export interface Limits {
  /** Memory in MiB. There is no swap beyond it: what needs more is killed, and its neighbours are not. */
  memoryMb: number;
  /** What it keeps of that when the host is short of memory, in MiB; less than `memoryMb`. @default nothing */
  memoryReservationMb?: number;
  /** CPU time in cores, like 0.5. */
  cpus: number;
  /** The most processes and threads, so that a fork bomb stays in its compartment. */
  pids: number;
}

/**
 * One weakening of the posture, with its reason. It stands in the container's label `bulkhead.exceptions`, so a preview
 * shows it and an audit finds it. There is no other way to weaken a container.
 */
export type Exception = {
  why: string;
  /** The last day on which it holds, like "2027-01-31": after it the policies refuse it. @default it stays */
  until?: string;
} & (
  | { capability: Capability }
  /** Runs as root in the container, still without capabilities. */
  | { rootUser: true }
  /** Leaves the root file system writable. */
  | { writableRoot: true }
  /** Of a WebService alone: its image has nothing to ask it with, so the edge alone asks, when a release is tried. */
  | { noHealthCommand: true }
  /** Its image has an init of its own, such as s6, which has to be process 1. */
  | { noInit: true }
  /** Lets programs run from this file system in memory, one of `tmpfsMb`. */
  | { tmpfsExec: string }
  /** Serves this entry point of Traefik's to clients without that. @default without both */
  | { entryPoint: string; without?: "TLS" | "rate limit" }
  /** Lets clients ask for these paths with encoded slashes. Of a service's route alone. */
  | { encodedSlashes: string }
  /** Takes any certificate of this service, which speaks TLS. Of a service's route alone. */
  | { unverifiedUpstream: string }
  /** Keeps this volume with data, by its name on the host, out of every backup. Of a DataVolume's own job alone. */
  | { withoutBackup: string }
);

/**
 * Only for root: Docker gives no other user any. Names as Docker reads them back; any other spelling would show as a
 * change for ever.
 */
export type Capability = "CHOWN" | "DAC_OVERRIDE" | "FOWNER" | "KILL" | "NET_BIND_SERVICE" | "SETGID" | "SETUID";

export interface Posture {
  limits: Limits;
  /** `uid:gid` that the processes run as. @default "1000:1000" */
  user?: string;
  /** Writable memory file systems: path to size in MiB. @default { "/tmp": 16 } */
  tmpfsMb?: Record<string, number>;
  /** Seconds between SIGTERM and SIGKILL when the container is stopped or replaced. @default 30 */
  graceSeconds?: number;
  /** @default [] */
  exceptions?: readonly Exception[];
}

/**
 * The posture of every container: no capability, no new privileges, read-only root, sized tmpfs that runs nothing, not
 * root, memory without swap, CPU limit, init, rotated logs, time to end. The pids limit is not here, because the Docker
 * provider cannot set it: see container.ts.
 */
export function hardened(posture: Posture) {
  const { limits, user = "1000:1000", tmpfsMb = { "/tmp": 16 }, graceSeconds = 30, exceptions = [] } = posture;
  for (const { until } of exceptions)
    if (until !== undefined && !isDate(until))
      throw new Error(`exceptions: until: ${until} is not a date: give one like 2027-01-31`);
  const rootUser = exceptions.some((exception) => "rootUser" in exception);
  if (isRoot(user) && !rootUser) throw new Error(`user ${user} is root: give another, or an exception with its reason`);
  const adds = exceptions.flatMap((exception) => ("capability" in exception ? [exception.capability] : [])).sort();
  if (adds.length > 0 && !isRoot(user))
    throw new Error(
      `exceptions: capability: ${adds.join(", ")} has no effect for the user ${user}, as Docker gives capabilities to root ` +
        "alone: leave it out (a port below 1024 needs none), or run it as root, with the exception { rootUser: true }",
    );
  const executable = exceptions.flatMap((exception) => ("tmpfsExec" in exception ? [exception.tmpfsExec] : []));
  for (const path of executable)
    if (!(path in tmpfsMb))
      throw new Error(
        `exceptions: tmpfsExec: ${path} is none of tmpfsMb (${Object.keys(tmpfsMb).join(", ")}): give one of them`,
      );
  return {
    readOnly: !exceptions.some((exception) => "writableRoot" in exception),
    capabilities: { drops: ["ALL"], adds },
    securityOpts: ["no-new-privileges:true"],
    privileged: false,
    user,
    tmpfs: Object.fromEntries(
      Object.entries(tmpfsMb).map(([path, sizeMb]) => [path, tmpfsOptions(sizeMb, executable.includes(path))]),
    ),
    memory: limits.memoryMb,
    // Memory and swap together: the same figure means no swap.
    memorySwap: limits.memoryMb,
    ...(limits.memoryReservationMb !== undefined && { memoryReservation: reservationOf(limits) }),
    // As the provider reads it back; "1" would show as a change for ever.
    cpus: Number.isInteger(limits.cpus) ? limits.cpus.toFixed(1) : String(limits.cpus),
    // A process that ignores SIGTERM because it is PID 1 would cost the whole grace at every stop.
    init: !exceptions.some((exception) => "noInit" in exception),
    ipcMode: "private",
    logDriver: "json-file",
    logOpts: { "max-size": "10m", "max-file": "3" },
    destroyGraceSeconds: graceSeconds,
  } satisfies Partial<docker.ContainerArgs>;
}

function reservationOf({ memoryReservationMb = 0, memoryMb }: Limits): number {
  if (Number.isInteger(memoryReservationMb) && memoryReservationMb >= 6 && memoryReservationMb < memoryMb)
    return memoryReservationMb;
  throw new Error(
    `limits.memoryReservationMb: ${memoryReservationMb} is not from 6 to less than memoryMb (${memoryMb}): give such a number`,
  );
}

function isRoot(user: string): boolean {
  return /^(0+|root)?(:|$)/.test(user);
}

function tmpfsOptions(sizeMb: number, executable: boolean): string {
  return `rw,${executable ? "exec" : "noexec"},nosuid,nodev,size=${sizeMb}m,mode=1777`;
}
