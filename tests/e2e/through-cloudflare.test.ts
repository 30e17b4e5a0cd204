// A stack whose clients come through Cloudflare alone: the outside machine has an address of Cloudflare's, and another.
import { once } from "node:events";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { nameLeadsTo } from "../support/hosts-file.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { prepareReach, type Reach } from "../support/reach.ts";

const BURST = 10;

let world: OutsideWorld;
let emulator: CloudflareEmulator;
let reach: Reach;
let token: string;

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  world = await startOutsideWorld();
  emulator = await CloudflareEmulator.start();
  emulator.zones.add("example.com");
  emulator.ranges.ipv4_cidrs = [`${world.address}/32`];
  reach = await prepareReach({
    ...{ stack: "through", domain: "reach.example.com", httpsPort: 8443, tcpPort: 2222, listen: "0.0.0.0" },
    edge: { requestsPerSecond: 1, burst: BURST },
    config: {
      "reach:cloudflare": { accountId: emulator.account.id, zone: "example.com", addresses: ["203.0.113.10"] },
    },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  token = emulator.addToken({ name: "bootstrap", permissions: BOOTSTRAP }).value;
  await reach.project.setSecret("cloudflareApiToken", token);
  await reach.deploy();
});

afterAll(async () => {
  await reach?.stop();
  await emulator?.close();
  await world?.stop();
});

/** What so many requests of one client are answered, who says of himself what stands before the address. */
async function ask(count: number, forwardedFor: (index: number) => string): Promise<number[]> {
  const answers = Array.from({ length: count }, (_, index) =>
    reach.request("/api/status", {
      connection: world.connect(reach.httpsPort),
      headers: { "x-forwarded-for": forwardedFor(index) },
    }),
  );
  return (await Promise.all(answers)).map(({ status }) => status);
}

test("the door takes HTTPS from Cloudflare, and ends what comes from elsewhere before it says a word", async () => {
  expect(await reach.request("/api/status", { connection: world.connect(reach.httpsPort) })).toMatchObject({
    status: 200,
  });
  for (const connection of [world.connect(reach.httpsPort, world.otherAddress), undefined])
    await expect(reach.request("/api/status", { connection })).rejects.toThrow(
      /ECONNRESET|EPIPE|socket hang up|before secure TLS connection was established/,
    );
});

test("`bulkhead doctor` looks both ways: straight to the door, and by the name through Cloudflare", async () => {
  const copy = new RepositoryCopy();
  onTestFinished(() => copy.remove());
  cpSync(reach.project.configFile, join(copy.directory, "Pulumi.through.yaml"));
  const ca = join(copy.directory, "ca.pem");
  writeFileSync(ca, reach.ca);
  // With no word of an emulator, as a user has it.
  const env = { ...reach.project.env, CLOUDFLARE_BASE_URL: undefined, NODE_EXTRA_CA_CERTS: ca, STACK: "through" };
  const doctor = async (address: string) => {
    const takeBack = await nameLeadsTo("reach.example.com", address);
    const { stdout } = await copy.make("doctor", { env });
    await takeBack();
    return stdout;
  };
  const well = await doctor(world.address);
  expect(well).toMatch(/^door +https:\/\/127\.0\.0\.1:8443 +open$/m);
  expect(well).toMatch(/^door +tcp:\/\/127\.0\.0\.1:2222 +open$/m);
  expect(well).toMatch(/^frontend +https:\/\/reach\.example\.com:8443\/health \(by the name\) +200$/m);
  expect(well).toMatch(/^backend +https:\/\/reach\.example\.com:8443\/api \(by the name\) +\d+$/m);
  // Nothing listens there: straight all is well, and by the name it is not.
  const elsewhere = await doctor(world.otherAddress);
  expect(elsewhere).toMatch(/^door +https:\/\/127\.0\.0\.1:8443 +open$/m);
  expect(elsewhere).toContain("frontend: https://reach.example.com:8443/health (by the name): refused");
});

test("tunnels are open to everybody", async () => {
  const connection = world.connect(reach.tcpPort, world.otherAddress);
  const [greeting] = (await once(connection, "data")) as [Buffer];
  expect(JSON.parse(greeting.toString())).toHaveProperty("release");
  connection.destroy();
});

test("each client behind Cloudflare is counted by itself, whatever it says of itself", async () => {
  // The last address is Cloudflare's word; what stands before it is the client's.
  const answers = await ask(4 * BURST, (index) => `192.0.2.${index}, 192.0.2.200`);
  expect(answers.filter((status) => status === 200).length).toBeGreaterThanOrEqual(BURST);
  expect(answers.filter((status) => status === 429).length).toBeGreaterThanOrEqual(BURST);
  expect(new Set(await ask(BURST, () => "192.0.2.201"))).toEqual(new Set([200]));
});

test("a /64 of IPv6 behind Cloudflare is one client, and the next is another", async () => {
  const answers = await ask(4 * BURST, (index) => `2001:db8:0:1::${index}`);
  expect(answers.filter((status) => status === 200).length).toBeGreaterThanOrEqual(BURST);
  expect(answers.filter((status) => status === 429).length).toBeGreaterThanOrEqual(BURST);
  expect(new Set(await ask(BURST, () => "2001:db8:0:2::1"))).toEqual(new Set([200]));
});

test("a second update, and one whose answer comes in another order, change nothing", async () => {
  emulator.ranges.ipv6_cidrs.reverse();
  expect((await reach.deploy()).stdout).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
});

test("in maintenance the allow list goes by the client behind Cloudflare, and not by what it says of itself", async () => {
  reach.configure({ "reach:maintenance": { allowFrom: ["192.0.2.77", "2001:db8:0:7::/64"] } });
  await reach.project.setSecret("cloudflareApiToken", token);
  await reach.deploy();
  for (const [forwardedFor, status] of [
    ...[["192.0.2.77", 200] as const, ["2001:db8:0:7::9", 200] as const, ["192.0.2.78", 503] as const],
    ...[
      ["192.0.2.77, 192.0.2.78", 503] as const,
      ["192.0.2.78, 192.0.2.77", 200] as const,
      [world.address, 503] as const,
    ],
  ])
    expect(await ask(1, () => forwardedFor), forwardedFor).toEqual([status]);
});
