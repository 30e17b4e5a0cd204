// What stands before the services is replaced too: the edge without a gap, the door with one, and both with all that
// clients rely on.
import { statSync, writeFileSync } from "node:fs";
import * as http2 from "node:http2";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { images as pinned } from "../support/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import {
  addressSeen,
  CLAIMED_ADDRESS,
  expectHeadersNotBelieved,
  expectOwnAddresses,
  expectProxyProtocolNotBelieved,
} from "../support/client-address.ts";
import { startClients, type Clients } from "../support/clients.ts";
import { runCommand } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { imageVariants } from "../support/image-variants.ts";
import { startLoad } from "../support/load.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { logsOf } from "../support/probe.ts";
import { CONTAINERS, prepareReach, type ContainerInspect, type Reach } from "../support/reach.ts";
import { openEvents, openTunnel } from "../support/streams.ts";

const DOMAIN = "reach.test";

/** The program; one edge is made by another one. */
const program = new RepositoryCopy();
const variants = imageVariants();
let world: OutsideWorld;
let reach: Reach;
let clients: Clients;
let renewed: Awaited<ReturnType<typeof makeCertificates>>;
let containers: Map<string, ContainerInspect>;

beforeAll(async () => {
  world = await startOutsideWorld();
  const place = { stack: "fronted", domain: DOMAIN, httpsPort: 8443, tcpPort: 2222 };
  // So that clients come from elsewhere: through a port on 127.0.0.1 every client has the engine's own address.
  reach = await prepareReach({ ...place, program: program.directory, listen: "0.0.0.0" });
  await reach.deploy();
  containers = await reach.containers();
  renewed = await makeCertificates(DOMAIN);
  clients = await startClients(reach, `${reach.ca}${renewed.ca}`);
});

afterAll(async () => {
  await clients?.stop();
  await reach?.stop();
  await world?.stop();
  await variants.remove();
  program.remove();
});

test("an edge of another image, with other static settings, takes over", async () => {
  const certificate = await certificateServed();
  const streams = await maxStreams();
  const secret = secretFile();
  const events = { url: `${reach.url}/sse`, address: reach.address, ca: reach.ca };
  const open = {
    "events over HTTP/1.1": await openEvents(events),
    "events over HTTP/2": await openEvents({ ...events, protocol: "http/2" }),
    tunnel: openTunnel(reach.address, reach.tcpPort),
  };
  onTestFinished(() => Object.values(open).forEach(({ close }) => close()));
  const addresses = watchAddresses();
  onTestFinished(() => void addresses.stop());

  configure({ images: { traefik: await variants.of(image("traefik"), "LABEL release=2") } });
  const perConnection = (count: number) => `"entrypoints.websecure.http2.maxconcurrentstreams": "${count}"`;
  program.edit("components/edge/traefik-arguments.ts", perConnection(streams), perConnection(streams - 1));
  expect(await replaced("another image and other static settings of the edge")).toEqual(["edge"]);

  expect(await maxStreams()).toBe(streams - 1);
  expect(await certificateServed()).toBe(certificate);
  // Jobs and couriers have the edge's image too; nothing changes under the services for it.
  expect(secretFile()).toBe(secret);
  // Whoever came meanwhile was seen by its own address, whatever it claimed.
  const seen = await addresses.stop();
  console.log(JSON.stringify({ event: "addresses", ...seen }));
  expect(Object.keys(seen)).toEqual([world.address]);
  await expectOwnAddresses(reach, world);
  await expectHeadersNotBelieved(reach, world);
  await expectProxyProtocolNotBelieved(reach, world);
  const log = await accessLog();
  expect(new Set(log.map(({ ClientHost }) => ClientHost))).toContain(world.address);
  expect(JSON.stringify(log)).not.toContain(CLAIMED_ADDRESS);

  // What was open through the old edge ends with it. A tunnel is closed, and a stream goes on where it stopped.
  const ends = await Promise.all(Object.entries(open).map(async ([name, { ended }]) => [name, await ended] as const));
  console.log(JSON.stringify({ event: "open through the old edge", ...Object.fromEntries(ends) }));
  expect(await open.tunnel.ended).toBe("cleanly");
  for (const { received } of [open["events over HTTP/1.1"], open["events over HTTP/2"]]) {
    const last = received.at(-1)!;
    const again = await openEvents({ ...events, headers: { "last-event-id": last.id! } });
    onTestFinished(() => again.close());
    await expect.poll(() => again.received.length, { timeout: 30_000 }).toBeGreaterThan(0);
    expect(Number(again.received[0]!.id)).toBe(Number(last.id) + 1);
  }
});

test("an edge with a renewed certificate takes over", async () => {
  const { certificate, privateKey } = reach.config["reach:certificates"] as Record<string, string>;
  writeFileSync(certificate!, renewed.certificate);
  writeFileSync(privateKey!, renewed.privateKey);
  expect(await replaced("the edge's certificate")).toEqual(["edge"]);
  await expect(reach.request("/")).rejects.toThrow("self-signed certificate in certificate chain");
  reach.ca = renewed.ca;
  expect(await reach.request("/")).toMatchObject({ status: 200 });
});

test("an edge that listens and has no routes yet gets nothing", async () => {
  const { Id, NetworkSettings } = containers.get("edge-door")!;
  const [network] = Object.keys(NetworkSettings.Networks);
  // It hangs up on clients, and keeps the door's check waiting.
  const upstart = `
import socket, threading, time
def listen(port, serve):
  listener = socket.create_server(("", port))
  while True: serve(listener.accept()[0])
for port in (8443, 2222): threading.Thread(target=listen, args=(port, socket.socket.close)).start()
waiting = []
listen(8082, waiting.append)`;
  await clients.during("an edge that has no routes yet", async () => {
    const image = containers.get("backend")!.Config.Image;
    const started = await docker("run", "--detach", "--entrypoint", "python3", image, "-c", upstart);
    onTestFinished(async () => void (await docker("rm", "--force", started.stdout.trim())));
    expect(started).toMatchObject({ code: 0 });
    // It gets its name when it already listens, or the door's first check would be refused.
    await sleep(1_000);
    const named = await docker("network", "connect", "--alias", "edge-2", network!, started.stdout.trim());
    expect(named).toMatchObject({ code: 0 });
    await sleep(4_000);
    // It was found: the door had to decide.
    const { stdout } = await docker("exec", Id, "nslookup", "edge-2", "127.0.0.11");
    expect(stdout.match(/^Address.*: (?!127)/gm), stdout).toHaveLength(2);
  });
});

test("an edge whose checks fail is asked all the same, where there is no other", async () => {
  const { Pid } = containers.get("edge")!.State;
  const rule = async (action: string) => {
    const args = ["-t", String(Pid), "-n", "iptables", action, "INPUT", ...REFUSED_CHECKS];
    expect(await runCommand("nsenter", args)).toMatchObject({ code: 0 });
  };
  await clients.during("an edge whose checks fail", async () => {
    await rule("-A");
    await sleep(2_000);
    await rule("-D");
  });
  const { stdout } = await logsOf(containers.get("edge-door")!.Id);
  expect(stdout).toContain("Server https-edges/edge1 is DOWN, reason: Layer4 connection problem");
});

const REFUSED_CHECKS = ["-p", "tcp", "--dport", "8082", "-j", "REJECT", "--reject-with", "tcp-reset"];

test("of all requests none failed", async () => {
  const { requests, failed, releases, tunnelReleases } = await clients.finish(0);
  console.log(JSON.stringify({ requests, failed }));
  expect(failed).toBe(0);
  const release = containers.get("backend")!.Config.Hostname;
  expect([releases.api, tunnelReleases]).toEqual([[release], [release]]);
});

test("the door's own replacement has a gap, which is announced, and nothing else is lost", async () => {
  const { address, ca } = reach;
  const load = startLoad({
    ...{ url: `${reach.url}/api/status`, address, ca, connections: 8, requestsPerSecond: 200, seconds: 300 },
    ...{ timeoutMs: 30_000, everyRequest: true },
  });
  onTestFinished(() => void load.stop());
  await load.advance(100);
  configure({ images: { haproxy: await variants.of(image("haproxy"), "LABEL release=2") } });
  const preview = await reach.project.preview();
  await reach.deploy();
  await load.advance(100);
  const failedBefore = load.progress().failed;
  await load.advance(400);
  const { requests, failed, failures, all } = await load.stop();
  const lost = all.filter((request) => request.failed);
  const gapMs = Math.max(...lost.map(({ at, latencyMs }) => at + latencyMs)) - Math.min(...lost.map(({ at }) => at));
  const reasons = [...new Set(failures.map(({ reason }) => reason))];
  console.log(
    JSON.stringify({ rollout: "the door", requests, failed, downtimeSeconds: Math.round(gapMs / 10) / 100, reasons }),
  );
  expect(preview.stderr).toMatch(/edge-door is replaced: port 2222 and 8443 are closed for some seconds/);
  expect(failed).toBeGreaterThan(0);
  // Once it is there again, it serves everybody.
  expect(failed).toBe(failedBefore);
  expect(await noteContainers()).toEqual(["edge-door"]);
  await expectOwnAddresses(reach, world);
});

test("clients are still told apart when one of them asks too much", async () => {
  configure({ edge: { requestsPerSecond: 1, burst: 10 } });
  await reach.deploy();
  expect(await noteContainers()).toEqual([]);
  const ask = (count: number, from: string) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const connection = world.connect(reach.httpsPort, from);
        return (await reach.request("/api/status", { connection })).status;
      }),
    );
  expect(new Set(await ask(40, world.address))).toEqual(new Set([200, 429]));
  expect(await ask(5, world.otherAddress)).toEqual([200, 200, 200, 200, 200]);
});

const docker = (...args: string[]) => runCommand("docker", args);

/** What differs from the first configuration. */
const settings: Record<"images" | "edge", Record<string, unknown>> = { images: {}, edge: {} };

function configure(changes: Partial<typeof settings>): void {
  for (const key of ["images", "edge"] as const) Object.assign(settings[key], changes[key]);
  reach.configure({
    "reach:images": { ...(reach.config["reach:images"] as object), ...settings.images },
    "reach:edge": { ...(reach.config["reach:edge"] as object), ...settings.edge },
  });
}

function image(key: keyof typeof pinned): string {
  return { ...pinned, ...(reach.config["reach:images"] as Partial<typeof pinned>) }[key];
}

/** An update that clients must not notice. Gives which of the long-running containers were replaced. */
async function replaced(what: string): Promise<string[]> {
  await clients.during(what, () => reach.deploy());
  return noteContainers();
}

/** Which long-running containers are others than before; none but the wanted ones may be there. */
async function noteContainers(): Promise<string[]> {
  expect(await reach.containerNames()).toEqual(CONTAINERS);
  const before = containers;
  containers = await reach.containers();
  const running = ["backend", "edge", "edge-door", "frontend"];
  return running.filter((name) => containers.get(name)!.Id !== before.get(name)!.Id);
}

/** Asks without a pause from outside, with a lie about the address. Gives how often which address was seen. */
function watchAddresses() {
  const seen: Record<string, number> = {};
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const connection = world.connect(reach.httpsPort);
      const headers = { "x-forwarded-for": CLAIMED_ADDRESS };
      const address = await addressSeen(reach, { connection, headers }).catch((error: Error) => error.message);
      seen[address] = (seen[address] ?? 0) + 1;
      await sleep(100);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await watching;
      return seen;
    },
  };
}

/** The fingerprint of the certificate that clients get. */
function certificateServed(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: reach.address, port: reach.httpsPort, servername: DOMAIN, ca: reach.ca }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** The file that the backend reads its secret from: another number is another file. */
function secretFile(): number {
  const { Mounts } = containers.get("backend")!;
  return statSync(join(Mounts.find(({ Destination }) => Destination === "/run/secrets")!.Source, "reach_api_key")).ino;
}

/** How many streams at once the edge allows on a connection of HTTP/2: a static setting that a client can see. */
function maxStreams(): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://${reach.address}:${reach.httpsPort}`, { servername: DOMAIN, ca: reach.ca });
    session.on("error", reject);
    session.on("remoteSettings", (remote: http2.Settings) => {
      resolve(remote.maxConcurrentStreams!);
      session.destroy();
    });
  });
}

async function accessLog(): Promise<{ ClientHost: string }[]> {
  // Written a moment after the answer.
  await sleep(500);
  const { stdout } = await logsOf(containers.get("edge")!.Id);
  const lines = stdout.trim().split("\n");
  return lines.map((line) => JSON.parse(line) as { ClientHost: string }).filter((line) => "RequestPath" in line);
}
