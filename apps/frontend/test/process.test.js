// The real process: `node src/main.js`, its health check, and SIGTERM.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

const folder = new URL("..", import.meta.url);
/** @type {import("node:child_process").ChildProcess[]} */
const children = [];
after(() => children.forEach((child) => child.kill("SIGKILL")));

/** @param {Record<string, string>} environment */
async function start(environment = {}) {
  const env = { ...process.env, HOST: "127.0.0.1", PORT: "0", RELEASE: "web-1", ...environment };
  const child = spawn(process.execPath, ["src/main.js"], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const exited = once(child, "exit");
  /** @type {Record<string, unknown>[]} */
  const log = [];
  const lines = createInterface(child.stdout);
  lines.on("line", (line) => log.push(JSON.parse(line)));
  await once(lines, "line");
  return { child, exited, log, port: Number(log[0]?.["port"]) };
}

/** @param {number} port */
async function checkHealth(port) {
  const env = { ...process.env, PORT: String(port) };
  const child = spawn("bash", ["health.sh"], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  const [status] = await once(child, "close");
  return { status, output };
}

test("starts, is healthy, and ends on SIGTERM with 0", async () => {
  const { child, exited, log, port } = await start();
  const healthy = await checkHealth(port);
  assert.equal(healthy.status, 0, healthy.output);
  assert.equal(JSON.parse(healthy.output).status, "healthy");
  const page = await fetch(`http://127.0.0.1:${port}/`);
  assert.match(await page.text(), /web-1/);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  assert.deepEqual(
    log.map(({ event }) => event),
    ["started", "api_unavailable", "request", "draining", "stopped"],
  );
});

test("the health check fails when the server is not well, and when nobody answers", async () => {
  const unwell = createServer((_, response) => response.writeHead(503).end("draining")).listen(0, "127.0.0.1");
  await once(unwell, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (unwell.address());
  assert.deepEqual(await checkHealth(port), { status: 1, output: "draining\n" });
  unwell.close();
  const { status, output } = await checkHealth(port);
  assert.equal(status, 1);
  assert.match(output, /no answer/);
});

test("a bad setting and a taken port are one clear line", async () => {
  const { port } = await start();
  for (const [environment, message] of /** @type {const} */ ([
    [{ PORT: "x" }, 'reach-frontend: PORT: "x" is not a port: give a number from 0 (any free one) to 65535\n'],
    [
      { PORT: String(port), HOST: "127.0.0.1" },
      `reach-frontend: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
    ],
  ])) {
    const env = { ...process.env, ...environment };
    const ended = spawnSync(process.execPath, ["src/main.js"], { cwd: folder, env, encoding: "utf8", timeout: 10_000 });
    assert.deepEqual([ended.status, ended.stderr, ended.stdout], [1, message, ""]);
  }
});
