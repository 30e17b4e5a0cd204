import { whole } from "../host/release-problems.ts";
import { HOSTNAME } from "../settings/fields.ts";
import { nearestTo } from "../settings/parse.ts";
import { tcpRoute, type TcpRoute } from "./tcp-route.ts";

/** Which services each TCP port of the edge leads to. */
export class TcpClaims {
  readonly #claims: Map<string, { service: string; host?: string }[]>;
  readonly #isServed: (host: string) => boolean;

  /** @param isServed whether the edge has a certificate for a host */
  constructor(ports: readonly string[], isServed: (host: string) => boolean) {
    this.#claims = new Map(ports.map((port) => [port, []]));
    this.#isServed = isServed;
  }

  /** @throws Error with every port that the edge does not have, or that another service has. */
  take(service: string, ports: Readonly<Record<string, number | TcpRoute>>): void {
    const problems = Object.entries(ports).flatMap(([port, given]) => this.#problems(service, port, given));
    if (problems.length > 0) throw new Error(problems.join("\n"));
    for (const [port, given] of Object.entries(ports))
      this.#claims.get(port)!.push({ service, host: tcpRoute(given).host });
  }

  #problems(service: string, port: string, given: number | TcpRoute): string[] {
    const { host, tls, port: inside } = tcpRoute(given);
    const others = this.#claims.get(port);
    if (others === undefined)
      return [`${service}: tcp.${port}: is no TCP port of the edge: ${nearest(port, [...this.#claims.keys()])}`];
    const wrong = whole("port", inside, "give the one in the container", 1, 65_535);
    if (tls !== undefined && !["edge", "service"].includes(tls))
      wrong.push(`tls: ${tls} is none: give edge or service, or leave it out`);
    if (wrong.length > 0) return wrong.map((problem) => `${service}: tcp.${port}.${problem}`);
    if (host !== undefined && !HOSTNAME.test(host))
      return [`${service}: tcp.${port}.host: ${host} is not a host name: give one like db.example.com`];
    if (host !== undefined && tls === "edge" && !this.#isServed(host))
      return [
        `${service}: tcp.${port}.host: ${host} is not served by the edge, which has no certificate for it: ` +
          'add it to domains in the stack file, or give tls: "service"',
      ];
    const cure = "leave it out of one of them, or declare another in tcp of settings.ts";
    const byName = ", or give each a host, by which TLS clients tell them apart";
    return others
      .filter((other) => host === undefined || other.host === undefined || other.host === host)
      .map(({ service: other, host: its }) => {
        const what = its === undefined ? "" : ` for ${its}`;
        return `${service}: tcp.${port}: leads to ${other} already${what}: ${cure}${host === its && host !== undefined ? "" : byName}`;
      });
  }

  /** @throws Error if a port leads to no service: it would be open for nothing. */
  refuseIdle(): void {
    const idle = [...this.#claims].flatMap(([port, services]) => (services.length === 0 ? [port] : []));
    const cure =
      "say in a service's arguments where it leads, like `tcp: { NAME: 2222 }`, or take it out of settings.ts";
    const problems = idle.map((port) => `edge.tcp.${port}: leads to no service: ${cure.replace("NAME", port)}`);
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }
}

function nearest(port: string, known: string[]): string {
  const declare = `declare it in settings.ts, \`tcp: { ${port}: 2222 }\``;
  if (known.length === 0) return declare;
  const near = nearestTo(port, known);
  return near === undefined ? `give ${known.join(" or ")}, or ${declare}` : `did you mean ${near}?`;
}
