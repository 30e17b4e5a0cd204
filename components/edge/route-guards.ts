import { isGuarded } from "./request-paths.ts";
import type { Route } from "./route.ts";

/** Who gets through a route, for the label `bulkhead.guards` of the job that writes it. Nothing of it is secret. */
export interface RouteGuards {
  allowFrom?: readonly string[];
  rateLimit?: { requestsPerSecond: number; burst: number };
  /** Users. */
  basicAuth?: readonly string[];
  /** The service with the path that it is asked for. */
  forwardAuth?: string;
}

/** The label of the routes of a service, if any of them is guarded: each host with a path, and what guards it. */
export function guardsLabel(domain: string, routes: readonly Route[]): Record<string, string> {
  const guards = routes.filter(isGuarded).flatMap((route) => {
    const { host = domain, paths, allowFrom, rateLimit, basicAuth, forwardAuth } = route;
    const of: RouteGuards = {
      ...(allowFrom && { allowFrom }),
      ...(rateLimit && { rateLimit }),
      ...(basicAuth && { basicAuth: Object.keys(basicAuth.users).sort() }),
      ...(forwardAuth && { forwardAuth: `${forwardAuth.to.name}${forwardAuth.path}` }),
    };
    return paths.map((path) => [`${host}${path}`, of] as const);
  });
  return guards.length > 0 ? { "bulkhead.guards": JSON.stringify(Object.fromEntries(guards)) } : {};
}
