import { clientRoute, limits, slowName } from "./client-route.ts";
import { fromOneOf, type ProgramSubnets } from "./hosts.ts";
import { routesOf } from "./route.ts";
import { EDGE_ITSELF } from "./route-auth.ts";
import type { DynamicConfiguration } from "./route-file.ts";
import { asClient, balancer, clientHost, retryOf, serversOf, transport } from "./service-balancer.ts";
import { tcpRoutes } from "./tcp-route.ts";
import type { WebServiceArgs } from "./web-service-args.ts";

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
