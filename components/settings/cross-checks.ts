import { isIP } from "node:net";
import { dnsProviderProblems } from "./dns-providers.ts";
import { domainProblems, httpRedirectProblems } from "./domains.ts";
import { STAND_IN } from "./fields.ts";
import { maintenanceProblems } from "./maintenance.ts";
import { SET_CLOUDFLARE_TOKEN, SET_REGISTRY_TOKEN, SET_TOKEN, type Platform } from "./platform.ts";

/** What a stack file gives, beside what was read of it. */
export interface Given {
  has: (key: string) => boolean;
  get: (key: string) => unknown;
  /** Whether it stands in the file without being encrypted. */
  inClear: (key: string) => boolean;
  isSecret: (key: string) => boolean;
}

/** What each key says alone is right, but not what two of them say together. */
export function contradictions(config: Partial<Platform> & { images?: Images }, given: Given): string[] {
  const problems: string[] = [];
  const { host, knownHosts, domain, edge, certificates, dnsApiToken, cloudflare, images } = config;
  const acme = certificates?.kind === "acme";
  const shown = (key: string, value: unknown) => (given.isSecret(key) ? "the secret" : String(value));
  if (knownHosts !== undefined && host === "local")
    problems.push("knownHosts: is for ssh:// hosts, and the host is local: leave it out");
  if (edge) problems.push(...portProblems(edge, (port) => shown("edge", port)));
  if (edge && edge.burst < edge.requestsPerSecond) {
    const least = shown("edge", edge.requestsPerSecond);
    problems.push(`edge.burst: ${shown("edge", edge.burst)} is less than requestsPerSecond: give at least ${least}`);
  }
  if (acme && domain !== undefined && (!domain.includes(".") || isIP(domain)))
    problems.push(
      `domain: no CA certifies ${shown("domain", domain)}: give a public domain, or certificates of kind files`,
    );
  problems.push(...domainProblems(config, shown));
  problems.push(...maintenanceProblems(config.maintenance));
  problems.push(...httpRedirectProblems(config, edge?.httpPort !== undefined));
  problems.push(
    ...dnsProviderProblems(certificates === undefined ? "unknown" : acme ? certificates : undefined, given),
  );
  const atCloudflare = acme && (certificates.dnsProvider ?? "cloudflare") === "cloudflare";
  if (atCloudflare && !given.has("dnsApiToken") && !given.has("cloudflare"))
    problems.push(`dnsApiToken: missing, and certificates of kind acme need it: ${SET_TOKEN}, or give cloudflare`);
  if (dnsApiToken !== undefined && given.inClear("dnsApiToken"))
    problems.push(`dnsApiToken: stands in clear in the stack file: revoke it, make a new one, and ${SET_TOKEN}`);
  if (cloudflare) problems.push(...cloudflareProblems(cloudflare, config, shown));
  if (cloudflare?.tunnel) problems.push(...tunnelProblems(cloudflare, given.get("edge")));
  if (given.has("cloudflare") && !given.has("cloudflareApiToken"))
    problems.push(`cloudflareApiToken: missing, and cloudflare needs it: ${SET_CLOUDFLARE_TOKEN}`);
  if (given.has("cloudflareApiToken") && !given.has("cloudflare"))
    problems.push("cloudflareApiToken: is for a stack with cloudflare: leave it out, or give cloudflare");
  if (config.cloudflareApiToken !== undefined && given.inClear("cloudflareApiToken"))
    problems.push(
      `cloudflareApiToken: stands in clear in the stack file: revoke it, make a new one, and ${SET_CLOUDFLARE_TOKEN}`,
    );
  if (config.registries !== undefined && given.inClear("registries"))
    problems.push(
      `registries: a token stands in clear in the stack file: revoke it, make a new one, and ${SET_REGISTRY_TOKEN}`,
    );
  for (const [key, reference] of Object.entries(images ?? {}))
    if (acme && certificates.caCertificate === undefined && reference !== undefined && STAND_IN.test(reference))
      problems.push(
        `images.${key}: ${shown("images", reference)} is a stand-in for local use: give name:tag@sha256:<64 hex digits>`,
      );
  return problems;
}

/** Two that want the same port of the host. */
function portProblems(
  { httpsPort, httpRedirect, httpPort = 80, tcp = {} }: Platform["edge"],
  shown: (port: number) => string,
): string[] {
  const holders = new Map([[httpsPort, "the httpsPort"]]);
  if (httpRedirect && httpPort === httpsPort)
    return [`edge.httpPort: ${shown(httpPort)} is the httpsPort too: give another port`];
  if (httpRedirect) holders.set(httpPort, "the httpPort");
  return Object.entries(tcp).flatMap(([name, port]) => {
    const holder = holders.get(port);
    if (holder !== undefined) return [`edge.tcp.${name}: ${shown(port)} is ${holder} too: give another port`];
    holders.set(port, `edge.tcp.${name}`);
    return [];
  });
}

type Images = Partial<Record<string, string>>;
type Cloudflare = NonNullable<Platform["cloudflare"]>;

function cloudflareProblems(
  { zone, addresses, directHost, tunnel, onlyThroughCloudflare }: Cloudflare,
  { domain, edge }: Partial<Platform>,
  shown: (key: string, value: unknown) => string,
): string[] {
  const problems: string[] = [];
  const inZone = (name: string) => name === zone || name.endsWith(`.${zone}`);
  const cure = `is not in the zone ${shown("cloudflare", zone)}: give a name in it, or the right zone`;
  if (domain !== undefined && !inZone(domain)) problems.push(`domain: ${shown("domain", domain)} ${cure}`);
  if (directHost !== undefined && !inZone(directHost))
    problems.push(`cloudflare.directHost: ${shown("cloudflare", directHost)} ${cure}`);
  if (directHost !== undefined && directHost === domain)
    problems.push("cloudflare.directHost: is the domain, which is proxied: give another name");
  // Docker hands a connection over IPv6 on from an address of its own, where its networks have none.
  const overIpv6 = onlyThroughCloudflare ? addresses?.find((address) => isIP(address) === 6) : undefined;
  if (overIpv6 !== undefined)
    problems.push(
      `cloudflare.addresses: over ${shown("cloudflare", overIpv6)} nobody can be told from Cloudflare: ` +
        "leave it out (Cloudflare itself serves IPv6), or set onlyThroughCloudflare to false",
    );
  if (edge && !addresses && !tunnel && ["0.0.0.0", "::"].includes(edge.address)) {
    const everywhere = `missing, and edge.address is ${shown("edge", edge.address)}`;
    problems.push(`cloudflare.addresses: ${everywhere}: give the host's public addresses`);
  }
  return problems;
}

/** What is for open ports has no meaning where there are none. */
function tunnelProblems({ addresses, directHost, onlyThroughCloudflare }: Cloudflare, edge: unknown): string[] {
  const problems: string[] = [];
  const leaveOut = (key: string, why: string) => problems.push(`${key}: ${why}: leave it out, or the tunnel`);
  if (addresses !== undefined)
    leaveOut("cloudflare.addresses", "names lead to the tunnel, and to no address of the host");
  if (directHost !== undefined) leaveOut("cloudflare.directHost", "cloudflare.tunnel carries HTTP alone, and no TCP");
  if (!onlyThroughCloudflare) leaveOut("cloudflare.onlyThroughCloudflare", "nothing but cloudflare.tunnel leads here");
  for (const key of ["address", "httpsPort", "tcp"])
    if (typeof edge === "object" && edge !== null && key in edge)
      leaveOut(`edge.${key}`, "with cloudflare.tunnel no port of the host is open");
  return problems;
}
