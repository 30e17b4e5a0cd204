// One service, built from a folder with a Dockerfile, behind an edge that speaks HTTPS for it.
import { BuiltImage, platform, WebService } from "bulkhead";
import { settings } from "./settings.ts";

const config = settings.load();
const { node: NODE_IMAGE, hello } = config.images;
const { host, edge, stackOutputs } = await platform(config);

new WebService("hello", {
  edge,
  image: hello ?? new BuiltImage("hello", { host, context: "app", buildArgs: { NODE_IMAGE } }).reference,
  port: 3000,
  env: { GREETING: config.greeting },
  healthPath: "/health",
  routes: { paths: ["/"] },
  limits: { memoryMb: 128, cpus: 0.5, pids: 64 },
  drainSeconds: 5,
});

export const { url, services } = stackOutputs();
