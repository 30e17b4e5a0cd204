// The logs of several containers at once, also of those that a rollout brings, through breaks of the connection.
import type { IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { openStream } from "../../components/docker-engine/connections.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { listContainers, nameOf, stackFilter, type ListedContainer } from "../stack/containers.ts";
import { Cursor, LineDecoder, type LogLine } from "./lines.ts";

export interface NamedLine extends LogLine {
  service: string;
}

type Named = Pick<ListedContainer, "Id" | "Labels">;

/** What is in the log of a container now. */
export async function readLog(engine: Engine, container: Named, query: string, cursor: Cursor): Promise<NamedLine[]> {
  const decoder = new LineDecoder(await hasTerminal(engine, container.Id));
  const bytes = await engine.rawLogs(container.Id, `${STREAMS}&${query}`);
  cursor.rewind();
  return [...decoder.push(bytes), ...decoder.end()]
    .filter((line) => cursor.takes(line))
    .map((line) => ({ ...line, service: nameOf(container) }));
}

export interface FollowOptions {
  engine: Engine;
  stack: string;
  wants: (container: Pick<ListedContainer, "Labels">) => boolean;
  /** What was read of each container already. */
  cursors: Map<string, Cursor>;
  /** From when on, for containers of which nothing was read: seconds since 1970, by the host. */
  since: string;
  /** The containers that are there since before `since`; all others are told from their beginning. */
  old: ReadonlySet<string>;
  write: (line: NamedLine) => void;
  say: (text: string) => void;
  signal: AbortSignal;
}

/** Until the signal. */
export async function follow(options: FollowOptions): Promise<void> {
  const { engine, stack, wants, signal, say } = options;
  const followed = new Map<string, Promise<void>>();
  const take = (container: Named) => {
    if (!wants(container) || followed.has(container.Id)) return;
    const done = followContainer(options, container).finally(() => followed.delete(container.Id));
    followed.set(container.Id, done);
  };
  let broken = false;
  while (!signal.aborted) {
    try {
      // First the events, then what there is: of what starts in between both tell.
      const filters = stackFilter(stack, [], { type: ["container"], event: ["start"] });
      const events = await openStream(engine, `/events?filters=${filters}`);
      const end = () => events.destroy();
      signal.addEventListener("abort", end);
      for (const container of await listContainers(engine, stack))
        if (container.State === "running" || (broken && !options.old.has(container.Id))) take(container);
      if (broken) say("Connected again.");
      broken = false;
      await eachEvent(events, ({ Actor: { ID, Attributes } }) => take({ Id: ID, Labels: Attributes }));
      signal.removeEventListener("abort", end);
    } catch (error) {
      if (signal.aborted) break;
      if (!broken) say(`${(error as Error).message}: trying again`);
    }
    broken = true;
    await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
  await Promise.all(followed.values());
}

interface ContainerEvent {
  Actor: { ID: string; Attributes: Record<string, string> };
}

async function eachEvent(events: IncomingMessage, take: (event: ContainerEvent) => void): Promise<void> {
  let rest = "";
  for await (const chunk of events) {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") take(JSON.parse(line) as ContainerEvent);
  }
}

/** Until it ends. A connection that breaks is made anew, and goes on where it broke. */
async function followContainer(options: FollowOptions, container: Named): Promise<void> {
  const { engine, cursors, since, old, write, signal } = options;
  const cursor = cursors.get(container.Id) ?? new Cursor();
  cursors.set(container.Id, cursor);
  while (!signal.aborted) {
    try {
      const decoder = new LineDecoder(await hasTerminal(engine, container.Id));
      const from = cursor.since ?? (old.has(container.Id) ? since : "0");
      const path = `/containers/${container.Id}/logs?${STREAMS}&follow=1&since=${from}`;
      const stream = await openStream(engine, path);
      const tell = (lines: LogLine[]) => {
        for (const line of lines) if (cursor.takes(line)) write({ ...line, service: nameOf(container) });
      };
      const end = () => stream.destroy();
      signal.addEventListener("abort", end);
      cursor.rewind();
      try {
        for await (const chunk of stream) tell(decoder.push(chunk as Buffer));
      } finally {
        signal.removeEventListener("abort", end);
      }
      // Docker ends it with the container; a daemon that restarts ends it too.
      if (!(await isRunning(engine, container.Id))) return tell(decoder.end());
    } catch (error) {
      if ((error as Error).message.includes(" answered 404: ")) return;
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function isRunning(engine: Engine, id: string): Promise<boolean> {
  const found = await engine.find<{ State: { Running: boolean } }>(`/containers/${id}/json`);
  return found?.State.Running ?? false;
}

async function hasTerminal(engine: Engine, id: string): Promise<boolean> {
  return (await engine.get<{ Config: { Tty: boolean } }>(`/containers/${id}/json`)).Config.Tty;
}

const STREAMS = "stdout=1&stderr=1&timestamps=1";

const RETRY_MS = 1_000;
