// The process behind load.ts: takes its options as the first message, "stop" as the second, and answers with a result.
import { randomUUID } from "node:crypto";
import * as http from "node:http";
import * as http2 from "node:http2";
import * as https from "node:https";
import { createHistogram, performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Failure, LoadMessage, LoadOptions, LoadResult, RequestRecord } from "./load.ts";

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** One kept-alive connection, opened again when it was closed. */
interface Connection {
  send(body: string | undefined): Promise<Answer>;
  /** Whether the latest request went over a connection that had carried one before. */
  reused(): boolean;
  opened(): number;
  close(): void;
}

process.once("message", (options: LoadOptions) => {
  void generate(options);
});
// A test run that dies takes its load with it.
process.once("disconnect", () => process.exit(1));

async function generate(options: LoadOptions): Promise<void> {
  const { seconds, maxRequests = 1_000_000, expectedStatus = 200, requestsPerSecond } = options;
  const started = performance.now();
  const elapsedSeconds = () => (performance.now() - started) / 1000;
  let stopped = false;
  process.once("message", () => (stopped = true));

  const run = randomUUID();
  const latencies = createHistogram();
  const failures: Failure[] = [];
  const byStatus: Record<string, number> = {};
  const byRelease: Record<string, number> = {};
  const acknowledgedIds: string[] = [];
  const unacknowledgedIds: string[] = [];
  const all: RequestRecord[] = [];
  let sent = 0;
  let answered = 0;
  let failed = 0;
  let lastExpected = 0;
  let longestSilenceSeconds = 0;
  const endSilence = () => {
    longestSilenceSeconds = Math.max(longestSilenceSeconds, elapsedSeconds() - lastExpected);
    lastExpected = elapsedSeconds();
  };

  const drive = async (connection: Connection) => {
    while (!stopped && sent < maxRequests && elapsedSeconds() < seconds) {
      const number = sent++;
      if (requestsPerSecond) {
        const early = number / requestsPerSecond - elapsedSeconds();
        if (early > 0) await sleep(early * 1000);
      }
      const id = options.method === "POST" ? `${run}-${number}` : undefined;
      const due = options.latencyFrom === "due" && requestsPerSecond;
      const start = due ? started + (number / requestsPerSecond) * 1000 : performance.now();
      const record: RequestRecord = { at: performance.timeOrigin + start, latencyMs: 0, failed: false };
      try {
        const answer = await connection.send(id && JSON.stringify({ id }));
        byStatus[answer.status] = (byStatus[answer.status] ?? 0) + 1;
        if (answer.status !== expectedStatus) throw new Error(`status ${answer.status}: ${answer.body.slice(0, 200)}`);
        endSilence();
        latencies.record(Math.max(1, Math.round((performance.now() - start) * 1e6)));
        const release = (record.release = releaseOf(answer, options.release));
        if (release !== undefined) byRelease[release] = (byRelease[release] ?? 0) + 1;
        if (id) acknowledgedIds.push(id);
      } catch (error) {
        failed++;
        record.failed = true;
        if (id) unacknowledgedIds.push(id);
        if (failures.length < 20) {
          failures.push({
            time: new Date().toISOString(),
            afterSeconds: elapsedSeconds(),
            reason: reasonOf(error),
            reusedConnection: connection.reused(),
          });
        }
      }
      record.latencyMs = performance.now() - start;
      if (options.everyRequest) all.push(record);
      answered++;
      // A server that refuses at once would otherwise be asked thousands of times a second.
      const pauseMs = Math.max(options.pauseMs ?? 0, record.failed ? 10 : 0);
      if (pauseMs > 0) await sleep(pauseMs);
    }
  };

  const tell = setInterval(() => say({ kind: "progress", requests: answered, failed, failures }), 100);
  const connections = Array.from({ length: options.connections }, () =>
    options.protocol === "http/2" ? http2Connection(options) : http1Connection(options),
  );
  await Promise.all(connections.map(drive));
  clearInterval(tell);
  for (const connection of connections) connection.close();
  endSilence();
  const milliseconds = (nanoseconds: number) => nanoseconds / 1e6;
  const result: LoadResult = {
    requests: answered,
    failed,
    failures,
    byStatus,
    byRelease,
    latencyMs: {
      p50: milliseconds(latencies.percentile(50)),
      p99: milliseconds(latencies.percentile(99)),
      max: milliseconds(latencies.max),
    },
    seconds: elapsedSeconds(),
    longestSilenceSeconds,
    connectionsOpened: connections.reduce((sum, connection) => sum + connection.opened(), 0),
    acknowledgedIds,
    unacknowledgedIds,
    all,
  };
  say({ kind: "progress", requests: answered, failed, failures });
  process.send?.({ kind: "result", result } satisfies LoadMessage, () => process.exit(0));
}

function say(message: LoadMessage): void {
  process.send?.(message);
}

function http1Connection(options: LoadOptions): Connection {
  const url = new URL(options.url);
  const secure = url.protocol === "https:";
  let opened = 0;
  let reused = false;
  const agent = new (secure ? https.Agent : http.Agent)({ keepAlive: true, maxSockets: 1 });
  const target: https.RequestOptions = {
    agent,
    host: options.address ?? url.hostname,
    port: url.port,
    servername: url.hostname,
    ca: options.ca,
    method: options.method ?? "GET",
    path: url.pathname + url.search,
    headers: { host: url.host, ...options.headers },
  };
  const request = secure ? https.request : http.request;
  // A request's own reusedSocket is not set on every way that a socket takes to it.
  const sockets = new WeakSet<object>();
  return {
    reused: () => reused,
    opened: () => opened,
    close: () => agent.destroy(),
    send: (body) =>
      new Promise((resolve, reject) => {
        const headers =
          body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
        const call = request({ ...target, headers: { ...(target.headers as object), ...headers } });
        const deadline = expire(options, (error) => call.destroy(error));
        const settle = (act: () => void) => {
          clearTimeout(deadline);
          act();
        };
        call.on("socket", (socket) => {
          reused = sockets.has(socket);
          if (!reused) opened++;
          sockets.add(socket);
        });
        call.on("response", (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          // An answer cut short ends too: only a complete one is an answer.
          response.on("error", (error) => settle(() => reject(error)));
          response.on("end", () =>
            settle(() =>
              response.complete
                ? resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })
                : reject(new Error("the answer was cut short")),
            ),
          );
        });
        call.on("error", (error) => settle(() => reject(error)));
        call.end(body);
      }),
  };
}

function http2Connection(options: LoadOptions): Connection {
  const url = new URL(options.url);
  let session: http2.ClientHttp2Session | undefined;
  let opened = 0;
  let reused = false;
  const connected = () => {
    reused = session !== undefined && !session.closed && !session.destroyed;
    if (session && reused) return session;
    opened++;
    // The address goes in place of the host, whose name stays the one that is asked for.
    const authority = options.address ? `${url.protocol}//${options.address}:${url.port || 443}` : url.origin;
    session = http2.connect(authority, { ca: options.ca, servername: url.hostname });
    session.on("error", () => undefined);
    return session;
  };
  return {
    reused: () => reused,
    opened: () => opened,
    close: () => session?.close(),
    send: (body) =>
      new Promise((resolve, reject) => {
        const current = connected();
        let sessionError: Error | undefined;
        const noteError = (error: Error) => (sessionError = error);
        current.once("error", noteError);
        const stream = current.request({
          ":method": options.method ?? "GET",
          ":path": url.pathname + url.search,
          ":authority": url.host,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...options.headers,
        });
        const deadline = expire(options, (error) => stream.destroy(error));
        let headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
        let text = "";
        let ended = false;
        let streamError: Error | undefined;
        stream.on("response", (received) => (headers = received));
        stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        stream.on("end", () => (ended = true));
        stream.on("error", (error: Error) => (streamError = error));
        stream.on("close", () => {
          clearTimeout(deadline);
          current.off("error", noteError);
          const status = headers[":status"];
          if (ended && status !== undefined && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR && !streamError) {
            return resolve({ status, headers, body: text });
          }
          reject(sessionError ?? streamError ?? new Error(`stream ended with code ${stream.rstCode}`));
        });
        stream.end(body);
      }),
  };
}

function expire({ timeoutMs = 10_000 }: LoadOptions, end: (error: Error) => void): NodeJS.Timeout {
  return setTimeout(() => end(new Error(`no complete answer within ${timeoutMs} ms`)), timeoutMs);
}

function releaseOf(answer: Answer, release: LoadOptions["release"]): string | undefined {
  if (release === undefined) return undefined;
  if ("header" in release) return String(answer.headers[release.header.toLowerCase()]);
  return String((JSON.parse(answer.body) as Record<string, unknown>)[release.field]);
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code && !message.includes(code) ? `${code}: ${message}` : message;
}
