// Reach: a backend, a frontend and tunnels, behind one edge.
import { BuiltImage, GeneratedSecret, ObjectStorage, platform, WebService } from "bulkhead";
import { settings } from "./settings.ts";

const config = settings.load();
const { images } = config;

// The host and its three networks, the edge with 443 and 2222 and nothing else, and the domain at Cloudflare.
const { host, networks, edge, account, stackOutputs } = await platform(config);

// Generated secrets.
const apiKey = new GeneratedSecret("api-key", { length: 64 });

// What users send, for a stack that has a bucket: from the browser to R2, past the services.
const bucket = config.cloudflare?.files;
const storage = bucket && new ObjectStorage("files", { account: account!, origin: edge.url, ...bucket });
const key = storage?.token("files-backend", "read-write", config.cloudflare?.rotateTokensAfterDays).s3;
const filesMaxMb = bucket && { FILES_MAX_MB: String(bucket.maxMb) };
const toStorage = storage ? `; connect-src 'self' ${storage.endpoint}` : "";

// The services, built on the host unless the stack names an image.
const { python: PYTHON_IMAGE, node: NODE_IMAGE } = images;
const backend = new WebService("backend", {
  edge,
  image:
    images.backend ??
    new BuiltImage("backend", { host, context: "apps/backend", buildArgs: { PYTHON_IMAGE } }).reference,
  port: 8765,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  networks: [networks.internal],
  env: storage && { ...filesMaxMb, FILES_ENDPOINT: storage.endpoint, FILES_BUCKET: storage.bucket },
  secrets: {
    REACH_API_KEY: apiKey.value,
    ...(key && { FILES_ACCESS_KEY_ID: key.accessKeyId, FILES_SECRET_ACCESS_KEY: key.secretAccessKey }),
  },
  limits: config.backend,
  ...config.backend,
  routes: { paths: ["/api", "/sse"] },
  tcp: { clients: 2222 },
});
new WebService("frontend", {
  edge,
  image:
    images.frontend ??
    new BuiltImage("frontend", { host, context: "apps/frontend", buildArgs: { NODE_IMAGE } }).reference,
  port: 3000,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  uses: [backend],
  env: { API_URL: backend.internalUrl, ...filesMaxMb },
  limits: config.frontend,
  ...config.frontend,
  routes: { paths: ["/"], contentSecurityPolicy: `default-src 'self'; frame-ancestors 'none'${toStorage}` },
});

export const { url, services } = stackOutputs();
