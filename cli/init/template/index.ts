// What runs: services, behind an edge that speaks HTTPS for them.
import { BuiltImage, platform, WebService } from "bulkhead";
import { settings } from "./settings.ts";

const config = settings.load();
const { images } = config;

// The host, its networks and the edge, which alone has ports that are open; and the domain at Cloudflare, if it is there.
const { host, edge, stackOutputs } = await platform(config);

// The services. Another one is another block like this, with a name and paths of its own.
new WebService("template-service", {
  edge,
  image: images["template-service"] ?? new BuiltImage("template-service", { host, context: "app" }).reference,
  port: 65001,
  healthPath: "/template-health",
  routes: { paths: ["/"], contentSecurityPolicy: "default-src 'self'; frame-ancestors 'none'" },
  limits: { memoryMb: 256, cpus: 0.5, pids: 128 },
  drainSeconds: 10,
});

// What `bulkhead up` shows at its end.
export const { url, services } = stackOutputs();
