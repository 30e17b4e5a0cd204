import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../host/docker-host.ts";

/**
 * The edges of the stack that run when an update begins, which one of them may replace. One that the update makes is on
 * every network from its first moment.
 */
export class RunningEdges {
  readonly #host: DockerHost;
  readonly #alias: string;
  #found: Promise<RunningEdge[]> | undefined;

  /** @param alias the name that edges have. One of another generation is left alone: it reads other routes. */
  constructor(host: DockerHost, alias: string) {
    this.#host = host;
    this.#alias = alias;
  }

  /**
   * Puts them on a network, so that one which is being replaced serves what is new too, until its last client is gone. In
   * every update, which heals what was taken off by hand. They are looked for once, for all networks.
   */
  async join(network: string): Promise<string> {
    if (pulumi.runtime.isDryRun()) return network;
    this.#found ??= this.#find();
    for (const { id, networks } of await this.#found) {
      if (networks.some(({ NetworkID }) => NetworkID === network)) continue;
      const body = { Container: id, EndpointConfig: { Aliases: [this.#alias] } };
      try {
        await this.#host.engine.post(`/networks/${network}/connect`, body);
      } catch (error) {
        // It may have ended meanwhile, or be there by now.
        const now = await this.#networksOf(id);
        if (now.length > 0 && !now.some(({ NetworkID }) => NetworkID === network)) throw error;
      }
    }
    return network;
  }

  async #find(): Promise<RunningEdge[]> {
    const label = ["bulkhead.role=edge", `bulkhead.stack=${this.#host.stackName}`];
    const filters = encodeURIComponent(JSON.stringify({ label, status: ["running"] }));
    const edges = await this.#host.engine.get<{ Id: string }[]>(`/containers/json?filters=${filters}`);
    const found = await Promise.all(edges.map(async ({ Id }) => ({ id: Id, networks: await this.#networksOf(Id) })));
    return found.filter(({ networks }) => networks.some(({ Aliases }) => Aliases?.includes(this.#alias)));
  }

  async #networksOf(id: string): Promise<RunningEdge["networks"]> {
    interface Inspected {
      State: { Running: boolean };
      NetworkSettings: { Networks: Record<string, RunningEdge["networks"][number]> };
    }
    const found = await this.#host.engine.find<Inspected>(`/containers/${id}/json`);
    return found?.State.Running ? Object.values(found.NetworkSettings.Networks) : [];
  }
}

interface RunningEdge {
  id: string;
  networks: { NetworkID: string; Aliases: string[] | null }[];
}
