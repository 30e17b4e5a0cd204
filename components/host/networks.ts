import * as docker from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";

export interface NetworksArgs {
  host: DockerHost;
  /** Whether clients come through a tunnel. @default false */
  tunnel?: boolean;
}

/** What a service may name in its `uses`: another service, a database. */
export interface Reachable {
  /** Its name in the program. */
  readonly name: string;
  /** The network that its users join, which has no way out. @default none: they go through the edge, by `internalUrl` */
  readonly network?: docker.Network | undefined;
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
  /** Between services that name it, in both directions and past the edge. It has no way to the internet. */
  readonly web: docker.Network;
  /** Databases and what talks to them. It has no way to the internet. */
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
        { name: host.named(suffix), driver: "bridge", internal, labels: host.labels() },
        // The fixed name cannot be there twice.
        { parent: this, deleteBeforeReplace: true },
      );
    this.door = network("door", false);
    this.proxy = network("proxy", false);
    // Made beside the one of before, which had a way out: to make it anew in its place would end all that is on it.
    this.web = new docker.Network(
      `${name}-web`,
      { name: host.named("web-2"), driver: "bridge", internal: true, labels: host.labels() },
      { parent: this },
    );
    this.internal = network("internal", true);
    this.tunnel = args.tunnel ? network("tunnel", false) : undefined;
    this.registerOutputs({});
  }

  /**
   * Between the edge and one service, and nobody else: who asks there is that service. It has no way out, and the host no
   * address on it. A child of this and not of the service, whose dependencies it must not have: the edge waits for it.
   */
  ofService(service: string): docker.Network {
    return this.#ofOne(`${service}-edge`, { internal: true, options: NO_HOST });
  }

  /** A service's way to the internet, which nobody else is on. */
  egressOf(service: string): docker.Network {
    return this.#ofOne(`${service}-egress`, { internal: false });
  }

  #ofOne(suffix: string, args: Pick<docker.NetworkArgs, "internal" | "options">): docker.Network {
    const { host } = this;
    return new docker.Network(
      `${this.#name}-${suffix}`,
      { name: host.named(suffix), driver: "bridge", labels: host.labels(), ...args },
      { parent: this, deleteBeforeReplace: true },
    );
  }
}

/** An internal network keeps containers from the internet, and not from what listens on the host: its bridge does. */
const NO_HOST = { "com.docker.network.bridge.inhibit_ipv4": "true" };

/** The addresses of a network, as CIDR. */
export function subnetsOf(network: docker.Network): pulumi.Output<string[]> {
  return network.ipamConfigs.apply((configs) => configs.flatMap(({ subnet }) => subnet ?? []));
}
