// Three services behind an edge: one comes back when it hangs, one does not, and one says by itself that it is not well.
import { Config } from "@pulumi/pulumi";
import { ServedRoutes } from "../../../components/edge/served-routes.ts";
import { WebService } from "../../../components/edge/web-service.ts";
import { testEdge } from "../edge.ts";

const config = new Config();
const { edge, images } = await testEdge(config);
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
