// `bulkhead logs`: what the services of a stack write, all together, by time.
import type { Command } from "commander";
import { say } from "../toolchain/steps.ts";
import type { Engine } from "../components/docker-engine/client.ts";
import { stackCommand } from "./command.ts";
import { follow, readLog, type NamedLine } from "./logs/follow.ts";
import { Cursor } from "./logs/lines.ts";
import { harmless, readable } from "./logs/readable.ts";
import { coloured, PALETTE } from "./report/colour.ts";
import { ensureKnown, listContainers, nameOf, serves, type ListedContainer } from "./stack/containers.ts";
import { withDocker } from "./stack/with-docker.ts";

interface Options {
  stack: string;
  follow?: true;
  since?: string;
  tail?: string;
  release?: string;
  json?: true;
}

export const logs: Command = stackCommand("logs", "what the services write, all together by time")
  .argument("[service...]", "services or jobs by name. Default: all services")
  .option("-f, --follow", "go on until Ctrl-C, through rollouts and broken connections")
  .option("--since <time>", "from then on: 90s, 15m, 1h, 2d, or a time like 2026-02-03T04:05:06Z")
  .option("--tail <lines>", "the last lines of each service. Default: 100, or all with --since")
  .option("--release <which>", "previous: of the container before the one that runs, while Docker still has it")
  .option("--json", "for a collector: of each line time, service, stream and text, as an object in a line of its own")
  .addHelpText(
    "after",
    `
Lines of JSON are shown as time, level, message and key=value; all others as they are.

Examples:
  bulkhead logs --stack prod --follow
  bulkhead logs backend --since 1h
  bulkhead logs --stack prod --follow --json
  bulkhead logs backend --release previous`,
  )
  .action(async (services: string[], options: Options) => {
    if (options.release !== undefined && options.release !== "previous")
      throw new Error(`--release: ${options.release}: give previous, or leave it out for what runs now`);
    if (options.release !== undefined && options.follow)
      throw new Error("--release previous: it writes nothing more: leave out --follow");
    if (options.tail !== undefined && !/^\d+$/.test(options.tail))
      throw new Error(`--tail: ${options.tail}: give a number of lines`);
    // Whoever reads only the first lines, like `head`, has what he wanted.
    process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
    await withDocker(options.stack, (engine) => showLogs(engine, options.stack, services, options));
  });

async function showLogs(engine: Engine, stack: string, services: readonly string[], options: Options): Promise<void> {
  const now = new Date((await engine.get<{ SystemTime: string }>("/info")).SystemTime);
  const from = options.since === undefined ? undefined : secondsOf(options.since, now);
  const all = await listContainers(engine, stack);
  ensureKnown("service", services, [...new Set(all.filter((each) => services.length > 0 || serves(each)).map(nameOf))]);
  const wants = (each: Pick<ListedContainer, "Labels">) =>
    services.length === 0
      ? serves(each)
      : services.includes(nameOf(each)) ||
        // A replica is found by the name of its service too.
        (serves(each) && services.includes(each.Labels["bulkhead.for"] ?? ""));
  const wanted = all.filter(wants);
  // A person would see nothing at all, and wonder.
  if (wanted.length === 0) say(`${stack}: no container of a service is on the host: \`bulkhead up\` deploys them`);
  const write = options.json ? writeJson : writer([...new Set(wanted.map(nameOf))]);
  const read = options.release === "previous" ? previous(wanted) : wanted;
  if (options.release === "previous" && read.length === 0)
    throw new Error(
      "no container of a former release is there any more: an update that is through removes it, and its log with it. " +
        "`--release previous` finds it while an update runs, or after one that failed",
    );

  const tail = options.tail ?? (from === undefined ? DEFAULT_TAIL : "all");
  const query = `tail=${tail}${from === undefined ? "" : `&since=${from}`}`;
  const cursors = new Map<string, Cursor>();
  const lines: NamedLine[] = [];
  for (const container of read) {
    const cursor = new Cursor();
    // A container that an update removes meanwhile is not there to be read.
    const found = await readLog(engine, container, query, cursor).catch(unlessGone);
    if (found.length > 0) cursors.set(container.Id, cursor);
    lines.push(...found);
  }
  lines.sort(byTime).forEach(write);
  if (!options.follow) return;

  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const ordered = inOrder(write);
  await follow({
    ...{ engine, stack, wants, cursors, say, write: ordered.write, signal: stop.signal },
    since: String(Math.floor(now.getTime() / 1000)),
    old: new Set(all.map(({ Id }) => Id)),
  });
  ordered.flush();
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
}

const DEFAULT_TAIL = "100";

/** Of each service the newest container but one. */
function previous(newestFirst: readonly ListedContainer[]): ListedContainer[] {
  return newestFirst.filter(
    (container, index) =>
      newestFirst.slice(0, index).filter((newer) => nameOf(newer) === nameOf(container)).length === 1,
  );
}

function byTime(one: NamedLine, other: NamedLine): number {
  return one.time < other.time ? -1 : one.time > other.time ? 1 : 0;
}

/** What comes from several containers within a moment is told by time. */
function inOrder(write: (line: NamedLine) => void) {
  let waiting: NamedLine[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const lines = waiting.sort(byTime);
    waiting = [];
    lines.forEach(write);
  };
  return {
    flush,
    write: (line: NamedLine) => {
      waiting.push(line);
      timer ??= setTimeout(flush, MOMENT_MS);
    },
  };
}

const MOMENT_MS = 200;

/** As it was written, for who keeps logs of many machines. */
function writeJson({ time, service, from, text }: NamedLine): void {
  process.stdout.write(`${JSON.stringify({ time, service, stream: from, text })}\n`);
}

/** Each service has its colour, on a terminal. */
function writer(services: readonly string[]): (line: NamedLine) => void {
  const width = Math.max(0, ...services.map((service) => service.length));
  const known = [...services].sort();
  return (line) => {
    if (!known.includes(line.service)) known.push(line.service);
    const colour = PALETTE[known.indexOf(line.service) % PALETTE.length]!;
    const text = readable(line);
    const shown = process.stdout.isTTY ? harmless(text) : text;
    process.stdout.write(`${coloured(colour, line.service.padEnd(width))} ${shown}\n`);
  };
}

/** Seconds since 1970, of a time, or of how long before now. */
export function secondsOf(since: string, now: Date): number {
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(since) ?? [];
  if (unit !== undefined) return Math.floor(now.getTime() / 1000) - Number(amount) * UNITS[unit as keyof typeof UNITS];
  const time = /^\d{4}-\d\d-\d\d/.test(since) ? new Date(since).getTime() : NaN;
  if (Number.isNaN(time))
    throw new Error(`--since: ${since}: give 90s, 15m, 1h, 2d, or a time like 2026-02-03T04:05:06Z`);
  return Math.floor(time / 1000);
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };

function unlessGone(error: Error): NamedLine[] {
  if (error.message.includes(" answered 404: ")) return [];
  throw error;
}
