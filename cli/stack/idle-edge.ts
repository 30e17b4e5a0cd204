// An edge that is told to end waits for clients as long as a connection may carry requests, which is for an edge that
// another one follows: without a door there are none.
import { setTimeout as wait } from "node:timers/promises";
import type { Engine } from "../../components/docker-engine/client.ts";
import { listContainers } from "./containers.ts";

/**
 * Ends the stack's edges when its door is removed, and not before: until then a removal can be refused.
 *
 * @param ended when whatever removes the stack has ended.
 */
export async function endIdleEdges(engine: Engine, stack: string, ended: AbortSignal): Promise<void> {
  let doorWasThere = false;
  while (!ended.aborted) {
    const containers = await listContainers(engine, stack).catch(() => []);
    const of = (role: string) => containers.filter(({ Labels }) => Labels["bulkhead.role"] === role);
    const edges = of("edge").filter(({ State }) => State === "running");
    if (of("door").length > 0) doorWasThere = true;
    else if (doorWasThere && edges.length > 0) {
      // One that has gone meanwhile has what it should.
      for (const { Id } of edges) await engine.post(`/containers/${Id}/kill`).catch(() => undefined);
      return;
    }
    await wait(1000, undefined, { signal: ended }).catch(() => undefined);
  }
}
