// Nothing that a client sends breaks the edge, and nothing that flows is cut. Load goes to this test's own stack alone.
import { once } from "node:events";
import * as http2 from "node:http2";
import * as https from "node:https";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import type { Attack, AttackResult } from "../support/attack.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines, runCommand } from "../support/command.ts";
import { startLoad, type LoadOptions } from "../support/load.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { logsOf } from "../support/probe.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { inspectAll, removeStack, type ContainerInspect } from "../support/reach.ts";
import { inSoak, SOAK } from "../support/soak.ts";
import { socketMemoryMb } from "../support/socket-memory.ts";

const DOMAIN = "hostile.test";
const MB = 1024 * 1024;
const engine = new Engine(process.env["DOCKER_HOST"]!);
let world: OutsideWorld;
let project: TestProject;
let ca: string;
let config: Record<string, unknown>;

beforeAll(async () => {
  world = await startOutsideWorld();
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  const certificates = await makeCertificates(DOMAIN);
  ca = certificates.ca;
  config = {
    "hostile:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
    "hostile:domain": DOMAIN,
    "hostile:certificatePem": certificates.certificate,
    "hostile:privateKeyPem": certificates.privateKey,
  };
  project = await createTestProject({
    stack: "hostile",
    config,
    program: new URL("../programs/hostile", import.meta.url).pathname,
  });
  await deploy();
});

afterAll(async () => {
  // What it set up at the host has to be gone before the next file.
  await Promise.allSettled(Object.values(flows ?? {}));
  await removeStack(engine, "hostile-hostile");
  project?.remove();
  await world?.stop();
  engine.close();
});

/** What takes its time: it goes on while other tests run. */
let flows: ReturnType<typeof startFlows> | undefined;

test("what flows goes on, and what stands still ends: it begins", async () => {
  flows = startFlows();
  // Who waits for them comes later.
  for (const flow of Object.values(flows)) flow.catch(() => undefined);
  await sleep(1_000);
});

function startFlows() {
  const slow = (http: "1.1" | "2") =>
    ask("/up", { method: "POST", length: 9_000_000, bytesPerSecond: 100_000, http }).then(({ text }) => text);
  const stalled = (http: "1.1" | "2") =>
    ask("/up", { method: "POST", length: 100_000, stallAfter: 1_000, http }).then(
      ({ status, seconds }) => ({ status, seconds }),
      (error: Error) => ({ status: error.message, seconds: 0 }),
    );
  return {
    ninety: ask("/patient/late?seconds=90"),
    hasty: ask("/hasty/late?seconds=30"),
    up1: slow("1.1"),
    up2: slow("2"),
    stalled1: stalled("1.1"),
    stalled2: stalled("2"),
    noHeaders: secondsUntilClosed("GET / HTTP/1.1\r\n"),
    idle: idleWebsocket(120),
    noticed: secondsUntilGoneIsNoticed(),
  };
}

describe("bodies", () => {
  // What the edge holds shows by a quarter of it too.
  const largeMb = SOAK ? 1024 : 256;
  test(`${largeMb} MB down and up on ordinary routes, while the edge's memory and disk stay flat`, async () => {
    const before = await edgeFigures();
    const watch = watchMemory();
    const down = await ask(`/down?mb=${largeMb}`);
    expect(down.bytes).toBe(largeMb * MB);
    const up = await ask("/patient/up", { method: "POST", length: largeMb * MB });
    expect(JSON.parse(up.text)).toEqual({ bytes: largeMb * MB });
    const chunked = await ask("/patient/up", { method: "POST", length: 256 * MB, chunked: true });
    expect(JSON.parse(chunked.text)).toEqual({ bytes: 256 * MB });
    const { edge: peak } = await watch.stop();
    const after = await edgeFigures();
    console.log(JSON.stringify({ event: `${largeMb} MB each way`, before, peak, after }));
    expect(after.filesKb).toBe(0);
    expect(peak.memoryMb - before.memoryMb).toBeLessThan(60);
  });

  test("eight slow uploads of 50 MB at once, while others ask", async () => {
    const others = startLoad({ ...asked("/"), connections: 4, requestsPerSecond: 50, seconds: 60 });
    const uploads = await Promise.all(
      Array.from({ length: 8 }, () => ask("/patient/up", { method: "POST", length: 50 * MB, bytesPerSecond: 5 * MB })),
    );
    const { requests, failed, latencyMs } = await others.stop();
    console.log(JSON.stringify({ event: "others beside eight uploads", requests, failed, latencyMs }));
    expect(uploads.map(({ text }) => JSON.parse(text) as unknown)).toEqual(uploads.map(() => ({ bytes: 50 * MB })));
    expect(failed).toBe(0);
  });

  test.each(["text/event-stream", "text/plain", "text/css", "application/json"])(
    "tokens of type %s arrive one by one on a path that nobody named a stream",
    async (type) => {
      for (const http of ["1.1", "2"] as const) {
        const { arrived } = await ask(`/tokens?type=${type}`, { http, headers: { "accept-encoding": "gzip" } });
        // Six of them, a fifth of a second apart. What is compressed may come with its header in a piece of its own.
        expect(arrived.length).toBeGreaterThanOrEqual(6);
        expect(arrived.at(-1)! - arrived[0]!).toBeGreaterThan(800);
      }
    },
  );

  test.each(["1.1", "2"] as const)("over HTTP/%s what is too large is answered 413, by its length", async (http) => {
    const before = await edgeFigures();
    // Each time: who goes on to send must not lose the answer by it.
    for (let time = 0; time < 10; time++)
      for (const chunked of [false, true]) {
        const { status } = await ask("/hasty/up", { method: "POST", length: 100 * MB, chunked, http });
        expect(status, chunked ? "without a length" : "with a length").toBe(413);
      }
    expect(await ask("/hasty/up", { method: "POST", length: MB, http })).toMatchObject({ status: 200 });
    expect(await ask("/hasty/up", { method: "POST", length: MB, chunked: true, http })).toMatchObject({ status: 200 });
    const after = await edgeFigures();
    expect(after.memoryMb - before.memoryMb).toBeLessThan(60);
    expect(await edgeLog()).toContain("more than maxBodyMb");
  });

  test("HEAD, Expect: 100-continue, and a client that goes away in the middle of its body", async () => {
    expect(await ask("/down?mb=1", { method: "HEAD" })).toMatchObject({ status: 200, bytes: 0 });
    const expecting = { method: "POST", length: MB, headers: { expect: "100-continue" } };
    expect(JSON.parse((await ask("/up", expecting)).text)).toEqual({ bytes: MB });
    // Refused before any of it was sent.
    expect(await ask("/hasty/up", { ...expecting, length: 5 * MB })).toMatchObject({ status: 413, sent: 0 });
    for (let time = 0; time < 20; time++) await leave();
    expect(await ask("/")).toMatchObject({ status: 200 });
  });

  test("after all of it the edge holds no file and is the same as before", async () => {
    expect(await edgeFigures()).toMatchObject({ filesKb: 0, restarts: 0 });
    expect(await ask("/")).toMatchObject({ status: 200 });
  });
});

test("what flows goes on, and what stands still ends: after a minute and a half", { timeout: 300_000 }, async () => {
  const { ninety, hasty, up1, up2, stalled1, stalled2, noHeaders } = flows!;
  expect(await ninety).toMatchObject({ status: 200, text: "late" });
  expect(await hasty).toMatchObject({ status: 504 });
  expect((await hasty).seconds).toBeLessThan(5);
  for (const up of [up1, up2]) expect(JSON.parse(await up)).toEqual({ bytes: 9_000_000 });
  console.log(
    JSON.stringify({ event: "time", stalled1: await stalled1, stalled2: await stalled2, noHeaders: await noHeaders }),
  );
  for (const { seconds, status } of [await stalled1, await stalled2]) {
    // Which error it is depends on who notices first.
    expect([499, 502, 504]).toContain(status);
    expect(seconds).toBeGreaterThan(55);
    expect(seconds).toBeLessThan(75);
  }
  expect(await noHeaders).toBeGreaterThan(5);
  expect(await noHeaders).toBeLessThan(20);
  const log = await edgeLog();
  expect(log).toContain("504: no answer in responseTimeoutSeconds (2)");
  expect(log).toContain("cut: nothing of the body came for 60 s");
});

describe("connections", () => {
  let many: string[];
  beforeAll(async () => {
    many = await world.addAddresses(50);
  });

  const kinds: [Attack["kind"], number][] = [
    ["idle", 20_000],
    ["half a handshake", 20_000],
    ["slow headers", 3_000],
    ["large headers", 3_000],
    ["slow bodies", 3_000],
    ["answers that nobody reads", 3_000],
    ["streams that nobody reads", 300],
    ["streams that are reset", 300],
  ];
  // What is only more of the same is for a night.
  const rows = kinds.flatMap(([kind, connections]) =>
    [...inSoak("1 address"), "50 addresses"].map((from) => [kind, connections, from] as const),
  );

  test.each(rows)("%s, %i times from %s: others are served", async (kind, connections, from) => {
    const before = await edgeFigures();
    // Who waited ten seconds does not ask for all that it missed at once, which its own rate limit would refuse.
    const others = startLoad({ ...asked("/"), connections: 2, pauseMs: 90, seconds: 120, timeoutMs: 30_000 });
    await others.advance(20);
    const watch = watchMemory();
    const addresses = from === "1 address" ? [world.address] : many;
    const given: Attack = {
      ...{ kind, connections, addresses, host: world.engineAddress, port: 8443, domain: DOMAIN, seconds: 8 },
    };
    const said = await world.node([new URL("../support/attack.ts", import.meta.url).pathname, JSON.stringify(given)]);
    await others.advance(10);
    const peaks = await watch.stop();
    const { requests, failed, failures, latencyMs, longestSilenceSeconds } = await others.stop();
    const after = await edgeFigures();
    const attack = JSON.parse(said) as AttackResult;
    console.log(
      JSON.stringify({ kind, from, ...attack, peaks, others: { requests, failed, latencyMs, longestSilenceSeconds } }),
    );
    expect(failed, JSON.stringify(failures)).toBe(0);
    expect(after).toMatchObject({ restarts: 0, startedAt: before.startedAt });
    for (const { memoryMb, socketsMb, limitMb } of Object.values(peaks))
      expect(memoryMb + socketsMb).toBeLessThan(limitMb);
    if (kind !== "streams that are reset") expect(attack.open).toBeLessThan(from === "1 address" ? 101 : 2_000);
  });

  test("who opens and resets streams in a loop gets a GOAWAY, and what flows beside them goes on", async () => {
    const session = await startHttp2(world.address);
    const goaway = once(session, "goaway");
    const late = statusOf(session, "/patient/late?seconds=3");
    const until = Date.now() + 2_000;
    while (!session.closed && Date.now() < until) {
      for (let count = 0; count < 20 && !session.closed; count++) {
        const stream = session.request({ ":path": "/" });
        stream.on("error", () => undefined).close(http2.constants.NGHTTP2_CANCEL);
      }
      await sleep(1);
    }
    const [code] = await Promise.race([goaway, sleep(5_000, ["none"])]);
    expect(code).toBe(http2.constants.NGHTTP2_NO_ERROR);
    expect(await late).toBe(200);
    session.destroy();
  });

  test("what was refused is counted", async () => {
    const door = await containerOf("edge-door");
    const csv = (
      await succeed("docker", ["exec", door.Id, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/stats;csv"])
    ).split("\n");
    const column = csv[0]!.replace("# ", "").split(",").indexOf("dcon");
    const https = csv.find((line) => line.startsWith("https,FRONTEND,"))!.split(",");
    expect(Number(https[column])).toBeGreaterThan(10_000);
  });
});

test("what flows goes on, and what stands still ends: after three minutes", { timeout: 300_000 }, async () => {
  expect(await flows!.idle).toBe("still there");
  const noticed = await flows!.noticed;
  console.log(JSON.stringify({ event: "a peer is gone", noticed }));
  // A peer that went without a word, with something on its way to it.
  expect(noticed).toBeLessThan(200);
});

test("an office behind one address loads a page of 40 parts for each of 40 people at once", async () => {
  // One person's 400 requests may take six seconds, and are still more than that.
  const rates = { requestsPerSecond: 30, burst: 200 };
  const page = async () => {
    const byStatus: Record<number, number> = {};
    for (const status of (await people(40, world.otherAddress, 40)).flat())
      byStatus[status] = (byStatus[status] ?? 0) + 1;
    return byStatus;
  };
  await deploy({ edge: rates });
  const limited = await page();
  expect(limited[429]).toBeGreaterThan(0);
  await deploy({ edge: { ...rates, sharedAddresses: [{ range: `${world.otherAddress}/32`, clients: 40 }] } });
  const shared = await page();
  console.log(JSON.stringify({ event: "an office", limited, shared }));
  expect(shared).toEqual({ 200: 1600 });
  // Nobody else has got more by it.
  const [person] = await people(1, world.address, 400);
  expect(person).toContain(429);
});

test("each TCP port leads to the service that took it, through releases of it and of the edge", async () => {
  const ports = { clients: 2222, talk: 2300, more: 2400 };
  const heard = () =>
    Promise.all(
      Object.values(ports).map(async (port) => {
        const connection = world.connect(port);
        connection.write("hello");
        return (await connection.toArray()).join("");
      }),
    );
  const all = ["app clients hello", "patient talk hello", "patient more hello"];
  expect(await heard()).toEqual(all);
  await deploy({ release: "tcp" });
  expect(await heard()).toEqual(all);
  await deploy({ edge: { keepAliveSeconds: 5 } });
  expect(await heard()).toEqual(all);
});

test("what the edge answers by itself has the security headers and tells nothing of the inside", async () => {
  await deploy({ edge: { requestsPerSecond: 1, burst: 12 } });
  const from = world.address;
  const answers = {
    404: await ask("/", { from, headers: { host: "other.example" } }),
    // Asked first: who sends all the same may find the connection closed before the answer was read.
    413: await ask("/hasty/up", { from, method: "POST", length: 2 * MB, headers: { expect: "100-continue" } }),
    502: await ask("/fail", { from }),
    504: await ask("/hasty/late?seconds=5", { from }),
    429: (await Promise.all(Array.from({ length: 30 }, () => ask("/", { from })))).find(
      ({ status }) => status === 429,
    )!,
  };
  for (const [status, answer] of Object.entries(answers)) {
    expect(answer.status).toBe(Number(status));
    expect(answer.headers, status).toMatchObject({
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "strict-transport-security": "max-age=63072000; includeSubDomains",
    });
    expect(answer.text, status).toMatch(
      /^(404 page not found|Not Found|Request Entity Too Large|Bad Gateway|Gateway Timeout|Too Many Requests)?\s*$/,
    );
  }
});

test("a WebSocket gets drainSeconds when its service is released anew", async () => {
  const socket = await openWebsocket(undefined, "/patient");
  const closed = closing(socket);
  const { Id } = await containerOf("patient");
  const released = deploy({ release: "2" });
  // The new release serves, and the old one's WebSocket goes on.
  await expect.poll(async () => (await ask("/patient/")).text, { timeout: 60_000 }).toContain('"release":"2"');
  expect(await echoed(socket)).toBe("still there");
  await released;
  const seconds = (await closed) - (await secondsOfSignal(Id));
  console.log(JSON.stringify({ event: "a WebSocket over a release", seconds }));
  expect(seconds).toBeGreaterThan(7);
  expect(seconds).toBeLessThan(13);
  (await openWebsocket(undefined, "/patient")).destroy();
});

test("an edge that is replaced loses no request, and its WebSockets get the time that it takes", async () => {
  const [socket, { Id }] = [await openWebsocket(), await containerOf("edge")];
  const closed = closing(socket);
  const load = startLoad({ ...asked("/"), connections: 4, requestsPerSecond: 20, seconds: 150 });
  // From here on as by default, or half of it. Nothing else changes: a service that is rolled ends its own WebSockets.
  keepAliveSeconds = SOAK ? 60 : 30;
  await deploy({ release: "2" });
  const { requests, failed, failures } = await load.stop();
  const seconds = (await closed) - (await secondsOfSignal(Id));
  console.log(JSON.stringify({ event: "an edge replaced", seconds, requests, failed }));
  expect(failed, JSON.stringify(failures)).toBe(0);
  // As long as it takes requests, and the ten seconds for what is under way.
  expect(seconds).toBeGreaterThan(10);
  expect(seconds).toBeLessThan(27);
  (await openWebsocket()).destroy();
});

test(
  "a kept-alive connection serves a client that asks now and then as long as it may, also over a release that fails",
  { timeout: 180_000 },
  async () => {
    expect(keepAliveSeconds).toBeGreaterThan(20);
    const load = startLoad({ ...asked("/"), connections: 1, requestsPerSecond: 0.5, seconds: keepAliveSeconds - 8 });
    // A release that takes the domain for a stranger's says so, and gets no request.
    await expect(deploy({ expectedDomain: "other.test" })).rejects.toThrow("answered 400 Bad Request: not my domain");
    expect(await ask("/")).toMatchObject({ status: 200 });
    const { requests, failed, connectionsOpened } = await load.result;
    console.log(JSON.stringify({ event: "kept alive", requests, failed, connectionsOpened }));
    expect(failed).toBe(0);
    expect(connectionsOpened).toBe(1);
    // The next good one: rollout.test.ts shows it too.
    if (SOAK) await deploy();
  },
);

/** Short, so that the test of an edge's replacement is. */
let keepAliveSeconds = 10;

interface Changes {
  edge?: object;
  expectedDomain?: string;
  release?: string;
}

async function deploy({ edge, ...changes }: Changes = {}): Promise<void> {
  const given = Object.entries({ ...changes, edge: { keepAliveSeconds, ...edge } }).map(([key, value]) => [
    `hostile:${key}`,
    value,
  ]);
  project.setConfig({ ...config, ...(Object.fromEntries(given) as object) });
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(lastLines(stdout + stderr, 80));
}

function asked(path: string): Pick<LoadOptions, "url" | "address" | "ca"> {
  return { url: `https://${DOMAIN}:8443${path}`, address: world.engineAddress, ca };
}

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  /** Of the body. */
  length?: number;
  chunked?: boolean;
  bytesPerSecond?: number;
  /** Sends no more after so many bytes. */
  stallAfter?: number;
  http?: "1.1" | "2";
  /** An address of the outside world. @default this machine's own */
  from?: string;
}

interface Got {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  bytes: number;
  sent: number;
  seconds: number;
  /** When each piece of the body came, in milliseconds. */
  arrived: number[];
}

/** One request on a connection of its own. Nothing is kept of an answer but its begin. */
async function ask(path: string, options: Asked = {}): Promise<Got> {
  const { method = "GET", headers = {}, length = 0, chunked = false, http = "1.1", from } = options;
  const began = performance.now();
  const got: Got = { status: 0, headers: {}, text: "", bytes: 0, sent: 0, seconds: 0, arrived: [] };
  const secure = tls.connect({
    ...(from === undefined ? { host: world.engineAddress, port: 8443 } : { socket: world.connect(8443, from) }),
    ...{ servername: DOMAIN, ca, ALPNProtocols: [http === "2" ? "h2" : "http/1.1"] },
  });
  const sized: Record<string, string> = length > 0 && !chunked ? { "content-length": String(length) } : {};
  const take = (piece: Buffer) => {
    got.arrived.push(performance.now() - began);
    got.bytes += piece.length;
    if (got.text.length < 1000) got.text += piece.toString("latin1");
  };
  try {
    if (http === "2") {
      const session = http2.connect(`https://${DOMAIN}`, { createConnection: () => secure });
      const broken = once(session, "error").then(([error]) => Promise.reject(error as Error));
      const stream = session.request(
        { ":method": method, ":path": path, ...sized, ...headers },
        { endStream: length === 0 },
      );
      const answered = new Promise<void>((resolve, reject) => {
        stream.on("response", (head) => {
          got.status = head[":status"]!;
          got.headers = { ...head };
        });
        stream.on("data", take);
        stream.on("error", (error: Error) => (got.status > 0 ? resolve() : reject(error)));
        stream.on("close", resolve);
      });
      if (length > 0) void send(stream, got, options);
      await Promise.race([answered, broken]);
      session.destroy();
    } else {
      const request = https.request({
        createConnection: () => secure,
        method,
        path,
        headers: { host: DOMAIN, ...sized, ...headers },
      });
      const response = new Promise<IncomingMessage>((resolve, reject) => {
        request.on("response", resolve);
        request.on("error", reject);
      });
      if (length === 0) request.end();
      else if ("expect" in headers) request.on("continue", () => void send(request, got, options)).flushHeaders();
      else void send(request, got, options);
      const answer = await response;
      got.status = answer.statusCode!;
      got.headers = { ...answer.headers };
      answer.on("data", take);
      await once(answer, "end");
    }
  } finally {
    secure.destroy();
  }
  return { ...got, seconds: (performance.now() - began) / 1000 };
}

const PIECE = Buffer.alloc(1 << 16, "x");

async function send(stream: NodeJS.WritableStream, got: Got, options: Asked): Promise<void> {
  const { length = 0, bytesPerSecond, stallAfter = Infinity } = options;
  const piece =
    bytesPerSecond === undefined ? PIECE : PIECE.subarray(0, Math.min(PIECE.length, Math.ceil(bytesPerSecond / 10)));
  const began = performance.now();
  let over = false;
  stream.on("error", () => (over = true)).on("close", () => (over = true));
  while (got.sent < Math.min(length, stallAfter) && !over) {
    const next = piece.subarray(0, Math.min(piece.length, length - got.sent, stallAfter - got.sent));
    got.sent += next.length;
    if (!stream.write(next)) await Promise.race([once(stream, "drain").catch(() => undefined), sleep(5_000)]);
    if (bytesPerSecond !== undefined)
      await sleep(Math.max(0, (got.sent / bytesPerSecond) * 1000 - (performance.now() - began)));
  }
  if (!over && stallAfter === Infinity) stream.end();
}

/** Sends a part of a body, and is gone. */
async function leave(): Promise<void> {
  const socket = tls.connect({ host: world.engineAddress, port: 8443, servername: DOMAIN, ca });
  await once(socket, "secureConnect");
  socket.write(`POST /up HTTP/1.1\r\nHost: ${DOMAIN}\r\nContent-Length: ${MB}\r\n\r\n`);
  socket.write(PIECE);
  await sleep(20);
  socket.destroy();
}

/** Each has a connection of its own, and asks for all parts at once. */
function people(count: number, from: string, parts: number): Promise<number[][]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const ask = async (times: number) => {
        const session = await startHttp2(from);
        const statuses = await Promise.all(Array.from({ length: times }, () => statusOf(session, "/")));
        session.close();
        return statuses;
      };
      const answered = (await ask(parts)).filter((status) => status !== 0);
      // As a browser: what a connection that has reached its age did not begin is asked for on another one.
      return [...answered, ...(answered.length < parts ? await ask(parts - answered.length) : [])];
    }),
  );
}

async function startHttp2(from: string): Promise<http2.ClientHttp2Session> {
  const secure = { socket: world.connect(8443, from), servername: DOMAIN, ca, ALPNProtocols: ["h2"] };
  const session = http2.connect(`https://${DOMAIN}`, { createConnection: () => tls.connect(secure) });
  // As a browser: its first request is for the page, and by the answer it knows how many streams it may open.
  await once(session, "remoteSettings");
  return session;
}

function statusOf(session: http2.ClientHttp2Session, path: string): Promise<number> {
  return new Promise((resolve) => {
    const stream = session.request({ ":path": path });
    stream.on("response", (head) => resolve(head[":status"]!)).on("error", () => resolve(0));
    stream.resume();
  });
}

async function secondsUntilClosed(sent: string): Promise<number> {
  const began = performance.now();
  const socket = tls.connect({ host: world.engineAddress, port: 8443, servername: DOMAIN, ca });
  await once(socket, "secureConnect");
  socket.write(sent);
  socket.resume().on("error", () => undefined);
  await once(socket, "close");
  return Math.round((performance.now() - began) / 100) / 10;
}

const UPGRADE = `GET / HTTP/1.1\r\nHost: ${DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;

async function openWebsocket(through?: Socket, path = "/"): Promise<tls.TLSSocket> {
  const to = through ? { socket: through } : { host: world.engineAddress, port: 8443 };
  const socket = tls.connect({ ...to, servername: DOMAIN, ca });
  socket.on("error", () => undefined);
  await once(socket, "secureConnect");
  socket.write(UPGRADE.replace("GET / ", `GET ${path} `));
  const [head] = (await once(socket, "data")) as [Buffer];
  expect(head.toString()).toContain(" 101 ");
  return socket;
}

/** What comes back of what is sent after so long without a word. */
async function idleWebsocket(seconds: number): Promise<string> {
  const socket = await openWebsocket();
  await sleep(seconds * 1000);
  const back = await echoed(socket);
  socket.destroy();
  return back;
}

async function echoed(socket: tls.TLSSocket): Promise<string> {
  socket.write("still there");
  const [back] = (await once(socket, "data")) as [Buffer];
  return back.toString();
}

/** When it is closed by the other side, in seconds since 1970. */
async function closing(socket: tls.TLSSocket): Promise<number> {
  await once(socket.resume(), "close");
  return Date.now() / 1000;
}

/** When a container was told to end, in seconds since 1970. */
async function secondsOfSignal(id: string): Promise<number> {
  const now = Math.ceil(Date.now() / 1000);
  const said = await succeed("docker", [
    ...["events", "--since", String(now - 300), "--until", String(now), "--format", "{{.TimeNano}}"],
    ...["--filter", `container=${id}`, "--filter", "event=kill"],
  ]);
  return Number(said.split("\n")[0]) / 1e9;
}

/** Of a websocket whose peer is gone without a word, until the service is told. */
async function secondsUntilGoneIsNoticed(): Promise<number> {
  const closedBefore = await closedWebsockets();
  const socket = await openWebsocket(world.connect(8443, world.otherAddress), "/patient");
  const began = performance.now();
  const rules = ["INPUT", "FORWARD"].map((chain) => [chain, "-s", world.otherAddress, "-j", "DROP"]);
  for (const rule of rules) await succeed("iptables", ["-I", ...rule]);
  try {
    await expect.poll(closedWebsockets, { timeout: 240_000, interval: 2_000 }).toBe(closedBefore + 1);
    return Math.round((performance.now() - began) / 1000);
  } finally {
    for (const rule of rules) await succeed("iptables", ["-D", ...rule]);
    socket.destroy();
  }
}

async function closedWebsockets(): Promise<number> {
  const app = await containerOf("patient");
  return (await logsOf(app.Id)).stdout.split("websocket closed").length - 1;
}

async function containerOf(name: string): Promise<ContainerInspect> {
  const found = (await inspectAll(engine, "hostile-hostile")).filter(
    ({ Config, State }) => Config.Labels["bulkhead.name"] === name && State.Running,
  );
  expect(found, name).toHaveLength(1);
  return found[0]!;
}

async function edgeFigures() {
  const [edge, door] = [await containerOf("edge"), await containerOf("edge-door")];
  const files = await succeed("docker", ["exec", edge.Id, "du", "-s", "-k", "/tmp"]);
  return {
    memoryMb: await memoryMb(edge.Id),
    filesKb: parseInt(files, 10),
    restarts: edge.RestartCount + door.RestartCount,
    startedAt: [edge.State.StartedAt, door.State.StartedAt].join(" "),
  };
}

/** Of the processes, without what the kernel keeps of files for as long as there is room. */
async function memoryMb(id: string): Promise<number> {
  const { memory_stats: memory } = await engine.get<{
    memory_stats: { usage: number; stats?: Record<string, number> };
  }>(`/containers/${id}/stats?stream=false&one-shot=true`);
  const cached = memory.stats?.["total_inactive_file"] ?? memory.stats?.["inactive_file"] ?? 0;
  return Math.round((memory.usage - cached) / MB);
}

interface Peak {
  /** Of its processes. */
  memoryMb: number;
  /** Of the kernel, for its connections, where that does not count to the memory. */
  socketsMb: number;
  limitMb: number;
}

function watchMemory(): { stop: () => Promise<{ edge: Peak; door: Peak }> } {
  let stopped = false;
  const peakOf = async (name: string): Promise<Peak> => {
    const { Id, State, HostConfig } = await containerOf(name);
    const peak = { memoryMb: 0, socketsMb: 0, limitMb: HostConfig.Memory / MB };
    while (!stopped) {
      peak.memoryMb = Math.max(peak.memoryMb, await memoryMb(Id));
      peak.socketsMb = Math.max(peak.socketsMb, Math.round(socketMemoryMb(State.Pid)));
      await sleep(500);
    }
    return peak;
  };
  const watching = Promise.all([peakOf("edge"), peakOf("edge-door")]);
  return {
    stop: async () => {
      stopped = true;
      const [edge, door] = await watching;
      return { edge, door };
    },
  };
}

async function succeed(command: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function edgeLog(): Promise<string> {
  await sleep(500);
  const { stdout, stderr } = await logsOf((await containerOf("edge")).Id);
  return stdout + stderr;
}
