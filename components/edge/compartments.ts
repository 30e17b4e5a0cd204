import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { subnetsOf, type Networks, type Reachable } from "../host/networks.ts";
import type { ProgramSubnets } from "./hosts.ts";
import { RunningEdges } from "./running-edges.ts";

/** The network that each program has with the edge, and who comes to whom over them. */
export class Compartments {
  readonly #networks: Networks;
  readonly #edges: RunningEdges;
  readonly #complete: Promise<unknown>;
  readonly #programs = new Map<string, Program>();
  #all: pulumi.Output<{ name: string; subnets: string[] }[]> | undefined;
  /** Services that say who may pass on the routes of others. */
  readonly #authenticates = new Set<string>();

  /**
   * @param alias the name of the edge on them
   * @param complete when the program has come to its end
   */
  constructor(networks: Networks, alias: string, complete: Promise<unknown>) {
    this.#networks = networks;
    this.#edges = new RunningEdges(networks.host, alias);
    this.#complete = complete;
  }

  /** The name of the network that is made for a program, known when every edge that runs is on it. */
  add(program: string, uses: readonly Reachable[]): pulumi.Output<string> {
    const { host } = this.#networks;
    const network = this.#networks.ofService(program);
    this.#programs.set(program, { network, subnets: subnetsOf(network), uses });
    const joined = network.id.apply((id) => this.#edges.join(id).catch(host.faults.rethrow));
    // A preview joins nothing, and tells the name of a network that is to be made.
    return pulumi.runtime.isDryRun() ? network.name : pulumi.all([network.name, joined]).apply(([name]) => name);
  }

  /** For a service that says who may pass on the routes of another. */
  addAuthenticator(service: string): void {
    this.#authenticates.add(service);
  }

  /** All of them. Known when the program has come to its end. */
  all(): pulumi.Output<{ name: string; subnets: string[] }[]> {
    this.#all ??= pulumi.output(
      this.#complete.then(() =>
        [...this.#programs.values()].map(({ network, subnets }) => ({ name: network.name, subnets })),
      ),
    );
    return this.#all;
  }

  /**
   * Who comes to a service from within. Known when the program has come to its end. It depends on no more networks than
   * that: with those of all services, each further one would make all others dearer.
   */
  subnetsTo(service: string, { tcp }: { tcp: boolean }): pulumi.Output<ProgramSubnets> {
    return pulumi.output(
      this.#complete.then(() => {
        const users = [...this.#programs.values()].filter(({ uses }) => uses.some(({ name }) => name === service));
        return {
          // Releases of before, until they are replaced; then nobody but the edge is there.
          users: flat(
            users.length === 0 ? [] : [subnetsOf(this.#networks.proxy), ...users.map(({ subnets }) => subnets)],
          ),
          all: tcp ? this.all().apply((programs) => programs.flatMap(({ subnets }) => subnets)) : [],
          authenticates: this.#authenticates.has(service),
        };
      }),
    );
  }
}

function flat(lists: pulumi.Output<string[]>[]): pulumi.Output<string[]> {
  return pulumi.all(lists).apply((known) => known.flat());
}

interface Program {
  network: Network;
  subnets: pulumi.Output<string[]>;
  uses: readonly Reachable[];
}
