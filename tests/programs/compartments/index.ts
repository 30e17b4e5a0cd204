// Services in compartments: one uses another, as a worker does, one reaches the internet, and more come when the test says.
import { Config } from "@pulumi/pulumi";
import { ServedRoutes } from "../../../components/edge/served-routes.ts";
import { WebService, type WebServiceArgs } from "../../../components/edge/web-service.ts";
import { DataVolume } from "../../../components/host/data-volume.ts";
import { Worker } from "../../../components/host/worker.ts";
import { testEdge } from "../edge.ts";

const config = new Config();
const { edge, images } = await testEdge(config, { tcp: { raw: 18_022 } });
const APP = `
const answer = (request, response) => response.end(process.env.NAME);
for (const port of [8000, 9000]) require("node:http").createServer(answer).listen(port);
`;
const CHECK = "fetch('http://127.0.0.1:8000/').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";
const release = (name: string) => ({
  image: images.node,
  command: ["node", "--eval", APP],
  env: { NAME: name },
  health: { test: ["CMD", "node", "--eval", CHECK] as [string, ...string[]] },
  limits: { memoryMb: 128, cpus: 0.5, pids: 64 },
  drainSeconds: 1,
});
const app = (name: string, connections: Pick<WebServiceArgs, "uses" | "egress" | "networks" | "tcp" | "env"> = {}) =>
  new WebService(name, {
    ...release(name),
    edge,
    port: 8000,
    healthPath: "/",
    routes: { paths: [`/${name}`] },
    ...connections,
  });
const api = app("api", { tcp: { raw: 9000 } });
app("page", { uses: [api] });
app("mailer", { egress: true });
new Worker("worker", { ...release("worker"), host: edge.host, uses: [api] });
new Worker("alone", { ...release("alone"), host: edge.host });
new Worker("neighbour", { ...release("neighbour"), host: edge.host, networks: [edge.networks.web] });
for (let more = 1; more <= (config.getNumber("more") ?? 0); more++)
  app(`more-${more}`, { env: { NAME: `more-${more}${more === 1 ? (config.get("release") ?? "") : ""}` } });
// As on a host that is busy until then: no check gets an answer.
const busyUntil = config.getNumber("busyUntil");
const hangs = `setTimeout(() => undefined, Math.max(0, ${busyUntil} - Date.now()))`;
if (busyUntil !== undefined)
  new Worker("busy", {
    ...{ ...release("busy"), host: edge.host },
    health: { test: ["CMD", "node", "--eval", hangs], deadlineSeconds: 8 },
  });
// The folder is one volume's, then another's.
const folder = config.get("folder");
const [one, other] =
  folder === undefined
    ? []
    : ["one", "other"].map(
        (name) =>
          new DataVolume(name, { host: edge.host, maxMb: 1, withoutBackup: { why: "a test can make it again" } }),
      );
if (one && other)
  new Worker("keeper", {
    ...{ ...release("keeper"), host: edge.host },
    volumes: [{ volume: folder === "one" ? one : other, path: "/data", writable: true }],
  });
new ServedRoutes("routes", { edge });
