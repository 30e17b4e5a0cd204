import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, mock, test } from "node:test";
import { assetPath } from "../src/assets.js";
import { startFrontend } from "../src/server.js";

// A stand-in for the backend, on a free loopback port; each test says how it answers.
/** @type {import("node:http").RequestListener} */
let answerAsApi;
const api = createServer((request, response) => answerAsApi(request, response));

const status = { release: "api-1", uptimeSeconds: 1, clients: 2, streams: 3 };

/** @type {import("../src/server.js").Frontend} */
let frontend;
/** @type {string[]} */
let logged = [];
mock.method(console, "log", (/** @type {string} */ line) => logged.push(line));

beforeEach(async () => {
  logged = [];
  answerAsApi = (_, response) => response.end(JSON.stringify(status));
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (api.address());
  const apiUrl = `http://127.0.0.1:${port}`;
  frontend = await startFrontend({ host: "127.0.0.1", port: 0, apiUrl, release: "web-1", drainSeconds: 5 });
});

afterEach(async () => {
  await frontend.drain(0);
  api.closeAllConnections();
  api.close();
});

/** @type {(path: string, method?: string) => Promise<Response>} */
const request = (path, method = "GET") =>
  fetch(`http://127.0.0.1:${frontend.port}${path}`, { method, headers: { Connection: "close" } });

test("the page holds the API's answer", async () => {
  const response = await request("/?utm=1");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.match(await response.text(), /<dd data-field="release">api-1<\/dd>/);
});

/** @type {[string, import("node:http").RequestListener, string][]} */
const failures = [
  ["refuses", (_, response) => response.writeHead(503).end("busy"), "the API answered 503"],
  ["speaks nonsense", (_, response) => response.end("hunter2"), "the API's answer is not a status"],
  ["says null", (_, response) => response.end("null"), "the API's answer is not a status"],
  ["says something else", (_, response) => response.end('{"release": 1}'), "the API's answer is not a status"],
  ["hangs up", (_, response) => response.destroy(), "UND_ERR_SOCKET"],
  [
    "redirects",
    ({ url }, response) =>
      url === "/elsewhere"
        ? response.end(JSON.stringify(status))
        : response.writeHead(302, { Location: "/elsewhere" }).end(),
    "fetch failed",
  ],
];
for (const [name, listener, reason] of failures) {
  test(`there is a page when the API ${name}`, async () => {
    answerAsApi = listener;
    const response = await request("/");
    assert.equal(response.status, 200);
    assert.match(await response.text(), /The API did not answer while this page was made/);
    const warning = logged.map((line) => JSON.parse(line)).find(({ event }) => event === "api_unavailable");
    assert.equal(warning.reason, reason);
    assert.ok(!logged.join("").includes("hunter2"));
  });
}

test("there is a page within seconds when the API hangs", async () => {
  answerAsApi = () => {};
  const started = performance.now();
  assert.match(await (await request("/")).text(), /The API did not answer/);
  const took = performance.now() - started;
  assert.ok(took > 1900 && took < 3500, `${took} ms`);
});

test("an API that breaks off once is asked again", async () => {
  let asked = 0;
  answerAsApi = (_, response) => void (++asked === 1 ? response.destroy() : response.end(JSON.stringify(status)));
  assert.match(await (await request("/")).text(), /api-1/);
  assert.equal(asked, 2);
});

test("assets may be kept for ever under their hash, and only there", async () => {
  const exact = await request(assetPath("page.js"));
  assert.equal(exact.headers.get("content-type"), "text/javascript; charset=utf-8");
  assert.equal(exact.headers.get("cache-control"), "public, max-age=31536000, immutable");
  const older = await request("/assets/page.0000000000000000.js");
  assert.equal(older.headers.get("cache-control"), "no-store");
  assert.equal(await older.text(), await exact.text());
});

test("is healthy, and says so without the API", async () => {
  api.close();
  const response = await request("/health");
  assert.equal(response.status, 200);
  const { timestamp, ...health } = await response.json();
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(health, { status: "healthy", version: "1.0.0", release: "web-1", checks: { draining: false } });
});

test("unknown paths are not found", async () => {
  for (const path of ["/index.html", "/assets/", "/assets/page.css", "/health/", "//", "/%2e%2e/etc/passwd"]) {
    const response = await request(path);
    assert.equal(response.status, 404, path);
    assert.match(await response.text(), /There is no such page/);
  }
});

test("HEAD is GET without the body", async () => {
  for (const path of ["/", "/health", assetPath("icon.svg"), "/nowhere"]) {
    const [head, get] = [await request(path, "HEAD"), await request(path)];
    assert.equal(head.status, get.status, path);
    assert.equal(await head.text(), "");
    assert.equal(head.headers.get("content-length"), String((await get.arrayBuffer()).byteLength), path);
  }
});

test("other methods are refused", async () => {
  for (const method of ["POST", "DELETE", "OPTIONS"]) {
    const response = await request("/", method);
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("allow"), "GET, HEAD");
  }
});

test("logs requests without their query, and no health checks", async () => {
  await (await request("/nowhere?token=hunter2")).text();
  await (await request("/health")).text();
  while (!logged.length) await new Promise(setImmediate);
  assert.deepEqual(
    logged.map((line) => JSON.parse(line)).map(({ event, path, status }) => [event, path, status]),
    [["request", "/nowhere", 404]],
  );
  assert.ok(!logged.join("").includes("hunter2"));
});

test("a drain serves what is there, says so, and ends", async () => {
  /** @type {import("node:http").ServerResponse | undefined} */
  let asked;
  answerAsApi = (_, response) => void (asked = response);
  const [unused, used, busy] = [open(), open(), open()];
  await used.ask("/health");
  await used.received("healthy");
  await busy.ask("/");
  while (!asked) await new Promise(setImmediate);

  const drained = frontend.drain(5);
  await used.ask("/health");
  assert.match(await used.ended, /503 Service Unavailable[^]*Connection: close[^]*"status":"draining"/);
  asked.end(JSON.stringify(status));
  assert.match(await busy.ended, /200 OK[^]*Connection: close[^]*api-1/);
  assert.equal(await unused.ended, "");
  assert.equal(await drained, 0);
  await assert.rejects(request("/health"));
});

test("a drain cuts what does not end", async () => {
  answerAsApi = () => {};
  const busy = open();
  await busy.ask("/");
  await new Promise((resolve) => setTimeout(resolve, 100));
  const started = performance.now();
  assert.equal(await frontend.drain(1.2), 1);
  assert.ok(performance.now() - started < 1700);
  assert.equal(await busy.ended, "");
});

/** One raw connection that is kept alive. */
function open() {
  const socket = connect(frontend.port, "127.0.0.1");
  let text = "";
  socket.on("data", (data) => (text += data)).on("error", () => {});
  return {
    /** @param {string} path */
    ask: (path) => new Promise((resolve) => socket.write(`GET ${path} HTTP/1.1\r\nHost: reach\r\n\r\n`, resolve)),
    /** @param {string} part */
    received: async (part) => {
      while (!text.includes(part)) await once(socket, "data");
      text = "";
    },
    ended: once(socket, "close").then(() => text),
  };
}
