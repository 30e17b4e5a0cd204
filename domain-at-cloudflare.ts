import type * as pulumi from "@pulumi/pulumi";
import { ApiToken, zoneResource } from "./components/api-token.ts";
import { CloudflareAccount } from "./components/cloudflare-account.ts";
import { authoritiesOf, type DnsArgs } from "./components/dns.ts";
import { Zone } from "./components/zone.ts";
import type { Config } from "./config.ts";

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
  { domain, edge, certificates, cloudflareApiToken, dnsApiToken }: Config,
  cloudflare: NonNullable<Config["cloudflare"]>,
): Promise<DomainAtCloudflare> {
  const { accountId, zone: zoneName, tunnel: tunneled, tunnelHost, apiUrl } = cloudflare;
  const addresses = tunneled ? [] : (cloudflare.addresses ?? [edge.address]);
  const account = new CloudflareAccount("cloudflare", { id: accountId, apiToken: cloudflareApiToken!, apiUrl });
  const why = "tunnels are TCP, and Cloudflare's proxy carries HTTP alone";
  const hosts = tunnelHost === undefined ? [] : [{ name: tunnelHost, proxied: false as const, why }];
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
