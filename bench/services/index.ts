// As many small services behind one edge as are asked for.
import { Config } from "@pulumi/pulumi";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService } from "../../components/edge/web-service.ts";

const config = new Config();
const images = config.requireObject<{ traefik: string; haproxy: string; service: string }>("images");

const host = new DockerHost("host", {
  host: config.require("host"),
  knownHosts: config.get("knownHosts"),
  jobImage: images.traefik,
  // Docker's own addresses are for some thirty networks, and each service has one.
  networks: { subnets: "10.90.0.0/16" },
});
await host.check({ httpsPort: { address: "127.0.0.1", port: 8443 } });
const networks = new Networks("networks", { host });
const edge = new Proxy("edge", {
  networks,
  images,
  domain: "services.test",
  certificates: {
    kind: "files",
    certificatePem: config.require("certificatePem"),
    privateKeyPem: config.require("privateKeyPem"),
  },
  ...{ address: "127.0.0.1", httpsPort: 8443, tcp: { clients: 2222 } },
  ...{ requestsPerSecond: 100, burst: 200, maxBodyMb: 10, keepAliveSeconds: 4 },
});

for (let index = 0; index < config.requireNumber("count"); index++)
  new WebService(`service-${index}`, {
    edge,
    image: images.service,
    port: 8000,
    command: ["sh", "-c", "echo ok >/tmp/index.html; exec httpd -f -p 8000 -h /tmp"],
    health: { test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/"] },
    healthPath: "/",
    // The one that a rollout replaces is the first.
    env: { RELEASE: index === 0 ? config.require("release") : "first" },
    limits: { memoryMb: 16, cpus: 0.5, pids: 16 },
    drainSeconds: 1,
    routes: { paths: [`/service-${index}`] },
  });
new ServedRoutes("routes", { edge });
