import type { RouteAuth } from "./route-auth.ts";

/** Requests that lead to a service, and what holds for them. */
export interface Route extends RouteAuth {
  /** One of the edge's hosts, or a name that a wildcard of it stands for, or such a wildcard. @default the edge's domain */
  host?: string;
  /** Each path with all below it, like "/api". */
  paths: string[];
  /** The service gets requests without the path that led to it, which stands in X-Forwarded-Prefix. @default false */
  stripPrefix?: boolean;
  /** The Content-Security-Policy of its answers. @default the domain's: "default-src 'none'; frame-ancestors 'none'" */
  contentSecurityPolicy?: string;
  /** Addresses or CIDR ranges of clients that get through; all others get 403. @default everybody */
  allowFrom?: readonly string[];
  /** Users and passwords: who gives none of them gets 401. @default nobody is asked */
  basicAuth?: RouteAuth["basicAuth"];
  /** A service that is asked before each request whether it may pass. @default none is */
  forwardAuth?: RouteAuth["forwardAuth"];
  /** Headers of every answer, instead of the service's own. Those that the edge itself sets are refused. @default {} */
  headers?: Readonly<Record<string, string>>;
  /** Which pages of other origins may read its answers. The edge answers preflights. @default none */
  cors?: Cors;
  /** What one client may send here, below the edge's own limit. @default the edge's */
  rateLimit?: { requestsPerSecond: number; burst: number };
  /** The largest request body in MiB: what is larger is answered 413. @default the service's */
  maxBodyMb?: number;
  /** Seconds that the first byte of an answer may take: what takes longer is answered 504. @default the service's */
  responseTimeoutSeconds?: number;
  /** Whether the edge compresses scripts, styles and fonts. @default true */
  compression?: boolean;
  /**
   * Whether an answer of 502, 503 or 504, of the service or of the edge for it, is replaced by the program's page for it.
   * @default true, where the program has pages; false for "h2c"
   */
  errorPages?: boolean;
  /** What of the edge's protection it is without. @default [] */
  exceptions?: readonly RouteException[];
}

/** One weakening of a route, with its reason. */
export type RouteException = {
  why: string;
} & {
  /**
   * Paths may have an encoded slash, as `@scope%2fname` in those of an npm registry. One that leads out of its place, like
   * `x%2f..%2fadmin`, is answered 400 all the same.
   */
  encodedSlashes: true;
};

export interface Cors {
  /** Like "https://app.example.com"; ["*"] is every origin, without credentials. */
  origins: readonly string[];
  /** @default ["GET", "HEAD", "POST"] */
  methods?: readonly string[];
  /** Request headers beyond those that need no permission, like "Authorization". @default [] */
  headers?: readonly string[];
  /** Whether cookies may come with such a request. @default false */
  credentials?: boolean;
  /** Seconds for which a browser keeps a permission. @default 600 */
  maxAgeSeconds?: number;
}

/** How the edge knows whose request it is, for limits and lists of addresses alike. */
export interface ClientCriteria {
  /** Clients come through a proxy, which says their address last in X-Forwarded-For. */
  isForwarded: boolean;
  /** Traefik's criterion of one client. */
  ofOneClient: object;
}

export function routesOf(routes: Route | readonly Route[]): readonly Route[] {
  return "paths" in routes ? [routes] : routes;
}

/** The names of its router and its middlewares. The first has the service's own, so that an only route keeps it. */
export function routeName(service: string, index: number): string {
  return index === 0 ? service : `${service}-route-${index + 1}`;
}

/** Traefik's middlewares of who may come to this route, and how often, by name and in order. */
export function entryMiddlewares(name: string, route: Route, clients: ClientCriteria): Record<string, object> {
  const { allowFrom, rateLimit } = route;
  return {
    ...(allowFrom && {
      [`${name}-allow`]: {
        ipAllowList: { sourceRange: allowFrom, ...(clients.isForwarded && { ipStrategy: { depth: 1 } }) },
      },
    }),
    ...(rateLimit && {
      [`${name}-rate-limit`]: {
        rateLimit: {
          average: rateLimit.requestsPerSecond,
          burst: rateLimit.burst,
          period: "1s",
          ...clients.ofOneClient,
        },
      },
    }),
  };
}

/** Traefik's middlewares of what its requests are answered, by name and in order. */
export function answerMiddlewares(name: string, { cors, headers }: Route): Record<string, object> {
  return {
    ...(headers && { [`${name}-headers`]: { headers: { customResponseHeaders: headers } } }),
    ...(cors && { [`${name}-cors`]: { headers: corsHeaders(cors) } }),
  };
}

/** Traefik's middleware that takes the path away. It comes last, so that the log has the path that was asked for. */
export function stripMiddleware(name: string, { paths, stripPrefix }: Route): Record<string, object> {
  // The longest first, as Traefik takes the first that fits.
  const prefixes = paths.filter((path) => path !== "/").sort((one, other) => other.length - one.length);
  return stripPrefix && prefixes.length > 0 ? { [`${name}-strip`]: { stripPrefix: { prefixes } } } : {};
}

function corsHeaders(cors: Cors): object {
  return {
    accessControlAllowOriginList: cors.origins,
    accessControlAllowMethods: cors.methods ?? ["GET", "HEAD", "POST"],
    ...(cors.headers && cors.headers.length > 0 && { accessControlAllowHeaders: cors.headers }),
    accessControlAllowCredentials: cors.credentials ?? false,
    accessControlMaxAge: cors.maxAgeSeconds ?? 600,
    addVaryHeader: true,
  };
}
