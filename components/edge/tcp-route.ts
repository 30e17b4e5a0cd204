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
