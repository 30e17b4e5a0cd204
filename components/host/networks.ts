import * as docker from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";
import { NO_HOST } from "./networks-anew.ts";

export interface NetworksArgs {
  host: DockerHost;
  /** Whether clients come through a tunnel. @default false */
  tunnel?: boolean;
}

/** What a program may name in its `uses`: a service, a database. */
export interface Reachable {
  /** Its name in the program. */
  readonly name: string;
  /** The edge that leads to it, by `internalUrl`. @default none */
  readonly through?: Gate | undefined;
  /** The network that its users join, which has no way out. @default none */
  readonly network?: docker.Network | undefined;
}

/** What leads from one program to another: an edge. */
export interface Gate {
  /** The name of the network that the program has with the edge, known when the edge is there. */
  compartment(program: string, uses: readonly Reachable[]): pulumi.Output<string>;
}

/**
 * The networks of a stack. Nothing is on Docker's default bridge, and a service is only where it must be: a database
 * on `internal` alone, a service on one that it shares with the edge, and on those that its arguments name.
 */
export class Networks extends pulumi.ComponentResource {
  readonly host: DockerHost;
  /** Between the front door and the edge. Only here is a client's address believed as the door tells it. */
  readonly door: docker.Network;
  /** The edge's own. Releases from before services had networks of their own are reached here until they are replaced. */
  readonly proxy: docker.Network;
  /** Between services that name it, in both directions and past the edge. It has no way out, as `internal` has none. */
  readonly web: docker.Network;
  /** Databases and what talks to them. It has no way to the internet, and the host no address on it. */
  readonly internal: docker.Network;
  /** Between a tunnel's connector and the front door, for a stack that has one. The door takes clients from here alone. */
  readonly tunnel: docker.Network | undefined;
  readonly #name: string;

  constructor(name: string, args: NetworksArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Networks", name, {}, { providers: [args.host.provider], ...opts });
    const { host } = args;
    this.host = host;
    this.#name = name;
    const network = (suffix: string, internal: boolean) =>
      new docker.Network(
        `${name}-${suffix}`,
        {
          ...host.network(suffix, internal && !host.hasAddressOn(suffix) ? NO_HOST : {}),
          internal,
        },
        // The fixed name cannot be there twice.
        { parent: this, deleteBeforeReplace: true },
      );
    this.door = network("door", false);
    this.proxy = network("proxy", false);
    // Not "web", which had a way out: to make that one anew in its place would end all that is on it.
    this.web = network("web-2", true);
    this.internal = network("internal", true);
    this.tunnel = args.tunnel ? network("tunnel", false) : undefined;
    for (const each of [this.door, this.proxy, this.tunnel]) if (each) ofEdges.add(each);
    this.registerOutputs({});
  }

  /**
   * Between the edge and one service, and nobody else: who asks there is that service. It has no way out, and the host no
   * address on it. A child of this and not of the service, whose dependencies it must not have: the edge waits for it.
   */
  ofService(service: string): docker.Network {
    const { host } = this;
    return new docker.Network(
      `${this.#name}-${service}-edge`,
      {
        ...host.network(`${service}-edge`, NO_HOST, labelsOf("compartment", service)),
        internal: true,
      },
      { parent: this, deleteBeforeReplace: true },
    );
  }
}

/** A program's way to the internet, which nobody else is on. */
export function egressNetwork(host: DockerHost, program: string, parent: pulumi.Resource): docker.Network {
  return wayOut(host, program, labelsOf("egress", program), parent);
}

/** A way to the internet that several containers of one component share. */
export function sharedEgressNetwork(host: DockerHost, name: string, parent: pulumi.Resource): docker.Network {
  return wayOut(host, name, { "bulkhead.role": "egress" }, parent);
}

function wayOut(host: DockerHost, name: string, labels: Record<string, string>, parent: pulumi.Resource) {
  return new docker.Network(
    `${name}-egress`,
    { ...host.network(`${name}-egress`, {}, labels), internal: false },
    { parent, deleteBeforeReplace: true },
  );
}

/** Between what keeps data, or stands before it, and those that use it. It has no way out, and the host no address on it. */
export function dataNetwork(host: DockerHost, name: string, parent: pulumi.Resource): docker.Network {
  return new docker.Network(
    `${name}-network`,
    { ...host.network(name, NO_HOST), internal: true },
    { parent, deleteBeforeReplace: true },
  );
}

function labelsOf(role: "compartment" | "egress", program: string) {
  return { "bulkhead.role": role, "bulkhead.for": program };
}

/** Whether it is one of those between the edge and the door, or whoever tunnels to it: no program belongs there. */
export function isOfEdge(network: docker.Network): boolean {
  return ofEdges.has(network);
}

const ofEdges = new WeakSet<docker.Network>();

/** The addresses of a network, as CIDR. */
export function subnetsOf(network: docker.Network): pulumi.Output<string[]> {
  return network.ipamConfigs.apply((configs) => configs.flatMap(({ subnet }) => subnet ?? []));
}
