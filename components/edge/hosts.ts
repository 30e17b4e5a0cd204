/** A further name that an edge serves, with what is its own. */
export interface Domain {
  /** Like example.org; or *.tenants.example.com: every name with one more label. */
  name: string;
  /** PEM, for a name that the edge's own certificate is not for. @default the edge's, or by its CA */
  certificate?: { certificatePem: string; privateKeyPem: string };
  /** Requests a second that one client may keep up there. @default the edge's */
  requestsPerSecond?: number;
  /** Requests that one client may send there at once. @default the edge's */
  burst?: number;
  /** The Content-Security-Policy of routes that say none. @default "default-src 'none'; frame-ancestors 'none'" */
  contentSecurityPolicy?: string;
}

/** A name that answers nothing but a redirect to another one, with the path and the query. */
export interface Alias {
  name: string;
  to: string;
}

/** Whether a name, or a wildcard, is that of a domain or one that its wildcard stands for. A star is one label. */
export function covers(domain: string, host: string): boolean {
  if (domain === host) return true;
  return domain.startsWith("*.") && !host.startsWith("*.") && host.slice(host.indexOf(".")) === domain.slice(1);
}

/** The domain that a host belongs to: the exact one before a wildcard. Undefined if none does. */
export function domainOf<Named extends { name: string }>(domains: readonly Named[], host: string): Named | undefined {
  return domains.find(({ name }) => name === host) ?? domains.find(({ name }) => covers(name, host));
}

/** Traefik's rule for requests to a host, or to every host of a wildcard. */
export function hostRule(host: string): string {
  if (!host.startsWith("*.")) return `Host(\`${host}\`)`;
  return `HostRegexp(\`^[a-z0-9-]+${host.slice(1).replaceAll(".", "\\.")}$\`)`;
}

/** Addresses, as CIDR, of the networks on which the edge hears programs. */
export interface ProgramSubnets {
  /** Those that use the service. */
  users: readonly string[];
  /** All of the stack, if TCP ports of the edge lead to the service. */
  all: readonly string[];
  /** Whether the edge itself asks the service who may pass on another's routes. @default false */
  authenticates?: boolean;
}

/** Traefik's rule for what comes from one of these addresses, as CIDR. */
export function fromOneOf(subnets: readonly string[]): string {
  return subnets.map((subnet) => `ClientIP(\`${subnet}\`)`).join(" || ");
}

/**
 * The priority of a router whose rule has a host. Traefik prefers the longer rule, and a wildcard's is longer than that of
 * a host which it stands for: it has to come after all hosts, with the longer path before the shorter. Undefined: Traefik's.
 */
export function hostPriority(host: string, rule: string): number | undefined {
  return host.startsWith("*.") ? rule.length - WILDCARDS_AFTER : undefined;
}

/** More than any rule is long. */
const WILDCARDS_AFTER = 100_000;

/** After every route, wildcards too. */
export const LAST_PRIORITY = -2 * WILDCARDS_AFTER;

/**
 * The names of each certificate that a CA is asked for: one for a name and all below it, so that no list of certificates
 * tells of another name. What one of those, or a certificate in a file, is for already needs none.
 */
export function certificateNames(domain: string, domains: readonly Domain[], aliases: readonly Alias[]): string[][] {
  const sets = [[domain, `*.${domain}`]];
  const isCovered = (name: string) => sets.some((names) => names.some((one) => covers(one, name)));
  // Those without a star first: their certificates are for the wildcards too.
  const byCa = domains.filter(({ certificate }) => certificate === undefined).map(({ name }) => name);
  const isWild = (name: string) => name.startsWith("*.");
  const ofAliases = aliases
    .map(({ name }) => name)
    .filter((name) => !domains.some((own) => own.certificate && covers(own.name, name)));
  for (const name of [...byCa.filter((name) => !isWild(name)), ...byCa.filter(isWild), ...ofAliases])
    if (!isCovered(name)) sets.push(isWild(name) ? [name] : [name, `*.${name}`]);
  return sets;
}
