// Three services behind an edge: one comes back when it hangs, one does not, and one says by itself that it is not well.
import { Config } from "@pulumi/pulumi";
import { DockerHost } from "../../../components/docker-host.ts";
import { Networks } from "../../../components/networks.ts";
import { Proxy } from "../../../components/proxy.ts";
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
});
const APP = `
let well = true;
require("node:http").createServer((request, response) => {
  if (request.url.endsWith("/sick")) well = false;
  response.writeHead(well ? 200 : 503).end(String(process.pid));
}).listen(8000);
`;
const CHECK = "fetch('http://127.0.0.1:8000/').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";
const app = (name: string, reviveAfterHangs?: number) =>
  new WebService(name, {
    edge,
    image: images.node,
    port: 8000,
    command: ["node", "--eval", APP],
    health: { test: ["CMD", "node", "--eval", CHECK] },
    reviveAfterHangs,
    healthPath: "/",
    limits: { memoryMb: 256, cpus: 1, pids: 64 },
    drainSeconds: 1,
    routes: { paths: [`/${name}`] },
  });
app("revived");
app("left", 0);
app("sick", 3);
new ServedRoutes("routes", { edge });
