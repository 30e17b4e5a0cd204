import { setTimeout as sleep } from "node:timers/promises";
import { say } from "../toolchain/steps.ts";
import { startLoad, type LoadOptions, type RequestRecord } from "../tests/support/load.ts";
import type { RemoteHost } from "../tests/support/remote-host.ts";
import { common, type Contender } from "./contenders/contender.ts";
import { quick } from "./inside.ts";
import { sshBytes } from "./ssh-bytes.ts";

/** How clients ask. A quick run has only the first. */
export const loads = {
  open: {
    what:
      "200 requests a second whatever the answers do, over up to 64 connections; latency counts from when a request " +
      "was due, so that a stall is not hidden",
    options: { connections: 64, requestsPerSecond: 200, latencyFrom: "due" },
  },
  closed: {
    what: "16 connections, each asking again 20 ms after its answer",
    options: { connections: 16, pauseMs: 20 },
  },
} satisfies Record<string, { what: string; options: Omit<LoadOptions, "url" | "seconds"> }>;

export type Load = keyof typeof loads;

/** The load goes on for so long after a deploy has begun: the same for all, and longer where a deploy takes longer. */
export const SECONDS_AFTER_BEGIN = quick ? 8 : 17;
const SECONDS_BEFORE = quick ? 1 : 3;
const SECONDS_AFTER_END = quick ? 1 : 3;

/** One deploy under load. */
export interface Measurement {
  contender: string;
  load: Load;
  /** Until the deploy's command ended. */
  seconds: number;
  /** From the command's begin until only the new release answers. */
  switchedSeconds: number;
  sshBytes: number;
  /** Milliseconds from the command's begin. */
  requests: { at: number; failed: boolean; latencyMs: number }[];
}

export async function measure(host: RemoteHost, contender: Contender, load: Load, image: string): Promise<Measurement> {
  const { name, port, ca } = contender;
  const running = startLoad({
    url: `https://${common.domain}:${port}/api/status`,
    address: host.address,
    ca,
    seconds: 300,
    release: { field: "release" },
    everyRequest: true,
    ...loads[load].options,
  });
  await running.advance(1);
  await sleep(SECONDS_BEFORE * 1000);
  const bytesBefore = await sshBytes(host);
  const begin = Date.now();
  const result = await contender.deploy(image);
  const end = Date.now();
  await sleep(Math.max(begin + SECONDS_AFTER_BEGIN * 1000 - end, SECONDS_AFTER_END * 1000));
  const { all, requests, failed, failures } = await running.stop();
  say(`${name}, ${load}: ${failed} of ${requests} failed, deployed in ${result.seconds.toFixed(1)} s`);
  for (const { reason, afterSeconds } of failures.slice(0, 3))
    say(`  at ${afterSeconds.toFixed(1)} s of the load: ${reason.trim()}`);
  if (result.code !== 0) throw new Error(`${name}: exit ${result.code}\n${result.stderr}${result.stdout}`);
  return {
    contender: name,
    load,
    seconds: result.seconds,
    switchedSeconds: (switched(all) - begin) / 1000,
    sshBytes: (await sshBytes(host)) - bytesBefore,
    requests: all.map(({ at, failed, latencyMs }) => ({ at: at - begin, failed, latencyMs })),
  };
}

/** Since when only the new release answers; never, if the last request was not answered by it. */
function switched(all: readonly RequestRecord[]): number {
  const release = all.at(-1)?.release;
  const last = all.findLast((request) => request.release !== release);
  if (release === undefined || last === undefined) return Infinity;
  return last.at + last.latencyMs;
}
