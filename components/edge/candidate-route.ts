import { routeRule } from "./request-paths.ts";
import { routesOf } from "./route.ts";
import type { DynamicConfiguration } from "./route-file.ts";
import { asClient, clientHost, serverUrl } from "./service-balancer.ts";
import { upstreamTransport } from "./upstream-tls.ts";
import type { WebServiceArgs } from "./web-service-args.ts";

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
