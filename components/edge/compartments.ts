import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { subnetsOf, type Networks, type Reachable } from "../host/networks.ts";
import type { ProgramSubnets } from "./hosts.ts";
import { joinEdges } from "./join-edges.ts";

/** The network that each program has with the edge, and who comes to whom over them. */
export class Compartments {
  readonly #networks: Networks;
  readonly #alias: string;
  readonly #complete: Promise<unknown>;
  readonly #programs = new Map<string, { network: Network; uses: readonly Reachable[] }>();
  /** Services that say who may pass on the routes of others. */
  readonly #authenticates = new Set<string>();

  /**
   * @param alias the name of the edge on them
   * @param complete when the program has come to its end
   */
  constructor(networks: Networks, alias: string, complete: Promise<unknown>) {
    this.#networks = networks;
    this.#alias = alias;
    this.#complete = complete;
  }

  /** The name of the network that is made for a program, known when every edge that runs is on it. */
  add(program: string, uses: readonly Reachable[]): pulumi.Output<string> {
    const { host } = this.#networks;
    const network = this.#networks.ofService(program);
    this.#programs.set(program, { network, uses });
    const joined = network.id.apply((id) => joinEdges(host, id, this.#alias).catch(host.faults.rethrow));
    // A preview joins nothing, and tells the name of a network that is to be made.
    return pulumi.runtime.isDryRun() ? network.name : pulumi.all([network.name, joined]).apply(([name]) => name);
  }

  /** For a service that says who may pass on the routes of another. */
  addAuthenticator(service: string): void {
    this.#authenticates.add(service);
  }

  /** All of them. Known when the program has come to its end. */
  all(): pulumi.Output<{ name: string; uses: string[]; subnets: string[] }[]> {
    const described = () =>
      [...this.#programs.values()].map(({ network, uses }) => ({
        ...{ name: network.name, subnets: subnetsOf(network) },
        uses: uses.map(({ name }) => name),
      }));
    return pulumi.output(this.#complete.then(described));
  }

  /** Who comes to a service from within. Known when the program has come to its end. */
  subnetsTo(service: string): pulumi.Output<ProgramSubnets> {
    return this.all().apply((programs) => {
      const users = programs.filter(({ uses }) => uses.includes(service)).flatMap(({ subnets }) => subnets);
      const all = programs.flatMap(({ subnets }) => subnets);
      // Releases of before, until they are replaced; then nobody but the edge is there.
      return subnetsOf(this.#networks.proxy).apply((before) => ({
        users: users.length === 0 ? [] : [...before, ...users],
        all,
        authenticates: this.#authenticates.has(service),
      }));
    });
  }
}
