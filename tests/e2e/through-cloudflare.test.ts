// A stack whose clients come through Cloudflare alone: the outside machine has an address of Cloudflare's, and another.
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { prepareReach, type Reach } from "../support/reach.ts";

const BURST = 10;

let world: OutsideWorld;
let emulator: CloudflareEmulator;
let reach: Reach;

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  world = await startOutsideWorld();
  emulator = await CloudflareEmulator.start();
  emulator.zones.add("example.com");
  emulator.ranges.ipv4_cidrs = [`${world.address}/32`];
  reach = await prepareReach({
    ...{ stack: "through", domain: "reach.example.com", httpsPort: 8443, tunnelPort: 2222, listen: "0.0.0.0" },
    edge: { requestsPerSecond: 1, burst: BURST },
    config: {
      "reach:cloudflare": { accountId: emulator.account.id, zone: "example.com", addresses: ["203.0.113.10"] },
    },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  await reach.project.setSecret(
    "cloudflareApiToken",
    emulator.addToken({ name: "bootstrap", permissions: BOOTSTRAP }).value,
  );
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
      /ECONNRESET|socket hang up|before secure TLS connection was established/,
    );
});

test("tunnels are open to everybody", async () => {
  const connection = world.connect(reach.tunnelPort, world.otherAddress);
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

test("a second update, and one whose answer comes in another order, change nothing", async () => {
  emulator.ranges.ipv6_cidrs.reverse();
  expect((await reach.deploy()).stdout).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
});
