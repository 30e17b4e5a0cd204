import { hostPriority } from "./hosts.ts";
import { publicRule, routesOf, type Route } from "./route.ts";

/** Which service has which path of which host, so that no two claim one, and none is hidden behind another. */
export class RouteClaims {
  readonly #claims: Claim[] = [];

  /** @throws Error with every path that is claimed already, or that would never get a request or take another's. */
  take(service: string, domain: string, routes: Route | readonly Route[]): void {
    const claims: Claim[] = [];
    const problems: string[] = [];
    for (const { host = domain, paths } of routesOf(routes)) {
      const route = {};
      const rule = publicRule(host, paths);
      const priority = hostPriority(host, rule) ?? rule.length;
      for (const path of paths) {
        const claim = { service, route, host, path, priority };
        for (const other of [...this.#claims, ...claims])
          if (other.host === host) problems.push(...conflict(claim, other));
        claims.push(claim);
      }
    }
    if (problems.length > 0) throw new Error(problems.join("\n"));
    this.#claims.push(...claims);
  }
}

interface Claim {
  service: string;
  /** The same for all paths of one route. */
  route: object;
  host: string;
  path: string;
  /** Traefik asks the routers with the higher one first: the longer rule. */
  priority: number;
}

function conflict(claim: Claim, other: Claim): string[] {
  const { service, host, path } = claim;
  if (path === other.path)
    return [`${service}: routes: ${host}${path} leads to ${other.service} already: leave it out of one of them`];
  if (claim.route === other.route) return [];
  const [outer, inner] = isBelow(path, other.path) ? [other, claim] : [claim, other];
  if (!isBelow(inner.path, outer.path) || outer.priority < inner.priority) return [];
  return [
    `${service}: routes: ${host}${inner.path} of ${inner.service} would get no request, as the longer list of paths with ` +
      `${outer.path} of ${outer.service} comes first: give ${outer.path} a route of its own`,
  ];
}

function isBelow(path: string, outer: string): boolean {
  return path !== outer && (outer === "/" || path.startsWith(`${outer}/`));
}
