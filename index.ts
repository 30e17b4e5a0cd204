// Reach: a backend, a frontend and tunnels, behind one edge.
import type * as pulumi from "@pulumi/pulumi";
import { loadConfig } from "./config.ts";
import { images } from "./images.ts";
import { ApiToken, zoneResource } from "./components/api-token.ts";
import { BuiltImage } from "./components/built-image.ts";
import { CloudflareAccount } from "./components/cloudflare-account.ts";
import { authoritiesOf, Dns, type DnsArgs } from "./components/dns.ts";
import { DockerHost } from "./components/docker-host.ts";
import { Networks } from "./components/networks.ts";
import { Proxy } from "./components/proxy.ts";
import { GeneratedSecret } from "./components/secret.ts";
import { ServedRoutes } from "./components/served-routes.ts";
import { Tunnel } from "./components/tunnel.ts";
import { WebService } from "./components/web-service.ts";
import { Zone } from "./components/zone.ts";

const config = loadConfig();
const image = { ...images, ...config.images };
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
let dnsApiToken: pulumi.Input<string> | undefined = config.dnsApiToken;
let clientsThrough: string[] | undefined;
let atCloudflare: { account: CloudflareAccount; names: DnsArgs } | undefined;
if (config.cloudflare) {
  const { accountId, zone: zoneName, tunnelHost, apiUrl } = config.cloudflare;
  const addresses = tunneled ? [] : (config.cloudflare.addresses ?? [address]);
  const account = new CloudflareAccount("cloudflare", { id: accountId, apiToken: config.cloudflareApiToken!, apiUrl });
  const why = "tunnels are TCP, and Cloudflare's proxy carries HTTP alone";
  const hosts = tunnelHost === undefined ? [] : [{ name: tunnelHost, proxied: false as const, why }];
  const names = [config.domain, ...hosts.map(({ name }) => name)];
  const { id, own } = await account.check({ zone: zoneName, hosts: names, addresses });
  const zone = new Zone("zone", { account, id, domain: config.domain, staticPaths: ["/assets"] });
  // At the zone's own name they would bind all names of the zone, and beside a CNAME record none may be.
  const certificateAuthorities = tunneled || config.domain === zoneName ? [] : authoritiesOf(config.certificates);
  atCloudflare = { account, names: { zone, own, addresses, domain: config.domain, hosts, certificateAuthorities } };
  if (config.cloudflare.onlyThroughCloudflare && !tunneled) clientsThrough = await account.proxyAddresses();
  if (config.certificates.kind === "acme")
    dnsApiToken ??= new ApiToken("edge-dns", {
      account,
      permissions: ["Zone Read", "DNS Write"],
      resource: zoneResource(id),
      rotateAfterDays: config.cloudflare.rotateTokensAfterDays,
    }).value;
}

// The edge: 443 and 2222, and nothing else.
const edge = new Proxy("edge", {
  networks,
  images: image,
  domain: config.domain,
  certificates: config.certificates,
  dnsApiToken,
  dnsApiUrl: config.cloudflare?.apiUrl,
  clientsThrough,
  ...config.edge,
});

// How clients get there: by the host's addresses, or by a tunnel that the host opens.
if (atCloudflare) {
  const { account, names } = atCloudflare;
  const { certificates } = config;
  const tunnel = tunneled ? new Tunnel("tunnel", { account, image: image.cloudflared, edge, certificates }) : undefined;
  new Dns("dns", { ...names, tunnel: tunnel?.hostname }, { dependsOn: tunnel ?? edge.containers.door });
}

// The services, built on the host unless the stack names an image.
const backend = new WebService("backend", {
  edge,
  image:
    config.images.backend ??
    new BuiltImage("backend", { host, context: "apps/backend", buildArgs: { PYTHON_IMAGE: image.python } }).reference,
  port: 8765,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  networks: [networks.web, networks.internal],
  secrets: { REACH_API_KEY: apiKey.value },
  limits: config.backend,
  drainSeconds: config.backend.drainSeconds,
  routes: { paths: ["/api", "/sse"], streaming: ["/sse"] },
  tunnelPort: 2222,
});
const frontend = new WebService("frontend", {
  edge,
  image:
    config.images.frontend ??
    new BuiltImage("frontend", { host, context: "apps/frontend", buildArgs: { NODE_IMAGE: image.node } }).reference,
  port: 3000,
  health: { test: ["CMD", "bash", "health.sh"] },
  healthPath: "/health",
  networks: [networks.web],
  env: { API_URL: backend.internalUrl },
  limits: config.frontend,
  drainSeconds: config.frontend.drainSeconds,
  routes: { paths: ["/"], contentSecurityPolicy: "default-src 'self'; frame-ancestors 'none'" },
});

new ServedRoutes("routes", { edge, services: [backend, frontend] });

export const url = edge.url;
export const services = {
  door: { container: edge.containers.door.name, image: image.haproxy },
  edge: { container: edge.containers.edge.name, image: image.traefik },
  backend: { container: backend.container.name, image: backend.container.image, url: backend.url },
  frontend: { container: frontend.container.name, image: frontend.container.image, url: frontend.url },
};
