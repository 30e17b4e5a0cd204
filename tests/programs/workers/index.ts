// Replicas behind the edge, a worker, and a service of which only one may run at a time.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { WebService } from "../../../components/edge/web-service.ts";
import { ScheduledJob } from "../../../components/host/scheduled-job.ts";
import { GeneratedSecret } from "../../../components/host/secret.ts";
import { Worker } from "../../../components/host/worker.ts";
import { platform } from "../../../components/platform.ts";
import { settings } from "./settings.ts";

const config = settings.load();
const { host, networks, edge, stackOutputs } = await platform(config);
const RELEASE = "first";
const ONCE = "first";
const APP = readFileSync(join(import.meta.dirname, "app.cjs"), "utf8");
const CHECK = "fetch('http://127.0.0.1:8000/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";
const common = {
  image: config.images.node,
  command: ["node", "--eval", APP],
  limits: { memoryMb: 128, cpus: 0.5, pids: 32 },
  drainSeconds: 3,
};
const served = {
  ...common,
  edge,
  port: 8000,
  health: { test: ["CMD", "node", "--eval", CHECK], deadlineSeconds: 15 },
  healthPath: "/health",
};
const key = new GeneratedSecret("api-key");
new WebService("web", {
  ...served,
  env: { RELEASE, ROLE: "web" },
  replicas: 2,
  sticky: {},
  routes: { paths: ["/"] },
});
new WebService("once", {
  ...served,
  health: { ...served.health, deadlineSeconds: 10 },
  env: { RELEASE: ONCE, ROLE: "web" },
  rollout: "stop-first",
  routes: { paths: ["/once"] },
});
new ScheduledJob("report", {
  ...common,
  host,
  env: { RELEASE, ROLE: "job" },
  secrets: { API_KEY: key.value },
  // It comes to be seen within a test.
  schedule: "* * * * *",
  timeZone: "Europe/Berlin",
  command: ["node", "--eval", APP],
  timeoutSeconds: 30,
});
new ScheduledJob("failing", {
  ...common,
  host,
  schedule: "@yearly",
  command: ["sh", "-c", "echo no such table; exit 3"],
  timeoutSeconds: 30,
});
new Worker("mail", {
  ...common,
  host,
  networks: [networks.internal],
  env: { RELEASE, ROLE: "worker" },
  secrets: { API_KEY: key.value },
  heartbeat: { path: "/tmp/beat", maxAgeSeconds: 5 },
});

export const { url, services } = stackOutputs();
