// Certificates by ACME where the zone is at Hetzner, DigitalOcean or Route 53: the edge asks each provider's API at its own
// name, with the secret out of its file, and Pebble looks at the record. What answers as the API is the test's. In `make soak`
// alone.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certifiedNames, prepareCertifiedReach } from "../support/certified-reach.ts";
import { startDnsServer, type DnsServer } from "../support/cloudflare/dns-server.ts";
import { Zones } from "../support/cloudflare/zones.ts";
import { startDnsApis, type DnsApis } from "../support/dns-apis.ts";
import { imageVariants } from "../support/image-variants.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { startPebble, type Pebble } from "../support/pebble.ts";
import type { Reach } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const DOMAIN = "reach.example.com";
const secrets = {
  hetzner: randomBytes(32).toString("hex"),
  digitalocean: `dop_v1_${randomBytes(32).toString("hex")}`,
  route53: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: randomBytes(30).toString("base64") },
};

describe.runIf(SOAK)("a zone at", { timeout: 400_000 }, () => {
  const variants = imageVariants();
  const zones = new Zones({ id: "1", name: "a test" });
  const zone = zones.add("example.com");
  const domains: { name: string }[] = [];
  let world: OutsideWorld;
  let dns: DnsServer;
  let apis: DnsApis;
  let pebble: Pebble;
  let reach: Reach;
  let acme: object;
  let traefik: string;

  beforeAll(async () => {
    world = await startOutsideWorld();
    const address = world.engineAddress;
    dns = await startDnsServer(zones, address);
    apis = await startDnsApis(zones, address, secrets);
    pebble = await startPebble({ address, dnsServer: `${address}:53`, validitySeconds: 3600 });
    const ports = { httpsPort: 8443, tcpPort: 2222 };
    ({ reach, acme } = await prepareCertifiedReach(pebble, { stack: "dnsapis", domain: DOMAIN, ...ports }));
    const { traefik: own } = reach.config["reach:images"] as { traefik: string };
    const authorities = Buffer.from(apis.ca).toString("base64");
    // What leads to the test's APIs is in the image alone, and nothing of it in what the program says.
    traefik = await variants.of(
      own,
      `RUN echo ${authorities} | base64 -d >> /etc/ssl/certs/ca-certificates.crt`,
      `ENV HTTPS_PROXY=${apis.proxy} NO_PROXY=${address}`,
    );
  });

  afterAll(async () => {
    await reach?.stop();
    await variants.remove();
    await pebble?.stop();
    await apis?.stop();
    await dns?.close();
    await world?.stop();
  });

  test.each([
    ["hetzner", "api.hetzner.cloud", DOMAIN, "HETZNER_API_TOKEN_FILE", {}],
    ["digitalocean", "api.digitalocean.com", "shop.example.com", "DO_AUTH_TOKEN_FILE", {}],
    [
      "route53",
      "route53.amazonaws.com",
      "news.example.com",
      "AWS_SHARED_CREDENTIALS_FILE",
      { route53: { accessKeyId: secrets.route53.accessKeyId } },
    ],
  ] as const)("%s, with its API at %s: %s gets a certificate", async (provider, api, name, file, more) => {
    if (name !== DOMAIN) domains.push({ name });
    reach.configure({
      ...(domains.length > 0 && { "reach:domains": domains }),
      "reach:images": { ...(reach.config["reach:images"] as object), traefik },
      "reach:certificates": {
        ...acme,
        ...{ resolvers: [`${world.engineAddress}:53`], dnsProvider: provider, ...more },
      },
    });
    const before = apis.requests.length;
    const secret = provider === "route53" ? secrets.route53.secretAccessKey : secrets[provider];
    await reach.project.setSecret(provider === "route53" ? "route53SecretAccessKey" : "dnsApiToken", secret);
    await reach.deploy();
    await expect
      .poll(() => certifiedNames(reach, name), { timeout: 120_000, interval: 1000 })
      .toEqual({ trusted: true, names: [`DNS:*.${name}`, `DNS:${name}`] });
    const asked = apis.requests.filter(({ host }) => host === api);
    console.log(JSON.stringify({ provider, asked: asked.map(({ method, path, status }) => [method, path, status]) }));
    expect(asked.length).toBeGreaterThanOrEqual(2);
    for (const { status, path } of asked) expect(status, path).toBeLessThan(300);
    // It takes its records away again.
    await expect.poll(() => zone.records.size, { timeout: 30_000 }).toBe(0);
    // The edge that is replaced reads the new name too, and knows the provider of before.
    expect(new Set(apis.requests.slice(before).map(({ host }) => host))).toEqual(new Set([api]));
    const containers = JSON.stringify([...(await reach.containers()).values()]);
    expect(containers).toContain(file);
    const printed = reach.runs.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    for (const text of [containers, printed]) expect(text).not.toContain(secret);
  });
});
