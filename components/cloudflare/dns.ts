import { isIPv4, isIPv6 } from "node:net";
import * as cloudflare from "@pulumi/cloudflare/dnsRecord.js";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../settings/certificates.ts";
import { ownerComment, type OwnRecord } from "./cloudflare-account.ts";
import type { Zone } from "./zone.ts";

export interface DnsArgs {
  zone: Zone;
  /** Public addresses of the host, IPv4 or IPv6: an A or AAAA record for each, at every name. @default none: a tunnel */
  addresses?: string[];
  /** The host name of the tunnel that the names lead to instead: a CNAME record at every name. @default none: addresses */
  tunnel?: pulumi.Input<string>;
  /** What is there already, by account.check: a name that is to lead to a tunnel gives up its address for it. @default [] */
  own?: OwnRecord[];
  /** The name that the edge serves. */
  domain: string;
  /** More names of the host. @default [] */
  hosts?: DnsHost[];
  /** Other names for the domain: a CNAME record each. @default [] */
  aliases?: string[];
  /** Authorities that may certify the domain and all below it, like "letsencrypt.org". @default no CAA record: any may */
  certificateAuthorities?: string[];
}

/** Proxied, so that clients meet Cloudflare and never the host, unless there is a reason to show its address. */
export type DnsHost = { name: string } & (
  | { proxied?: true }
  /** Everybody can look the host's address up, and reach it past Cloudflare. */
  | { proxied: false; why: string }
);

/** The names of a stack. account.check has seen that no record of somebody else's is there. */
export class Dns extends pulumi.ComponentResource {
  constructor(name: string, args: DnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Dns", name, {}, { providers: [args.zone.account.provider], ...opts });
    const { zone, addresses = [], tunnel, own = [], domain, hosts = [] } = args;
    const { aliases = [], certificateAuthorities = [] } = args;
    if (addresses.length === 0 && tunnel === undefined)
      throw new Error(`${name}: addresses: give at least one address of the host, or a tunnel`);
    if (addresses.length > 0 && tunnel !== undefined)
      throw new Error(`${name}: tunnel: a name leads to it or to addresses: leave one out`);
    for (const address of addresses)
      if (!isIPv4(address) && !isIPv6(address)) throw new Error(`${name}: addresses: ${address} is not an IP address`);
    const named = (suffix: string) => ({ name: `${name}-${suffix}` });
    const record = (
      suffix: string,
      recordArgs: Omit<cloudflare.DnsRecordArgs, "zoneId" | "ttl">,
      recordOpts: pulumi.CustomResourceOptions = {},
    ) =>
      new cloudflare.DnsRecord(
        `${name}-${suffix}`,
        // A TTL of 1 is Cloudflare's "automatic", and the only one that a proxied record may have.
        { zoneId: zone.id, ttl: 1, comment: ownerComment(), ...recordArgs },
        // A name may have a record of the old kind or of the new one, not of both.
        { parent: this, deleteBeforeReplace: true, ...recordOpts },
      );

    for (const host of [{ name: domain } satisfies DnsHost, ...hosts]) {
      const unproxied = "proxied" in host && host.proxied === false ? host : undefined;
      const reason = unproxied && `${ownerComment()}, not proxied: ${unproxied.why}`;
      if (unproxied?.why.trim() === "") throw new Error(`${name}: ${host.name} shows the host's address: say why`);
      if (reason && reason.length > LONGEST_COMMENT)
        throw new Error(`${name}: ${host.name}: why: is longer than a record's comment can be: say it shorter`);
      if (unproxied && tunnel !== undefined)
        throw new Error(`${name}: ${host.name} is not proxied, and nothing reaches a tunnel but by the proxy`);
      const ways = tunnel !== undefined ? [{ suffix: "tunnel", type: "CNAME", content: tunnel }] : addresses.map(wayTo);
      // The name gives up the other kind of record in the moment in which it gets the first of these, and not after all.
      const former = own
        .filter((there) => there.name === host.name && (there.type === "CNAME") !== (tunnel !== undefined))
        .map(({ type, content }) => `${host.name}-${type === "CNAME" ? "tunnel" : content}`);
      let first: cloudflare.DnsRecord | undefined;
      for (const { suffix, type, content } of ways) {
        const made = record(
          `${host.name}-${suffix}`,
          {
            name: host.name,
            type,
            content,
            proxied: !unproxied,
            // In the dashboard, where somebody might want to proxy it.
            ...(reason && { comment: reason }),
          },
          former.length === 0 ? {} : first ? { dependsOn: first } : { aliases: former.map(named) },
        );
        first ??= made;
      }
    }
    for (const alias of aliases) record(alias, { name: alias, type: "CNAME", content: domain, proxied: true });
    for (const authority of certificateAuthorities)
      for (const tag of ["issue", "issuewild"])
        record(`${tag}-${authority}`, { name: domain, type: "CAA", data: { flags: 0, tag, value: authority } });
    this.registerOutputs({});
  }
}

/**
 * Who certifies the domain, in the words of CAA records; none where these words are not known. Cloudflare adds the CAs of
 * its own certificates to any that a zone has.
 */
export function authoritiesOf(certificates: Certificates): string[] {
  if (certificates.kind !== "acme") return [];
  return /^https:\/\/[\w.-]+\.api\.letsencrypt\.org\//.test(certificates.caServer) ? ["letsencrypt.org"] : [];
}

function wayTo(address: string) {
  return { suffix: address, type: isIPv4(address) ? "A" : "AAAA", content: address };
}

/** In characters, on Cloudflare's free plan. */
const LONGEST_COMMENT = 100;
