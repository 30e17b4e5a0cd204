// What the program makes at Cloudflare, by the real engine and the real resource code, on an emulator of the API.
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { BOOTSTRAP, PERMISSIONS as PERMISSIONS_THERE_ARE, type Permission } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import type { Zone } from "../support/cloudflare/zones.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";

const PERMISSIONS = [...BOOTSTRAP, "Account API Tokens Write"];
const DOMAIN = "reach.example.com";
const TUNNELS = "tunnels.reach.example.com";
/** A domain in another zone of the account. */
const SHOP = "shop.example.net";

let emulator: CloudflareEmulator;
let zone: Zone;
let zoneOfShop: Zone;
let token: string;
let copy: RepositoryCopy;
let project: TestProject;
let config: Record<string, unknown>;
const runs: CommandResult[] = [];
/** Every token that the program was given. */
const secrets: string[] = [];

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  emulator = await CloudflareEmulator.start();
  zone = emulator.zones.add("example.com");
  zoneOfShop = emulator.zones.add("example.net");
  token = emulator.addToken({ name: "bootstrap", permissions: PERMISSIONS }).value;
  copy = new RepositoryCopy();
  writeFileSync(join(copy.directory, "index.ts"), PROGRAM);
  config = {
    "reach:host": "local",
    "reach:domain": DOMAIN,
    "reach:domains": [{ name: SHOP, zone: "example.net" }],
    "reach:certificates": { kind: "acme", email: "ops@example.com" },
    "reach:cloudflare": {
      accountId: emulator.account.id,
      zone: "example.com",
      addresses: ["203.0.113.10", "2001:db8::10"],
      directHost: TUNNELS,
      onlyThroughCloudflare: false,
    },
  };
  project = await createTestProject({
    stack: "cloud",
    config,
    program: copy.directory,
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  await useToken(token);
});

afterAll(async () => {
  project?.remove();
  copy?.remove();
  await emulator?.close();
});

afterEach(() => {
  emulator.heal();
  emulator.requests.length = 0;
});

/** The program without what runs on a Docker host, so that each run takes seconds. */
const PROGRAM = `
  import { Dns } from "./components/cloudflare/dns.ts";
  import { domainAtCloudflare } from "./components/cloudflare/domain-at-cloudflare.ts";
  import { settings } from "./settings.ts";
  const config = settings.load();
  const atCloudflare = config.cloudflare && (await domainAtCloudflare(config, config.cloudflare));
  if (atCloudflare) new Dns("dns", atCloudflare.names);
  for (const { zoneName, ...names } of atCloudflare?.elsewhere ?? []) new Dns("dns-" + zoneName, names);
`;

async function useToken(value: string): Promise<void> {
  secrets.push(value);
  await project.setSecret("cloudflareApiToken", value);
}

/** Puts some keys of reach:cloudflare in place of those given at first; the token stays. */
async function configure(changes: object): Promise<void> {
  project.setConfig({ ...config, "reach:cloudflare": { ...(config["reach:cloudflare"] as object), ...changes } });
  await project.setSecret("cloudflareApiToken", token);
}

async function recorded(run: Promise<CommandResult>): Promise<CommandResult> {
  const result = await run;
  runs.push(result);
  return result;
}

async function succeeds(run: Promise<CommandResult>): Promise<string> {
  const result = await recorded(run);
  expect(result, result.stderr + result.stdout).toMatchObject({ code: 0 });
  return result.stdout;
}

async function fails(run: Promise<CommandResult>): Promise<string> {
  const result = await recorded(run);
  expect(result.code, result.stdout).not.toBe(0);
  return result.stdout + result.stderr;
}

const writes = () => emulator.requests.filter(({ method }) => method !== "GET");
const recordsThere = (of = zone) =>
  [...of.records.values()]
    .filter(({ type }) => type !== "CAA")
    .map(({ name, type, content, proxied }) => [name, type, content, proxied])
    .sort();
const authoritiesThere = () =>
  [...zone.records.values()].filter(({ type }) => type === "CAA").map(({ name, content }) => [name, content]);
const edgeTokens = () => [...emulator.access.tokens.values()].filter(({ name }) => name.startsWith("reach-cloud-"));
/** What is said in our words; what the API said stands beside it. */
const errorsIn = (output: string) => output.match(/^\s*error: cloudflare.*/gm) ?? [];

const WANTED = [
  [DOMAIN, "A", "203.0.113.10", true],
  [DOMAIN, "AAAA", "2001:db8::10", true],
  [TUNNELS, "A", "203.0.113.10", false],
  [TUNNELS, "AAAA", "2001:db8::10", false],
];

const WANTED_OF_SHOP = [
  [SHOP, "A", "203.0.113.10", true],
  [SHOP, "AAAA", "2001:db8::10", true],
];

test("a preview shows all of it and makes nothing", async () => {
  const preview = await succeeds(project.preview());
  expect(preview).toContain("DnsRecord");
  expect(preview).toContain("of reach-cloud, not proxied: its clients speak TCP");
  expect(writes()).toEqual([]);
});

test("a wrong token, and one that sees nothing of the zone, are one clear error each", async () => {
  await useToken(randomBytes(30).toString("base64url"));
  const wrong = await fails(project.up());
  expect(errorsIn(wrong)).toHaveLength(1);
  expect(wrong).toContain("cloudflare: the API refuses the token (Invalid API Token): make a new one");
  const blind = emulator.addToken({ name: "blind", permissions: ["DNS Write"] });
  await useToken(blind.value);
  const unseen = await fails(project.up());
  expect(errorsIn(unseen)).toHaveLength(1);
  expect(unseen).toContain("cloudflare.zone: the token sees no zone example.com in the account");
  expect(unseen).toContain("domains.0.zone: the token sees no zone example.net in the account");
  expect(writes()).toEqual([]);
  await project.setSecret("cloudflareApiToken", token);
});

test("an API that takes connections and says nothing is one clear error, before anything is made", async () => {
  const seconds = ["const ANSWER_SECONDS = 10;", "const ANSWER_SECONDS = 2;"] as const;
  onTestFinished(copy.edit("components/cloudflare/cloudflare-account.ts", ...seconds));
  emulator.fail({ kind: "hang", times: 100 });
  const refused = await fails(project.up());
  expect(errorsIn(refused)).toHaveLength(1);
  expect(refused).toContain(`cloudflare: the API says nothing (${emulator.baseUrl}, for 2 s): try again`);
  expect(writes()).toEqual([]);
});

test.each([
  ["", DOMAIN],
  [" of another zone", SHOP],
])("a name%s that leads elsewhere is not touched: one clear error", async (_, name) => {
  const of = name === SHOP ? zoneOfShop : zone;
  const stranger = emulator.zones.addRecord(of, { name, type: "A", content: "198.51.100.1" });
  const refused = await fails(project.up());
  expect(errorsIn(refused)).toHaveLength(1);
  expect(refused).toContain(`${name} has a record that is not this stack's: A 198.51.100.1: delete it`);
  expect(writes()).toEqual([]);
  of.records.delete(stranger.id);
});

test("an update makes it, through an API that is busy and has a bad day", async () => {
  emulator.fail({ kind: "rate-limit", times: 2, retryAfterSeconds: 1, request: /^POST .*dns_records|^PATCH .*ssl/ });
  emulator.fail({ kind: "error", times: 1, request: /^PATCH .*min_tls_version/ });
  emulator.fail({ kind: "cut", times: 1, request: /^POST .*rulesets/ });
  await succeeds(project.up());
  expect(recordsThere()).toEqual(WANTED);
  expect(recordsThere(zoneOfShop)).toEqual(WANTED_OF_SHOP);
  for (const [setting, value] of [
    ["ssl", "strict"],
    ["min_tls_version", "1.2"],
    ["always_use_https", "on"],
  ] as const)
    expect(
      [zone, zoneOfShop].map(({ settings }) => settings.get(setting)),
      setting,
    ).toEqual([value, value]);
  expect(authoritiesThere().sort()).toEqual([
    [DOMAIN, '0 issue "letsencrypt.org"'],
    [DOMAIN, '0 issuewild "letsencrypt.org"'],
  ]);
  expect(zone.settings.get("security_header")).toMatchObject({
    strict_transport_security: { enabled: true, max_age: 63072000 },
  });
  const [cache, ...others] = zone.rulesets.values();
  expect(others).toEqual([]);
  expect(cache!.rules).toMatchObject([{ action_parameters: { cache: true } }, { action_parameters: { cache: false } }]);
  const faulty = emulator.requests.filter(({ status }) => [429, 500, "cut"].includes(status));
  expect(faulty.map(({ status }) => status).sort()).toEqual([429, 429, 500, "cut"]);
});

test("the edge's token edits the names of the stack's zones, and does nothing else", () => {
  const [made, ...others] = edgeTokens();
  expect(others).toEqual([]);
  secrets.push(made!.value);
  const { access } = emulator;
  const may = (permission: Permission, level: "Read" | "Write", where?: string) =>
    access.allows(made!, { permission, level }, where);
  for (const { id } of [zone, zoneOfShop])
    expect([may("DNS", "Write", id), may("Zone", "Read", id)]).toEqual([true, true]);
  const other = emulator.zones.add("example.org");
  for (const permission of Object.keys(PERMISSIONS_THERE_ARE) as Permission[]) {
    expect(may(permission, "Write", other.id), permission).toBe(false);
    expect(may(permission, "Read"), permission).toBe(false);
    for (const { id } of permission === "DNS" ? [] : [zone, zoneOfShop])
      expect(may(permission, "Write", id), permission).toBe(false);
  }
});

test("a second update changes nothing", async () => {
  const update = await succeeds(project.up());
  expect(update).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
  expect(writes()).toEqual([]);
});

test("a record that somebody changed is seen by a refresh, and put right by an update", async () => {
  emulator.zones.change(zone, DOMAIN, "A", { content: "198.51.100.66" });
  emulator.zones.change(zoneOfShop, SHOP, "A", { content: "198.51.100.67" });
  const seen = await succeeds(project.refresh(["--diff"]));
  for (const content of ["198.51.100.66", "198.51.100.67"]) expect(seen).toContain(content);
  await succeeds(project.up());
  expect(recordsThere()).toEqual(WANTED);
  expect(recordsThere(zoneOfShop)).toEqual(WANTED_OF_SHOP);
});

test("an API that says yes and does nothing is found out by what these tests look at, and by a refresh", async () => {
  emulator.zones.change(zone, DOMAIN, "A", { content: "198.51.100.66" });
  await succeeds(project.refresh());
  emulator.fail({ kind: "lie", times: 1, request: /^(PUT|PATCH) .*dns_records/ });
  await succeeds(project.up());
  expect(recordsThere()).not.toEqual(WANTED);
  expect(await succeeds(project.refresh(["--diff"]))).toContain("198.51.100.66");
  await succeeds(project.up());
  expect(recordsThere()).toEqual(WANTED);
});

test("a record that somebody deleted is made again", async () => {
  zone.records.delete(emulator.zones.record(zone, TUNNELS, "A").id);
  await succeeds(project.refresh());
  await succeeds(project.up());
  expect(recordsThere()).toEqual(WANTED);
});

test("tokens that are to be used for so long are replaced, the old one last", async () => {
  const [before] = edgeTokens();
  await configure({ rotateTokensAfterDays: 30 });
  await succeeds(project.up());
  const [after, ...others] = edgeTokens();
  secrets.push(after!.value);
  expect(others).toEqual([]);
  expect(after).not.toMatchObject({ id: before!.id });
  const days = (Date.parse(after!.expires_on!) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(30);
  expect(days).toBeLessThanOrEqual(60);
  const changes = writes().filter(({ path }) => path.includes("/tokens"));
  expect(changes.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
  await configure({});
  await succeeds(project.up());
  secrets.push(edgeTokens()[0]!.value);
});

test("another address moves the names; a record that is there already is not overwritten", async () => {
  const moved = WANTED.map((record) => record.map((value) => (value === "203.0.113.10" ? "203.0.113.11" : value)));
  const there = emulator.zones.addRecord(zone, { name: DOMAIN, type: "A", content: "203.0.113.11" });
  const before = structuredClone(there);
  await configure({ addresses: ["203.0.113.11", "2001:db8::10"] });
  expect(await fails(project.up())).toContain("An identical record already exists.");
  expect(zone.records.get(there.id)).toEqual(before);
  expect(recordsThere(), "and the old ones still serve").toEqual(expect.arrayContaining(WANTED));
  await succeeds(takenOver(there.id));
  await succeeds(project.up());
  expect(recordsThere()).toEqual(moved);
  expect(zone.records.has(there.id)).toBe(true);
  const again = await succeeds(project.up());
  expect(again).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
});

/** As docs/reference/cloudflare.md takes a record over. */
async function takenOver(record: string): Promise<CommandResult> {
  const page = readFileSync(join(copy.directory, "docs/reference/cloudflare.md"), "utf8");
  const [command] = /^pulumi import .*$/m.exec(page)!;
  const { deployment } = await project.exportState<{ deployment: { resources: { urn: string; type: string }[] } }>();
  const urnOf = (type: string) =>
    deployment.resources.find((resource) => resource.type === type && !resource.urn.endsWith("::dns-example.net"))!.urn;
  const typed = command
    .replace("--stack prod", `--stack ${project.stack} --config-file ${project.configFile}`)
    .replace("URN_OF_DNS", urnOf("bulkhead:index:Dns"))
    .replace("URN_OF_PROVIDER", urnOf("pulumi:providers:cloudflare"))
    .replace("example.com-203.0.113.10", `${DOMAIN}-203.0.113.11`)
    .replace("ZONE_ID/RECORD_ID", `${zone.id}/${record}`);
  const options = { cwd: copy.directory, env: project.env };
  return runCommand("bash", ["-c", `${typed} --yes --non-interactive --color never`], options);
}

test("a token that may not write records changes none, and the error says so", async () => {
  const permissions = PERMISSIONS.map((permission) => (permission === "DNS Write" ? "DNS Read" : permission));
  const reader = emulator.addToken({ name: "reader", permissions });
  await configure({ addresses: ["203.0.113.11", "2001:db8::10"], directHost: undefined });
  await useToken(reader.value);
  const before = recordsThere();
  const refused = await fails(project.up());
  expect(refused).toContain("403 Forbidden");
  expect(refused).toContain("Authentication error");
  expect(recordsThere()).toEqual(before);
  // A destroy takes the token of the last update.
  await project.setSecret("cloudflareApiToken", token);
  await succeeds(project.up());
  expect(recordsThere().map(([name]) => name)).toEqual([DOMAIN, DOMAIN]);
});

test("no token stands in the state, in a preview or in what an update prints", async () => {
  const state = JSON.stringify(await project.exportState());
  expect(state).toContain("dnsRecord");
  const printed = runs.map(({ stdout, stderr }) => stdout + stderr).join("\n");
  for (const secret of secrets) {
    expect(state).not.toContain(secret);
    expect(printed).not.toContain(secret);
  }
});

test("after a destroy no name leads here; what cannot be deleted is as it was", async () => {
  await succeeds(project.destroy());
  expect([...recordsThere(), ...recordsThere(zoneOfShop)]).toEqual([]);
  expect(authoritiesThere()).toEqual([]);
  expect(edgeTokens()).toEqual([]);
  expect(zone.rulesets.size).toBe(0);
  expect(zone.settings.get("ssl")).toBe("strict");
});
