import { createHash } from "node:crypto";
import { SECRETS_PATH } from "../host/secrets-path.ts";
import { certificateNames, hostRule, LAST_PRIORITY, type Alias, type Domain } from "./hosts.ts";
import { onlyOn } from "./route-file.ts";

/** What the edge's settings say of its names beside the main one. Nothing here replaces a container. */
export interface DomainSettings {
  domain: string;
  domains?: readonly Domain[];
  aliases?: readonly Alias[];
  /** What follows a name in the URLs of clients: nothing, or a port like ":8443". */
  portInUrls?: string;
  /** Whether http:// is redirected. */
  httpRedirect?: boolean;
}

/**
 * Routers of names that no service has to serve: aliases, http://, and certificates that are asked for.
 *
 * @param issuer HOSTNAME of the edge that asks for certificates. One that it replaces would ask for the same, end before its
 *   DNS records are away, and write its own certificates over those of the new one. Undefined: there is no CA.
 */
export function domainRouters(settings: DomainSettings, issuer: string | undefined): object {
  const { domain, domains = [], aliases = [], httpRedirect = false } = settings;
  const [, ...further] = certificateNames(domain, domains, aliases);
  const plain = "(Method(`GET`) || Method(`HEAD`))";
  const hosts = [domain, ...domains.map(({ name }) => name)];
  return Object.fromEntries<object>([
    ...aliases.map(({ name }): Entry => [
      `alias-${name}`,
      { entryPoints: ["websecure"], rule: hostRule(name), service: "noop@internal", middlewares: [`to-${name}`] },
    ]),
    // Of the CA's certificate for the main domain Traefik is told at its start. It asks for these when it sees the router.
    ...(issuer === undefined ? [] : further).map(([main, ...sans]): Entry => [
      `certificate-${keyOf(main!)}`,
      {
        entryPoints: ["websecure"],
        rule: hostRule(main!),
        priority: LAST_PRIORITY + 1,
        service: "noop@internal",
        middlewares: ["not-found"],
        tls: { certResolver: onlyOn(issuer!, "acme"), domains: [{ main, ...(sans.length > 0 && { sans }) }] },
      },
    ]),
    ...(httpRedirect ? [...hosts, ...aliases.map(({ name }) => name)] : []).map((name): Entry => [
      `http-${keyOf(name)}`,
      {
        // On `release` too, where no client comes: an edge of before httpRedirect has no other of the two, and would
        // reject the router.
        entryPoints: ["http", "release"],
        rule: `${hostRule(name)} && ${plain}`,
        service: "noop@internal",
        middlewares: [aliases.some((alias) => alias.name === name) ? `to-${name}` : `to-https-${keyOf(name)}`],
      },
    ]),
  ]);
}

type Entry = [string, object];

/**
 * The label of the edge's settings, if it serves more than the main name: each name with what it redirects to, or "". What
 * the edge gets to read is not known before it is made.
 */
export function namesLabel({ domains = [], aliases = [] }: Pick<DomainSettings, "domains" | "aliases">) {
  const names = [...domains.map(({ name }) => [name, ""]), ...aliases.map(({ name, to }) => [name, to])];
  return names.length > 0 ? { "bulkhead.names": JSON.stringify(Object.fromEntries(names)) } : undefined;
}

/** Of one client, where a domain says no others. */
interface Limits {
  requestsPerSecond: number;
  burst: number;
}

/** Redirects, and the limits of domains that have their own. */
export function domainMiddlewares(settings: DomainSettings & Limits, ofOneClient: object): object {
  const { domain, domains = [], aliases = [], portInUrls = "", httpRedirect = false } = settings;
  const redirect = (to: string) => ({ plugin: { bulkhead: { kind: "redirect", to, port: portInUrls } } });
  const hosts = [{ name: domain } satisfies Domain, ...domains];
  return Object.fromEntries<object>([
    ...aliases.map(({ name, to }): Entry => [`to-${name}`, redirect(to)]),
    // A wildcard's goes to the name that was asked for, which its rule has looked at.
    ...(httpRedirect ? hosts : []).map(({ name }): Entry => [
      `to-https-${keyOf(name)}`,
      redirect(name.startsWith("*.") ? "" : name),
    ]),
    ...hosts
      .filter((host) => limitOf(host, settings) !== undefined)
      .map((host): Entry => [
        limitName(host.name),
        { rateLimit: { ...limitOf(host, settings), period: "1s", ...ofOneClient } },
      ]),
  ]);
}

/** The highest of all limits: it is on the entry point, so that no route is without one. */
export function highestLimit({ domains = [], requestsPerSecond, burst }: DomainSettings & Limits): {
  average: number;
  burst: number;
} {
  const rates = domains.map((own) => own.requestsPerSecond ?? requestsPerSecond);
  const bursts = domains.map((own) => own.burst ?? burst);
  return { average: Math.max(requestsPerSecond, ...rates), burst: Math.max(burst, ...bursts) };
}

/** Of a domain whose limit is another than the highest, which the entry point keeps to. */
function limitOf(host: Domain, settings: DomainSettings & Limits): { average: number; burst: number } | undefined {
  const own = {
    average: host.requestsPerSecond ?? settings.requestsPerSecond,
    burst: host.burst ?? settings.burst,
  };
  const highest = highestLimit(settings);
  return own.average === highest.average && own.burst === highest.burst ? undefined : own;
}

/** Middlewares that every route of a domain needs, for limits of its own. */
export function middlewaresOf(host: Domain, settings: DomainSettings & Limits): string[] {
  return limitOf(host, settings) === undefined ? [] : [limitName(host.name)];
}

function limitName(name: string): string {
  return `rate-limit-${keyOf(name)}`;
}

/** For names of Traefik and of files, which may have 255 bytes. */
export function keyOf(name: string): string {
  const key = name.replace("*", "_");
  if (key.length <= LONGEST_KEY) return key;
  return `${key.slice(0, LONGEST_KEY - 17)}.${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;
}

const LONGEST_KEY = 200;

/** The files of domains that have certificates of their own: name of the setting to its content. */
export function domainSecrets(domains: readonly Domain[] = []): Record<string, string> {
  return Object.fromEntries(
    domains.flatMap(({ name, certificate }) =>
      certificate === undefined
        ? []
        : [
            [`CERTIFICATE_${keyOf(name)}`, certificate.certificatePem],
            [`PRIVATE_KEY_${keyOf(name)}`, certificate.privateKeyPem],
          ],
    ),
  );
}

export function domainCertificates(domains: readonly Domain[] = []): { certFile: string; keyFile: string }[] {
  return domains
    .filter(({ certificate }) => certificate !== undefined)
    .map(({ name }) => ({
      certFile: `${SECRETS_PATH}/certificate_${keyOf(name)}`,
      keyFile: `${SECRETS_PATH}/private_key_${keyOf(name)}`,
    }));
}
