import { hostPriority } from "./hosts.ts";
import { isBelow, isGuarded, publicRule } from "./request-paths.ts";
import { routesOf, type Route } from "./route.ts";

/** Which service has which path of which host, so that no two claim one, and none is hidden behind another. */
export class RouteClaims {
  readonly #claims: Claim[] = [];

  /** @throws Error with every path that is claimed already, or that would never get a request or take another's. */
  take(service: string, domain: string, routes: Route | readonly Route[]): void {
    const claims: Claim[] = [];
    const problems: string[] = [];
    for (const route of routesOf(routes)) {
      const { host = domain, paths } = route;
      const rule = publicRule(host, paths);
      const priority = hostPriority(host, rule) ?? rule.length;
      for (const path of paths) {
        const claim = { service, route, host, path, priority, isGuarded: isGuarded(route) };
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
  /** Its path is taken in whatever case. */
  isGuarded: boolean;
}

function conflict(claim: Claim, other: Claim): string[] {
  const { service, host, path } = claim;
  const inAnyCase = claim.isGuarded || other.isGuarded;
  if (path === other.path || (inAnyCase && path.toLowerCase() === other.path.toLowerCase()))
    return [`${service}: routes: ${host}${path} leads to ${other.service} already: leave it out of one of them`];
  if (claim.route === other.route) return [];
  const [outer, inner] = isBelow(path, other.path) ? [other, claim] : [claim, other];
  if (!isBelow(inner.path, outer.path) || outer.priority < inner.priority) return [];
  return [
    `${service}: routes: ${host}${inner.path} of ${inner.service} would get no request, as the longer list of paths with ` +
      `${outer.path} of ${outer.service} comes first: give ${outer.path} a route of its own`,
  ];
}
