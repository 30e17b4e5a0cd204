import { fromOneOf } from "./hosts.ts";
import { tcpEntryPoint } from "./traefik-arguments.ts";

/** What of a TCP port of the edge leads to a service. */
export interface TcpRoute {
  /** Port in the container. */
  port: number;
  /** The name that clients ask for in TLS (SNI): several services share one port by it. @default all that comes there */
  host?: string;
  /**
   * Who ends TLS: "edge" by its certificate, and the service gets what is in it; "service", and the edge hands it on as it
   * came. @default "edge" with a host, and else nobody: what comes is not looked at
   */
  tls?: "edge" | "service";
}

/** What a port in a service's arguments means. */
export function tcpRoute(given: number | TcpRoute): TcpRoute {
  if (typeof given === "number") return { port: given };
  return { ...given, tls: given.tls ?? (given.host === undefined ? undefined : "edge") };
}

/** The part of a route file with a service's TCP ports. */
export function tcpRoutes(
  name: string,
  servers: readonly string[],
  tcp: Readonly<Record<string, number | TcpRoute>>,
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
