// A volume with data that one service writes and another reads.
import { Config } from "@pulumi/pulumi";
import { ServedRoutes } from "../../../components/edge/served-routes.ts";
import { WebService } from "../../../components/edge/web-service.ts";
import { DataVolume } from "../../../components/host/data-volume.ts";
import { ScheduledJob } from "../../../components/host/scheduled-job.ts";
import { Container } from "../../../components/host/container.ts";
import { Engine } from "../../../components/docker-engine/client.ts";
import { provideImages, type Registries } from "../../../components/host/provided-images.ts";
import { testEdge } from "../edge.ts";

const config = new Config();
// As platform() does, for images that a test gives.
const engine = new Engine(process.env["DOCKER_HOST"]!);
const pulled = config.getObject<Record<string, string>>("pulled") ?? {};
await provideImages(engine, pulled, config.getObject<Registries>("registries"));
engine.close();
const { edge, images } = await testEdge(config);
const FILE = "/var/log/uploaded";
const APP = `
const { readFileSync, writeFileSync } = require("node:fs");
require("node:http").createServer((request, response) => {
  try {
    if (request.url.endsWith("/write")) writeFileSync("${FILE}", "kept");
    if (request.url.endsWith("/secret")) return response.end(readFileSync(process.env.WORD_FILE, "utf8"));
    response.end(request.url.endsWith("/health") ? "" : readFileSync("${FILE}", "utf8"));
  } catch ({ code }) {
    response.writeHead(500).end(code);
  }
}).listen(8000);
`;
const CHECK = "fetch('http://127.0.0.1:8000/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";

const uploads = new DataVolume("uploads", {
  host: edge.host,
  owner: "33:33",
  maxMb: config.getNumber("maxMb") ?? 100,
  withoutBackup: { why: "a test makes it and takes it away" },
});
const common = {
  edge,
  image: images.node,
  port: 8000,
  command: ["node", "--eval", APP],
  health: { test: ["CMD", "node", "--eval", CHECK] },
  healthPath: "/health",
  limits: { memoryMb: 256, cpus: 1, pids: 64 },
  drainSeconds: 1,
};
// The folder is in the image, with files, and is root's there.
new WebService("writer", {
  ...common,
  user: "33:33",
  secrets: { WORD: config.requireSecret("word") },
  volumes: [{ volume: uploads, path: "/var/log", writable: true }],
  env: { GENERATION: config.get("generation") ?? "1" },
  routes: { paths: ["/writer"] },
});
new WebService("reader", {
  ...common,
  volumes: [{ volume: uploads, path: "/var/log" }],
  routes: { paths: ["/reader"] },
});
if (pulled["private"] !== undefined)
  new Container("private", {
    host: edge.host,
    role: "service",
    run: "always",
    image: pulled["private"],
    command: ["/bin/sleep", "1000000"],
    health: { test: ["CMD", "/bin/true"] },
    limits: { memoryMb: 16, cpus: 0.1, pids: 8 },
    graceSeconds: 1,
  });

// With every weakening, of an image that declares a volume.
const KINDS = `
const { chmodSync, copyFileSync, writeFileSync } = require("node:fs");
const { execFileSync } = require("node:child_process");
require("node:http").createServer((request, response) => {
  if (request.url.endsWith("/health")) return response.end();
  copyFileSync("/bin/true", "/tmp/true");
  chmodSync("/tmp/true", 0o755);
  execFileSync("/tmp/true");
  writeFileSync("/written", "");
  writeFileSync("/data/written", "");
  response.end(JSON.stringify({ uid: process.getuid(), pid: process.pid }));
}).listen(8000);
`;
const kinds = config.getObject<{ image: string; tmpfsMb?: Record<string, number> }>("kinds");
if (kinds)
  new WebService("kinds", {
    ...common,
    ...{ image: kinds.image, tmpfsMb: { "/tmp": 16, ...kinds.tmpfsMb }, command: ["node", "--eval", KINDS] },
    health: undefined,
    exceptions: [
      { rootUser: true, why: "a test looks at it" },
      { writableRoot: true, why: "a test writes there" },
      { noInit: true, why: "a test looks at process 1" },
      { tmpfsExec: "/tmp", why: "a test runs a program there" },
      { noHealthCommand: true, why: "a test has the edge alone ask" },
    ],
    routes: { paths: ["/kinds"] },
  });

// Of an image with a static program and no shell: whether it is well, the edge alone asks.
const bare = config.getObject<{ image: string; preDeployImage?: string; isScheduled?: boolean }>("bare");
if (bare?.isScheduled)
  new ScheduledJob("bare-job", {
    host: edge.host,
    image: bare.image,
    schedule: "@yearly",
    command: ["/busybox", "true"],
    limits: common.limits,
  });
else if (bare)
  new WebService("bare", {
    ...common,
    image: bare.image,
    command: ["/busybox", "httpd", "-f", "-p", "8000", "-h", "/www"],
    health: undefined,
    exceptions: [{ noHealthCommand: true, why: "the image has nothing that could ask" }],
    preDeploy: { command: ["true"], image: bare.preDeployImage },
    routes: { paths: ["/bare"] },
  });
new ServedRoutes("routes", { edge });
