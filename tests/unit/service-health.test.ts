// What Docker asks a service whose program says no health check.
import { expect, test } from "vitest";
import { DockerHost } from "../../components/host/docker-host.ts";
import { httpHealth } from "../../components/host/http-health.ts";
import { Networks } from "../../components/host/networks.ts";
import { reviving } from "../../components/host/revive.ts";
import { Postgres } from "../../components/data/postgres.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService, type WebServiceArgs } from "../../components/edge/web-service.ts";
import { record } from "../../testing/recorder.ts";

const IMAGE = `image:1@sha256:${"a".repeat(64)}`;
const limits = { memoryMb: 64, cpus: 1, pids: 32 };

async function healthOf(given: Partial<WebServiceArgs>): Promise<string[] | undefined> {
  const { resources } = await record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const edge = new Proxy("edge", {
      ...{ networks: new Networks("networks", { host }), images: { traefik: IMAGE, haproxy: IMAGE } },
      ...{ domain: "example.com", certificates: { kind: "files", certificatePem: "c", privateKeyPem: "k" } },
      ...{ address: "192.0.2.1", httpsPort: 443, requestsPerSecond: 50, burst: 75 },
    });
    new WebService("shop", {
      ...{ edge, image: IMAGE, port: 8000, healthPath: "/up", drainSeconds: 1, limits, routes: { paths: ["/"] } },
      ...given,
    });
    new ServedRoutes("routes", { edge });
  });
  const shop = resources.find(({ name, type }) => name === "shop" && type.endsWith("container:Container"))!;
  return (shop.inputs as { healthcheck?: { tests: string[] } }).healthcheck?.tests;
}

test("its healthPath at its port, unless it says what to ask, or that nothing can", async () => {
  expect(await healthOf({})).toEqual(reviving("shop", httpHealth(8000, "/up")).test);
  expect(await healthOf({ health: { test: ["CMD", "true"] } })).toEqual(
    reviving("shop", { test: ["CMD", "true"] }).test,
  );
  const exceptions: WebServiceArgs["exceptions"] = [{ noHealthCommand: true, why: "an image of one binary" }];
  expect(await healthOf({ exceptions })).toBeUndefined();
  await expect(healthOf({ protocol: "h2c" })).rejects.toThrow("shop: has no health check: give it one");
});

test("a database's network keeps its users from what listens on the host", async () => {
  const { resources } = await record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    new Postgres("db", {
      ...{
        host,
        image: IMAGE,
        limits: { memoryMb: 256, cpus: 1, pids: 128 },
        maxMb: 2000,
        databases: { app: {} },
        withoutBackup: { why: "a test" },
      },
    });
  });
  const network = resources.find(({ type, name }) => type.endsWith("network:Network") && name === "db-network")!;
  expect(network.inputs).toMatchObject({
    ...{ internal: true, options: { "com.docker.network.bridge.inhibit_ipv4": "true" } },
  });
});
