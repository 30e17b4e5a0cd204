import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/**
 * Load that counts honestly. Each connection sends its next request when the last one is answered, over one kept-alive
 * connection, and nothing is ever sent twice: a request that gets no answer, or not the expected one, is a failed one.
 * It runs in a process of its own, so that a busy test does not look like a slow server.
 */
export interface LoadOptions {
  url: string;
  /** Where to connect to instead of the URL's host, which stays the name asked for. */
  address?: string;
  /** PEM of the certificate authority to trust, and no other. */
  ca?: string;
  connections: number;
  /** The load ends by itself after this time or this many requests, whichever comes first. */
  seconds: number;
  /** @default 1000000 */
  maxRequests?: number;
  /** All connections together. @default as fast as the answers come */
  requestsPerSecond?: number;
  /** What each connection waits between an answer and its next request. @default 0 */
  pauseMs?: number;
  /**
   * `due`: when a request was to be sent by requestsPerSecond. What waited for a free connection because the server
   * stalled then counts as slow, and a stall is not hidden by the requests that were not sent in it. @default "sent"
   */
  latencyFrom?: "sent" | "due";
  /** Tell of every request, not only of all together. @default false */
  everyRequest?: boolean;
  /** @default "http/1.1" */
  protocol?: "http/1.1" | "http/2";
  /** Each POST carries a JSON object with an id of its own. @default "GET" */
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  /** @default 200 */
  expectedStatus?: number;
  /** For a whole request, connecting included. @default 10000 */
  timeoutMs?: number;
  /** A response header, or a field of a JSON body, that names the release that answered. */
  release?: { header: string } | { field: string };
}

export interface LoadResult {
  requests: number;
  failed: number;
  /** The first few failures. */
  failures: Failure[];
  /** All answers, also unexpected ones. */
  byStatus: Record<string, number>;
  /** Expected answers by the release that gave them. */
  byRelease: Record<string, number>;
  /** From sending to the end of the answer, expected answers only. */
  latencyMs: { p50: number; p99: number; max: number };
  seconds: number;
  /** The longest time without an expected answer. */
  longestSilenceSeconds: number;
  connectionsOpened: number;
  /** Ids of POSTs with an expected answer, and of those whose fate is unknown to the client. */
  acknowledgedIds: string[];
  unacknowledgedIds: string[];
  /** In the order in which they ended, where everyRequest was asked for. */
  all: RequestRecord[];
}

export interface RequestRecord {
  /** When it was sent, or due: milliseconds since 1970. */
  at: number;
  latencyMs: number;
  failed: boolean;
  release?: string;
}

export interface Failure {
  /** ISO 8601. */
  time: string;
  afterSeconds: number;
  reason: string;
  /** Whether the connection had carried a request before. */
  reusedConnection: boolean;
}

export interface Load {
  /** Requests answered up to a moment ago, and the first few failures. */
  progress: () => LoadProgress;
  /** Waits until this many more requests have been answered; fails if the load ends before. */
  advance: (requests: number) => Promise<void>;
  /** Ends it now: what is under way is still awaited and counted. */
  stop: () => Promise<LoadResult>;
  /** When it ends by itself. */
  result: Promise<LoadResult>;
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  return startLoad(options).result;
}

export function startLoad(options: LoadOptions): Load {
  const child = fork(fileURLToPath(new URL("./load-generator.ts", import.meta.url)), [], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  let progress: LoadProgress = { requests: 0, failed: 0, failures: [] };
  let final: LoadResult | undefined;
  child.on("message", (message: LoadMessage) => {
    if (message.kind === "progress") progress = message;
    else final = message.result;
  });
  child.send(options);
  const result = once(child, "close").then(() => {
    if (final) return final;
    throw new Error(`the load generator ended with ${child.exitCode ?? child.signalCode} before it had a result`);
  });
  // It is handed out below; until somebody looks at it, a failure must not end the test run.
  result.catch(() => undefined);
  return {
    result,
    progress: () => progress,
    advance: async (requests) => {
      const goal = progress.requests + requests;
      while (progress.requests < goal) {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`the load ended after ${progress.requests} requests, before it came to ${goal}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    stop: () => {
      if (child.connected) child.send("stop");
      return result;
    },
  };
}

export type LoadProgress = Pick<LoadResult, "requests" | "failed" | "failures">;

/** Loads by name, side by side, while something is done. Each is answered before it begins, and again after it. */
export async function loadDuring<T>(
  options: Record<string, LoadOptions>,
  act: () => Promise<T>,
): Promise<{ result: T; loads: Record<string, LoadResult> }> {
  const running = Object.entries(options).map(([name, load]) => ({
    ...{ name, load: startLoad(load) },
    // Of a second, at most.
    requests: Math.min(50, load.requestsPerSecond ?? 50),
  }));
  const answered = () => Promise.all(running.map(({ load, requests }) => load.advance(requests)));
  const ended: [string, LoadResult][] = [];
  let result: T;
  try {
    await answered();
    result = await act();
    await answered();
  } finally {
    for (const { name, load } of running) ended.push([name, await load.stop()]);
  }
  return { result, loads: Object.fromEntries(ended) };
}

/** What the generator tells. */
export type LoadMessage = ({ kind: "progress" } & LoadProgress) | { kind: "result"; result: LoadResult };
