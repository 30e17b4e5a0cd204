// A host without an open port: clients come through a tunnel that cloudflared itself opens, to a stand-in of Cloudflare's
// edge that speaks its protocol.
import { once } from "node:events";
import { cpSync, readFileSync, statSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { images } from "../support/images.ts";
import { EDGE_ALIAS } from "../../components/edge/edge-container.ts";
import { provideImages } from "../../toolchain/images.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { makeCertificates } from "../support/certificates.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { startCloudflareEdge, type CloudflareEdge } from "../support/cloudflare/edge.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import type { Zone } from "../support/cloudflare/zones.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { nameLeadsTo } from "../support/hosts-file.ts";
import { imageVariants } from "../support/image-variants.ts";
import { startLoad } from "../support/load.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { logsOf, runProbe } from "../support/probe.ts";
import { prepareReach, type Reach } from "../support/reach.ts";

const DOMAIN = "reach.example.com";
const LIMIT = { requestsPerSecond: 20, burst: 40 };

let world: OutsideWorld;
let emulator: CloudflareEmulator;
let zone: Zone;
let edge: CloudflareEdge;
let reach: Reach;
let cloudflared: string;
let token: string;
const variants = imageVariants();

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  world = await startOutsideWorld();
  emulator = await CloudflareEmulator.start();
  zone = emulator.zones.add("example.com");
  edge = await startCloudflareEdge(emulator, zone, world.engineAddress);
  reach = await prepareReach({
    ...{ stack: "tunnel", domain: DOMAIN, httpsPort: 8443, tcpPort: 2222 },
    config: { "reach:cloudflare": { ...account(), addresses: ["203.0.113.10"], onlyThroughCloudflare: false } },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  const provided = await provideImages(reach.engine, { cloudflared: images.cloudflared });
  cloudflared = await variants.of(provided.cloudflared ?? images.cloudflared, ...edge.connectorLines);
  const permissions = [...BOOTSTRAP, "Cloudflare Tunnel Write"];
  token = emulator.addToken({ name: "bootstrap", permissions }).value;
  await configureTunnel();
  await reach.deploy();
});

afterAll(async () => {
  await reach?.stop();
  await variants.remove();
  await edge?.stop();
  await emulator?.close();
  await world?.stop();
});

const account = () => ({ accountId: emulator.account.id, zone: "example.com" });
const recordsThere = () =>
  [...zone.records.values()].map(({ name, type, content, proxied }) => [name, type, content, proxied]);
const tunnelThere = () => {
  const [tunnel, ...others] = emulator.tunnels.all.values();
  expect(others).toEqual([]);
  return tunnel!;
};

/** The stack with a tunnel in place of its ports. */
async function configureTunnel(connector = cloudflared): Promise<void> {
  reach.configure({
    "reach:cloudflare": { ...account(), tunnel: true },
    // An edge that is replaced is waited for as long.
    "reach:edge": { ...LIMIT, keepAliveSeconds: 4 },
    "reach:images": { ...(reach.config["reach:images"] as object), cloudflared: connector },
  });
  await reach.project.setSecret("cloudflareApiToken", token);
}

async function portAnswers(port: number): Promise<boolean> {
  const socket = connect(port, reach.address);
  return new Promise((resolve) => {
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
  }).then((answers) => {
    socket.destroy();
    return answers as boolean;
  });
}

test("the name leads to the tunnel, and the tunnel to the services", async () => {
  await expectServed();
  expect((await reach.outputs()).url).toBe(`https://${DOMAIN}`);
});

async function expectServed(): Promise<void> {
  expect(recordsThere()).toEqual([[DOMAIN, "CNAME", `${tunnelThere().id}.cfargotunnel.com`, true]]);
  for (const path of ["/", "/api/status"]) expect(await edge.request(DOMAIN, path)).toMatchObject({ status: 200 });
}

test("no port of the host is open", async () => {
  for (const [name, { NetworkSettings, HostConfig }] of await reach.containers()) {
    expect(
      Object.values(NetworkSettings.Ports ?? {})
        .flat()
        .filter(Boolean),
      name,
    ).toEqual([]);
    expect(Object.keys((HostConfig["PortBindings"] as object | null) ?? {}), name).toEqual([]);
  }
  for (const port of [reach.httpsPort, reach.tcpPort, 443]) expect(await portAnswers(port)).toBe(false);
});

test("a second update changes nothing", async () => {
  expect((await reach.deploy()).stdout).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
});

test("`bulkhead audit` finds nothing on it, and what somebody changed of the tunnel, and shows no token", async () => {
  const copy = new RepositoryCopy();
  onTestFinished(() => copy.remove());
  cpSync(reach.project.configFile, join(copy.directory, "Pulumi.tunnel.yaml"));
  const audit = () => copy.make("audit", { env: { ...reach.project.env, STACK: "tunnel" } });
  expect(await audit()).toMatchObject({
    ...{ code: 0, stdout: "The host and what is at Cloudflare are as the stack promises.\n" },
  });
  const before = structuredClone(tunnelThere().config);
  onTestFinished(() => void (tunnelThere().config = before));
  const [rule] = (tunnelThere().config.config as { ingress: { service: string }[] }).ingress;
  rule!.service = "http://backend:8765";
  const { code, stdout, stderr } = await audit();
  expect(code).toBe(2);
  expect(stdout).toMatch(/^tunnel-config +ingress 1: service +https:\/\/door:8443 +http:\/\/backend:8765$/m);
  for (const needle of [token, emulator.tunnels.token(tunnelThere())]) expect(stdout + stderr).not.toContain(needle);
});

test("`bulkhead doctor` asks by the name alone, and says when nothing answers behind it", async () => {
  const copy = new RepositoryCopy();
  onTestFinished(() => copy.remove());
  cpSync(reach.project.configFile, join(copy.directory, "Pulumi.tunnel.yaml"));
  const { ca, certificate, privateKey } = await makeCertificates(DOMAIN);
  const file = join(copy.directory, "ca.pem");
  writeFileSync(file, ca);
  // Cloudflare's side, with a certificate for the name.
  let isUp = true;
  const server = https.createServer({ cert: certificate, key: privateKey }, (request, response) => {
    if (!isUp) return void response.writeHead(530).end("error code: 1033");
    void edge.request(DOMAIN, request.url!).then(({ status, text }) => response.writeHead(status).end(text));
  });
  await once(server.listen(443, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  onTestFinished(await nameLeadsTo(DOMAIN, "127.0.0.1"));
  const env = { ...reach.project.env, CLOUDFLARE_BASE_URL: undefined, NODE_EXTRA_CA_CERTS: file, STACK: "tunnel" };
  const well = (await copy.make("doctor", { env })).stdout;
  expect(well).toMatch(/^frontend +https:\/\/reach\.example\.com\/health \(by the name\) +200$/m);
  expect(well).not.toMatch(/^door /m);
  isUp = false;
  const { stdout } = await copy.make("doctor", { env });
  expect(stdout).toContain("frontend: https://reach.example.com/health (by the name): 530: nothing answers behind it");
});

test("the connector checks the edge's certificate: its name, and who made it", async () => {
  const { config } = tunnelThere();
  const right = config.config as { ingress: { originRequest?: object }[] };
  const request = async (changes: object) => {
    const [first, ...rest] = right.ingress;
    const ingress = [{ ...first, originRequest: { ...first!.originRequest, ...changes } }, ...rest];
    tunnelThere().config = { ...config, version: tunnelThere().config.version + 1, config: { ingress } };
    return (await edge.request(DOMAIN, "/api/status", { from: "127.0.0.9" })).status;
  };
  expect(await request({ originServerName: "other.example.com" })).toBe(502);
  expect(await request({ caPool: undefined })).toBe(502);
  expect(await request({})).toBe(200);
});

test("each client is counted by itself, whatever it says of itself", async () => {
  const ask = async (count: number, from: string) => {
    const answers = Array.from({ length: count }, (_, index) =>
      edge.request(DOMAIN, "/api/status", {
        from,
        headers: { "x-forwarded-for": `192.0.2.${index}`, "cf-connecting-ip": `192.0.2.${index}` },
      }),
    );
    return (await Promise.all(answers)).map(({ status }) => status);
  };
  const { burst } = LIMIT;
  const answers = await ask(6 * burst, "127.0.0.20");
  expect(answers.filter((status) => status === 200).length).toBeGreaterThanOrEqual(burst);
  expect(answers.filter((status) => status === 429).length).toBeGreaterThanOrEqual(burst);
  expect(new Set(await ask(burst, "127.0.0.21"))).toEqual(new Set([200]));
  const { stdout } = await logsOf((await reach.containers()).get("edge")!.Id);
  // Where the log says who it was.
  expect(stdout.includes('"request_Cf-Connecting-Ip":"127.0.0.21"')).toBe(true);
  expect(stdout.includes('"request_Cf-Connecting-Ip":"192.0.2.')).toBe(false);
});

test("of a neighbour on another network it is not believed whose requests they are, nor does the door take them", async () => {
  const containers = await reach.containers();
  const backend = containers.get("backend")!;
  const door = containers.get("edge-door")!.NetworkSettings.Networks["reach-tunnel-door"]!.IPAddress;
  const { result } = await runProbe<{ edge: number[]; door: string }>(reach.engine, {
    like: backend,
    image: backend.Image,
    networks: ["reach-tunnel-proxy", "reach-tunnel-door"],
    input: { host: DOMAIN, door, count: 4 * LIMIT.burst },
    program: `
import http.client, json, socket, ssl, sys
asked = json.loads(sys.argv[1])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def connected(address):
  connection = http.client.HTTPConnection(asked["host"])
  connection.sock = context.wrap_socket(socket.create_connection((address, 8443), 5), server_hostname=asked["host"])
  return connection
def ask(connection, client):
  connection.request("GET", "/api/status", headers={"X-Forwarded-For": client, "Cf-Connecting-Ip": client})
  answer = connection.getresponse()
  answer.read()
  return answer.status
try:
  through = str(ask(connected(asked["door"]), "192.0.2.1"))
except (ConnectionError, ssl.SSLError):
  through = "refused"
edge, statuses = None, []
for index in range(asked["count"]):
  # The edge ends a connection after keepAliveSeconds.
  if edge is None or edge.sock is None:
    edge = connected("${EDGE_ALIAS}")
  statuses.append(ask(edge, f"192.0.2.{index}"))
print(json.dumps({"edge": statuses, "door": through}))
`,
  });
  expect(result?.door).toBe("refused");
  // So many clients would not come to the limit; one does.
  expect(result!.edge).toHaveLength(4 * LIMIT.burst);
  expect(result!.edge.filter((status) => status === 429).length).toBeGreaterThan(0);
});

async function tokenFile(): Promise<string> {
  const { Mounts } = (await reach.containers()).get("tunnel")!;
  return join(Mounts.find(({ Destination }) => Destination === "/run/secrets")!.Source, "tunnel_token");
}

test("the token is its reader's file and nowhere else", async () => {
  const containers = await reach.containers();
  const file = await tokenFile();
  const { mode, uid, gid } = statSync(file);
  expect([mode & 0o7777, uid, gid]).toEqual([0o400, 65532, 65532]);
  expect(containers.get("tunnel")!.Config.User).toBe("65532:65532");
  const { secret } = tunnelThere();
  const value = emulator.tunnels.token(tunnelThere());
  expect(readFileSync(file, "utf8")).toBe(value);

  const logs = await Promise.all([...containers.values()].map(({ Id }) => logsOf(Id)));
  const places: Record<string, string> = {
    inspect: JSON.stringify([...containers.values()]),
    logs: logs.map(({ stdout, stderr }) => stdout + stderr).join("\n"),
    state: JSON.stringify(await reach.project.exportState()),
    printed: reach.runs.map(({ stdout, stderr }) => stdout + stderr).join("\n"),
  };
  expect(places["inspect"]).toContain("TUNNEL_TOKEN_FILE=/run/secrets/tunnel_token");
  expect(places["logs"]).toContain("Registered tunnel connection");
  for (const [place, text] of Object.entries(places))
    for (const needle of [secret, value]) expect(text.includes(needle), place).toBe(false);
});

test("a token made anew in the dashboard, and another image, come with the next update and lose no request", async () => {
  const before = (await reach.containers()).get("tunnel")!.Id;
  const url = `http://${DOMAIN}:${edge.clientsPort}/api/status`;
  const load = startLoad({ url, address: "127.0.0.1", connections: 4, seconds: 900, requestsPerSecond: 20 });
  await load.advance(5);
  tunnelThere().secret = Buffer.from("another secret of thirty-two bytes").toString("base64");
  await configureTunnel(await variants.of(cloudflared, "LABEL release=2"));
  await reach.deploy();
  await load.advance(5);
  const { failures, requests } = await load.stop();
  expect(failures, `of ${requests}`).toEqual([]);
  const { Id } = (await reach.containers()).get("tunnel")!;
  expect(Id).not.toBe(before);
  expect((await reach.containerNames()).filter((name) => name === "tunnel")).toHaveLength(1);
  expect(readFileSync(await tokenFile(), "utf8")).toBe(emulator.tunnels.token(tunnelThere()));
});

test("back to open ports: the preview says what it costs, and nothing of the tunnel is left", async () => {
  reach.configure({});
  await reach.project.setSecret("cloudflareApiToken", token);
  const preview = await reach.project.preview();
  expect(preview.stdout + preview.stderr).toContain("edge-door is replaced: port 2222 and 8443 are closed for some");
  await reach.deploy();
  expect(await reach.request("/api/status")).toMatchObject({ status: 200 });
  expect(recordsThere()).toEqual([[DOMAIN, "A", "203.0.113.10", true]]);
  expect(emulator.tunnels.all.size).toBe(0);
  expect(await reach.containerNames()).not.toContain("tunnel");
});

test("open ports become a tunnel, and destroying the stack leaves nothing of it", async () => {
  await configureTunnel();
  await reach.deploy();
  await expectServed();
  expect(await portAnswers(reach.httpsPort)).toBe(false);
  await reach.destroy();
  expect(emulator.tunnels.all.size).toBe(0);
  expect(recordsThere()).toEqual([]);
});
