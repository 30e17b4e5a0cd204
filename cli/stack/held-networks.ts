import type { Engine } from "../../components/docker-engine/client.ts";
import { networksOf } from "../../components/host/networks-anew.ts";
import { stackLabel } from "./program.ts";
import { listContainers } from "./containers.ts";

/**
 * What keeps networks of a stack from being removed, and what to do: Docker removes none that a container is on, and the
 * provider says no more than that it waited for 30 s. Empty where the host does not answer.
 */
export async function heldNetworks(engine: Engine, stack: string): Promise<string[]> {
  try {
    const own = new Set((await listContainers(engine, stack)).map(({ Id }) => Id));
    const networks = await networksOf(engine, stackLabel(stack));
    const held = await Promise.all(
      networks.map(async ({ Name }) => {
        const found = await engine.find<{ Containers?: Record<string, { Name: string }> | null }>(`/networks/${Name}`);
        return Object.entries(found?.Containers ?? {})
          .filter(([id]) => !own.has(id))
          .map(([, container]) => ({ network: Name, container: container.Name }));
      }),
    );
    return held
      .flat()
      .map(
        ({ network, container }) =>
          `${network}: ${container} is on this network and is not of the stack ${stackLabel(stack)}, so that Docker does not remove ` +
          `it. If nothing needs it there: docker network disconnect --force ${network} ${container}`,
      );
  } catch {
    return [];
  }
}
