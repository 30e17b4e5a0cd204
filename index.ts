// Reach: a backend, a frontend and tunnels, behind one edge.
import { domainAtCloudflare } from "./components/cloudflare/domain-at-cloudflare.ts";
import { BuiltImage } from "./components/host/built-image.ts";
import { Dns } from "./components/cloudflare/dns.ts";
import { DockerHost } from "./components/host/docker-host.ts";
import { Networks } from "./components/host/networks.ts";
import { ObjectStorage } from "./components/cloudflare/object-storage.ts";
import { Proxy } from "./components/edge/proxy.ts";
import { GeneratedSecret } from "./components/host/secret.ts";
import { ServedRoutes } from "./components/edge/served-routes.ts";
import { Tunnel } from "./components/cloudflare/tunnel.ts";
import { WebService } from "./components/edge/web-service.ts";
import { settings } from "./settings.ts";

const config = settings.load();
const image = config.images;
const { address, httpsPort, tunnelPort } = config.edge;

// The host, and its three networks.
const host = new DockerHost("host", { host: config.host, knownHosts: config.knownHosts, jobImage: image.traefik });
const tunneled = config.cloudflare?.tunnel ?? false;
const ports = { "edge.httpsPort": { address, port: httpsPort }, "edge.tunnelPort": { address, port: tunnelPort } };
await host.check(tunneled ? {} : ports);
const networks = new Networks("networks", { host, tunnel: tunneled });

// What nobody types.
const apiKey = new GeneratedSecret("api-key", { length: 64 });

// The domain at Cloudflare, for a stack that has a zone there.
const atCloudflare = config.cloudflare && (await domainAtCloudflare(config, config.cloudflare));

// The edge: 443 and 2222, and nothing else.
const edge = new Proxy("edge", {
  networks,
  images: image,
  domain: config.domain,
  certificates: config.certificates,
  dnsApiToken: config.dnsApiToken ?? atCloudflare?.dnsApiToken,
  dnsApiUrl: config.cloudflare?.apiUrl,
  clientsThrough: atCloudflare?.clientsThrough,
  ...config.edge,
});

// How clients get there: by the host's addresses, or by a tunnel that the host opens.
if (atCloudflare) {
  const { account, names } = atCloudflare;
  const { certificates } = config;
  const tunnel = tunneled ? new Tunnel("tunnel", { account, image: image.cloudflared, edge, certificates }) : undefined;
  new Dns("dns", { ...names, tunnel: tunnel?.hostname }, { dependsOn: tunnel ?? edge.containers.door });
}

// What users send, for a stack that has a bucket: from the browser to R2, past the services.
const bucket = config.cloudflare?.files;
const storage = bucket && new ObjectStorage("files", { account: atCloudflare!.account, origin: edge.url, ...bucket });
const key = storage?.token("files-backend", "read-write", config.cloudflare?.rotateTokensAfterDays).s3;
const filesMaxMb = bucket && { FILES_MAX_MB: String(bucket.maxMb) };
const toStorage = storage ? `; connect-src 'self' ${storage.endpoint}` : "";

// The services, built on the host unless the stack names an image.
const backend = new WebService("backend", {
  edge,
  image:
    image.backend ??
    new BuiltImage("backend", { host, context: "apps/backend", buildArgs: { PYTHON_IMAGE: image.python } }).reference,
  port: 8765,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  networks: [networks.web, networks.internal],
  env: storage && { ...filesMaxMb, FILES_ENDPOINT: storage.endpoint, FILES_BUCKET: storage.bucket },
  secrets: {
    REACH_API_KEY: apiKey.value,
    ...(key && { FILES_ACCESS_KEY_ID: key.accessKeyId, FILES_SECRET_ACCESS_KEY: key.secretAccessKey }),
  },
  limits: config.backend,
  drainSeconds: config.backend.drainSeconds,
  routes: { paths: ["/api", "/sse"] },
  maxBodyMb: config.backend.maxBodyMb,
  responseTimeoutSeconds: config.backend.responseTimeoutSeconds,
  healthTimeoutSeconds: config.backend.healthTimeoutSeconds,
  reviveAfterHangs: config.backend.reviveAfterHangs,
  tunnelPort: 2222,
});
const frontend = new WebService("frontend", {
  edge,
  image:
    image.frontend ??
    new BuiltImage("frontend", { host, context: "apps/frontend", buildArgs: { NODE_IMAGE: image.node } }).reference,
  port: 3000,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  networks: [networks.web],
  env: { API_URL: backend.internalUrl, ...filesMaxMb },
  limits: config.frontend,
  drainSeconds: config.frontend.drainSeconds,
  maxBodyMb: config.frontend.maxBodyMb,
  responseTimeoutSeconds: config.frontend.responseTimeoutSeconds,
  healthTimeoutSeconds: config.frontend.healthTimeoutSeconds,
  reviveAfterHangs: config.frontend.reviveAfterHangs,
  routes: { paths: ["/"], contentSecurityPolicy: `default-src 'self'; frame-ancestors 'none'${toStorage}` },
});

new ServedRoutes("routes", { edge });

export const url = edge.url;
export const services = {
  door: { container: edge.containers.door.name, image: image.haproxy },
  edge: { container: edge.containers.edge.name, image: image.traefik },
  backend: { container: backend.container.name, image: backend.container.image, url: backend.url },
  frontend: { container: frontend.container.name, image: frontend.container.image, url: frontend.url },
};
