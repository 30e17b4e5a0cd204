// Certificates by ACME where the zone is at a DNS server of one's own: BIND takes the challenge's record by RFC 2136, signed
// with TSIG, and Pebble looks at it.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certifiedNames, prepareCertifiedReach } from "../support/certified-reach.ts";
import { startUpdatableZone, type UpdatableZone } from "../support/dns-updates.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { startPebble, type Pebble } from "../support/pebble.ts";
import type { Reach } from "../support/reach.ts";

const DOMAIN = "reach.example.com";
const secret = randomBytes(32).toString("base64");
let world: OutsideWorld;
let zone: UpdatableZone;
let pebble: Pebble;
let reach: Reach;

beforeAll(async () => {
  world = await startOutsideWorld();
  const address = world.engineAddress;
  zone = await startUpdatableZone("example.com", address, { name: "bulkhead", secret });
  pebble = await startPebble({ address, dnsServer: `${address}:53`, validitySeconds: 3600 });
  const ports = { httpsPort: 8443, tcpPort: 2222 };
  const prepared = await prepareCertifiedReach(pebble, { stack: "rfc2136", domain: DOMAIN, ...ports });
  reach = prepared.reach;
  reach.configure({
    // Of a domain below the zone's, and of one that is beside it.
    "reach:domains": [{ name: "shop.example.com" }, { name: `api.${DOMAIN}` }],
    "reach:certificates": {
      ...prepared.acme,
      ...{
        dnsProvider: "rfc2136",
        rfc2136: { nameserver: address, tsigKey: "bulkhead" },
        resolvers: [`${address}:53`],
      },
    },
  });
  await reach.project.setSecret("rfc2136TsigSecret", secret);
  await reach.deploy();
});

afterAll(async () => {
  await reach?.stop();
  await pebble?.stop();
  await zone?.stop();
  await world?.stop();
});

test.each([DOMAIN, "shop.example.com"])("%s gets one certificate for itself and all below it", async (name) => {
  await expect
    .poll(() => certifiedNames(reach, name), { timeout: 80_000, interval: 500 })
    .toEqual({ trusted: true, names: [`DNS:*.${name}`, `DNS:${name}`] });
});

test("a name below one that is certified needs no certificate of its own", async () => {
  expect(await certifiedNames(reach, `api.${DOMAIN}`)).toMatchObject({
    trusted: true,
    names: [`DNS:*.${DOMAIN}`, `DNS:${DOMAIN}`],
  });
});

test("the records came by updates that the key signed, and are gone", () => {
  const log = zone.log();
  expect(log).toMatch(/signer "bulkhead" approved/);
  expect(log).toMatch(/adding an RR at '_acme-challenge\.shop\.example\.com' TXT/);
  expect(log).toMatch(/deleting (an RR|rrset) at '_acme-challenge\.shop\.example\.com' TXT/);
});

test("the secret stands in no container's settings, and in nothing that was printed", async () => {
  const containers = JSON.stringify([...(await reach.containers()).values()]);
  expect(containers).toContain("RFC2136_TSIG_SECRET_FILE");
  const printed = reach.runs.map(({ stdout, stderr }) => stdout + stderr).join("\n");
  for (const text of [containers, printed]) expect(text).not.toContain(secret);
});
