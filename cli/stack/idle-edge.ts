// An edge that is told to end waits for clients as long as a connection may carry requests, which is for an edge that
// another one follows: without a door there are none.
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { openStream } from "../../components/docker-engine/connections.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { listContainers, stackFilter } from "./containers.ts";

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

/**
 * Ends edges that were told to end and have no door any more, in an update that makes the networks anew: door and edge are
 * gone before others come, and the provider waits 30 s for a network to be left. An edge that nobody told to end stays,
 * also while its door is replaced.
 *
 * @param since the time on the host, now.
 * @param ended when the update has ended.
 */
export async function endEdgesWithoutDoor(
  engine: Engine,
  stack: string,
  since: Date,
  ended: AbortSignal,
): Promise<void> {
  const aheadMs = since.getTime() - Date.now();
  while (!ended.aborted) {
    await wait(LOOK_MS, undefined, { signal: ended }).catch(() => undefined);
    if (ended.aborted) return;
    const containers = await listContainers(engine, stack).catch(() => []);
    const running = containers.filter(({ State }) => State === "running").map(({ Id }) => Id);
    const hasDoor = containers.some(({ Labels }) => Labels["bulkhead.role"] === "door");
    if (hasDoor || running.length === 0) continue;
    const until = new Date(Date.now() + aheadMs);
    for (const id of await toldToEnd(engine, stack, since, until).catch(() => []))
      // One that has gone meanwhile has what it should.
      if (running.includes(id)) await engine.post(`/containers/${id}/kill`).catch(() => undefined);
  }
}

/** Edges that got SIGTERM in that time. */
async function toldToEnd(engine: Engine, stack: string, since: Date, until: Date): Promise<string[]> {
  const filters = stackFilter(stack, ["bulkhead.role=edge"], { type: ["container"], event: ["kill"] });
  const [from, to] = [since, until].map((time) => Math.floor(time.getTime() / 1000));
  const events = await openStream(engine, `/events?since=${from}&until=${to}&filters=${filters}`);
  const lines = (await text(events)).split("\n").filter((line) => line.trim() !== "");
  return lines
    .map((line) => JSON.parse(line) as { Actor: { ID: string; Attributes: Record<string, string> } })
    .filter(({ Actor }) => Actor.Attributes["signal"] === "15")
    .map(({ Actor }) => Actor.ID);
}

const LOOK_MS = 2000;
