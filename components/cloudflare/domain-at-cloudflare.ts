import * as pulumi from "@pulumi/pulumi";
import { ApiToken, zoneResource } from "./api-token.ts";
import { CloudflareAccount } from "./cloudflare-account.ts";
import { authoritiesOf, type DnsArgs } from "./dns.ts";
import { Zone } from "./zone.ts";
import type { Config } from "../settings/settings.ts";

export interface DomainAtCloudflare {
  account: CloudflareAccount;
  /** What the records are made of, when there is something to lead to. */
  names: DnsArgs;
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
  const names = [domain, ...hosts.map(({ name }) => name)];
  const { id, own } = await account.check({ zone: zoneName, hosts: names, addresses });
  const zone = new Zone("zone", { account, id, domain, staticPaths: ["/assets"] });
  // At the zone's own name they would bind all names of the zone, and beside a CNAME record none may be.
  const certificateAuthorities = tunneled || domain === zoneName ? [] : authoritiesOf(certificates);
  return {
    account,
    names: { zone, own, addresses, domain, hosts, certificateAuthorities },
    clientsThrough: cloudflare.onlyThroughCloudflare && !tunneled ? await account.proxyAddresses() : undefined,
    dnsApiToken:
      certificates.kind === "acme" && dnsApiToken === undefined
        ? new ApiToken("edge-dns", {
            account,
            permissions: ["Zone Read", "DNS Write"],
            resource: zoneResource(id),
            rotateAfterDays: cloudflare.rotateTokensAfterDays,
          }).value
        : undefined,
  };
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
