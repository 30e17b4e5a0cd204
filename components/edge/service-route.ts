import { tcpEntryPoint } from "./traefik-arguments.ts";
import { fromOneOf, hostPriority, type ProgramSubnets } from "./hosts.ts";
import { isGuarded, publicRule, refusedPaths, routeRule } from "./request-paths.ts";
import { answerMiddlewares, entryMiddlewares, routeName, routesOf, stripMiddleware } from "./route.ts";
import { authMiddlewares, EDGE_ITSELF, identityHeaders, spellingsOfHeaders } from "./route-auth.ts";
import { onlyName } from "../host/release.ts";
import type { DynamicConfiguration } from "./route-file.ts";
import { tcpRoute } from "./tcp-route.ts";
import { upstreamTransport } from "./upstream-tls.ts";
import type { WebServiceArgs } from "./web-service.ts";

/**
 * The route file of one release of a service, in Traefik's words. Each of its replicas has a name.
 *
 * @param usersFiles where the edge finds the users of a route with basicAuth, by the name of its router.
 */
export function serviceRoute(
  name: string,
  releases: readonly string[],
  args: WebServiceArgs,
  subnets: ProgramSubnets,
  usersFiles: Readonly<Record<string, string>> = {},
): DynamicConfiguration {
  const { edge, routes, tcp = {}, responseTimeoutSeconds = 60 } = args;
  const all = routesOf(routes);
  const host = all[0]?.host ?? edge.domain;
  const [release] = releases as [string];
  const retry = retryOf(args);
  const retried = retry === undefined ? [] : [`${name}-retry`];
  const clientRoutes = all.map((_, index) => clientRoute(name, index, args, retried, usersFiles));
  // One for each time that an answer may take.
  const slow = all.flatMap(({ paths, responseTimeoutSeconds: seconds }, index) =>
    seconds !== undefined && paths.length > 0 ? [[slowName(name, index), seconds] as const] : [],
  );
  // From service to service, and for the cutover job: one path is the service's for ever, the other its release's.
  const inner = (entryPoint: string, path: string, from: { rule?: string; middlewares?: string[] }) => ({
    entryPoints: [entryPoint],
    rule: [`PathPrefix(\`/${entryPoint}/${path}/\`)`, from.rule].filter(Boolean).join(" && "),
    service: name,
    middlewares: [
      ...(from.middlewares ?? []),
      `${name}-limits`,
      `${name}-${entryPoint}`,
      `${name}-as-client`,
      ...retried,
    ],
  });
  const strip = (prefix: string) => ({ stripPrefix: { prefixes: [prefix] } });
  return {
    http: {
      routers: {
        ...(Object.assign({}, ...clientRoutes.map(({ routers }) => routers)) as object),
        ...(subnets.users.length > 0 && {
          [`${name}-services`]: inner("services", name, { rule: `(${fromOneOf(subnets.users)})` }),
        }),
        ...(subnets.authenticates && {
          [`${name}-authenticates`]: {
            entryPoints: ["services"],
            rule: `PathPrefix(\`/auth/${name}/\`) && ClientIP(\`${EDGE_ITSELF}\`)`,
            service: name,
            middlewares: [`${name}-limits`, `${name}-authenticates`, `${name}-authenticates-host`, ...retried],
          },
        }),
        [`${name}-release`]: inner("release", release, { middlewares: ["door-network-only"] }),
      },
      middlewares: {
        [`${name}-limits`]: limits(name, args),
        ...(Object.assign({}, ...clientRoutes.map(({ middlewares }) => middlewares)) as object),
        [`${name}-as-client`]: asClient(clientHost(host, edge.domain)),
        [`${name}-services`]: strip(`/services/${name}`),
        ...(subnets.authenticates && {
          [`${name}-authenticates`]: strip(`/auth/${name}`),
          // What was asked of the edge stands in the X-Forwarded headers.
          [`${name}-authenticates-host`]: {
            headers: { customRequestHeaders: { Host: clientHost(host, edge.domain) } },
          },
        }),
        [`${name}-release`]: strip(`/release/${release}`),
        ...(retry && { [`${name}-retry`]: { retry } }),
      },
      services: {
        [name]: balancer(name, releases, args, name),
        ...Object.fromEntries(slow.map(([service]) => [service, balancer(name, releases, args, service)])),
      },
      serversTransports: {
        [name]: transport(name, args, responseTimeoutSeconds),
        ...Object.fromEntries(slow.map(([service, seconds]) => [service, transport(name, args, seconds)])),
      },
    },
    ...(Object.keys(tcp).length > 0 && { tcp: tcpRoutes(name, serversOf(name, releases, args), tcp, subnets.all) }),
  };
}

/** Traefik's service of a route whose answers may take another time than the others'. */
function slowName(service: string, index: number): string {
  return `${service}-answers-${index + 1}`;
}

// A container on this host takes a connection at once or refuses it at once. What takes longer is an edge or a service that
// waits for the processor, as under an attack: a client had rather wait than get a 504 after 5 s.
function transport(
  service: string,
  { protocol = "http", upstreamTls }: Pick<WebServiceArgs, "protocol" | "upstreamTls">,
  responseTimeoutSeconds: number,
) {
  return {
    forwardingTimeouts: { dialTimeout: "15s", responseHeaderTimeout: `${responseTimeoutSeconds}s` },
    ...upstreamTransport(service, protocol, upstreamTls),
  };
}

function balancer(name: string, releases: readonly string[], args: WebServiceArgs, serversTransport: string) {
  return {
    loadBalancer: {
      serversTransport,
      servers: serversOf(name, releases, args).map((server) => ({ url: serverUrl(server, args) })),
      ...healthCheckOf(args),
      ...stickyOf(name, args),
    },
  };
}

/** What leads clients here by one route. */
function clientRoute(
  service: string,
  index: number,
  args: WebServiceArgs,
  retried: readonly string[],
  usersFiles: Readonly<Record<string, string>>,
) {
  const { edge } = args;
  const all = routesOf(args.routes);
  const route = all[index]!;
  const { host = edge.domain, paths, compression = true, errorPages = args.protocol !== "h2c" } = route;
  // Around the policy, as a page has its own.
  const pages = errorPages ? edge.errorPages : [];
  const name = routeName(service, index);
  const entry = entryMiddlewares(name, route, edge.clients);
  const answers = answerMiddlewares(name, route);
  const auth = authMiddlewares(name, route, service, usersFiles[name]);
  const identity = identityHeaders(all);
  const strip = stripMiddleware(name, route);
  const contentSecurityPolicy =
    route.contentSecurityPolicy ?? edge.domainOf(host)?.contentSecurityPolicy ?? STRICTEST_POLICY;
  const { maxBodyMb = args.maxBodyMb, responseTimeoutSeconds = args.responseTimeoutSeconds } = route;
  const requests = limits(
    service,
    { ...args, maxBodyMb, responseTimeoutSeconds },
    {
      fromClient: true,
      refusedPaths: refusedPaths(
        route,
        all.some((other) => other !== route && isGuarded(other)),
      ),
      ...(identity.length > 0 && { ownHeaders: spellingsOfHeaders(identity) }),
    },
  );
  const limited = [
    ...edge.middlewaresOf(host),
    ...Object.keys(entry),
    `${name}-requests`,
    ...Object.keys(answers),
    // After what answers preflights, which come without credentials.
    ...Object.keys(auth),
    ...(compression ? ["compress"] : []),
    ...retried,
    ...Object.keys(strip),
  ];
  const rule = routeRule(host, route);
  // As if its paths stood in the rule as they are written, so that no spelling more takes another route's place.
  const plain = publicRule(host, paths);
  const priority = hostPriority(host, plain) ?? plain.length;
  const router = (condition: string, middlewares: string[]) => ({
    entryPoints: ["websecure"],
    rule: rule + condition,
    priority: hostPriority(host, plain + condition) ?? (rule === plain ? undefined : plain.length + condition.length),
    service: route.responseTimeoutSeconds === undefined ? service : slowName(service, index),
    middlewares,
  });
  return {
    routers: paths.length > 0 && {
      // The policy first: it is for answers of the edge itself too.
      [name]: router("", [...pages, `${name}-policy`, ...limited]),
      // A body whose length nobody knows is counted while it passes; when it is cut, that is answered 413 too.
      [`${name}-unsized`]: router(` && ${UNSIZED}`, ["linger", ...pages, `${name}-policy`, "too-large", ...limited]),
      // Where the edge cannot make the middlewares of a route it leaves the route out, and another one, such as that of "/",
      // would let its requests pass.
      ...(Object.keys(auth).length > 0 && {
        [`${name}-closed`]: {
          ...{ entryPoints: ["websecure"], rule, priority: priority - 1 },
          ...{ service: "noop@internal", middlewares: [`${name}-closed`] },
        },
      }),
    },
    middlewares: {
      [`${name}-policy`]: { headers: { contentSecurityPolicy } },
      ...entry,
      [`${name}-requests`]: requests,
      ...answers,
      ...auth,
      ...(Object.keys(auth).length > 0 && {
        [`${name}-closed`]: { plugin: { bulkhead: { kind: "answer", status: 503 } } },
      }),
      ...strip,
    },
  };
}

/** What a request is held to, by the edge's plugin. */
function limits(service: string, args: WebServiceArgs, ofClients: object = {}) {
  const { edge, maxBodyMb = edge.maxBodyMb, responseTimeoutSeconds = 60 } = args;
  return {
    plugin: {
      bulkhead: {
        kind: "limits",
        service,
        maxBodyBytes: maxBodyMb * 1024 * 1024,
        bodyGapSeconds: BODY_GAP_SECONDS,
        responseTimeoutSeconds,
        ...ofClients,
      },
    },
  };
}

function serverUrl(release: string, { port, protocol = "http" }: WebServiceArgs): string {
  return `${protocol}://${release}:${port}`;
}

const STRICTEST_POLICY = "default-src 'none'; frame-ancestors 'none'";

/** A service that is stopped first has one name whichever release runs: a request that waits for it finds the new one. */
function serversOf(name: string, releases: readonly string[], { rollout }: WebServiceArgs): readonly string[] {
  return rollout === "stop-first" ? [onlyName(name)] : releases;
}

/**
 * A request of which no byte was sent, because nobody took the connection, is sent again: to another replica, or to the
 * container that comes after the gap. What a service had received is never sent twice.
 */
function retryOf({ replicas = 1, rollout }: WebServiceArgs) {
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

function tcpRoutes(
  name: string,
  servers: readonly string[],
  tcp: NonNullable<WebServiceArgs["tcp"]>,
  programs: readonly string[],
) {
  // A program would come past the door, and past its limits. What it uses it asks for by HTTP.
  const fromClients = programs.length > 0 ? ` && !(${fromOneOf(programs)})` : "";
  const routes = Object.entries(tcp).map(([port, given]) => {
    const { port: inside, host = "*", tls } = tcpRoute(given);
    return {
      route: `${name}-${tcpEntryPoint(port)}`,
      entryPoint: tcpEntryPoint(port),
      rule: `HostSNI(\`${host}\`)${fromClients}`,
      addresses: servers.map((server) => ({ address: `${server}:${inside}` })),
      ...(tls && { tls: tls === "edge" ? {} : { passthrough: true } }),
    };
  });
  const each = <Entry>(entry: (of: (typeof routes)[number]) => Entry) =>
    Object.fromEntries(routes.map((of) => [of.route, entry(of)]));
  return {
    routers: each(({ route, entryPoint, rule, tls }) => ({ entryPoints: [entryPoint], rule, service: route, tls })),
    services: each(({ addresses }) => ({ loadBalancer: { servers: addresses } })),
  };
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
export function candidateRoute(
  service: string,
  releases: readonly string[],
  args: WebServiceArgs,
): DynamicConfiguration {
  const all = releases.map((release) => candidateOf(service, release, args));
  const transports = Object.assign({}, ...all.map(({ serversTransports }) => serversTransports)) as object;
  return {
    http: {
      routers: Object.assign({}, ...all.map(({ routers }) => routers)) as object,
      middlewares: Object.assign({}, ...all.map(({ middlewares }) => middlewares)) as object,
      services: Object.assign({}, ...all.map(({ services }) => services)) as object,
      ...(Object.keys(transports).length > 0 && { serversTransports: transports }),
    },
  };
}

function candidateOf(service: string, release: string, args: WebServiceArgs) {
  const name = `${release}-candidate`;
  const isTls = args.protocol === "https";
  const prefix = `/candidate/${release}`;
  const { edge } = args;
  const all = routesOf(args.routes);
  const host = all[0]?.host ?? edge.domain;
  const toCome = all
    .filter(({ paths }) => paths.length > 0)
    .map((route) => ` || (${routeRule(route.host ?? edge.domain, route)})`)
    .join("");
  const rule = `PathPrefix(\`${prefix}/\`)${toCome}`;
  return {
    routers: {
      [name]: {
        ...{ entryPoints: ["release"], rule, service: name },
        middlewares: ["door-network-only", name, `${name}-as-client`],
      },
    },
    middlewares: {
      [name]: { stripPrefix: { prefixes: [prefix] } },
      [`${name}-as-client`]: asClient(clientHost(host, edge.domain)),
    },
    services: {
      [name]: {
        loadBalancer: { ...(isTls && { serversTransport: name }), servers: [{ url: serverUrl(release, args) }] },
      },
    },
    serversTransports: isTls
      ? // The times of the others that are tried, which the edge's arguments say.
        {
          [name]: {
            forwardingTimeouts: { dialTimeout: "2s", responseHeaderTimeout: "60s" },
            ...upstreamTransport(service, "https", args.upstreamTls),
          },
        }
      : {},
  };
}
