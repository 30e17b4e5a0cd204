import * as docker from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";

export interface NetworksArgs {
  host: DockerHost;
  /** Whether clients come through a tunnel. @default false */
  tunnel?: boolean;
}

/**
 * The networks of a stack. Nothing is on Docker's default bridge, and a service is only where it must be: a database
 * on `internal` alone, a web page on `proxy` and `web`, and what asks the database for it on all three.
 */
export class Networks extends pulumi.ComponentResource {
  readonly host: DockerHost;
  /** Between the front door and the edge. Only here is a client's address believed as the door tells it. */
  readonly door: docker.Network;
  /** Between the edge and the services that it serves. */
  readonly proxy: docker.Network;
  /** Between services. */
  readonly web: docker.Network;
  /** Databases and what talks to them. It has no way to the internet. */
  readonly internal: docker.Network;
  /** Between a tunnel's connector and the front door, for a stack that has one. The door takes clients from here alone. */
  readonly tunnel: docker.Network | undefined;

  constructor(name: string, args: NetworksArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Networks", name, {}, { providers: [args.host.provider], ...opts });
    const { host } = args;
    this.host = host;
    const network = (suffix: string, internal: boolean) =>
      new docker.Network(
        `${name}-${suffix}`,
        { name: host.named(suffix), driver: "bridge", internal, labels: host.labels() },
        // The fixed name cannot be there twice.
        { parent: this, deleteBeforeReplace: true },
      );
    this.door = network("door", false);
    this.proxy = network("proxy", false);
    this.web = network("web", false);
    this.internal = network("internal", true);
    this.tunnel = args.tunnel ? network("tunnel", false) : undefined;
    this.registerOutputs({});
  }
}

/** The addresses of a network, as CIDR. */
export function subnetsOf(network: docker.Network): pulumi.Output<string[]> {
  return network.ipamConfigs.apply((configs) => configs.flatMap(({ subnet }) => subnet ?? []));
}
