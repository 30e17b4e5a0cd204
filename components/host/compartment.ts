import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";
import { egressNetwork, isOfEdge, type Gate, type Reachable } from "./networks.ts";
import { refuse } from "./refuse.ts";

/** Whom a program reaches. Nobody else: what it shares with the edge is a network of its own. */
export interface Connections {
  env?: Record<string, pulumi.Input<string>>;
  /**
   * What it reaches: a service by its `internalUrl`, a database on the network that this brings. The other way there is
   * none. @default []
   */
  uses?: Reachable[];
  /** Whether it reaches the internet, and with that what listens on the host. @default false */
  egress?: boolean;
  /** More networks, like `web`: whoever is there reaches it, and it reaches them, past the edge. @default [] */
  networks?: Network[];
}

/** The networks of a program, the edge's first, and its settings. */
export interface Compartment {
  networks: { name: pulumi.Output<string> }[];
  env: Record<string, pulumi.Input<string>>;
}

/**
 * @param gate the edge that leads to it. Without one, an edge comes to it only if it uses a service of that edge.
 * @throws Error for a connection that is not one, before anything of it is made.
 */
export function compartment(
  parent: pulumi.Resource,
  name: string,
  { uses = [], egress = false, networks = [], env = {} }: Connections,
  { host, gate }: { host: DockerHost; gate?: Gate },
): Compartment {
  const gates = new Set([...(gate ? [gate] : []), ...uses.flatMap(({ through }) => through ?? [])]);
  const problems = [
    ...uses.filter((used) => used.name === name).map(() => `uses: ${name}: is itself: leave it out`),
    ...networks
      .filter(isOfEdge)
      .map(() => "networks: has one of the edge's: leave it out, the edge comes to the service's own"),
    ...(gates.size > 1 ? ["uses: has services of two edges: give it those of one"] : []),
    ...Object.entries(env).flatMap(([setting, value]) =>
      typeof value === "string" ? undeclared(name, uses, setting, value) : [],
    ),
  ];
  refuse(name, problems);
  const withEdge = [...gates].map((gate) => gate.compartment(name, uses));
  const shared = uses.flatMap((used) => used.network ?? []);
  const others = new Set([...(egress ? [egressNetwork(host, name, parent)] : []), ...networks, ...shared]);
  return {
    networks: [...withEdge, ...[...others].map((network) => network.name)].map((name) => ({ name })),
    env: Object.fromEntries(Object.entries(env).map(([setting, value]) => [setting, checked(setting, value)])),
  };

  function checked(setting: string, value: pulumi.Input<string>): pulumi.Input<string> {
    if (typeof value === "string") return value;
    return pulumi.output(value).apply((known) => {
      const [problem] = undeclared(name, uses, setting, known);
      if (problem !== undefined) throw new pulumi.RunError(`${name}: ${problem}`);
      return known;
    });
  }
}

/** An `internalUrl` of what is not used would be answered 404. */
function undeclared(program: string, uses: readonly Reachable[], setting: string, value: string): string[] {
  return [...value.matchAll(INTERNAL_URL)]
    .map(([, name]) => name!)
    .filter((name) => name !== program && !uses.some((used) => used.name === name))
    .map((name) => `env.${setting}: leads to ${name}, which uses does not name: add \`uses: [${name}]\``);
}

/** That of any generation of the edge. */
const INTERNAL_URL = /\/\/edge(?:-\d+)?:8081\/services\/([\w-]+)/g;
