import { tcpEntryPoint } from "./edge-settings.ts";
import { hostPriority } from "./hosts.ts";
import { publicRule, routeMiddlewares, routeName, routesOf, type Route } from "./route.ts";
import type { DynamicConfiguration } from "./route-file.ts";
import type { TcpRoute, WebServiceArgs } from "./web-service.ts";

/** The route file of one release of a service, in Traefik's words. */
export function serviceRoute(name: string, release: string, args: WebServiceArgs): DynamicConfiguration {
  const { edge, routes, tcp = {}, maxBodyMb = edge.maxBodyMb, responseTimeoutSeconds = 60 } = args;
  const all = routesOf(routes);
  const host = all[0]?.host ?? edge.domain;
  const clientRoutes = all.map((route, index) => clientRoute(name, index, route, edge));
  // From service to service, and for the cutover job: one path is the service's for ever, the other its release's.
  const inner = (entryPoint: string, path: string) => ({
    entryPoints: [entryPoint],
    rule: `PathPrefix(\`/${entryPoint}/${path}/\`)`,
    service: name,
    middlewares: [`${name}-limits`, `${name}-${entryPoint}`, `${name}-as-client`],
  });
  const strip = (prefix: string) => ({ stripPrefix: { prefixes: [prefix] } });
  return {
    http: {
      routers: {
        ...Object.assign({}, ...clientRoutes.map(({ routers }) => routers)),
        [`${name}-services`]: inner("services", name),
        [`${name}-release`]: inner("release", release),
      },
      middlewares: {
        [`${name}-limits`]: {
          plugin: {
            bulkhead: {
              kind: "limits",
              service: name,
              maxBodyBytes: maxBodyMb * 1024 * 1024,
              bodyGapSeconds: BODY_GAP_SECONDS,
              responseTimeoutSeconds,
            },
          },
        },
        ...Object.assign({}, ...clientRoutes.map(({ middlewares }) => middlewares)),
        [`${name}-as-client`]: asClient(clientHost(host, edge.domain)),
        [`${name}-services`]: strip(`/services/${name}`),
        [`${name}-release`]: strip(`/release/${release}`),
      },
      services: {
        [name]: { loadBalancer: { serversTransport: name, servers: [{ url: serverUrl(release, args) }] } },
      },
      serversTransports: {
        [name]: { forwardingTimeouts: { dialTimeout: "5s", responseHeaderTimeout: `${responseTimeoutSeconds}s` } },
      },
    },
    ...(Object.keys(tcp).length > 0 && { tcp: tcpRoutes(name, release, tcp) }),
  };
}

/** What leads clients here by one route. */
function clientRoute(service: string, index: number, route: Route, edge: WebServiceArgs["edge"]) {
  const { host = edge.domain, paths, compression = true } = route;
  const name = routeName(service, index);
  const own = routeMiddlewares(name, route, edge.clients);
  const contentSecurityPolicy =
    route.contentSecurityPolicy ?? edge.domainOf(host)?.contentSecurityPolicy ?? STRICTEST_POLICY;
  const limits = [`${service}-limits`, ...(compression ? ["compress"] : [])];
  const strip = `${name}-strip`;
  const limited = [
    ...edge.middlewaresOf(host),
    ...Object.keys(own).filter((middleware) => middleware !== strip),
    ...limits,
    // Last, so that the log has the path that was asked for.
    ...(strip in own ? [strip] : []),
  ];
  const rule = publicRule(host, paths);
  const router = (rule: string, middlewares: string[]) => ({
    entryPoints: ["websecure"],
    rule,
    priority: hostPriority(host, rule),
    service,
    middlewares,
  });
  return {
    routers: paths.length > 0 && {
      // The policy first: it is for answers of the edge itself too.
      [name]: router(rule, [`${name}-policy`, ...limited]),
      // A body whose length nobody knows is counted while it passes; when it is cut, that is answered 413 too.
      [`${name}-unsized`]: router(`${rule} && ${UNSIZED}`, ["linger", `${name}-policy`, "too-large", ...limited]),
    },
    middlewares: { [`${name}-policy`]: { headers: { contentSecurityPolicy } }, ...own },
  };
}

function serverUrl(release: string, { port, protocol = "http" }: WebServiceArgs): string {
  return `${protocol}://${release}:${port}`;
}

const STRICTEST_POLICY = "default-src 'none'; frame-ancestors 'none'";

function tcpRoutes(name: string, release: string, tcp: NonNullable<WebServiceArgs["tcp"]>) {
  const routes = Object.entries(tcp).map(([port, given]) => {
    const { port: inside, host = "*", tls } = tcpRoute(given);
    return {
      route: `${name}-${tcpEntryPoint(port)}`,
      entryPoint: tcpEntryPoint(port),
      rule: `HostSNI(\`${host}\`)`,
      address: `${release}:${inside}`,
      ...(tls && { tls: tls === "edge" ? {} : { passthrough: true } }),
    };
  });
  const each = <Entry>(entry: (of: (typeof routes)[number]) => Entry) =>
    Object.fromEntries(routes.map((of) => [of.route, entry(of)]));
  return {
    routers: each(({ route, entryPoint, rule, tls }) => ({ entryPoints: [entryPoint], rule, service: route, tls })),
    services: each(({ address }) => ({ loadBalancer: { servers: [{ address }] } })),
  };
}

/** What a port in a service's arguments means. */
export function tcpRoute(given: number | TcpRoute): TcpRoute {
  if (typeof given === "number") return { port: given };
  return { ...given, tls: given.tls ?? (given.host === undefined ? undefined : "edge") };
}

/** How long a body may stand still before it is cut: a mobile phone in a tunnel comes back within it. */
const BODY_GAP_SECONDS = 60;

/** A request with a body that does not say how long it is. */
const UNSIZED = "!Method(`GET`) && !Method(`HEAD`) && !HeaderRegexp(`Content-Length`, `.`)";

/**
 * What the edge says of a request from within, to a framework that takes requests for its own domain alone and answers all
 * that was not HTTPS with a redirect.
 */
function asClient(domain: string): object {
  return {
    headers: { customRequestHeaders: { Host: domain, "X-Forwarded-Host": domain, "X-Forwarded-Proto": "https" } },
  };
}

/** A wildcard is no name that a request could be for. */
function clientHost(host: string, domain: string): string {
  return host.startsWith("*.") ? domain : host;
}

/**
 * What leads to a release before any client does. Its rule contains the one that is to come: a rule that Traefik cannot
 * read would take the service off the edge, and the rest of its route file would still say that all is well.
 */
export function candidateRoute(release: string, args: WebServiceArgs): DynamicConfiguration {
  const name = `${release}-candidate`;
  const prefix = `/candidate/${release}`;
  const { edge } = args;
  const all = routesOf(args.routes);
  const host = all[0]?.host ?? edge.domain;
  const toCome = all
    .filter(({ paths }) => paths.length > 0)
    .map((route) => ` || (${publicRule(route.host ?? edge.domain, route.paths)})`)
    .join("");
  const rule = `PathPrefix(\`${prefix}/\`)${toCome}`;
  return {
    http: {
      routers: { [name]: { entryPoints: ["release"], rule, service: name, middlewares: [name, `${name}-as-client`] } },
      middlewares: {
        [name]: { stripPrefix: { prefixes: [prefix] } },
        [`${name}-as-client`]: asClient(clientHost(host, edge.domain)),
      },
      services: { [name]: { loadBalancer: { servers: [{ url: serverUrl(release, args) }] } } },
    },
  };
}
