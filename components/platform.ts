import type * as pulumi from "@pulumi/pulumi";
import type { CloudflareAccount } from "./cloudflare/cloudflare-account.ts";
import { Dns } from "./cloudflare/dns.ts";
import { domainAtCloudflare } from "./cloudflare/domain-at-cloudflare.ts";
import { Tunnel } from "./cloudflare/tunnel.ts";
import type { Served } from "./edge/claims.ts";
import { Proxy } from "./edge/proxy.ts";
import type { ProxyArgs } from "./edge/proxy-args.ts";
import { ServedRoutes } from "./edge/served-routes.ts";
import { DockerHost } from "./host/docker-host.ts";
import { provideImages } from "./host/provided-images.ts";
import { refuseUnknownData } from "./host/named-data.ts";
import { Networks } from "./host/networks.ts";
import { beforeProgramEnds } from "./program-end.ts";
import { SECRET_OF } from "./settings/dns-providers.ts";
import type { Config } from "./settings/settings.ts";

/** What every program stands on. */
export interface Platform {
  host: DockerHost;
  networks: Networks;
  edge: Proxy;
  /** For a stack with Cloudflare: what makes buckets and tokens there. */
  account: CloudflareAccount | undefined;
  /**
   * What a program exports at its end: `export const { url, services } = stackOutputs();`. The commands show it. No service
   * may come after it: the routes of those that are gone from the program are taken away.
   */
  stackOutputs: () => { url: string; services: Record<string, ServiceOutput> };
}

export interface ServiceOutput {
  container: pulumi.Output<string>;
  image: pulumi.Input<string>;
  /** Where clients find it; the door, the edge, workers and scheduled jobs have none. */
  url?: string;
}

/** What is the same for every stack of a program. */
export interface PlatformOptions {
  /** As for the Proxy: a folder, from the project's. @default none */
  pages?: ProxyArgs["pages"];
}

/**
 * The host, its networks, the edge, and how clients get there: by the host's addresses, or by a tunnel that it opens. For
 * a stack with Cloudflare, the zone's settings and names too. `const { edge, stackOutputs } = await platform(config);`
 * begins a program.
 *
 * @param config what `settings.load()` gives.
 * @throws Error if the host or the zone is not as it has to be, before anything is made.
 */
export async function platform(config: Config, { pages }: PlatformOptions = {}): Promise<Platform> {
  const { images, certificates, cloudflare } = config;
  const ends = beforeProgramEnds(
    "index.ts: never calls stackOutputs(), without which the edge gets no door: " +
      "end it with `export const { url, services } = stackOutputs();`, which platform() gives",
  );
  const { address, httpsPort, httpRedirect, httpPort = 80, tcp = {} } = config.edge;
  const host = new DockerHost("host", {
    ...{ host: config.host, knownHosts: config.knownHosts, jobImage: images.traefik },
    networks: config.networks,
  });
  const tunneled = cloudflare?.tunnel ?? false;
  const ports = {
    "edge.httpsPort": { address, port: httpsPort },
    ...(httpRedirect && { "edge.httpPort": { address, port: httpPort } }),
    ...Object.fromEntries(Object.entries(tcp).map(([name, port]) => [`edge.tcp.${name}`, { address, port }])),
  };
  await host.check(tunneled ? {} : ports);
  const wanted = { ...images, cloudflared: tunneled ? images.cloudflared : undefined };
  await provideImages(host.engine, wanted, config.registries);
  const networks = new Networks("networks", { host, tunnel: tunneled });
  const atCloudflare = cloudflare && (await domainAtCloudflare(config, cloudflare));

  const edge = new Proxy("edge", {
    networks,
    images,
    domain: config.domain,
    domains: config.domains,
    aliases: config.aliases,
    certificates,
    dnsApiToken: dnsSecretOf(config) ?? atCloudflare?.dnsApiToken,
    dnsApiUrl: cloudflare?.apiUrl,
    clientsThrough: atCloudflare?.clientsThrough,
    maintenance: config.maintenance,
    pages,
    ...config.edge,
  });
  if (atCloudflare) {
    const { account, names, elsewhere } = atCloudflare;
    const tunnel = tunneled
      ? new Tunnel("tunnel", { account, image: images.cloudflared, edge, certificates })
      : undefined;
    new Dns("dns", { ...names, tunnel: tunnel?.hostname }, { dependsOn: tunnel ?? edge.containers.door });
    for (const { zoneName, ...others } of elsewhere)
      new Dns(`dns-${zoneName}`, others, { dependsOn: edge.containers.door });
  }
  return {
    ...{ host, networks, edge, account: atCloudflare?.account },
    stackOutputs: () => {
      ends();
      edge.claims.refuseIdleTcp();
      refuseUnknownData();
      const services = [...edge.endOfServices()];
      new ServedRoutes("routes", { edge });
      const programs = [...host.programs].map(ofProgram);
      return {
        url: edge.url,
        services: { ...ofEdge(edge, images), ...Object.fromEntries([...services.map(ofService), ...programs]) },
      };
    },
  };
}

/** The secret of the provider that serves the zone; Cloudflare's may be made by the stack itself. */
function dnsSecretOf(config: Config): string | undefined {
  const { certificates } = config;
  return certificates.kind === "acme" ? config[SECRET_OF[certificates.dnsProvider ?? "cloudflare"]] : undefined;
}

function ofEdge({ containers: { door, edge } }: Proxy, images: Config["images"]): Record<string, ServiceOutput> {
  return {
    door: { container: door.name, image: images.haproxy },
    edge: { container: edge.name, image: images.traefik },
  };
}

function ofProgram([name, { name: container, image }]: readonly [string, Served["container"]]): [
  string,
  ServiceOutput,
] {
  return [name, { container, image }];
}

function ofService([name, { container, url }]: readonly [string, Served]): [string, ServiceOutput] {
  return [name, { container: container.name, image: container.image, url }];
}
