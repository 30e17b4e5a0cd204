// What a stack opens to clients: by its stack file, and by its state.
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { maintenanceOf } from "../../components/settings/maintenance.ts";
import type { TcpPorts } from "../../components/settings/platform.ts";
import type { FromOutside } from "../../components/edge/web-service.ts";
import { platformKeys } from "../stack/platform-keys.ts";
import { committedFile, readStackFile } from "../stack/stack.ts";
import type { StateResource } from "../stack/state-files.ts";
import { programDirectory } from "../stack/program.ts";

/** What a client needs to know of a stack. */
export interface Published {
  name: string;
  domain: string;
  /** Absent: clients come through a tunnel. */
  edge?: { address: string; httpsPort: number; httpRedirect?: boolean; httpPort?: number; tcp?: TcpPorts };
  /** Clients come through Cloudflare, by the name. */
  byName: boolean;
  /** The door takes connections from Cloudflare alone. */
  onlyThroughCloudflare: boolean;
  acme: boolean;
  /** Clients get 503 by the edge, because the stack file says so. */
  inMaintenance?: boolean;
  ca: readonly string[];
}

/** A service that clients reach. */
export interface PublishedService extends FromOutside {
  name: string;
}

/** What a client can ask for. */
export interface Services {
  /** Whether the program has an edge: without one no port of the stack file is open. */
  hasEdge: boolean;
  published: readonly PublishedService[];
}

/** Undefined where its stack file has no domain: nothing is open then. */
export async function publishedOf(name: string): Promise<Published | undefined> {
  const { config = {} } = await readStackFile(committedFile(name));
  const keys = ["domain", "domains", "edge", "cloudflare", "certificates", "maintenance"] as const;
  const { domain, domains = [], edge, cloudflare, certificates, maintenance } = await platformKeys(config, keys);
  if (domain === undefined || certificates === undefined) return undefined;
  const files = [
    ...(certificates.kind === "files" ? [certificates.certificate] : []),
    ...domains.flatMap(({ certificate }) => certificate ?? []),
  ];
  return {
    ...{ name, domain },
    ...(cloudflare?.tunnel ? {} : { edge }),
    // An API of another address makes no record that the world can look up.
    byName: cloudflare !== undefined && !(cloudflare.apiUrl ?? process.env["CLOUDFLARE_BASE_URL"]),
    onlyThroughCloudflare: cloudflare !== undefined && cloudflare.onlyThroughCloudflare,
    acme: certificates.kind === "acme",
    inMaintenance: maintenanceOf(maintenance) !== undefined,
    ca: (await Promise.all(files.map((file) => ownCas(resolve(programDirectory, file))))).flat(),
  };
}

/** A chain that ends in its own root is one of an authority that its clients were given. */
async function ownCas(file: string): Promise<string[]> {
  const pem = await readFile(file, "utf8").catch(() => "");
  const all = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return all.filter((each) => {
    const certificate = new X509Certificate(each);
    return certificate.ca && certificate.checkIssued(certificate);
  });
}

/**
 * As the state has them. A service that was deployed before it said so there is asked for from its next update on. Where
 * the state is not known, the ports of the stack file are asked.
 */
export function servicesIn(resources?: readonly Pick<StateResource, "urn" | "type" | "outputs">[]): Services {
  if (resources === undefined) return { hasEdge: true, published: [] };
  const published = resources.flatMap(({ urn = "", type, outputs = {} }) => {
    const { fromOutside } = outputs as { fromOutside?: FromOutside };
    if (type !== "bulkhead:index:WebService" || fromOutside === undefined) return [];
    const { host, path, isHealthPath, tcp = [] } = fromOutside as Partial<FromOutside>;
    const name = urn.slice(urn.lastIndexOf("::") + 2);
    return [{ name, ...(host !== undefined && { host }), path, isHealthPath: isHealthPath ?? false, tcp }];
  });
  return {
    hasEdge: resources.some(({ type }) => type === "bulkhead:index:Proxy"),
    published: published.sort((one, other) => one.name.localeCompare(other.name)),
  };
}

/** Where clients find the ports: where they are on every address, by what leads to the host. */
export function clientAddresses(
  host: string,
  listensOn: string,
  own: string | undefined,
): { address: string; fromHost: boolean }[] {
  const remote = /^(ssh|tcp):/.test(host) ? new URL(host).hostname.replace(/^\[|\]$/g, "") : undefined;
  const here = (address: string) => ({ address, fromHost: false });
  if (remote === undefined)
    return isEvery(listensOn) ? ["127.0.0.1", ...(own === undefined ? [] : [own])].map(here) : [here(listensOn)];
  if (isEvery(listensOn)) return [here(remote)];
  // Only what runs there comes to such an address.
  if (/^127\.|^::1$/.test(listensOn)) return host.startsWith("ssh:") ? [{ address: listensOn, fromHost: true }] : [];
  // Behind the NAT of a cloud; what leads to the host for ssh leads there for clients.
  return [here(isPrivate(listensOn) && isIP(remote) !== 0 && !isPrivate(remote) ? remote : listensOn)];
}

export function isEvery(address: string): boolean {
  return ["0.0.0.0", "::"].includes(address);
}

function isPrivate(address: string): boolean {
  return /^(10\.|127\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|f[cd]|fe80:)/i.test(address);
}

/** An address of this machine by which others reach it. */
export function ownAddress(): string | undefined {
  const all = Object.entries(networkInterfaces()).filter(([name]) => !/^(docker|br-|veth)/.test(name));
  return all.flatMap(([, found = []]) => found).find(({ internal, family }) => !internal && family === "IPv4")?.address;
}
