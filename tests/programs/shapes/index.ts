// Every shape of app that there is, on one host: what docs/reference/comparison.md says that a program can say.
import { StaticSite } from "../../../components/edge/static-site.ts";
import { WebService, type WebServiceArgs } from "../../../components/edge/web-service.ts";
import { DataVolume } from "../../../components/host/data-volume.ts";
import { ScheduledJob } from "../../../components/host/scheduled-job.ts";
import { GeneratedSecret } from "../../../components/host/secret.ts";
import { Worker } from "../../../components/host/worker.ts";
import { platform } from "../../../components/platform.ts";
import { settings } from "./settings.ts";

const config = settings.load();
const { host, edge, networks, stackOutputs } = await platform(config);
const [main, shop, tenants] = edge.hosts as [string, string, string];

// Says who it is, and asks whom it is told to ask.
const APP = `
const { writeFileSync } = require("node:fs");
const { NAME, ASK = "" } = process.env;
require("node:net").createServer((socket) => socket.end(NAME + " by TCP")).listen(9000);
require("node:http").createServer(async ({ url, headers }, response) => {
  try {
    if (url.endsWith("/ask")) return response.end(await (await fetch(ASK, { signal: AbortSignal.timeout(3000) })).text());
    if (url.endsWith("/write")) writeFileSync(process.env.FILE, "kept");
    response.end(NAME + " " + url + " for " + headers.host);
  } catch ({ message }) {
    response.writeHead(500).end(message);
  }
}).listen(8000);
process.on("SIGTERM", () => process.exit(0));
`;
const CHECK = "fetch('http://127.0.0.1:8000/').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";
const common = { image: config.images.node, limits: { memoryMb: 128, cpus: 0.5, pids: 64 } };
const release = (name: string) => ({
  ...{ ...common, command: ["node", "--eval", APP], drainSeconds: 2 },
  env: { NAME: name },
});
const app = (name: string, args: Partial<WebServiceArgs> & Pick<WebServiceArgs, "routes">) =>
  new WebService(name, {
    ...release(name),
    edge,
    port: 8000,
    health: { test: ["CMD", "node", "--eval", CHECK] },
    healthPath: "/",
    ...args,
  });
const key = new GeneratedSecret("api-key");
const withoutBackup = { why: "a test makes it and takes it away" };
const uploads = new DataVolume("uploads", { host, owner: "33:33", maxMb: 10, withoutBackup });

// Replicas with a cookie, rules of routes, a TCP port, a secret, work before a release, a way out.
const api = app("api", {
  replicas: 2,
  sticky: {},
  rollout: "one-by-one",
  secrets: { API_KEY: key.value },
  preDeploy: { command: ["node", "--eval", "process.exit(0)"] },
  egress: true,
  tcp: { wire: { port: 9000, host: main } },
  routes: {
    ...{ paths: ["/api"], stripPrefix: true, maxBodyMb: 2, responseTimeoutSeconds: 5, compression: false },
    ...{ rateLimit: { requestsPerSecond: 50, burst: 100 }, headers: { "x-robots-tag": "noindex" } },
    cors: { origins: [`https://${shop}`] },
  },
});
// Another user with a volume of its own, that asks the API.
app("page", {
  user: "33:33",
  uses: [api],
  env: { NAME: "page", ASK: `${api.internalUrl}/`, FILE: "/uploads/written" },
  volumes: [{ volume: uploads, path: "/uploads", writable: true }],
  routes: [{ paths: ["/"] }, { paths: ["/admin"], allowFrom: ["198.51.100.0/24"] }],
});
// A wildcard's names, and what may only run once.
app("tenant", { routes: { host: tenants, paths: ["/"] } });
app("once", { rollout: "stop-first", routes: { paths: ["/once"] } });
// An image that is as it is: root, with a writable root, and nothing that could ask whether it is well.
app("legacy", {
  health: undefined,
  exceptions: [
    { rootUser: true, why: "its image knows no other user" },
    { writableRoot: true, why: "it writes beside its program" },
    { noInit: true, why: "it has an init of its own" },
    { tmpfsExec: "/tmp", why: "it unpacks programs there" },
    { noHealthCommand: true, why: "it has nothing to ask with" },
  ],
  routes: { paths: ["/legacy"] },
});
new StaticSite("site", { edge, folder: "site", drainSeconds: 2, routes: { host: shop, paths: ["/"] } });
new Worker("mail", {
  ...release("mail"),
  host,
  uses: [api],
  networks: [networks.internal],
  command: ["node", "--eval", "setInterval(() => require('node:fs').writeFileSync('/tmp/beat', ''), 500)"],
  heartbeat: { path: "/tmp/beat", maxAgeSeconds: 10 },
});
new ScheduledJob("report", {
  ...common,
  host,
  secrets: { API_KEY: key.value },
  volumes: [{ volume: uploads, path: "/uploads" }],
  schedule: "30 2 * * mon-fri",
  timeZone: "Europe/Berlin",
  command: ["node", "--eval", "console.log('reported')"],
  user: "33:33",
  timeoutSeconds: 30,
});

export const { url, services } = stackOutputs();
