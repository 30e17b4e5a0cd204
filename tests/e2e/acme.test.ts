// Certificates by the real ACME protocol: Traefik asks Pebble, and proves who it is by records in an emulated zone, with
// the token that was made for it.
import { cpSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { servedCertificate } from "../../cli/doctor/served-certificate.ts";
import { dataImages } from "../../components/data/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { requirePrograms } from "../../toolchain/debian.ts";
import { prepareCertifiedReach, servedFor } from "../support/certified-reach.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { startDnsServer, type DnsServer } from "../support/cloudflare/dns-server.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startLoad } from "../support/load.ts";
import { SOAK } from "../support/soak.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { startPebble, type Pebble } from "../support/pebble.ts";
import { removeStack, type Reach } from "../support/reach.ts";
import { docker } from "../support/stack-inside.ts";
import { startVaultStorage } from "../support/vault-storage.ts";

const DOMAIN = "reach.example.com";
/** Traefik renews what is valid for less than a day when 20 minutes of it are left, and looks each minute. */
const VALIDITY_SECONDS = 20 * 60 + 60;

const copy = new RepositoryCopy();
let world: OutsideWorld;
let emulator: CloudflareEmulator;
let dns: DnsServer;
let pebble: Pebble;
let reach: Reach;
let acme: object;
let token: string;

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  world = await startOutsideWorld();
  const address = world.engineAddress;
  emulator = await CloudflareEmulator.start(address);
  emulator.zones.add("example.com");
  dns = await startDnsServer(emulator.zones, address);
  pebble = await startPebble({ address, dnsServer: `${address}:53`, validitySeconds: VALIDITY_SECONDS });
  ({ reach, acme } = await prepareCertifiedReach(pebble, {
    ...{ stack: "acme", domain: DOMAIN, httpsPort: 8443, tcpPort: 2222, program: copy.directory },
    config: {
      "reach:cloudflare": {
        ...{ accountId: emulator.account.id, zone: "example.com", addresses: ["203.0.113.10"] },
        ...{ apiUrl: emulator.baseUrl, onlyThroughCloudflare: false },
      },
    },
    env,
  }));
  const permissions = [...BOOTSTRAP, "Account API Tokens Write"];
  token = emulator.addToken({ name: "bootstrap", permissions }).value;
});

async function configure(edge: object = {}): Promise<void> {
  reach.configure({
    "reach:edge": { ...(reach.config["reach:edge"] as object), ...edge },
    "reach:certificates": { ...acme, resolvers: [`${world.engineAddress}:53`] },
  });
  await reach.project.setSecret("cloudflareApiToken", token);
}

async function deploy(edge: object = {}): Promise<void> {
  await configure(edge);
  await reach.deploy();
}

/** As a user does it, on a machine that trusts the CA. */
async function makeUp(): Promise<CommandResult> {
  cpSync(reach.project.configFile, join(copy.directory, "Pulumi.acme.yaml"));
  const ca = join(copy.directory, "ca.pem");
  writeFileSync(ca, reach.ca);
  const env = { ...reach.project.env, NODE_EXTRA_CA_CERTS: ca, STACK: "acme", YES: "1" };
  const up = await copy.make("up", { env });
  reach.runs.push(up);
  return up;
}

afterAll(async () => {
  await reach?.stop();
  await pebble?.stop();
  await dns?.close();
  await emulator?.close();
  await world?.stop();
  copy.remove();
});

const served = (name: string) => servedFor(reach, name);

test("a CA that is away at first keeps nothing from starting: the edge shows a certificate of its own", async () => {
  await pebble.goAway();
  await deploy();
  expect(await served(DOMAIN)).toMatchObject({ trusted: false, subject: { CN: "TRAEFIK DEFAULT CERT" } });
  expect(await servedCertificate(reach.engine, "reach-acme")).toBe("none yet");
});

test("when the CA is back, the next update that changes a route gets the certificate, and `bulkhead up` waits for it", async () => {
  await pebble.comeBack();
  await configure({ maxBodyMb: 11 });
  // The CA is not asked before the record of its challenge has got around.
  dns.hide("TXT");
  const running = makeUp();
  const release = "/volumes/reach-acme-release-1";
  const recorded = () => reach.engine.find(release);
  onTestFinished(() => reach.engine.delete(release));
  await expect.poll(recorded, { timeout: 240_000, interval: 200 }).toBeDefined();
  // The update is over, and it looks from outside: for longer than any service of another stack may take.
  await delay(11_000);
  expect(await served(DOMAIN)).toMatchObject({ trusted: false });
  dns.hide();
  const up = await running;
  expect(up, up.stderr).toMatchObject({ code: 0 });
  expect(up.stdout).toMatch(/^frontend +\S+ +healthy +200 +\S+$/m);
  expect(await served(DOMAIN)).toMatchObject({ trusted: true });
});

test("the edge gets one certificate for the domain and for all below it, from the CA that it was told", async () => {
  const certificate = await served(DOMAIN);
  expect(certificate.subjectaltname?.split(", ").sort()).toEqual([`DNS:*.${DOMAIN}`, `DNS:${DOMAIN}`]);
  expect(await served(`anything.${DOMAIN}`)).toMatchObject({ serialNumber: certificate.serialNumber, trusted: true });
  expect(await reach.request("/api/status")).toMatchObject({ status: 200 });
  expect(await servedCertificate(reach.engine, "reach-acme")).toMatchObject({
    ...{ kind: "acme", names: [DOMAIN, `*.${DOMAIN}`], until: new Date(certificate.valid_to) },
  });
});

test("the records of the challenge are gone, and were made with the edge's own token", () => {
  const [zone] = emulator.zones.all.values();
  expect([...zone!.records.values()].filter(({ type }) => type === "TXT")).toEqual([]);
  expect(emulator.count("POST", "dns_records")).toBeGreaterThanOrEqual(2);
});

test("account and key are in a volume of their own, which nobody else can read", async () => {
  const volume = await reach.engine.get<{ Mountpoint: string }>("/volumes/reach-acme-acme");
  const file = join(volume.Mountpoint, "acme.json");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, "utf8")).toContain(DOMAIN);
});

test.runIf(SOAK)(
  "while the CA is away, the certificate that is there serves; when it is back, it is renewed without a lost request",
  async () => {
    // Who waits for it comes later.
    testssl().catch(() => undefined);
    const before = await served(DOMAIN);
    const { container } = (await reach.outputs()).services.edge;
    await pebble.goAway();
    const load = startLoad({
      ...{ url: `${reach.url}/api/status`, address: "127.0.0.1", ca: reach.ca, seconds: 600 },
      ...{ connections: 4, requestsPerSecond: 40 },
    });
    try {
      // Past the minute in which it would have been renewed.
      await new Promise((resolve) => setTimeout(resolve, 75_000));
      expect(await served(DOMAIN)).toMatchObject({ serialNumber: before.serialNumber, trusted: true });
      await pebble.comeBack();
      await expect
        .poll(async () => (await served(DOMAIN)).serialNumber, { timeout: 150_000, interval: 1000 })
        .not.toBe(before.serialNumber);
      expect(await served(DOMAIN)).toMatchObject({ trusted: true });
      await load.advance(2);
    } finally {
      const { requests, failed, failures } = await load.stop();
      console.log(JSON.stringify({ acme: "renewed", requests, failed }));
      expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    }
    // The same edge all the time.
    expect((await reach.outputs()).services.edge.container).toBe(container);
  },
);

test.runIf(SOAK)(
  "a new host has its certificates out of the vault, as they were, while the CA is away",
  async () => {
    const { rclone, restic } = dataImages;
    const images = { rclone, restic, ...(await provideImages(reach.engine, { rclone, restic })) };
    const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
    const storage = await startVaultStorage(stdout.trim());
    onTestFinished(() => storage.stop());
    const program = `import { Vault, VolumeBackup } from "bulkhead";
const vault = new Vault("vault", {
  ...{ host, image: "${images.rclone}", resticImage: "${images.restic}", endpoint: "${storage.endpoint}" },
  ...{ bucket: "${storage.bucket}", key: "${"k".repeat(40)}", accessKeyId: "AKIDEXAMPLE", secretAccessKey: "${"s".repeat(40)}" },
});
if (edge.certificates) new VolumeBackup("certificates-backup", { volume: edge.certificates, vault });
`;
    onTestFinished(copy.edit("index.ts", "\nexport const { url,", `\n${program}\nexport const { url,`));
    await deploy();
    await expect.poll(async () => (await served(DOMAIN)).trusted, { timeout: 120_000, interval: 500 }).toBe(true);
    const before = await served(DOMAIN);
    for (const verb of ["backup", "drill"]) {
      const made = await command(verb, "edge-certificates");
      expect(made, made.stdout + made.stderr).toMatchObject({ code: 0 });
    }
    for (const name of await storage.list())
      expect((await storage.read(name)).includes("PRIVATE KEY"), name).toBe(false);

    await reach.destroy();
    await removeStack(reach.engine, "reach-acme");
    await pebble.goAway();
    onTestFinished(() => pebble.comeBack());
    const to = { id: "n1", to: "latest", serve: true };
    await configure();
    reach.project.setConfig({ ...configOf(), "reach:restore": { "edge-certificates": to } });
    await reach.deploy();
    expect(await served(DOMAIN)).toMatchObject({ serialNumber: before.serialNumber, trusted: true });
    expect(await reach.request("/api/status")).toMatchObject({ status: 200 });
    // What serves now is what is backed up.
    const again = await command("backup", "edge-certificates");
    expect(again, again.stdout + again.stderr).toMatchObject({ code: 0 });
  },
  600_000,
);

/** With the secrets that the project was given. */
const configOf = () => (parse(readFileSync(reach.project.configFile, "utf8")) as { config: object }).config;

/** The command, where a stack file of this project is. */
function command(verb: string, ...args: string[]): Promise<CommandResult> {
  const main = join(copy.directory, "cli/main.ts");
  return runCommand(process.execPath, [main, verb, ...args, "--stack", "acme"], { cwd: reach.project.directory });
}

test("testssl.sh finds nothing worse than LOW in the edge's TLS", async () => {
  const findings = await testssl();
  const found = (id: string) => findings.find((finding) => finding.id === id)?.finding;
  expect([found("TLS1_1"), found("TLS1_2"), found("TLS1_3")]).toEqual([
    "not offered",
    "offered",
    expect.stringContaining("offered with final"),
  ]);
  const bad = findings.filter(({ severity }) => ["MEDIUM", "HIGH", "CRITICAL"].includes(severity));
  console.log(JSON.stringify({ testssl: findings.length, bad }));
  expect(bad.filter(({ id }) => !OF_PEBBLE.includes(id))).toEqual([]);
});

/** Pebble's certificates are valid for minutes, and no list tells which are revoked. */
const OF_PEBBLE = ["cert_expirationStatus", "cert_notAfter", "cert_revocation", "cert_extlifeSpan"];

interface Finding {
  id: string;
  severity: string;
  finding: string;
}
let inspection: Promise<Finding[]> | undefined;

/** All of it takes two minutes: it looks at the edge while another test waits for the certificate. */
function testssl(): Promise<Finding[]> {
  return (inspection ??= (async () => {
    await requirePrograms("the test of the edge's TLS", { testssl: "testssl.sh" });
    const root = join(reach.project.directory, "pebble-root.pem");
    const file = join(reach.project.directory, "testssl.json");
    writeFileSync(root, reach.ca);
    const where = ["--ip", "127.0.0.1", `${DOMAIN}:${reach.httpsPort}`];
    const what = SOAK ? [] : ["--protocols", "--std", "--server-defaults"];
    const how = ["--quiet", "--warnings", "batch", "--color", "0", "--add-ca", root, "--jsonfile", file];
    const args = [...how, ...what, ...where];
    await runCommand("testssl", args, { timeoutMs: 400_000 });
    return JSON.parse(readFileSync(file, "utf8")) as Finding[];
  })());
}

test("no token stands in a container's settings, or in what was printed", async () => {
  const containers = JSON.stringify([...(await reach.containers()).values()]);
  const printed = reach.runs.map(({ stdout, stderr }) => stdout + stderr).join("\n");
  for (const { value } of emulator.access.tokens.values()) {
    expect(containers).not.toContain(value);
    expect(printed).not.toContain(value);
  }
});
