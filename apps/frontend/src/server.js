import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import manifest from "../package.json" with { type: "json" };
import { fetchApiStatus } from "./api.js";
import { findAsset } from "./assets.js";
import { log } from "./logs.js";
import { renderNotFound, renderPage } from "./page.js";

/** @import { IncomingMessage, Server, ServerResponse } from "node:http" */
/** @import { Socket } from "node:net" */
/** @import { Settings } from "./settings.js" */

/**
 * @typedef {object} Frontend
 * @property {number} port
 * @property {(seconds: number) => Promise<number>} drain lets running requests end; tells how many had to be cut
 */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {string | Buffer} body
 */

// How long a drain goes on as before, but for a "Connection: close" on each answer: a request that is already on its
// way on an idle connection still arrives, and whoever watches /health sees the 503.
const NOTICE_SECONDS = 1;

/**
 * @param {Settings} settings
 * @returns {Promise<Frontend>}
 */
export async function startFrontend(settings) {
  let draining = false;
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 1000 },
    (request, response) => {
      const started = performance.now();
      const path = (request.url ?? "").split("?", 1)[0] ?? "";
      // Docker asks for /health every few seconds: those lines would bury the others.
      if (path !== "/health") response.once("close", () => logRequest(request, response, path, started));
      answer(request.method ?? "", path, settings, draining)
        .catch((error) => {
          log("error", "handler_failed", { path: path.slice(0, 200), error: error?.name });
          return fresh(500, "text/plain", "internal error");
        })
        // Asked now and not before: a drain may have begun in between.
        .then((result) => send(response, result, draining));
    },
  );
  // Longer than a proxy keeps an idle connection (Traefik: 90 s), so that it is the proxy that ends it. The other way
  // round, a request can meet a connection that we are just closing. Node's own 5 s are a classic cause of 502s.
  server.keepAliveTimeout = 120_000;
  server.maxConnections = 1024;
  /** @type {Set<Socket>} */
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(settings.port, settings.host, 1024, () => resolve(undefined));
  });
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    port: address.port,
    async drain(seconds) {
      draining = true;
      const notice = Math.min(seconds, NOTICE_SECONDS);
      await sleep(notice * 1000);
      // Node closes connections that wait for their next request, but not those that never sent a first one. Not at
      // once: the youngest may be about to.
      const silent = setTimeout(() => {
        for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
      }, NOTICE_SECONDS * 1000);
      const inTime = await closed(server, (seconds - notice) * 1000);
      clearTimeout(silent);
      if (inTime) return 0;
      const cut = sockets.size;
      server.closeAllConnections();
      return cut;
    },
  };
}

/** @type {(method: string, path: string, settings: Settings, draining: boolean) => Promise<Answer>} */
async function answer(method, path, settings, draining) {
  const found = findAsset(path);
  if (path !== "/" && path !== "/health" && !found) return fresh(404, "text/html", renderNotFound());
  if (method !== "GET" && method !== "HEAD") {
    // Closed, so as not to read a body that nobody wants.
    return fresh(405, "text/plain", "method not allowed", { Allow: "GET, HEAD", Connection: "close" });
  }
  if (found) {
    const caching = found.exact ? "public, max-age=31536000, immutable" : "no-store";
    return {
      status: 200,
      headers: { "Content-Type": found.asset.type, "Cache-Control": caching },
      body: found.asset.content,
    };
  }
  if (path === "/health") return health(settings.release, draining);
  const status = await fetchApiStatus(settings.apiUrl).catch((error) => {
    log("warning", "api_unavailable", { error: error.name, reason: error.cause?.code ?? error.message });
    return undefined;
  });
  // Without the API there is still a page, and it says so.
  return fresh(200, "text/html", renderPage(settings.release, status, settings.filesMaxMb));
}

/**
 * Only about this service. If the health of the page depended on the API's, one bad backend would take both down.
 * @type {(release: string, draining: boolean) => Answer}
 */
function health(release, draining) {
  const body = {
    status: draining ? "draining" : "healthy",
    timestamp: new Date().toISOString(),
    version: manifest.version,
    release,
    checks: { draining },
  };
  return fresh(draining ? 503 : 200, "application/json", JSON.stringify(body));
}

/**
 * An answer that is true now and that nobody may keep.
 * @type {(status: number, type: string, body: string, headers?: Record<string, string>) => Answer}
 */
function fresh(status, type, body, headers) {
  const always = { "Content-Type": `${type}; charset=utf-8`, "Cache-Control": "no-store" };
  return { status, headers: { ...always, ...headers }, body: `${body}\n` };
}

/** @type {(response: ServerResponse, answer: Answer, close: boolean) => void} */
function send(response, { status, headers, body }, close) {
  const length = { "Content-Length": Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length, ...(close ? { Connection: "close" } : {}) });
  // Node leaves the body out where the question was HEAD.
  response.end(body);
}

/** @type {(request: IncomingMessage, response: ServerResponse, path: string, started: number) => void} */
function logRequest(request, response, path, started) {
  log("info", "request", {
    method: request.method,
    path: path.slice(0, 200),
    status: response.statusCode,
    duration_ms: Math.round((performance.now() - started) * 10) / 10,
  });
}

/**
 * Stops listening, and waits for the running requests. Tells whether they ended in time.
 * @type {(server: Server, timeoutMs: number) => Promise<boolean>}
 */
async function closed(server, timeoutMs) {
  const { promise, resolve } = Promise.withResolvers();
  const timer = setTimeout(resolve, timeoutMs, false);
  server.close(() => resolve(true));
  const inTime = await promise;
  clearTimeout(timer);
  return inTime;
}
