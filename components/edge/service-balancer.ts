import { onlyName } from "../host/release.ts";
import { routesOf } from "./route.ts";
import { upstreamTransport } from "./upstream-tls.ts";
import type { WebServiceArgs } from "./web-service-args.ts";

/** Traefik's servers of a service, and how it tells which of them to ask. */
export function balancer(name: string, releases: readonly string[], args: WebServiceArgs, serversTransport: string) {
  return {
    loadBalancer: {
      serversTransport,
      servers: serversOf(name, releases, args).map((server) => ({ url: serverUrl(server, args) })),
      ...healthCheckOf(args),
      ...stickyOf(name, args),
    },
  };
}

// A container on this host takes a connection at once or refuses it at once. What takes longer is an edge or a service that
// waits for the processor, as under an attack: a client had rather wait than get a 504 after 5 s.
export function transport(
  service: string,
  { protocol = "http", upstreamTls }: Pick<WebServiceArgs, "protocol" | "upstreamTls">,
  responseTimeoutSeconds: number,
) {
  return {
    forwardingTimeouts: { dialTimeout: "15s", responseHeaderTimeout: `${responseTimeoutSeconds}s` },
    ...upstreamTransport(service, protocol, upstreamTls),
  };
}

export function serverUrl(release: string, { port, protocol = "http" }: WebServiceArgs): string {
  return `${protocol}://${release}:${port}`;
}

/** A service that is stopped first has one name whichever release runs: a request that waits for it finds the new one. */
export function serversOf(name: string, releases: readonly string[], { rollout }: WebServiceArgs): readonly string[] {
  return rollout === "stop-first" ? [onlyName(name)] : releases;
}

/**
 * A request of which no byte was sent, because nobody took the connection, is sent again: to another replica, or to the
 * container that comes after the gap. What a service had received is never sent twice.
 */
export function retryOf({ replicas = 1, rollout }: WebServiceArgs) {
  if (rollout === "stop-first") return { attempts: 400, initialInterval: "100ms", timeout: `${GAP_WAIT_SECONDS}s` };
  // With a cookie it goes to the same replica until the health check has found that out.
  return replicas > 1 ? { attempts: 100, initialInterval: "100ms", timeout: "10s" } : undefined;
}

/** A browser waits longer. What the edge holds meanwhile is limited as all that it serves at once is. */
const GAP_WAIT_SECONDS = 30;

/** One that hangs takes connections and gives no answer: it gets no more requests after one check without one. */
function healthCheckOf({ edge, routes, replicas = 1, healthPath, healthTimeoutSeconds = 5 }: WebServiceArgs) {
  if (replicas === 1) return {};
  const hostname = clientHost(routesOf(routes)[0]?.host ?? edge.domain, edge.domain);
  const headers = { "X-Forwarded-Host": hostname, "X-Forwarded-Proto": "https" };
  const times = { interval: "2s", timeout: `${healthTimeoutSeconds}s` };
  return { healthCheck: { path: healthPath, hostname, headers, ...times } };
}

function stickyOf(name: string, { sticky }: WebServiceArgs) {
  if (sticky === undefined) return {};
  const { cookie = `bulkhead-${name}`, sameSite = "lax" } = sticky;
  return { sticky: { cookie: { name: cookie, secure: true, httpOnly: true, sameSite } } };
}

/**
 * What the edge says of a request from within, to a framework that takes requests for its own domain alone and answers all
 * that was not HTTPS with a redirect.
 */
export function asClient(domain: string): object {
  return {
    headers: { customRequestHeaders: { Host: domain, "X-Forwarded-Host": domain, "X-Forwarded-Proto": "https" } },
  };
}

/** A wildcard is no name that a request could be for. */
export function clientHost(host: string, domain: string): string {
  return host.startsWith("*.") ? domain : host;
}
