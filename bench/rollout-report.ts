import { common, type Contender } from "./contenders/contender.ts";
import { composeVersion } from "./contenders/on-host.ts";
import { loads, SECONDS_AFTER_BEGIN, type Measurement } from "./measurement.ts";
import { markdownTable } from "./results.ts";
import { median, percentile, ratio } from "./statistics.ts";

export function report(
  machine: string,
  contenders: readonly Contender[],
  measurements: readonly Measurement[],
): string[] {
  const measured = Object.entries(loads).filter(([name]) => measurements.some(({ load }) => load === name));
  const rounds = measurements.length / contenders.length / measured.length;
  const tables = measured.flatMap(([load, { what }]) => {
    const figures = contenders.map(({ name }) => {
      const rounds = measurements.filter((one) => one.contender === name && one.load === load);
      return { name, ...figuresOf(rounds) };
    });
    const [own] = figures;
    const head = ["", "failed", "p50", "p99", "command", "switched", "over ssh"];
    const rows = figures.map((one) => [
      one.name,
      one.failed,
      ...(["p50", "p99", "seconds", "switchedSeconds", "sshBytes"] as const).map((key) =>
        one[key] === Infinity ? "not in time" : `${UNITS[key](one[key])} (${ratio(one[key], own![key])})`,
      ),
    ]);
    return [`**${load === "open" ? "Open" : "Closed"} loop**: ${what}.`, "", ...markdownTable(head, rows), ""];
  });
  return [
    "## Rollouts",
    "",
    machine,
    "",
    `Medians of ${rounds} rounds in alternating order, with the ratio to Bulkhead's; failed: of all requests of all ` +
      `rounds, and the least and most of one round. p50 and p99: of the answers from the deploy's begin to ` +
      `${SECONDS_AFTER_BEGIN} s after it. command: until it ended. switched: until only the new release answers. ` +
      `over ssh: bytes of port 22 both ways, with their headers. Every image was on the host before.`,
    "",
    ...tables,
    "![Failed requests over time, for each contender](failures.svg)",
    "",
    "What was run, each with its best ordinary settings: the same image, TLS certificate kind, health check every 2 s (Bulkhead: every 10 s), " +
      `${common.drainSeconds} s to drain and 10 s until it is killed.`,
    "",
    ...contenders.map(({ name, what }) => `- **${name}**: ${what}`),
    `- Docker Compose is ${composeVersion}, built from its Go module. kamal-proxy is not here: its Go module could not be had.`,
    "",
  ];
}

const UNITS = {
  p50: (ms: number) => `${ms.toFixed(1)} ms`,
  p99: (ms: number) => `${ms.toFixed(0)} ms`,
  seconds: (seconds: number) => `${seconds.toFixed(1)} s`,
  switchedSeconds: (seconds: number) => `${seconds.toFixed(1)} s`,
  sshBytes: (bytes: number) => `${(bytes / 1000).toFixed(0)} kB`,
};

function figuresOf(rounds: readonly Measurement[]) {
  const failures = rounds.map(({ requests }) => requests.filter(({ failed }) => failed).length);
  const all = rounds.reduce((sum, { requests }) => sum + requests.length, 0);
  const total = failures.reduce((sum, count) => sum + count, 0);
  const answered = rounds.map(({ requests }) =>
    requests
      .filter(({ at, failed }) => !failed && at >= 0 && at < SECONDS_AFTER_BEGIN * 1000)
      .map(({ latencyMs }) => latencyMs),
  );
  return {
    failed: `${total} of ${all} (${Math.min(...failures)}–${Math.max(...failures)})`,
    p50: median(answered.map((latencies) => percentile(latencies, 50))),
    p99: median(answered.map((latencies) => percentile(latencies, 99))),
    seconds: median(rounds.map(({ seconds }) => seconds)),
    switchedSeconds: median(rounds.map(({ switchedSeconds }) => switchedSeconds)),
    sshBytes: median(rounds.map(({ sshBytes }) => sshBytes)),
  };
}
