import * as https from "node:https";
import { connect } from "node:net";

export interface StreamTarget {
  url: string;
  /** Where to connect to instead of the URL's host. */
  address?: string;
  ca?: string;
  headers?: Record<string, string>;
  /** @default 30000 */
  timeoutMs?: number;
}

export interface ArrivedEvent {
  event: string;
  data: string;
  id?: string;
  /** From sending the request to the arrival of the event's last byte. */
  atMs: number;
}

/** Reads the first events of an event stream, with the time at which each arrived, and hangs up. */
export function readEvents(target: StreamTarget, count: number): Promise<ArrivedEvent[]> {
  const url = new URL(target.url);
  const timeoutMs = target.timeoutMs ?? 30_000;
  const started = performance.now();
  const events: ArrivedEvent[] = [];
  return new Promise((resolve, reject) => {
    const call = https.request({
      agent: false,
      host: target.address ?? url.hostname,
      port: url.port,
      servername: url.hostname,
      ca: target.ca,
      path: url.pathname + url.search,
      headers: { host: url.host, accept: "text/event-stream", ...target.headers },
    });
    const deadline = setTimeout(() => {
      call.destroy(new Error(`${events.length} of ${count} events of ${target.url} within ${timeoutMs} ms`));
    }, timeoutMs);
    call.on("error", reject);
    call.on("close", () => clearTimeout(deadline));
    call.on("response", (response) => {
      const type = response.headers["content-type"] ?? "none";
      if (response.statusCode !== 200 || !type.startsWith("text/event-stream")) {
        call.destroy(new Error(`${target.url}: status ${response.statusCode}, content type ${type}`));
        return;
      }
      let rest = "";
      response.on("error", reject);
      response.on("end", () => reject(new Error(`${target.url} ended after ${events.length} of ${count} events`)));
      response.setEncoding("utf8").on("data", (chunk: string) => {
        const blocks = (rest + chunk).replaceAll("\r\n", "\n").split("\n\n");
        rest = blocks.pop()!;
        for (const block of blocks) {
          const event = parseEvent(block);
          if (event) events.push({ ...event, atMs: performance.now() - started });
        }
        if (events.length < count) return;
        resolve(events.slice(0, count));
        call.destroy();
      });
    });
    call.end();
  });
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
