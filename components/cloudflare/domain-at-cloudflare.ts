import * as pulumi from "@pulumi/pulumi";
import { ApiToken, zoneResource } from "./api-token.ts";
import { CloudflareAccount } from "./cloudflare-account.ts";
import { authoritiesOf, type DnsArgs } from "./dns.ts";
import { Zone } from "./zone.ts";
import { domainOf } from "../edge/hosts.ts";
import type { Config } from "../settings/settings.ts";

export interface DomainAtCloudflare {
  account: CloudflareAccount;
  /** What the records are made of, when there is something to lead to. */
  names: DnsArgs;
  /** The same of the other zones of the account in which the stack has names. */
  elsewhere: (DnsArgs & { zoneName: string })[];
  /** Addresses through which alone clients come; none: they come themselves, or by a tunnel. */
  clientsThrough?: string[];
  /** A token that may edit the zone's names and nothing else, for certificates of kind acme. */
  dnsApiToken?: pulumi.Output<string>;
}

/** The account and the zone of a stack, looked at before anything is made there, and the zone's settings. */
export async function domainAtCloudflare(
  config: Config,
  cloudflare: NonNullable<Config["cloudflare"]>,
): Promise<DomainAtCloudflare> {
  const { domain, edge, certificates, cloudflareApiToken, dnsApiToken } = config;
  const { accountId, zone: zoneName, tunnel: tunneled, directHost, apiUrl } = cloudflare;
  const addresses = tunneled ? [] : (cloudflare.addresses ?? [edge.address]);
  for (const warning of beyondCloudflare(config)) await pulumi.log.warn(warning);
  const account = new CloudflareAccount("cloudflare", { id: accountId, apiToken: cloudflareApiToken!, apiUrl });
  const why = "its clients speak TCP, and Cloudflare's proxy carries HTTP alone";
  const hosts = directHost === undefined ? [] : [{ name: directHost, proxied: false as const, why }];
  const zones = namesByZone(config, zoneName);
  const ofZone = zones.get(zoneName)!;
  const names = [domain, ...ofZone, ...hosts.map(({ name }) => name)];
  const others = [...zones].filter(([name]) => name !== zoneName);
  // All are looked at before anything is made in one of them.
  const [{ id, own }, ...found] = await allOf([
    account.check({ zone: zoneName, hosts: names, addresses }),
    ...others.map(([zone, hosts]) => account.check({ zone, key: keyOf(zone, config), hosts, addresses })),
  ]);
  const zone = new Zone("zone", { account, id, domain, hosts: ofZone, staticPaths: ["/assets"] });
  const elsewhere = others.map(([name, [first, ...rest]], index): DnsArgs & { zoneName: string } => {
    const there = found[index]!;
    const staticPaths = ["/assets"];
    const other = new Zone(`zone-${name}`, { account, id: there.id, domain: first!, hosts: rest, staticPaths });
    const proxied = rest.map((host) => ({ name: host }));
    return { zoneName: name, zone: other, own: there.own, addresses, domain: first!, hosts: proxied };
  });
  // At the zone's own name they would bind all names of the zone, and beside a CNAME record none may be.
  const certificateAuthorities = tunneled || domain === zoneName ? [] : authoritiesOf(certificates);
  return {
    account,
    names: {
      ...{ zone, own, addresses, domain, certificateAuthorities },
      hosts: [...ofZone.map((name) => ({ name })), ...hosts],
    },
    elsewhere,
    clientsThrough: cloudflare.onlyThroughCloudflare && !tunneled ? await account.proxyAddresses() : undefined,
    dnsApiToken:
      certificates.kind === "acme" &&
      (certificates.dnsProvider ?? "cloudflare") === "cloudflare" &&
      dnsApiToken === undefined
        ? new ApiToken("edge-dns", {
            account,
            permissions: ["Zone Read", "DNS Write"],
            resource: [id, ...elsewhere.map(({ zone: other }) => other.id)].map(zoneResource),
            rotateAfterDays: cloudflare.rotateTokensAfterDays,
          }).value
        : undefined,
  };
}

/** The first domain that names a zone. An alias is in the zone of its target. */
function keyOf(zone: string, { domains = [] }: Config): string {
  return `domains.${domains.findIndex((own) => own.zone === zone)}.zone`;
}

/** What all say, or everything that is wrong with any of them, each once. */
async function allOf<T>(asked: [Promise<T>, ...Promise<T>[]]): Promise<[T, ...T[]]> {
  const answers = await Promise.allSettled(asked);
  const problems = answers.flatMap((answer) => {
    if (answer.status === "fulfilled") return [];
    if (!pulumi.RunError.isInstance(answer.reason)) throw answer.reason as Error;
    return answer.reason.message.split("\n");
  });
  if (problems.length > 0) throw new pulumi.RunError([...new Set(problems)].join("\n"));
  return Promise.all(asked);
}

/** Names beside the main one, by the zone that each is in. That of the main one is always there. */
function namesByZone({ domain, domains = [], aliases = [] }: Config, zone: string): Map<string, string[]> {
  const zones = new Map<string, string[]>([[zone, []]]);
  const add = (name: string, its = zone) => zones.set(its, [...(zones.get(its) ?? []), name]);
  for (const own of domains) add(own.name, own.zone);
  const served = [{ name: domain, zone: undefined }, ...domains];
  for (const { name, to } of aliases) add(name, domainOf(served, to)?.zone);
  return zones;
}

/**
 * What the stack file lets through and Cloudflare does not, on the way to the domain: bodies over 100 MB (more on its
 * larger plans) get 413, and an answer whose first byte takes more than 100 s gets 524.
 *
 * @param config any object in it may have maxBodyMb and responseTimeoutSeconds: the edge's, and those of services.
 */
export function beyondCloudflare(config: object): string[] {
  const more = (limit: string, most: number, what: string) =>
    Object.entries(config).flatMap(([key, value]) => {
      const given = ((value ?? {}) as Record<string, unknown>)[limit];
      return typeof given === "number" && given > most
        ? [`${key}.${limit}: ${given} is more than Cloudflare lets through: ${what}`]
        : [];
    });
  return [
    ...more(
      "maxBodyMb",
      100,
      "it answers 413 to bodies over 100 MB, or over what your plan says; send large files to a bucket (cloudflare.files)",
    ),
    ...more(
      "responseTimeoutSeconds",
      100,
      "it answers 524 when the first byte takes more than 100 s; begin the answer earlier, or make it a job that is asked for",
    ),
  ];
}
