import { hostPriority } from "./hosts.ts";
import { isGuarded, publicRule, refusedPaths, routeRule } from "./request-paths.ts";
import { answerMiddlewares, entryMiddlewares, routeName, routesOf, stripMiddleware } from "./route.ts";
import { authMiddlewares, identityHeaders, spellingsOfHeaders } from "./route-auth.ts";
import type { WebServiceArgs } from "./web-service-args.ts";

/** What leads clients here by one route. */
export function clientRoute(
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

/** Traefik's service of a route whose answers may take another time than the others'. */
export function slowName(service: string, index: number): string {
  return `${service}-answers-${index + 1}`;
}

/** What a request is held to, by the edge's plugin. */
export function limits(service: string, args: WebServiceArgs, ofClients: object = {}) {
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

const STRICTEST_POLICY = "default-src 'none'; frame-ancestors 'none'";

/** How long a body may stand still before it is cut: a mobile phone in a tunnel comes back within it. */
const BODY_GAP_SECONDS = 60;

/** A request with a body that does not say how long it is. */
const UNSIZED = "!Method(`GET`) && !Method(`HEAD`) && !HeaderRegexp(`Content-Length`, `.`)";
