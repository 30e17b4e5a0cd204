// One deployed stack and everything that can be seen of it: from a client, from a neighbour, from inside, from Docker.
import { EDGE_ALIAS } from "../../components/edge/edge-container.ts";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import * as http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { gunzipSync } from "node:zlib";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startBrowser } from "../support/browser.ts";
import {
  expectHeadersNotBelieved,
  expectOwnAddresses,
  expectProxyProtocolNotBelieved,
} from "../support/client-address.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { watchExecs } from "../support/execs.ts";
import { logsOf, runProbe, startProbe } from "../support/probe.ts";
import { createTestProject } from "../support/pulumi.ts";
import { prepareReach, snapshot, type Answer, type ContainerInspect, type Reach } from "../support/reach.ts";
import { greetTunnel, readEvents } from "../support/streams.ts";

const STACK = "whole";
const DOMAIN = "reach.test";
const HTTPS_PORT = 8443;
const TUNNEL_PORT = 2222;
const SERVICES = ["backend", "edge", "edge-door", "frontend"];

let world: OutsideWorld;
let reach: Reach;
let containers: Map<string, ContainerInspect>;
/** Environment and arguments of every process that ran in Docker, or with pulumi, while the stack was deployed. */
const processes = new Set<string>();

beforeAll(async () => {
  world = await startOutsideWorld();
  reach = await prepareReach({
    stack: STACK,
    domain: DOMAIN,
    httpsPort: HTTPS_PORT,
    tcpPort: TUNNEL_PORT,
    // So that clients come from elsewhere: through a port on 127.0.0.1 every client has the engine's own address.
    listen: "0.0.0.0",
    edge: { maxBodyMb: 1 },
  });
  const watch = setInterval(watchProcesses, 200);
  try {
    await reach.deploy();
  } finally {
    clearInterval(watch);
  }
  containers = await reach.containers();
});

afterAll(async () => {
  await reach?.stop();
  await world?.stop();
});

const container = (name: string): ContainerInspect => {
  const found = containers.get(name);
  if (!found) throw new Error(`no container ${name}; there are ${[...containers.keys()].join(", ")}`);
  return found;
};
const network = (suffix: string) => `reach-${STACK}-${suffix}`;
const docker = (...args: string[]) => runCommand("docker", args);
const execIn = (name: string, ...args: string[]) => docker("exec", container(name).Id, ...args);

describe("routes", () => {
  test("lead to the frontend, and to the backend under /api and /sse alone", async () => {
    const page = await reach.request("/");
    expect(page).toMatchObject({ status: 200, headers: { "content-type": "text/html; charset=utf-8" } });
    expect(page.text).toContain(`made by release <b id="release">${container("frontend").Config.Hostname}</b>`);
    expect(page.text).toContain('id="server-status" data-state="ok"');

    const status = await reach.request("/api/status?verbose=1");
    expect(status.status).toBe(200);
    expect(JSON.parse(status.text)).toMatchObject({ release: container("backend").Config.Hostname });

    const body = JSON.stringify({ text: "grüße" });
    expect(await reach.request("/api/echo", { method: "POST", body })).toMatchObject({ status: 200, text: body });

    // Not a path of the API's, but one that begins with the same letters.
    const lookalike = await reach.request("/apix");
    expect(lookalike).toMatchObject({ status: 404, headers: { "content-type": "text/html; charset=utf-8" } });
    expect(lookalike.text).toContain("<title>Not found</title>");
    expect(await reach.request("/api/none")).toMatchObject({ status: 404, text: '{"error": "not found"}\n' });
  });

  test("are those of the stack's domain and of no other", async () => {
    for (const host of ["other.test", `www.${DOMAIN}`, "127.0.0.1", "edge"]) {
      const answer = await reach.request("/", { headers: { host } });
      expect(answer, host).toMatchObject({ status: 404, text: "Not Found\n" });
    }
    // What the edge answers to its neighbours is not for clients.
    for (const path of ["/release/edge", "/release/backend/health", "/services/backend/health", "/ping"]) {
      const answer = await reach.request(path);
      expect(answer, path).toMatchObject({ status: 404 });
      expect(answer.text, path).toContain("<title>Not found</title>");
    }
    expect((await reach.request("/api/dashboard/")).text).toBe('{"error": "not found"}\n');
  });

  test("are served over HTTP/2 too", async () => {
    const session = http2.connect(`https://${reach.address}:${HTTPS_PORT}`, { servername: DOMAIN, ca: reach.ca });
    onTestFinished(() => session.close());
    const ask = (path: string) =>
      new Promise<{ status: unknown; text: string }>((resolve, reject) => {
        const stream = session.request({ ":path": path, ":authority": `${DOMAIN}:${HTTPS_PORT}` });
        let status: unknown;
        let text = "";
        stream.on("response", (headers) => (status = headers[":status"]));
        stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        stream.on("end", () => resolve({ status, text }));
        stream.on("error", reject);
      });
    session.on("error", () => undefined);
    const answers = await Promise.all(["/", "/api/status"].map(ask));
    expect(session.alpnProtocol).toBe("h2");
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[1]!.text).toContain(container("backend").Config.Hostname);
  });
});

describe("TLS", () => {
  /** The outcome of a handshake: what was agreed, or why not. */
  const handshake = (options: tls.ConnectionOptions) =>
    new Promise<{ protocol?: string | null; cipher?: string; refused?: string }>((resolve) => {
      try {
        const socket = tls.connect({
          ...{ host: reach.address, port: HTTPS_PORT, servername: DOMAIN, ca: reach.ca },
          ...options,
        });
        socket.on("secureConnect", () => {
          resolve({ protocol: socket.getProtocol(), cipher: socket.getCipher().name });
          socket.destroy();
        });
        socket.on("error", (error: NodeJS.ErrnoException) => resolve({ refused: error.code }));
      } catch (error) {
        resolve({ refused: (error as NodeJS.ErrnoException).code });
      }
    });
  const ALERTS = /^ERR_SSL_(SSL\/TLS|SSLV3|TLSV1)_ALERT_/;

  test("is 1.2 or 1.3, and the certificate is the one of the stack", async () => {
    expect(await handshake({})).toMatchObject({ protocol: "TLSv1.3" });
    expect(await handshake({ maxVersion: "TLSv1.2" })).toMatchObject({ protocol: "TLSv1.2" });
    for (const version of ["TLSv1", "TLSv1.1"] as const) {
      // This client would: it is the edge that says no.
      const old = { minVersion: version, maxVersion: version, ciphers: "DEFAULT:@SECLEVEL=0" };
      expect(await handshake(old), version).toEqual({ refused: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
    }
    expect(await handshake({ ca: undefined })).toEqual({ refused: "SELF_SIGNED_CERT_IN_CHAIN" });
    expect(await handshake({ servername: "other.test" })).toEqual({ refused: "ERR_TLS_CERT_ALTNAME_INVALID" });
  });

  test("1.2 takes authenticated ciphers with forward secrecy and nothing else", async () => {
    const accepted: string[] = [];
    const refused: string[] = [];
    for (const cipher of tls.getCiphers().filter((name) => !name.startsWith("tls_"))) {
      const ciphers = `${cipher.toUpperCase()}:@SECLEVEL=0`;
      const outcome = await handshake({ minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers });
      if (outcome.cipher) accepted.push(outcome.cipher);
      // The rest is what this client itself cannot offer.
      else if (ALERTS.test(outcome.refused!)) refused.push(cipher);
    }
    expect(accepted.sort()).toEqual([
      "ECDHE-ECDSA-AES128-GCM-SHA256",
      "ECDHE-ECDSA-AES256-GCM-SHA384",
      "ECDHE-ECDSA-CHACHA20-POLY1305",
    ]);
    expect(refused).toEqual(
      expect.arrayContaining(["ecdhe-ecdsa-aes128-sha", "ecdhe-ecdsa-aes128-sha256", "aes128-gcm-sha256"]),
    );
  });

  test("is all that the ports of the host speak", async () => {
    const request = `GET / HTTP/1.1\r\nHost: ${DOMAIN}\r\nConnection: close\r\n\r\n`;
    const plain = await exchange(connect(HTTPS_PORT, reach.address), request);
    expect(plain).toMatch(/^(HTTP\/1\.\d 4\d\d .*)?$/m);
    expect(plain).not.toContain("Reach");
    const { stdout } = await runCommand("ss", ["-H", "-l", "-n", "-t", "-u"]);
    const open = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(/\s+/)[4]!)
      .filter((local) => !/^(127\.|\[::1\]|10\.213\.)/.test(local))
      .map((local) => Number(local.slice(local.lastIndexOf(":") + 1)));
    expect([...new Set(open)].sort((a, b) => a - b)).toEqual([TUNNEL_PORT, HTTPS_PORT]);
    // The relay hangs up, before or after the request is written.
    const outside = await exchange(world.connect(80), request).catch((error: NodeJS.ErrnoException) => error.code);
    expect(["", "EPIPE", "ECONNRESET"]).toContain(outside);
    await expect(exchange(connect(80, reach.address), request)).rejects.toThrow("ECONNREFUSED");
  });
});

describe("answers", () => {
  const EVERYWHERE = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
  };
  const NOWHERE = ["server", "x-powered-by", "x-release", "via"];
  const OF_PAGES = "default-src 'self'; frame-ancestors 'none'";
  const OF_API = "default-src 'none'; frame-ancestors 'none'";

  /** A request that says how long its body is; the edge need not wait for it to say no. */
  const announce = (bytes: number) =>
    reach.request("/api/echo", { method: "POST", headers: { "content-length": String(bytes) } });

  test("all carry the security headers, and none that tells what runs", async () => {
    const asked: [string, Promise<Answer>, number, string][] = [
      ["page", reach.request("/"), 200, OF_PAGES],
      ["missing page", reach.request("/apix"), 404, OF_PAGES],
      ["API", reach.request("/api/status"), 200, OF_API],
      ["unauthorized", reach.request("/api/clients"), 401, OF_API],
      ["wrong method", reach.request("/api/echo"), 405, OF_API],
      ["too large", announce(1024 ** 2 + 1), 413, OF_API],
      ["stream", reach.request("/sse", { firstBytes: true }), 200, OF_API],
    ];
    for (const [what, answer, status, contentSecurityPolicy] of asked) {
      const { headers, ...rest } = await answer;
      expect(rest.status, what).toBe(status);
      expect(headers, what).toMatchObject({ ...EVERYWHERE, "content-security-policy": contentSecurityPolicy });
      for (const name of NOWHERE) expect(headers, what).not.toHaveProperty(name);
    }
  });

  test("are compressed for those who ask where they are the same for everybody, and nowhere else", async () => {
    const gzip = { "accept-encoding": "gzip" };
    const page = await reach.request("/", { headers: gzip });
    expect(page.text).toContain("<h1>Reach</h1>");
    const [asset] = /\/assets\/page\.\w+\.js/.exec(page.text)!;
    const script = await reach.request(asset, { headers: gzip });
    expect(script.headers["content-encoding"]).toBe("gzip");
    expect(gunzipSync(script.body).toString()).toBe((await reach.request(asset)).text);
    expect((await reach.request(asset)).headers).not.toHaveProperty("content-encoding");
    // What a client chose beside what only the service knows: its compressed length would tell of the latter.
    const body = "echo ".repeat(2_000);
    const echo = await reach.request("/api/echo", { method: "POST", body, headers: gzip });
    for (const answer of [page, echo]) expect(answer.headers).not.toHaveProperty("content-encoding");
    const stream = await reach.request("/sse", { headers: gzip, firstBytes: true });
    expect(stream.headers).toMatchObject({ "content-type": "text/event-stream" });
    expect(stream.headers).not.toHaveProperty("content-encoding");
  });

  test("to bodies over the limit are the edge's, before the backend sees them", async () => {
    const post = (bytes: number) => reach.request("/api/echo", { method: "POST", body: Buffer.alloc(bytes) });
    expect(await post(64 * 1024)).toMatchObject({ status: 200 });
    // Within the edge's limit: this is the backend's own, smaller one.
    // Each time, though the client is still sending when it comes.
    for (let time = 0; time < 20; time++)
      expect(await post(1024 ** 2)).toMatchObject({ status: 413, text: expect.stringContaining('{"error"') as string });
    const refused = { status: 413, text: "Request Entity Too Large\n" };
    expect(await announce(1024 ** 2 + 1)).toMatchObject(refused);
    const headers = { "transfer-encoding": "chunked" };
    const unannounced = { method: "POST", headers, body: Buffer.alloc(1024 ** 2 + 1) };
    expect(await reach.request("/api/echo", unannounced)).toMatchObject({ status: 413 });
  });
});

describe("streams", () => {
  test("arrive as they are sent", async () => {
    const target = { url: `${reach.url}/sse`, address: reach.address, ca: reach.ca };
    const events = await readEvents({ ...target, headers: { "accept-encoding": "gzip" } }, 5);
    const release = container("backend").Config.Hostname;
    expect(events.map(({ data }) => JSON.parse(data) as object)).toMatchObject(
      [1, 2, 3, 4, 5].map((counter) => ({ counter, release })),
    );
    expect(events[0]!.atMs).toBeLessThan(700);
    for (const [index, event] of events.slice(1).entries()) {
      const gapMs = event.atMs - events[index]!.atMs;
      expect(gapMs).toBeGreaterThan(600);
      expect(gapMs).toBeLessThan(1_500);
    }
  });

  test("go on where they stopped", async () => {
    const target = { url: `${reach.url}/sse`, address: reach.address, ca: reach.ca };
    const [event] = await readEvents({ ...target, headers: { "last-event-id": "41" } }, 1);
    expect(event).toMatchObject({ id: "42" });
  });
});

describe("tunnels", () => {
  test("echo through door and edge, several at once", async () => {
    const greetings = await Promise.all(
      Array.from({ length: 8 }, (_, number) => greetTunnel(reach.address, TUNNEL_PORT, `client ${number}`)),
    );
    const release = container("backend").Config.Hostname;
    for (const greeting of greetings) expect(greeting).toMatchObject({ service: "reach-tunnel", release });
    const ids = greetings.map(({ clientId }) => clientId);
    expect(new Set(ids).size).toBe(8);
  });
});

describe("a client's address", () => {
  test("reaches the backend as it is", () => expectOwnAddresses(reach, world));

  test("is not what a header claims", () => expectHeadersNotBelieved(reach, world));

  test("is not what the PROXY protocol says, from outside or from a neighbour", () =>
    expectProxyProtocolNotBelieved(reach, world));
});

describe("isolation", () => {
  interface Sight {
    reached: Record<string, "open" | "refused" | "unreachable" | "no such name">;
    resolved: string | null;
  }
  const SIGHT = `
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
asked = json.loads(sys.argv[1])
def reached(place):
    try:
        socket.create_connection(place, 1.5).close()
        return "open"
    except socket.gaierror:
        return "no such name"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "unreachable"
def resolved(name):
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None
with ThreadPoolExecutor() as pool:
    name = pool.submit(resolved, asked["name"])
    places = pool.map(reached, map(tuple, asked["places"].values()))
    print(json.dumps({"reached": dict(zip(asked["places"], places)), "resolved": name.result()}))
`;
  const LISTEN = `
import socket
server = socket.create_server(("0.0.0.0", 7000))
while True: server.accept()[0].close()
`;

  /** What a neighbour of a service sees from some networks. */
  const look = async (networks: string[], places: Record<string, [string, number]>): Promise<Sight> => {
    const { result, state } = await runProbe<Sight>(reach.engine, {
      like: container("backend"),
      image: container("backend").Image,
      networks: networks.map(network),
      program: SIGHT,
      input: { places, name: "anything.example" },
      dns: world.address,
    });
    if (!result) throw new Error(`the probe ended with ${state.ExitCode}`);
    return result;
  };
  const listenOn = async (suffix: string) => {
    const listener = await startProbe(reach.engine, {
      like: container("backend"),
      image: container("backend").Image,
      networks: [network(suffix)],
      program: LISTEN,
    });
    onTestFinished(() => listener.remove());
    return { name: listener.id.slice(0, 12), address: listener.addresses[network(suffix)]! };
  };
  const addressOf = (name: string, suffix: string) =>
    container(name).NetworkSettings.Networks[network(suffix)]!.IPAddress;

  test("shows a service what it is for, and nothing else", async () => {
    const database = await listenOn("internal");
    const places: Record<string, [string, number]> = {
      "the API through the edge": [EDGE_ALIAS, 8081],
      "the backend": [container("backend").Name.slice(1), 8765],
      "a database": [database.address, 7000],
      "a database by name": [database.name, 7000],
      "the door": [addressOf("edge-door", "door"), 8443],
      "the edge beyond the door": [addressOf("edge", "door"), 8082],
      "the internet": [world.address, 8080],
    };
    // As the backend, as the frontend, and as a database.
    const [all, web, internal] = await Promise.all([
      look(["backend-edge", "internal"], places),
      look(["frontend-edge"], places),
      look(["internal"], places),
    ]);
    expect(all.reached).toEqual({
      "the API through the edge": "open",
      "the backend": "open",
      "a database": "open",
      "a database by name": "open",
      "the door": "unreachable",
      "the edge beyond the door": "unreachable",
      "the internet": "unreachable",
    });
    expect(web.reached).toEqual({
      "the API through the edge": "open",
      "the backend": "no such name",
      "a database": "unreachable",
      "a database by name": "no such name",
      "the door": "unreachable",
      "the edge beyond the door": "unreachable",
      "the internet": "unreachable",
    });
    expect(internal.reached).toEqual({
      "the API through the edge": "no such name",
      "the backend": "open",
      "a database": "open",
      "a database by name": "open",
      "the door": "unreachable",
      "the edge beyond the door": "unreachable",
      "the internet": "unreachable",
    });
  });

  test("closes the internet to internal, name servers and metadata too", async () => {
    const places: Record<string, [string, number]> = {
      "the internet": [world.address, 8080],
      "the cloud's metadata": [world.metadataAddress, 8080],
      "the engine's machine": [world.engineAddress, HTTPS_PORT],
    };
    const [web, internal] = await Promise.all([look(["proxy"], places), look(["internal"], places)]);
    // The same questions have an answer elsewhere.
    expect(web).toEqual({
      reached: { "the internet": "open", "the cloud's metadata": "open", "the engine's machine": "open" },
      resolved: world.address,
    });
    expect(internal).toEqual({
      reached: {
        "the internet": "unreachable",
        "the cloud's metadata": "unreachable",
        "the engine's machine": "unreachable",
      },
      resolved: null,
    });
  });

  test("lets the real services reach what they need", async () => {
    const ask = (url: string) =>
      `import urllib.request; print(urllib.request.urlopen("${url}", timeout=5).read().decode())`;
    // The frontend uses the backend, and not the other way round.
    const page = await execIn("backend", "python", "-c", ask("http://edge-2:8081/services/frontend/health"));
    expect(page).toMatchObject({ code: 1, stderr: expect.stringContaining("HTTP Error 404") as string });
    const script = 'fetch("http://edge-2:8081/services/backend/api/status").then((a) => a.text()).then(console.log)';
    const status = await execIn("frontend", "node", "-e", script);
    expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining('"release"') as string });
  });

  test("leaves nothing on the default bridge, and ports at the door alone", async () => {
    const bridge = await reach.engine.get<{ Containers: object }>("/networks/bridge");
    expect(bridge.Containers).toEqual({});
    const published = [...containers].map(([name, { NetworkSettings, HostConfig }]) => [
      name,
      Object.entries(NetworkSettings.Ports).filter(([, bindings]) => bindings !== null).length,
      Object.keys((HostConfig["PortBindings"] as object | null) ?? {}).length,
    ]);
    expect(published.filter(([, ports, bindings]) => ports || bindings)).toEqual([["edge-door", 2, 2]]);
    const doors = container("edge-door").NetworkSettings.Ports;
    expect(doors["8443/tcp"]).toContainEqual({ HostIp: "0.0.0.0", HostPort: String(HTTPS_PORT) });
    expect(doors["2222/tcp"]).toContainEqual({ HostIp: "0.0.0.0", HostPort: String(TUNNEL_PORT) });
  });
});

describe("posture", () => {
  const MIB = 1024 ** 2;
  interface Expected {
    user: string;
    memoryMb: number;
    cpus: number;
    pids: number;
    graceSeconds: number;
    networks: string[];
    volumes?: Record<string, "read-only" | "writable">;
    sysctls?: Record<string, string>;
    tmpMb?: number;
    exceptions?: string[];
    run?: "always" | "once" | "never";
  }
  const job: Expected = {
    ...{ run: "once", user: "0:0", memoryMb: 32, cpus: 0.5, pids: 32, graceSeconds: 1, networks: ["door"] },
    volumes: { "/routes": "writable" },
    exceptions: ["rootUser"],
  };
  const courier: Expected = {
    ...{ run: "never", user: "", memoryMb: 16, cpus: 0.1, pids: 8, graceSeconds: 30, networks: [] },
    volumes: { "/bulkhead": "writable" },
    exceptions: ["rootUser", "writableRoot"],
  };
  /** Every container that there may be, written down apart from the program. */
  const EXPECTED: Record<string, Expected> = {
    "edge-door": {
      ...{ user: "99:99", memoryMb: 293, cpus: 1, pids: 64, graceSeconds: 5, networks: ["door"] },
      volumes: { "/etc/bulkhead": "read-only" },
    },
    edge: {
      ...{
        user: "65532:65532",
        memoryMb: 512,
        cpus: 1,
        pids: 256,
        graceSeconds: 18,
        networks: ["backend-edge", "door", "frontend-edge", "proxy"],
      },
      exceptions: ["entryPoint"],
      sysctls: { "net.ipv4.tcp_rmem": "4096 16384 32768", "net.ipv4.tcp_wmem": "4096 16384 32768" },
      volumes: { "/plugins-local/src/bulkhead": "read-only", "/routes": "read-only", "/run/secrets": "read-only" },
    },
    backend: {
      ...{ user: "1000:1000", memoryMb: 512, cpus: 1, pids: 128, graceSeconds: 10 },
      networks: ["backend-edge", "internal"],
      volumes: { "/run/secrets": "read-only" },
    },
    frontend: {
      ...{ user: "1000:1000", memoryMb: 256, cpus: 0.5, pids: 64, graceSeconds: 10, networks: ["frontend-edge"] },
    },
    "edge-settings-job": job,
    "backend-route-job": job,
    "frontend-route-job": job,
    "routes-job": { ...job, networks: [] },
    "edge-secrets-courier": courier,
    "edge-door-config-courier": courier,
    "edge-plugin-courier": courier,
    "backend-secrets-courier": courier,
  };

  test("of every container is what was promised, field by field", async () => {
    expect([...containers.keys()].sort()).toEqual(Object.keys(EXPECTED).sort());
    const state = await reach.project.exportState<State>();
    for (const [name, expected] of Object.entries(EXPECTED)) {
      const { Id, Config, HostConfig, Mounts, NetworkSettings, State, RestartCount } = container(name);
      const { run = "always", exceptions = [], tmpMb = 16 } = expected;
      expect(HostConfig, name).toMatchObject({
        CapDrop: ["ALL"],
        CapAdd: null,
        Privileged: false,
        SecurityOpt: ["no-new-privileges:true"],
        ReadonlyRootfs: !exceptions.includes("writableRoot"),
        Tmpfs: { "/tmp": `rw,noexec,nosuid,nodev,size=${tmpMb}m,mode=1777` },
        Memory: expected.memoryMb * MIB,
        MemorySwap: expected.memoryMb * MIB,
        NanoCpus: expected.cpus * 1e9,
        // A courier never starts, so nothing can fork in it.
        PidsLimit: run === "never" ? null : expected.pids,
        Init: true,
        RestartPolicy: { Name: run === "always" ? "always" : "no" },
        LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "3" } },
        IpcMode: "private",
        PidMode: "",
        UTSMode: "",
        UsernsMode: "",
        CgroupnsMode: "host",
        Runtime: "runc",
        OomKillDisable: false,
        OomScoreAdj: 0,
        PublishAllPorts: false,
      });
      const ways = ["Devices", "DeviceRequests", "DeviceCgroupRules", "VolumesFrom", "ExtraHosts", "Links", "GroupAdd"];
      for (const way of ways) expect(HostConfig[way] ?? [], `${name} ${way}`).toEqual([]);
      expect(HostConfig["Sysctls"] ?? {}, name).toEqual(expected.sysctls ?? {});
      // Named volumes of this stack, and never a path of the host.
      const binds = (HostConfig["Binds"] as string[] | null) ?? [];
      for (const bind of binds) expect(bind, name).toMatch(/^reach-whole-[\w-]+:/);
      expect(HostConfig["Mounts"] ?? [], name).toEqual([]);
      expect(Config.User, name).toBe(expected.user);
      expect(Config.Labels, name).toMatchObject({
        "bulkhead.stack": `reach-${STACK}`,
        "bulkhead.name": name,
        "bulkhead.pids": String(expected.pids),
      });
      const given = JSON.parse(Config.Labels["bulkhead.exceptions"] ?? "[]") as Record<string, unknown>[];
      expect(given.flatMap((exception) => Object.keys(exception).filter((key) => key !== "why")).sort(), name).toEqual(
        exceptions,
      );
      for (const { why } of given) expect(why, name).toMatch(/\w+ \w+/);

      const networks = Object.keys(NetworkSettings.Networks).sort();
      expect(networks, name).toEqual(expected.networks.length === 0 ? ["none"] : expected.networks.map(network));
      expect(HostConfig.NetworkMode, name).not.toMatch(/^(host|container:)/);
      const mounts = Mounts.map(({ Type, Destination, RW }) => [Type, Destination, RW ? "writable" : "read-only"]);
      expect(mounts.sort(), name).toEqual(
        Object.entries(expected.volumes ?? {}).map(([path, mode]) => ["volume", path, mode]),
      );
      expect(
        Mounts.every((mount) => /^reach-whole-[\w-]+$/.test(mount.Name!)),
        name,
      ).toBe(true);

      if (run === "never") expect(State.StartedAt, name).toBe("0001-01-01T00:00:00Z");
      else expect(Config.Healthcheck?.Test[0], name).toMatch(/^CMD/);
      if (run === "always") expect(State, name).toMatchObject({ Running: true, Health: { Status: "healthy" } });
      if (run === "once" && !State.Running) expect(State.ExitCode, name).toBe(0);
      expect(RestartCount, name).toBe(0);
      // The time to end is no property of the container: Pulumi gives it when it stops one.
      const inState = state.deployment.resources.find((resource) => resource.id === Id);
      expect(inState?.inputs, name).toMatchObject({ destroyGraceSeconds: expected.graceSeconds });
    }
  });

  test("takes every capability and every way to more", async () => {
    for (const name of SERVICES) {
      const top = await reach.engine.get<{ Processes: string[][] }>(
        `/containers/${container(name).Id}/top?ps_args=-o%20pid`,
      );
      // A health check comes and goes: one that ended since is not looked at.
      const living = top.Processes.map(([pid]) => `/proc/${pid}/status`).filter((path) => existsSync(path));
      expect(living.length, name).toBeGreaterThanOrEqual(2);
      for (const status of living.map((path) => readFileSync(path, "utf8"))) {
        const field = (key: string) => new RegExp(`^${key}:\\s*(\\S+)`, "m").exec(status)?.[1];
        const all = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((key) => [key, field(key)]);
        expect(all, name).toEqual(all.map(([key]) => [key, "0000000000000000"]));
        expect([field("NoNewPrivs"), field("Seccomp")], name).toEqual(["1", "2"]);
        expect(field("Uid"), name).toBe(container(name).Config.User.split(":")[0]);
      }
    }
  });

  test("makes the root read-only, and /tmp a place where nothing runs", async () => {
    for (const name of SERVICES) {
      const { Id } = container(name);
      // Even for root: it is not the owner of the files that says no.
      const write = await docker("exec", "--user", "0:0", Id, "sh", "-c", "touch /intruder");
      expect(write, name).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("Read-only file system") as string,
      });
      const script =
        "printf '#!/bin/sh\\necho ran\\n' > /tmp/x && chmod 755 /tmp/x && /tmp/x; code=$?; rm /tmp/x; exit $code";
      const run = await docker("exec", Id, "sh", "-c", script);
      expect(run, name).toMatchObject({ code: 126, stdout: "" });
      expect(run.stderr, name).toContain("Permission denied");
    }
  });

  test("keeps a fork bomb in its compartment", async () => {
    const forks = "for number in $(seq 80); do sleep 2 & done; wait; echo all";
    const bomb = await execIn("frontend", "sh", "-c", forks);
    expect(bomb.stderr).toMatch(/Cannot fork/);
    expect(await execIn("backend", "sh", "-c", forks)).toMatchObject({ code: 0, stdout: "all\n" });
    expect(await reach.request("/")).toMatchObject({ status: 200 });
  });

  test("kills what takes more memory than it may, and no neighbour", async () => {
    const before = await snapshot(reach.engine, `reach-${STACK}`);
    const take = (megabytes: number) =>
      runProbe<number>(reach.engine, {
        like: container("frontend"),
        image: container("backend").Image,
        networks: [network("internal")],
        program: `
import json, sys
taken = [b"x" * 2**20 for _ in range(json.loads(sys.argv[1]))]
print(len(taken))
`,
        input: megabytes,
      });
    expect(await take(200)).toMatchObject({ result: 200, state: { ExitCode: 0 } });
    // By SIGKILL; Docker's own word for it, OOMKilled, sometimes comes too late to be kept.
    expect(await take(400)).toMatchObject({ result: undefined, state: { ExitCode: 137 } });
    expect(await snapshot(reach.engine, `reach-${STACK}`)).toEqual(before);
  });
});

describe("secrets", () => {
  test("are in their reader's file and nowhere else", async () => {
    const state = await reach.project.exportState<State>({ showSecrets: true });
    const generated = state.deployment.resources.filter(({ type }) => type.endsWith(":RandomPassword"));
    const values = new Map(
      generated.map(({ urn, outputs }) => {
        const { plaintext } = outputs!["result"] as { plaintext: string };
        return [urn.slice(urn.lastIndexOf(":") + 1), JSON.parse(plaintext) as string];
      }),
    );
    const apiKey = values.get("api-key-value")!;
    values.delete("api-key-value");
    expect(apiKey).toMatch(/^[A-Za-z0-9]{64}$/);
    const token = `token${Date.now()}`;
    const keyLines = reach.privateKey.split("\n").filter((line) => line !== "" && !line.startsWith("-----"));

    // Used, so that they had a chance to leak.
    const authorized = { authorization: `Bearer ${apiKey}` };
    expect(await reach.request("/api/clients", { headers: authorized })).toMatchObject({ status: 200 });
    const wrong = { authorization: "Bearer wrong" };
    expect(await reach.request("/api/clients", { headers: wrong })).toMatchObject({ status: 401 });
    expect(await reach.request(`/api/status?token=${token}`)).toMatchObject({ status: 200 });
    expect(await reach.request(`/?token=${token}`)).toMatchObject({ status: 200 });
    await sleep(500);

    watchProcesses();
    const places = await searchable();
    const found = (needle: string) => [...places].filter(([, text]) => text.includes(needle)).map(([place]) => place);
    // What each kind of place must hold shows that it was really read.
    const controls: Record<string, string> = {
      "inspect of containers": `reach-${STACK}`,
      "inspect of volumes": network("routes"),
      "inspect and history of images": "org.opencontainers.image.title",
      processes: "DRAIN_SECONDS=5",
      "output of pulumi": "Resources:",
      "log of edge": "/api/status",
      "log of backend": "/api/status",
      "log of frontend": '"path":"/"',
    };
    for (const [place, control] of Object.entries(controls)) expect(places.get(place), place).toContain(control);
    expect(found("random:index/randomPassword:RandomPassword").join()).toMatch(
      /state .*stacks\/reach\/whole\.json,.*\.bak/,
    );
    expect(found("bulkhead.local/").join()).toMatch(/state .*Pulumi\.whole\.yaml/);

    const volume = (name: string) => container(name).Mounts.find(({ Destination }) => Destination === "/run/secrets")!;
    const apiKeyFile = join(volume("backend").Source, "reach_api_key");
    const privateKeyFile = join(volume("edge").Source, "private_key");
    for (const needle of [apiKey, Buffer.from(apiKey).toString("base64")]) {
      expect(found(needle)).toEqual(needle === apiKey ? [`file ${apiKeyFile}`] : []);
    }
    for (const line of keyLines) expect(found(line)).toEqual([`file ${privateKeyFile}`]);
    // What else was generated has no reader on the host.
    for (const [name, value] of values) expect(found(value), name).toEqual([]);
    expect(found(token)).toEqual([]);

    for (const [file, uid, reader] of [
      [apiKeyFile, 1000, "backend"],
      [privateKeyFile, 65532, "edge"],
    ] as const) {
      const { mode, uid: owner, gid } = statSync(file);
      expect([mode & 0o7777, owner, gid], file).toEqual([0o400, uid, uid]);
      const mounts = [...containers].flatMap(([name, { Mounts }]) =>
        Mounts.filter(({ Name }) => Name === volume(reader).Name).map(({ RW }) => [name, RW]),
      );
      // The courier never runs.
      expect(mounts.sort(), file).toEqual([
        [reader, false],
        [`${reader}-secrets-courier`, true],
      ]);
      const write = await docker("exec", "--user", "0:0", container(reader).Id, "sh", "-c", "touch /run/secrets/new");
      expect(write.stderr).toContain("Read-only file system");
    }
  });

  /** Everything that somebody could read without being the reader, by place. */
  async function searchable(): Promise<Map<string, string>> {
    const { engine } = reach;
    const places = new Map<string, string>();
    const inspects = [...(await reach.containers()).values()];
    places.set("inspect of containers", JSON.stringify(inspects));
    places.set("inspect of networks", JSON.stringify(await engine.get("/networks")));
    const { Volumes: volumes } = await engine.get<{ Volumes: { Name: string; Mountpoint: string }[] }>("/volumes");
    places.set("inspect of volumes", JSON.stringify(volumes));
    const images = await engine.get<{ Id: string }[]>("/images/json?all=1");
    const ofImages = images.flatMap(({ Id }) => [`/images/${Id}/json`, `/images/${Id}/history`]);
    places.set(
      "inspect and history of images",
      JSON.stringify(await Promise.all(ofImages.map((path) => engine.get(path)))),
    );
    for (const [name, { Id }] of containers) {
      const { stdout, stderr } = await logsOf(Id);
      places.set(`log of ${name}`, stdout + stderr);
    }
    places.set("processes", [...processes].join("\n"));
    places.set("output of pulumi", reach.runs.map(({ stdout, stderr }) => stdout + stderr).join("\n"));
    for (const file of filesUnder(reach.project.directory)) places.set(`state ${file}`, readFileSync(file, "latin1"));
    // All volumes, and what containers wrote outside of them.
    const roots = [
      ...volumes.map(({ Mountpoint }) => Mountpoint),
      ...inspects.map((one) => one.GraphDriver.Data.UpperDir),
    ];
    for (const file of roots.flatMap(filesUnder)) places.set(`file ${file}`, readFileSync(file, "latin1"));
    return places;
  }
});

describe("the access log", () => {
  test("is JSON, without health checks", async () => {
    await reach.request("/api/status?seen=1");
    await sleep(500);
    const { stdout, stderr } = await logsOf(container("edge").Id);
    const lines = `${stdout}${stderr}`
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const requests = lines.filter((line) => "RequestPath" in line);
    expect(requests.length).toBeGreaterThan(10);
    const last = requests.filter(({ RequestPath }) => String(RequestPath).startsWith("/api/status")).at(-1);
    expect(last).toMatchObject({ RequestMethod: "GET", DownstreamStatus: 200, entryPointName: "websecure" });
    expect(String(last!["RequestPath"])).not.toContain("seen");
    // The door's check alone is four a second.
    const checks = requests.filter(
      ({ entryPointName }) => entryPointName !== "websecure" && entryPointName !== "services",
    );
    expect(checks).toEqual([]);
    expect(requests.filter(({ RequestPath }) => /^\/(release|candidate)\/reach-/.test(String(RequestPath)))).toEqual(
      [],
    );
  });
});

describe("a browser", () => {
  test("shows the page, the API's answer and the stream under the strict policy", async () => {
    const browser = await startBrowser({ ca: reach.ca, hosts: { [DOMAIN]: reach.address } });
    onTestFinished(() => browser.stop());
    const { page } = browser;
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));

    const response = await page.goto(reach.url);
    expect(response?.headers()["content-security-policy"]).toBe("default-src 'self'; frame-ancestors 'none'");
    expect((await response!.securityDetails())?.protocol).toBe("TLS 1.3");
    await page.waitForSelector('#server-status[data-state="ok"]');
    await page.waitForSelector('#api-status[data-state="ok"]');
    const release = container("backend").Config.Hostname;
    expect(await page.textContent('#server-status [data-field="release"]')).toBe(release);
    expect(await page.textContent('#api-status [data-field="release"]')).toBe(release);
    expect(await page.textContent("#release")).toBe(container("frontend").Config.Hostname);

    const events = page.locator("#stream li");
    await expect.poll(() => events.count(), { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
    const before = await events.first().textContent();
    await expect.poll(() => events.first().textContent(), { timeout: 5_000 }).not.toBe(before);
    await page.screenshot({ path: join(tmpdir(), "bulkhead-reach.png"), fullPage: true });
    expect(complaints).toEqual([]);
  });
});

describe("updates", () => {
  test("change nothing when nothing changed", async () => {
    const before = await snapshot(reach.engine);
    const { stdout, seconds } = await reach.deploy();
    expect(stdout).toMatch(/^Resources:\n {4}\d+ unchanged\n/m);
    expect(await snapshot(reach.engine)).toEqual(before);
    console.log(JSON.stringify({ event: "no change", seconds }));
  });

  test("with a wrong configuration say all that is wrong, and touch nothing", async () => {
    const before = await snapshot(reach.engine);
    onTestFinished(() => reach.configure({}));
    reach.configure({
      "reach:domian": "reach.test",
      "reach:domain": "not a name",
      "reach:edge": { address: "127.0.0.1", httpsPort: 99_999, tcp: { clients: TUNNEL_PORT }, burts: 3 },
      "reach:backend": { memoryMb: 1 },
      "reach:images": { backend: "reach:latest" },
    });
    const { code, stdout, stderr } = await reach.up();
    expect(code).not.toBe(0);
    const printed = stdout + stderr;
    for (const line of [
      "the stack's configuration has 6 problems:",
      "reach:domian: unknown key: did you mean reach:domain?",
      'reach:domain: "not a name" is not a domain name: give the name that the edge serves, like example.com',
      "reach:edge.httpsPort: 99999 is not a whole number from 1 to 65535: give the port of the host on which the edge serves HTTPS",
      "reach:edge.burts: unknown key: did you mean reach:edge.burst?",
      'reach:images.backend: "reach:latest" is not pinned: give name:tag@sha256:<64 hex digits>; `make pin` finds the digest of a tag',
      "reach:backend.memoryMb: 1 is not a whole number from 16 to 1048576: give the memory limit in MiB; there is no swap beyond it",
    ]) {
      expect(printed).toContain(line);
    }
    expect(printed).not.toMatch(/^\s+at .*\.[jt]s:\d+/m);
    expect(await snapshot(reach.engine)).toEqual(before);
  });

  test("with the host away are one clear error", async () => {
    const project = await createTestProject({
      stack: "away",
      config: reach.config,
      env: { DOCKER_HOST: "unix:///nowhere/docker.sock" },
    });
    onTestFinished(() => project.remove());
    const { code, stdout, stderr, seconds } = await project.up();
    expect(code).not.toBe(0);
    // Pulumi tells each error twice: as it happens, and in the end.
    const printed = (stdout + stderr).replace(/^[^]*\nDiagnostics:/, "");
    const complaints = printed.split("\n").filter((line) => line.includes("/nowhere/docker.sock"));
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toMatch(
      /host: unix:\/\/\/nowhere\/docker\.sock: no Docker engine answers there \(ENOENT .*\)$/,
    );
    expect(printed).not.toMatch(/^\s+at .*\.[jt]s:\d+/m);
    expect(seconds).toBeLessThan(30);
  });

  test("leave containers that are looked at each ten seconds", async () => {
    const seconds = 25;
    const execs = await watchExecs();
    await sleep(seconds * 1000);
    const healthChecks = await execs.stop();
    console.log(JSON.stringify({ event: "health checks at rest", seconds, ...Object.fromEntries(healthChecks) }));
    expect([...healthChecks.keys()].sort()).toEqual(["backend", "edge", "edge-door", "frontend"]);
    for (const [name, count] of healthChecks) expect(count, name).toBeLessThanOrEqual(3);
  });

  test("see what was changed by hand, and heal it", async () => {
    const memory = await docker("update", "--memory", "300m", "--memory-swap", "300m", container("edge").Id);
    const pids = await docker("update", "--pids-limit", "-1", container("backend").Id);
    const removed = await docker("rm", "--force", container("frontend").Id);
    expect([memory.code, pids.code, removed.code]).toEqual([0, 0, 0]);
    const lifted = (await reach.containers()).get("backend")!.HostConfig.PidsLimit;
    expect(lifted ?? 0).toBeLessThanOrEqual(0);

    const refresh = await reach.refresh();
    // Pulumi counts what it read anew: the container with another memory limit, and the one that is gone.
    expect(summaryOf(refresh)).toMatchObject({ updated: 1, deleted: 1 });
    expect(refresh.stdout).toMatch(/~ memory\s*: 512 => 300/);

    const execs = await watchExecs();
    const heal = await reach.deploy();
    const healthChecks = await execs.stop();
    console.log(JSON.stringify({ event: "health checks of an update", ...Object.fromEntries(healthChecks) }));
    // Each costs the host almost a tenth of a processor's second: two a second while something starts, and a job ends
    // when it was seen.
    expect(healthChecks.get("frontend-route-job")).toBeLessThan(10);
    expect(healthChecks.get("frontend")).toBeLessThan(20);
    console.log(JSON.stringify({ event: "healed", refreshSeconds: refresh.seconds, upSeconds: heal.seconds }));
    const after = await reach.containers();
    expect([...after.keys()].sort()).toEqual([...containers.keys()].sort());
    expect(after.get("edge")).toMatchObject({
      Id: container("edge").Id,
      HostConfig: { Memory: 512 * 1024 ** 2, MemorySwap: 512 * 1024 ** 2 },
      State: { StartedAt: container("edge").State.StartedAt },
    });
    expect(after.get("backend")).toMatchObject({ Id: container("backend").Id, HostConfig: { PidsLimit: 128 } });
    expect(after.get("frontend")!.Id).not.toBe(container("frontend").Id);
    expect(after.get("frontend")!.State.Health?.Status).toBe("healthy");
    expect((await reach.request("/")).text).toContain(after.get("frontend")!.Config.Hostname);
    // And nothing is left to do.
    expect((await reach.deploy()).stdout).toMatch(/^Resources:\n {4}\d+ unchanged\n/m);
  });
});

interface State {
  deployment: {
    resources: {
      urn: string;
      id?: string;
      type: string;
      inputs?: Record<string, unknown>;
      outputs?: Record<string, unknown>;
    }[];
  };
}

function summaryOf({ stdout }: CommandResult): Record<string, number> {
  const lines = /^Resources:\n((?: {4}.*\n)+)/m.exec(stdout)?.[1] ?? "";
  const counts = [...lines.matchAll(/(\d+) ([a-z]+)/g)].map(([, count, word]) => [word!, Number(count)] as const);
  return Object.fromEntries(counts);
}

/** All that comes back until the other side hangs up, or for three seconds. */
function exchange(socket: Socket, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    socket.setEncoding("utf8").on("data", (text: string) => (received += text));
    socket.setTimeout(3_000, () => socket.destroy());
    socket.on("error", reject);
    socket.on("close", () => resolve(received));
    socket.write(sent);
  });
}

function watchProcesses(): void {
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    for (const file of ["environ", "cmdline"]) {
      try {
        processes.add(readFileSync(`/proc/${pid}/${file}`, "utf8").replaceAll("\0", "\n"));
      } catch {
        // It ended meanwhile.
      }
    }
  }
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
