// What the front door costs: the same edge asked through it and directly, in turn.
import { requirePrograms } from "../toolchain/debian.ts";
import { run, say, step } from "../toolchain/steps.ts";
import { currentTestEngine } from "../tests/support/engine.ts";
import { runLoad } from "../tests/support/load.ts";
import { prepareReach, type Reach } from "../tests/support/reach.ts";
import { insideEngine, quick } from "./inside.ts";
import { describeMachine, markdownTable, writePart } from "./results.ts";
import { median, ratio } from "./statistics.ts";

const ROUNDS = quick ? 1 : 5;
const SECONDS = quick ? 2 : 6;
const DOMAIN = "reach.test";
const CONNECTIONS = 32;
const RATE = 200;

/** The name asked for: the backend answers, or the edge itself that it knows no such name. There the hop weighs most. */
const NAMES = { backend: DOMAIN, "the edge itself": "nobody.test" };
type Answerer = keyof typeof NAMES;

/** One round of one way. */
interface Figures {
  /** As fast as the answers come. */
  throughput: Record<Answerer, { requestsPerSecond: number; cpuMicroseconds: { door: number; edge: number } }>;
  p50: number;
  p99: number;
}

await insideEngine(import.meta.filename, async () => {
  await requirePrograms("the bench of the hop", { wrk: "wrk" });
  const machine = await describeMachine(currentTestEngine());
  const reach = await prepareReach({ stack: "hop", domain: DOMAIN, httpsPort: 8443, tcpPort: 2222 });
  try {
    await step("deploying", () => reach.deploy());
    const measured = { door: [] as Figures[], edge: [] as Figures[] };
    for (let round = 0; round < ROUNDS; round++) {
      const ways = round % 2 === 0 ? (["door", "edge"] as const) : (["edge", "door"] as const);
      for (const way of ways) {
        const figures = await measure(reach, await addressOf(reach, way));
        say(`${way}: ${JSON.stringify(figures)}`);
        measured[way].push(figures);
      }
    }
    say(`Written: ${await writePart("hop", report(machine, measured.door, measured.edge))}`);
  } finally {
    await reach.stop();
  }
});

/** On the network of both, so that one way differs from the other by the door and nothing else. */
async function addressOf(reach: Reach, way: "door" | "edge"): Promise<string> {
  const container = (await reach.containers()).get(way === "door" ? "edge-door" : "edge")!;
  return container.NetworkSettings.Networks["reach-hop-door"]!.IPAddress;
}

async function measure(reach: Reach, address: string): Promise<Figures> {
  const throughput = {} as Figures["throughput"];
  for (const [answerer, name] of Object.entries(NAMES) as [Answerer, string][]) {
    const before = await cpuSeconds(reach);
    const { requests, seconds } = await wrk(address, name);
    const after = await cpuSeconds(reach);
    const each = (part: "door" | "edge") => ((after[part] - before[part]) / requests) * 1e6;
    throughput[answerer] = {
      requestsPerSecond: requests / seconds,
      cpuMicroseconds: { door: each("door"), edge: each("edge") },
    };
  }
  const { failed, failures, latencyMs } = await runLoad({
    ...{ url: `https://${DOMAIN}:8443/api/status`, address, ca: reach.ca, seconds: SECONDS, connections: 32 },
    ...{ requestsPerSecond: RATE, latencyFrom: "due" },
  });
  if (failed > 0) throw new Error(`${failed} requests failed: ${failures[0]!.reason}`);
  return { throughput, p50: latencyMs.p50, p99: latencyMs.p99 };
}

async function wrk(address: string, name: string): Promise<{ requests: number; seconds: number }> {
  const args = [
    "--threads",
    "1",
    "--connections",
    `${CONNECTIONS}`,
    "--duration",
    `${SECONDS}s`,
    "--header",
    `Host: ${name}`,
  ];
  const said = await run("wrk", [...args, `https://${address}:8443/api/status`]);
  const [, requests, seconds] = /(\d+) requests in ([\d.]+)s/.exec(said) ?? [];
  if (requests === undefined || said.includes("Socket errors")) throw new Error(said);
  return { requests: Number(requests), seconds: Number(seconds) };
}

async function cpuSeconds(reach: Reach): Promise<{ door: number; edge: number }> {
  const { services } = await reach.outputs();
  const of = async (container: string) => {
    const stats = await reach.engine.get<{ cpu_stats: { cpu_usage: { total_usage: number } } }>(
      `/containers/${container}/stats?stream=false&one-shot=true`,
    );
    return stats.cpu_stats.cpu_usage.total_usage / 1e9;
  };
  return { door: await of(services.door.container), edge: await of(services.edge.container) };
}

function report(machine: string, door: readonly Figures[], edge: readonly Figures[]): string[] {
  const row = (what: string, unit: string, digits: number, of: (figures: Figures) => number) => {
    const [through, direct] = [median(door.map(of)), median(edge.map(of))];
    return [what, `${through.toFixed(digits)}${unit}`, `${direct.toFixed(digits)}${unit}`, ratio(through, direct)];
  };
  const answerers = Object.keys(NAMES) as Answerer[];
  return [
    "## The front door's hop",
    "",
    machine,
    "",
    `Medians of ${door.length} rounds in alternating order. The same edge on the same network, asked by its own address ` +
      `or by the door's; HTTP/1.1 with TLS on kept-alive connections. Throughput and CPU: wrk, ${CONNECTIONS} ` +
      `connections, as fast as answers come, which takes all of the machine. Latency: ${RATE} requests a second, from ` +
      `when each was due.`,
    "",
    ...markdownTable(
      ["", "through the door", "directly", "ratio"],
      [
        ...answerers.map((answerer) =>
          row(`throughput, ${answerer} answers`, "/s", 0, ({ throughput }) => throughput[answerer].requestsPerSecond),
        ),
        ...answerers.map((answerer) =>
          row(`CPU of door and edge for a request, ${answerer} answers`, " µs", 0, ({ throughput }) => {
            const { door, edge } = throughput[answerer].cpuMicroseconds;
            return door + edge;
          }),
        ),
        row("p50, backend answers", " ms", 2, ({ p50 }) => p50),
        row("p99, backend answers", " ms", 2, ({ p99 }) => p99),
      ],
    ),
  ];
}
