import { expect, test } from "vitest";
import type { Config } from "../../components/settings/settings.ts";
import { beyondCloudflare } from "../../components/cloudflare/domain-at-cloudflare.ts";

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
