// One service that counts aloud, and has a secret.
import { WebService } from "../../../components/edge/web-service.ts";
import { GeneratedSecret } from "../../../components/host/secret.ts";
import { platform } from "../../../components/platform.ts";
import { settings } from "./settings.ts";

const config = settings.load();
const { edge, stackOutputs } = await platform(config);
const RELEASE = "first";
const APP = `
const { hostname } = require("node:os");
let n = 0;
const say = (message) => console.log(JSON.stringify({ level: "info", message, run: hostname(), n: ++n }));
const counting = setInterval(() => say("count"), 20);
process.on("SIGTERM", () => { clearInterval(counting); say("last"); setTimeout(() => process.exit(), 50); });
require("node:http").createServer((request, response) => response.end("well")).listen(8000);
`;
const CHECK = "fetch('http://127.0.0.1:8000/').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";
new WebService("counter", {
  edge,
  image: config.images.node,
  port: 8000,
  command: ["node", "--eval", APP],
  env: { RELEASE },
  secrets: { API_KEY: new GeneratedSecret("api-key").value },
  health: { test: ["CMD", "node", "--eval", CHECK] },
  healthPath: "/",
  limits: { memoryMb: 256, cpus: 1, pids: 64 },
  drainSeconds: 2,
  routes: { paths: ["/"] },
});

export const { url, services } = stackOutputs();
