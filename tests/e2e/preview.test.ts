// What a preview says will happen, in words, and whether it then does, with clients that ask all the time. What is said of
// each change is in tests/e2e/explained/, a page for each. `make test` lets every kind of outcome come true, and what does
// not touch each other at once; `make soak` every change by itself.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { unacknowledged } from "../../cli/preview/data.ts";
import { forecastOf, type Forecast } from "../../cli/preview/forecast.ts";
import { markdown } from "../../cli/preview/report.ts";
import { images as pinned } from "../support/images.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { makeCertificates } from "../support/certificates.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { imageVariants } from "../support/image-variants.ts";
import { loadDuring } from "../support/load.ts";
import { prepareReach, snapshot, type ContainerInspect, type Reach } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const DOMAIN = "reach.example.com";

const program = new RepositoryCopy();
const variants = imageVariants();
let emulator: CloudflareEmulator;
let reach: Reach;
/** What the stack file says now. */
let config: Record<string, unknown> = {};
/** What it said at the last update, and what undoes the edits of the program since then. */
let deployed = config;
let undo: (() => void)[] = [];

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  emulator = await CloudflareEmulator.start();
  emulator.zones.add("example.com");
  const token = emulator.addToken({
    name: "bootstrap",
    permissions: [...BOOTSTRAP, "Workers R2 Storage Write", "Account API Tokens Write"],
  }).value;
  reach = await prepareReach({
    ...{ stack: "explained", domain: DOMAIN, httpsPort: 8443, tcpPort: 2222, program: program.directory },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  await reach.project.setSecret("cloudflareApiToken", token);
  const { "reach:cloudflareApiToken": encrypted } = (
    parse(readFileSync(reach.project.configFile, "utf8")) as { config: Record<string, unknown> }
  ).config;
  configure({ "reach:cloudflareApiToken": encrypted, "reach:cloudflare": cloudflare() });
});

afterAll(async () => {
  await reach?.project.unprotect();
  await reach?.stop();
  await variants.remove();
  program.remove();
  await emulator?.close();
});

const cloudflare = (more: object = {}) => ({
  ...{ accountId: emulator.account.id, zone: "example.com", addresses: ["203.0.113.10"] },
  onlyThroughCloudflare: false,
  ...more,
});

function configure(changes: Record<string, unknown>): void {
  config = { ...config, ...changes };
  reach.configure(config);
}

/** The same for every machine and run, and whatever release of an image is pinned. */
function page(forecast: Forecast): string {
  const report = { ...forecast, stack: "explained", capacity: { memoryMb: 4096, cpus: 4 } };
  const text = markdown({ ...report, unacknowledged: unacknowledged(forecast.dataAtRisk, "") });
  const releases = Object.values(pinned).map((reference) => reference.replace(/@.*/, ""));
  return releases
    .reduce((seen, release) => seen.replaceAll(release, release.replace(/:.*/, ":TAG")), text)
    .replaceAll(/(bulkhead\.local\/[a-z]+):[0-9a-f]{16}/g, "$1:KEY")
    .replaceAll(/\b[0-9a-f]{12}\b/g, "ID")
    .replaceAll(program.directory, "PROGRAM")
    .replaceAll(emulator.account.id, "ACCOUNT");
}

/** What is said of a change that is taken back. */
async function said(name: string): Promise<Forecast> {
  const forecast = await explained(name);
  takeBack();
  return forecast;
}

/** What is said of a change that is taken back; in `make soak` it comes true before. */
async function comesTrueInSoak(name: string): Promise<Forecast> {
  if (!SOAK) return said(name);
  const [before, edits] = [deployed, undo];
  const forecast = await comesTrue(name);
  [deployed, undo] = [before, edits];
  takeBack();
  await reach.deploy();
  return forecast;
}

function takeBack(): void {
  for (const undoOne of undo.reverse()) undoOne();
  undo = [];
  config = deployed;
  reach.configure(config);
}

/** What is said of a change. */
async function explained(name: string): Promise<Forecast> {
  const forecast = forecastOf(await reach.project.explainedPreview());
  await expect(page(forecast)).toMatchFileSnapshot(`explained/${name}.md`);
  return forecast;
}

/** What is said of a change, and then happens, with clients that ask for each service. */
async function comesTrue(name: string): Promise<Forecast> {
  const forecast = await explained(name);
  const before = await running();
  emulator.requests.length = 0;
  const asked = (path: string) => ({
    ...{ url: `${reach.url}${path}`, address: "127.0.0.1", ca: reach.ca },
    ...{ connections: 4, requestsPerSecond: 50, seconds: 240, timeoutMs: 5_000 },
  });
  const { loads } = await loadDuring({ backend: asked("/api/status"), frontend: asked("/health") }, () =>
    reach.deploy(),
  );
  [deployed, undo] = [config, []];
  await isAsSaid(forecast, before);
  for (const [service, { requests, failed, longestSilenceSeconds }] of Object.entries(loads)) {
    const [gap] = forecast.services
      .filter((each) => [service, "edge", "edge-door"].includes(each.name))
      .map(({ downtimeSeconds: downtimeSeconds }) => downtimeSeconds ?? Infinity)
      .sort((a, b) => b - a);
    console.log(JSON.stringify({ change: name, service, said: gap, requests, failed, longestSilenceSeconds }));
    if (gap === 0) expect(failed, name).toBe(0);
    else expect(failed, name).toBeGreaterThan(0);
  }
  return forecast;
}

async function running(): Promise<Map<string, ContainerInspect>> {
  const all = [...(await reach.containers())];
  return new Map(
    all.filter(([, { HostConfig }]) => (HostConfig["RestartPolicy"] as { Name: string }).Name === "always"),
  );
}

async function isAsSaid({ services, limits, cloudflare, secrets }: Forecast, before: Map<string, ContainerInspect>) {
  const after = await running();
  const lives = (containers: Map<string, ContainerInspect>, name: string) =>
    containers.has(name) && `${containers.get(name)!.Id} since ${containers.get(name)!.State.StartedAt}`;
  for (const { name, what } of services) {
    const [was, is] = [lives(before, name), lives(after, name)];
    if (["same", "updated", "rerouted"].includes(what)) expect(is, `${name} ${what}`).toBe(was);
    if (["rolled", "restarted"].includes(what)) expect([was, is], `${name} ${what}`).not.toContain(false);
    if (["rolled", "restarted"].includes(what)) expect(is, `${name} ${what}`).not.toBe(was);
    if (what === "created") expect([was, typeof is], `${name} ${what}`).toEqual([false, "string"]);
    if (what === "removed") expect([typeof was, is], `${name} ${what}`).toEqual(["string", false]);
  }
  const stay = services.filter(({ what }) => what !== "removed").map(({ name }) => name);
  expect([...after.keys()].sort()).toEqual(stay.sort());
  const used = [...after.values()].map(({ HostConfig }) => HostConfig);
  expect(limits.memoryMb.after).toBe(used.reduce((sum, { Memory }) => sum + Memory / 2 ** 20, 0));
  expect(limits.cpus.after).toBeCloseTo(used.reduce((sum, { NanoCpus }) => sum + Number(NanoCpus) / 1e9, 0));
  const writes = emulator.requests.filter(({ method }) => method !== "GET");
  expect(writes.length > 0).toBe(
    cloudflare.length + secrets.filter(({ what }) => what.includes("Cloudflare")).length > 0,
  );
}

const whatOf = ({ services }: Forecast) =>
  Object.fromEntries(services.filter(({ what }) => what !== "same").map(({ name, what }) => [name, what]));

/** Another program. */
function edit(from: string, to: string, file = "index.ts"): void {
  undo.push(program.edit(file, from, to));
}

test("a first deployment", async () => {
  const forecast = await explained("first-deployment");
  await reach.deploy();
  deployed = config;
  await isAsSaid(forecast, new Map());
  expect(whatOf(forecast)).toEqual({
    backend: "created",
    edge: "created",
    "edge-door": "created",
    frontend: "created",
  });
});

test("nothing", async () => {
  expect(whatOf(await explained("nothing"))).toEqual({});
});

test("an image", async () => {
  const { python } = { ...pinned, ...(reach.config["reach:images"] as Record<string, string>) };
  const built = await variants.build(join(program.directory, "apps/backend"), { PYTHON_IMAGE: python });
  const images = reach.config["reach:images"] as object;
  configure({ "reach:images": { ...images, backend: await variants.of(built, "LABEL release=2") } });
  expect(whatOf(await comesTrueInSoak("image"))).toEqual({ backend: "rolled" });
});

test("a setting", async () => {
  edit("env: { API_URL: backend.internalUrl,", 'env: { API_URL: backend.internalUrl, GREETING: "hello",');
  expect(whatOf(await comesTrueInSoak("setting"))).toEqual({ frontend: "rolled" });
});

test.runIf(SOAK)("limits that a running container takes, beyond what the host has", async () => {
  configure({ "reach:backend": { drainSeconds: 5, memoryMb: 8192 } });
  expect(whatOf(await comesTrueInSoak("memory"))).toEqual({ backend: "updated" });
});

test("a secret that is generated anew", async () => {
  edit("{ length: 64 }", "{ length: 65 }");
  expect(whatOf(await comesTrueInSoak("secret"))).toEqual({ backend: "rolled" });
});

const rateLimit = () => ({ "reach:edge": { ...(reach.config["reach:edge"] as object), burst: 100_000 } });

test.runIf(SOAK)("the edge's rate limit", async () => {
  configure(rateLimit());
  expect(whatOf(await comesTrueInSoak("rate-limit"))).toEqual({ edge: "rerouted" });
});

test("limits that a running container takes, that only a new one takes, and that are no container's", async () => {
  configure({
    "reach:backend": { drainSeconds: 5, memoryMb: 640 },
    "reach:frontend": { drainSeconds: 5, pids: 96, cpus: 0.75 },
    ...rateLimit(),
  });
  expect(whatOf(await comesTrue("limits"))).toEqual({ backend: "updated", frontend: "rolled", edge: "rerouted" });
});

test("the edge's certificate", async () => {
  const renewed = await makeCertificates(DOMAIN);
  const files = reach.config["reach:certificates"] as Record<string, string>;
  for (const key of ["certificate", "privateKey"] as const) {
    const before = readFileSync(files[key]!);
    undo.push(() => writeFileSync(files[key]!, before));
    writeFileSync(files[key]!, renewed[key]);
  }
  reach.ca += renewed.ca;
  expect(whatOf(await comesTrueInSoak("certificate"))).toEqual({ edge: "rolled" });
});

const editEdge = () => edit('idletimeout": "90s"', 'idletimeout": "80s"', "components/edge/traefik-arguments.ts");

test.runIf(SOAK)("the edge's own settings", async () => {
  editEdge();
  expect(whatOf(await comesTrueInSoak("edge"))).toEqual({ edge: "rolled" });
});

function addJob(): void {
  edit("  tcp: { clients: 2222 },", '  tcp: { clients: 2222 },\n  preDeploy: { command: ["true"] },');
  edit("  ...config.backend,", '  ...config.backend,\n  command: ["python3", "-m", "reach"],');
}

test.runIf(SOAK)("a job before a release", async () => {
  addJob();
  expect(whatOf(await comesTrueInSoak("job"))).toEqual({ backend: "rolled" });
});

const LAST = "export const { url, services } = stackOutputs();";
const WITH_SERVICE = `
const docs = new WebService("docs", {
  edge,
  image: backend.container.image,
  port: 8765,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  env: { RELEASE: "1" },
  secrets: { REACH_API_KEY: apiKey.value },
  limits: { memoryMb: 64, cpus: 0.5, pids: 64 },
  drainSeconds: 1,
  routes: { paths: ["/docs"] },
});
${LAST}`;
const FILES = { bucket: "reach-files", jurisdiction: "eu", expireAfterDays: 30 };
const withFiles = () => ({ "reach:cloudflare": cloudflare({ files: FILES }) });
const SECRETS = "// Generated secrets.";
const WITH_VOLUME = `
import * as docker from "@pulumi/docker/volume.js";
new docker.Volume("notes", {
  name: "notes",
  labels: host.labels({
    "bulkhead.data": "true",
    "bulkhead.retained": "true",
    "bulkhead.exceptions": JSON.stringify([{ rule: "stack-data-in-backup", why: "an experiment" }]),
  }),
}, { provider: host.provider });
${SECRETS}`;

test.runIf(SOAK)("a service more, a bucket, a volume with data", async () => {
  edit(LAST, WITH_SERVICE);
  // Who may come over TCP, and to whom, are networks that are not known before they are made.
  const rerouted = { backend: "rerouted", frontend: "rerouted" };
  expect(whatOf(await said("service-more"))).toEqual({ ...rerouted, docs: "created", edge: "rolled" });
  configure(withFiles());
  expect(whatOf(await said("bucket"))).toEqual({ backend: "rolled", frontend: "rolled" });
  edit(SECRETS, WITH_VOLUME);
  expect((await said("volume")).dataAtRisk).toEqual([]);
});

test("all of it at once, with a job before the release and other settings of the edge", async () => {
  editEdge();
  addJob();
  edit(LAST, WITH_SERVICE);
  configure(withFiles());
  edit(SECRETS, WITH_VOLUME);
  const more = await comesTrue("more");
  expect(whatOf(more)).toEqual({ backend: "rolled", docs: "created", edge: "rolled", frontend: "rolled" });
  expect(more.dataAtRisk).toEqual([]);
});

test("other paths", async () => {
  edit('paths: ["/docs"]', 'paths: ["/guide"]');
  expect(whatOf(await comesTrueInSoak("paths"))).toEqual({ docs: "rerouted" });
});

test("an exception to a policy", async () => {
  edit(
    "  tcp: { clients: 2222 },",
    '  exceptions: [{ writableRoot: true, why: "it writes beside its code", until: "2099-01-31" }],\n  tcp: { clients: 2222 },',
  );
  expect(whatOf(await comesTrueInSoak("exception"))).toEqual({ backend: "rolled" });
});

test("an address", async () => {
  configure({
    "reach:cloudflare": cloudflare({ files: FILES, addresses: ["203.0.113.11"], directHost: "tunnels.example.com" }),
  });
  expect(whatOf(await comesTrueInSoak("address"))).toEqual({});
});

test("a bucket that deletes sooner, and one that is protected", async () => {
  configure({ "reach:cloudflare": cloudflare({ files: { ...FILES, expireAfterDays: 7 } }) });
  const sooner = await comesTrueInSoak("bucket-expiry");
  expect(sooner.dataAtRisk).toEqual([{ name: "reach-files", fate: "deletes everything that is older than 7 days" }]);
  configure({ "reach:cloudflare": cloudflare() });
  const refused = await said("bucket-protected");
  expect(refused.errors.join("\n")).toContain("protect");
});

test("a service less, the bucket, and the volume with its data", async () => {
  await reach.project.unprotect();
  const deleted = { name: "notes", fate: "is deleted with all that is in it" };
  if (SOAK) {
    edit(WITH_SERVICE, LAST);
    expect(whatOf(await said("service-less"))).toEqual({ backend: "rerouted", docs: "removed", edge: "rolled" });
    configure({ "reach:cloudflare": cloudflare() });
    expect((await said("bucket-less")).dataAtRisk).toHaveLength(1);
    edit(WITH_VOLUME, SECRETS);
    expect((await said("volume-less")).dataAtRisk).toEqual([deleted]);
  }
  // All of it at once.
  edit(WITH_SERVICE, LAST);
  configure({ "reach:cloudflare": cloudflare() });
  edit(WITH_VOLUME, SECRETS);
  const less = await comesTrue("less");
  expect(whatOf(less)).toEqual({ backend: "rolled", docs: "removed", edge: "rolled", frontend: "rolled" });
  expect(less.dataAtRisk).toHaveLength(2);
  expect(less.dataAtRisk).toContainEqual(deleted);
  expect(emulator.buckets.all.has("eu_reach-files")).toBe(true);
  expect((await snapshot(reach.engine)).volumes).not.toContain("notes");
});

const otherPort = () => ({ "reach:edge": { ...(config["reach:edge"] as object), tcp: { clients: 2223 } } });
const otherNetwork = () =>
  edit('network("internal", true)', 'network("internal", false)', "components/host/networks.ts");

test("a port of the host, a network that is another one, and both at once", async () => {
  if (SOAK) {
    configure(otherPort());
    expect(whatOf(await comesTrueInSoak("port"))).toEqual({ "edge-door": "restarted" });
    otherNetwork();
    expect(whatOf(await comesTrueInSoak("network"))).toEqual({ backend: "restarted" });
  }
  configure(otherPort());
  otherNetwork();
  expect(whatOf(await comesTrue("gaps"))).toEqual({ backend: "restarted", "edge-door": "restarted" });
});

test("what the policies refuse, and what cannot be previewed", async () => {
  edit("privileged: false", "privileged: true", "components/host/hardening.ts");
  const { findings } = await said("policy");
  expect(findings.some(({ mandatory, policy }) => mandatory && policy === "container-privileged")).toBe(true);
  configure({ "reach:backend": { drainSeconds: -1 } });
  expect((await said("mistake")).errors).not.toEqual([]);
});

test("other certificates, and a tunnel in place of ports, as far as a preview tells", async () => {
  configure({
    "reach:certificates": { kind: "acme", email: "ops@example.com" },
    // The official ones: stand-ins are for this machine alone.
    "reach:images": {},
    "reach:cloudflare": cloudflare(),
  });
  expect((await explained("acme")).certificates).toHaveLength(1);
  configure({
    "reach:edge": { burst: 100 },
    "reach:cloudflare": { accountId: emulator.account.id, zone: "example.com", tunnel: true },
  });
  expect(whatOf(await explained("tunnel"))).toMatchObject({ tunnel: "created" });
});
