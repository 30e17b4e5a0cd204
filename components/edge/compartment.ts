import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import type { Reachable } from "../host/networks.ts";
import { EDGE_ALIAS, type Proxy } from "./proxy.ts";

/** Whom a service reaches. Nobody else: each is on a network of its own with the edge. */
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

/** The networks of a service. `joined` is known when every edge that runs is on the first. */
export interface Compartment {
  networks: { name: pulumi.Output<string> }[];
  joined: pulumi.Output<string>;
  env: Record<string, pulumi.Input<string>>;
}

/** @throws Error for a connection that is not one, before anything of the service is made. */
export function compartment(edge: Proxy, service: string, connections: Connections): Compartment {
  const { uses = [], egress = false, networks = [], env = {} } = connections;
  const { proxy, door, tunnel } = edge.networks;
  const problems = [
    ...uses.filter(({ name }) => name === service).map(() => `uses: ${service}: is itself: leave it out`),
    ...networks
      .filter((network) => [proxy, door, tunnel].includes(network))
      .map(() => "networks: has one of the edge's: leave it out, the edge comes to the service's own"),
    ...Object.entries(env).flatMap(([setting, value]) =>
      typeof value === "string" ? undeclared(service, uses, setting, value) : [],
    ),
  ];
  if (problems.length > 0) throw new Error(problems.map((problem) => `${service}: ${problem}`).join("\n"));
  const { network, joined } = edge.compartment(service, uses);
  const shared = uses.flatMap((used) => used.network ?? []);
  const all = new Set([network, ...(egress ? [edge.networks.egressOf(service)] : []), ...networks, ...shared]);
  return {
    networks: [...all].map(({ name }) => ({ name })),
    joined,
    env: Object.fromEntries(Object.entries(env).map(([setting, value]) => [setting, checked(setting, value)])),
  };

  function checked(setting: string, value: pulumi.Input<string>): pulumi.Input<string> {
    if (typeof value === "string") return value;
    return pulumi.output(value).apply((known) => {
      const [problem] = undeclared(service, uses, setting, known);
      if (problem !== undefined) throw new pulumi.RunError(`${service}: ${problem}`);
      return known;
    });
  }
}

/** An `internalUrl` of what is not used would be answered 404. */
function undeclared(service: string, uses: readonly Reachable[], setting: string, value: string): string[] {
  return [...value.matchAll(INTERNAL_URL)]
    .map(([, name]) => name!)
    .filter((name) => name !== service && !uses.some((used) => used.name === name))
    .map((name) => `env.${setting}: leads to ${name}, which uses does not name: add \`uses: [${name}]\``);
}

const INTERNAL_URL = new RegExp(`//${EDGE_ALIAS}:8081/services/([\\w-]+)`, "g");
