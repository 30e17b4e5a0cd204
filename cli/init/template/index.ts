// What runs: services, and the edge that speaks HTTPS for them.
import { BuiltImage, DockerHost, httpHealth, Networks, Proxy, ServedRoutes, WebService } from "bulkhead";
import { settings } from "./settings.ts";

const config = settings.load();
const { domain, certificates, dnsApiToken, images } = config;
const { address, httpsPort } = config.edge;

// The host, its networks, and the edge, which alone has ports that are open.
const host = new DockerHost("host", { host: config.host, knownHosts: config.knownHosts, jobImage: images.traefik });
await host.check({ "edge.httpsPort": { address, port: httpsPort } });
const networks = new Networks("networks", { host });
const edge = new Proxy("edge", { networks, images, domain, certificates, dnsApiToken, ...config.edge });

// The services. Another one is another block like this, with a name and a path of its own.
const service = new WebService("template-service", {
  edge,
  image: images["template-service"] ?? new BuiltImage("template-service", { host, context: "app" }).reference,
  port: 65001,
  health: httpHealth(65001, "/template-health"),
  healthPath: "/template-health",
  routes: { paths: ["/"], contentSecurityPolicy: "default-src 'self'; frame-ancestors 'none'" },
  limits: { memoryMb: 256, cpus: 0.5, pids: 128 },
  drainSeconds: 10,
});

new ServedRoutes("routes", { edge });

// What `bulkhead up` shows at its end.
export const url = edge.url;
export const services = {
  door: { container: edge.containers.door.name, image: images.haproxy },
  edge: { container: edge.containers.edge.name, image: images.traefik },
  "template-service": { container: service.container.name, image: service.container.image, url: service.url },
};
