import { isIP } from "node:net";
import { z } from "zod";
import { domainOf } from "../edge/hosts.ts";
import { fault, HOSTNAME, object, text, wholeNumber } from "./fields.ts";

const WILDCARD_OR_HOST = new RegExp(`^(\\*\\.(?=.*\\.))?${HOSTNAME.source.slice(1)}`);
const PEM = "give the path of a PEM file, from the project's folder";

/** Names beside the main one, each with what is its own. */
export const domainsField = z
  .array(
    object({
      name: text(
        WILDCARD_OR_HOST,
        "is not a domain name",
        "give a name like example.org, or a wildcard like *.tenants.example.com",
      ).describe("The name, like example.org; or a wildcard for one more label, like *.tenants.example.com."),
      certificate: text(/./, "is not a path", PEM)
        .optional()
        .describe(
          "Path of its certificate chain, PEM. Default: by the CA, or what the stack's certificate is for too.",
        ),
      privateKey: text(/./, "is not a path", PEM).optional().describe("Path of its private key, PEM."),
      requestsPerSecond: wholeNumber(1, 100000, "give the steady rate that one client may keep up")
        .optional()
        .describe("Requests a second that one client may keep up there. Default: the edge's."),
      burst: wholeNumber(1, 1000000, "give the requests that one client may send at once")
        .optional()
        .describe("Requests that one client may send there at once. Default: the edge's."),
      contentSecurityPolicy: text(/^[\x20-\x7e]+$/, "is not a policy", "give one like default-src 'self'")
        .optional()
        .describe("The Content-Security-Policy of its routes that say none. Default: the strictest."),
      zone: text(HOSTNAME, "is not a zone", "give the name's zone at Cloudflare, or leave the key out")
        .optional()
        .describe("Its zone at Cloudflare, if it is another one of the account than cloudflare.zone."),
    }),
    fault("is not a list", "give names, each as an object like { name: example.org }"),
  )
  .optional()
  .describe("Names that the edge serves beside domain. A route says which it is for. Default: none.");

/** Names that answer redirects alone. */
export const aliasesField = z
  .array(
    object({
      name: text(HOSTNAME, "is not a domain name", "give the name that redirects, like www.example.com").describe(
        "The name that redirects, like www.example.com.",
      ),
      to: text(HOSTNAME, "is not a domain name", "give the name that is served, like example.com").describe(
        "The name that it redirects to, with the path and the query, by status 308.",
      ),
    }),
    fault("is not a list", "give aliases, each as an object like { name: www.example.com, to: example.com }"),
  )
  .optional()
  .describe("Names that answer nothing but a redirect (308) to a name that is served. Default: none.");

/** What of the platform's settings has to do with names. */
interface Names {
  domain?: string;
  domains?: z.output<typeof domainsField>;
  aliases?: z.output<typeof aliasesField>;
  edge?: { requestsPerSecond: number; burst: number; httpRedirect?: boolean };
  cloudflare?: { zone: string; tunnel: boolean; onlyThroughCloudflare: boolean };
  certificates?: { kind: string };
}

/** What the names say together. */
export function domainProblems(
  { domain, domains = [], aliases = [], edge, cloudflare, certificates }: Names,
  /** What is written in the stack file, as far as it is no secret. */
  shown: (key: string, value: unknown) => string,
): string[] {
  const problems: string[] = [];
  const there = new Map<string, string>(domain === undefined ? [] : [[domain, "domain"]]);
  const taken = (path: string, name: string, key: string) => {
    const other = there.get(name);
    if (other !== undefined) problems.push(`${path}: ${shown(key, name)} is ${other} too: leave it out of one of them`);
    else there.set(name, path);
  };
  for (const [index, own] of domains.entries()) {
    const at = `domains.${index}`;
    taken(`${at}.name`, own.name, "domains");
    if (certificates?.kind === "acme" && own.certificate === undefined && (!own.name.includes(".") || isIP(own.name)))
      problems.push(`${at}.name: no CA certifies ${shown("domains", own.name)}: give a public name, or a certificate`);
    for (const [one, other] of [
      ["certificate", "privateKey"],
      ["privateKey", "certificate"],
    ] as const)
      if (own[one] !== undefined && own[other] === undefined)
        problems.push(`${at}.${other}: missing, and ${one} is there: give the path of both, or of none`);
    if (edge) {
      const [rate, burst] = [own.requestsPerSecond ?? edge.requestsPerSecond, own.burst ?? edge.burst];
      if (burst < rate && (own.burst !== undefined || own.requestsPerSecond !== undefined))
        problems.push(
          `${at}.burst: ${shown("domains", burst)} is less than requestsPerSecond: give at least ${shown("domains", rate)}`,
        );
    }
    if (own.zone !== undefined && !cloudflare)
      problems.push(`${at}.zone: is for a stack with cloudflare: leave it out, or give cloudflare`);
    const zone = own.zone ?? cloudflare?.zone;
    const bare = own.name.replace(/^\*\./, "");
    if (cloudflare && zone !== undefined && bare !== zone && !bare.endsWith(`.${zone}`))
      problems.push(
        `${at}.name: ${shown("domains", own.name)} is not in the zone ${shown("cloudflare", zone)}: give ${at}.zone`,
      );
  }
  const served = [...(domain === undefined ? [] : [{ name: domain, zone: undefined }]), ...domains];
  for (const [index, { name, to }] of aliases.entries()) {
    const at = `aliases.${index}`;
    taken(`${at}.name`, name, "aliases");
    const target = domainOf(served, to);
    // Of the names of a wildcard: redirects would go on for ever.
    const next = target?.name === to ? -1 : aliases.findIndex((other) => other.name === to);
    if (next !== -1)
      problems.push(
        `${at}.to: ${shown("aliases", to)} is aliases.${next}.name, and redirects itself: give a name that is served`,
      );
    else if (domain !== undefined && target === undefined)
      problems.push(
        `${at}.to: ${shown("aliases", to)} is not served: give ${shown("domain", domain)}, or a name in domains`,
      );
    const zone = cloudflare && (target?.zone ?? cloudflare.zone);
    if (zone !== undefined && name !== zone && !name.endsWith(`.${zone}`))
      problems.push(
        `${at}.name: ${shown("aliases", name)} is not in the zone ${shown("cloudflare", zone)}, where its target is: ` +
          "give a name there",
      );
  }
  for (const [key, list] of Object.entries({ domains, aliases }))
    if (cloudflare?.tunnel && list.length > 0)
      problems.push(`${key}: cloudflare.tunnel leads to domain alone: leave them out, or the tunnel`);
  return problems;
}

/** What http:// has no meaning without, or with. */
export function httpRedirectProblems({ edge, cloudflare }: Names, isGiven: boolean): string[] {
  const problems: string[] = [];
  if (edge && !edge.httpRedirect && isGiven)
    problems.push("edge.httpPort: is for edge.httpRedirect, which is off: leave it out, or set that to true");
  if (edge?.httpRedirect && cloudflare?.tunnel)
    problems.push("edge.httpRedirect: with cloudflare.tunnel no port of the host is open: leave it out");
  else if (edge?.httpRedirect && cloudflare?.onlyThroughCloudflare)
    problems.push("edge.httpRedirect: Cloudflare redirects http:// itself, and nobody else comes here: leave it out");
  return problems;
}
