import * as http2 from "node:http2";
import * as https from "node:https";
import { connect } from "node:net";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

export interface StreamTarget {
  url: string;
  /** Where to connect to instead of the URL's host. */
  address?: string;
  ca?: string;
  headers?: Record<string, string>;
  /** @default "http/1.1" */
  protocol?: "http/1.1" | "http/2";
  /** The longest silence. @default 30000 */
  timeoutMs?: number;
}

export interface ArrivedEvent {
  event: string;
  data: string;
  id?: string;
  /** From sending the request to the arrival of the event's last byte. */
  atMs: number;
}

/** A conversation that the other side may end. */
export interface Conversation<T> {
  /** All that has arrived, in order; it grows. */
  received: T[];
  /** How it ended: "cleanly", or why it broke off. */
  ended: Promise<string>;
  close: () => void;
}

/** Opens an event stream and reads it to its end; rejects if there is none. */
export async function openEvents(target: StreamTarget): Promise<Conversation<ArrivedEvent>> {
  const started = performance.now();
  const { stream, status, type, close, endedCleanly } = await (target.protocol === "http/2" ? ask2 : ask1)(target);
  if (status !== 200 || !type.startsWith("text/event-stream")) {
    close();
    throw new Error(`${target.url}: status ${status}, content type ${type}`);
  }
  const received: ArrivedEvent[] = [];
  let rest = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    const blocks = (rest + chunk).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event) received.push({ ...event, atMs: performance.now() - started });
    }
  });
  const ended = new Promise<string>((resolve) => {
    stream.on("error", (error: Error) => resolve(error.message));
    stream.on("close", () => resolve(endedCleanly() ? "cleanly" : "broken off"));
  });
  void ended.then(close);
  return { received, ended, close };
}

/** Reads the first events of an event stream, with the time at which each arrived, and hangs up. */
export async function readEvents(target: StreamTarget, count: number): Promise<ArrivedEvent[]> {
  const { timeoutMs = 30_000 } = target;
  const { received, ended, close } = await openEvents(target);
  let over: string | undefined;
  void ended.then((how) => (over = `ended ${how}`));
  const deadline = setTimeout(() => (over ??= `did not go on within ${timeoutMs} ms`), timeoutMs);
  try {
    while (received.length < count) {
      if (over) throw new Error(`${target.url} ${over} after ${received.length} of ${count} events`);
      await sleep(10);
    }
    return received.slice(0, count);
  } finally {
    clearTimeout(deadline);
    close();
  }
}

/** An answer of which the header is there. */
interface Streaming {
  stream: Readable;
  status: number;
  type: string;
  close: () => void;
  /** Whether the end was one, and not a connection that went away. */
  endedCleanly: () => boolean;
}

function ask1({ url: from, address, ca, headers, timeoutMs = 30_000 }: StreamTarget): Promise<Streaming> {
  const url = new URL(from);
  return new Promise((resolve, reject) => {
    const call = https.request({
      agent: false,
      host: address ?? url.hostname,
      port: url.port,
      servername: url.hostname,
      ca,
      path: url.pathname + url.search,
      headers: { host: url.host, accept: "text/event-stream", ...headers },
      timeout: timeoutMs,
    });
    call.on("timeout", () => call.destroy(new Error(`${from}: nothing for ${timeoutMs} ms`)));
    call.on("error", reject);
    call.on("response", (stream) =>
      resolve({
        stream,
        status: stream.statusCode!,
        type: stream.headers["content-type"] ?? "none",
        close: () => call.destroy(),
        endedCleanly: () => stream.complete,
      }),
    );
    call.end();
  });
}

function ask2({ url: from, address, ca, headers, timeoutMs = 30_000 }: StreamTarget): Promise<Streaming> {
  const url = new URL(from);
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://${address ?? url.hostname}:${url.port || 443}`, {
      servername: url.hostname,
      ca,
    });
    session.on("error", reject);
    const stream = session.request({
      ":path": url.pathname + url.search,
      ":authority": url.host,
      accept: "text/event-stream",
      ...headers,
    });
    stream.setTimeout(timeoutMs, () => stream.destroy(new Error(`${from}: nothing for ${timeoutMs} ms`)));
    let ended = false;
    stream.on("end", () => (ended = true));
    stream.on("error", reject);
    stream.on("response", (answer) =>
      resolve({
        stream,
        status: answer[":status"]!,
        type: answer["content-type"] ?? "none",
        close: () => session.destroy(),
        endedCleanly: () => ended && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR,
      }),
    );
    stream.end();
  });
}

export interface Tunnel extends Conversation<string> {
  say: (line: string) => void;
}

/** Opens a TCP connection and reads lines from it until its end. */
export function openTunnel(host: string, port: number): Tunnel {
  const socket = connect({ host, port });
  const received: string[] = [];
  let rest = "";
  let finished = false;
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    received.push(...lines);
  });
  socket.on("end", () => (finished = true));
  const ended = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", () => resolve(finished ? "cleanly" : "broken off"));
  });
  return { received, ended, say: (line) => socket.write(`${line}\n`), close: () => socket.destroy() };
}

/** One line through a tunnel and back; gives the greeting that came before it. */
export async function greetTunnel(host: string, port: number, line: string): Promise<Greeting> {
  const tunnel = openTunnel(host, port);
  let over: string | undefined;
  void tunnel.ended.then((how) => (over = `ended ${how}`));
  const deadline = setTimeout(() => (over ??= "said nothing for 30 s"), 30_000);
  try {
    tunnel.say(line);
    while (tunnel.received.length < 2) {
      if (over) throw new Error(`${host}:${port} ${over}, after ${tunnel.received.length} of 2 lines`);
      await sleep(10);
    }
    const [greeting, echo] = tunnel.received;
    if (echo !== line) throw new Error(`${host}:${port} sent back "${echo}" for "${line}"`);
    return JSON.parse(greeting!) as Greeting;
  } finally {
    clearTimeout(deadline);
    tunnel.close();
  }
}

export interface Greeting {
  service: string;
  release: string;
  clientId: number;
}

/** Undefined for a block without data, such as a comment that keeps the connection alive. */
function parseEvent(block: string): Omit<ArrivedEvent, "atMs"> | undefined {
  const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line));
  const values = (name: string) => fields.flatMap((field) => (field?.[1] === name ? [field[2]!] : []));
  if (values("data").length === 0) return undefined;
  return { event: values("event").at(-1) ?? "message", data: values("data").join("\n"), id: values("id").at(-1) };
}

/** Sends bytes over TCP and returns the first bytes that come back, as many as were sent. */
export function exchangeOverTcp(host: string, port: number, sent: string, timeoutMs = 10_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let received = Buffer.alloc(0);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`${host}:${port}: nothing for ${timeoutMs} ms`)));
    socket.on("connect", () => socket.write(sent));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < Buffer.byteLength(sent)) return;
      resolve(received.toString());
      socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`${host}:${port} closed after ${received.length} bytes`)));
  });
}
