import { expect, test } from "vitest";
import type { Config } from "../../components/settings/settings.ts";
import { beyondCloudflare, domainAtCloudflare } from "../../components/cloudflare/domain-at-cloudflare.ts";
import { record, type RecordOptions } from "../../testing/recorder.ts";

test("what the stack file lets through and Cloudflare does not is said", () => {
  const limits = { memoryMb: 64, cpus: 1, pids: 64, drainSeconds: 1, healthTimeoutSeconds: 5 };
  const told = (maxBodyMb: number, responseTimeoutSeconds: number) =>
    beyondCloudflare({
      edge: { maxBodyMb } as Config["edge"],
      backend: { ...limits, responseTimeoutSeconds },
      frontend: { ...limits, maxBodyMb, responseTimeoutSeconds: 60 },
    });
  expect(told(100, 100)).toEqual([]);
  expect(told(101, 101).map((line) => line.split(": it answers")[0])).toEqual([
    "edge.maxBodyMb: 101 is more than Cloudflare lets through",
    "frontend.maxBodyMb: 101 is more than Cloudflare lets through",
    "backend.responseTimeoutSeconds: 101 is more than Cloudflare lets through",
  ]);
});

test("what is wrong with each zone is said at once, by the key that names the zone", async () => {
  const kept = { kind: "files", certificatePem: "", privateKeyPem: "" };
  const config = {
    domain: "example.com",
    domains: [{ name: "www.example.com" }, { name: "shop.example.net", zone: "example.net" }],
    aliases: [{ name: "www.shop.example.net", to: "shop.example.net" }],
    edge: { address: "203.0.113.10" },
    certificates: kept,
    cloudflareApiToken: "a-token-that-nobody-may-see-0123456789abcdef",
    cloudflare: { accountId: "0".repeat(32), zone: "example.com", tunnel: false },
  } as unknown as Config;
  const refusedWith = (cloudflare: RecordOptions["cloudflare"]) =>
    record(() => domainAtCloudflare(config, config.cloudflare!).then(() => undefined), { cloudflare }).then(
      () => "nothing",
      ({ message }: Error) => message,
    );
  const unseen = (key: string, zone: string) =>
    `${key}: the token sees no zone ${zone} in the account ${"0".repeat(32)}: ` +
    "check both, and that the token has Zone: Read for this zone";
  const seen = (...zones: unknown[]) => ({
    getZones: ({ name }: Record<string, unknown>) => ({ results: zones.includes(name) ? [{ id: "abc" }] : [] }),
  });
  expect(await refusedWith(seen("example.com", "example.net"))).toBe("nothing");
  expect(await refusedWith(seen("example.com"))).toBe(unseen("domains.1.zone", "example.net"));
  expect(await refusedWith(seen())).toBe(
    `${unseen("cloudflare.zone", "example.com")}\n${unseen("domains.1.zone", "example.net")}`,
  );
});
