// A service of a few lines behind an edge.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Config } from "@pulumi/pulumi";
import { DockerHost } from "../../../components/docker-host.ts";
import { Networks } from "../../../components/networks.ts";
import { Proxy, type ProxyArgs } from "../../../components/proxy.ts";
import { ServedRoutes } from "../../../components/served-routes.ts";
import { WebService } from "../../../components/web-service.ts";

const config = new Config();
const images = config.requireObject<{ traefik: string; haproxy: string; node: string }>("images");

const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
const networks = new Networks("networks", { host });
const edge = new Proxy("edge", {
  networks,
  images,
  domain: config.require("domain"),
  certificates: {
    kind: "files",
    certificatePem: config.require("certificatePem"),
    privateKeyPem: config.require("privateKeyPem"),
  },
  ...{ address: "0.0.0.0", httpsPort: 8443, tunnelPort: 2222 },
  ...{ requestsPerSecond: 100, burst: 200 },
  ...config.getObject<Partial<ProxyArgs>>("edge"),
});
const app = (name: string, args: { paths: string[]; maxBodyMb?: number; responseTimeoutSeconds?: number }) =>
  new WebService(name, {
    edge,
    image: images.node,
    port: 8000,
    command: ["node", "--eval", readFileSync(join(import.meta.dirname, "app.cjs"), "utf8")],
    health: { test: ["CMD", "node", "--eval", "fetch('http://127.0.0.1:8000/').catch(() => process.exit(1))"] },
    healthPath: "/",
    env: { EXPECTED_DOMAIN: config.get("expectedDomain") ?? config.require("domain") },
    limits: { memoryMb: 256, cpus: 1, pids: 64 },
    drainSeconds: 1,
    routes: { paths: args.paths },
    ...args,
  });
app("app", { paths: ["/"] });
app("patient", { paths: ["/patient"], maxBodyMb: 2048, responseTimeoutSeconds: 120 });
app("hasty", { paths: ["/hasty"], maxBodyMb: 1, responseTimeoutSeconds: 2 });
new ServedRoutes("routes", { edge });
