import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../host/docker-host.ts";

/**
 * Puts every edge of the stack that runs on a network, so that one which is being replaced serves what is new too, until
 * its last client is gone. In every update, which heals what was taken off by hand.
 *
 * @param alias the name that edges have. One of another generation is left alone: it reads other routes.
 */
export async function joinEdges({ engine, stackName }: DockerHost, network: string, alias: string): Promise<string> {
  if (pulumi.runtime.isDryRun()) return network;
  const label = ["bulkhead.role=edge", `bulkhead.stack=${stackName}`];
  const filters = encodeURIComponent(JSON.stringify({ label, status: ["running"] }));
  const edges = await engine.get<{ Id: string }[]>(`/containers/json?filters=${filters}`);
  for (const { Id } of edges) {
    const on = await networksOf(Id);
    if (!on.some(({ Aliases }) => Aliases?.includes(alias))) continue;
    if (on.some(({ NetworkID }) => NetworkID === network)) continue;
    try {
      await engine.post(`/networks/${network}/connect`, { Container: Id, EndpointConfig: { Aliases: [alias] } });
    } catch (error) {
      // It may have ended meanwhile, or be there by now.
      const now = await networksOf(Id);
      if (now.length > 0 && !now.some(({ NetworkID }) => NetworkID === network)) throw error;
    }
  }
  return network;

  async function networksOf(id: string): Promise<{ NetworkID: string; Aliases: string[] | null }[]> {
    interface Inspected {
      State: { Running: boolean };
      NetworkSettings: { Networks: Record<string, { NetworkID: string; Aliases: string[] | null }> };
    }
    const found = await engine.find<Inspected>(`/containers/${id}/json`);
    return found?.State.Running ? Object.values(found.NetworkSettings.Networks) : [];
  }
}
