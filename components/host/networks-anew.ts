// An update that makes the networks anew ends all that is on them before others come, and the provider waits 30 s for a
// network to be left: then the update fails with the site down. What is told to end may take longer. An edge waits for clients
// as long as a connection may carry requests, which is for an edge that another one follows; a service drains.
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import type { Engine } from "../docker-engine/client.ts";
import { openStream } from "../docker-engine/connections.ts";
import type { NetworkSettings } from "./subnets.ts";

/** Where the networks of the stack are made anew, sees to it that each is left in time, until the update has ended. */
export async function leaveNetworksThatMove(
  engine: Engine,
  stackName: string,
  networks: readonly StackNetwork[],
  wanted: NetworkSettings,
) {
  if (!networks.some((network) => moves(network, wanted))) return;
  // By its clock, which the events go by.
  const { SystemTime } = await engine.get<{ SystemTime: string }>("/info");
  void leaveNetworks(engine, stackName, new Date(SystemTime));
}

/**
 * Labels of a network that say what the stack file says of it. The provider leaves as it is what is no more asked for; a
 * label that goes makes the network anew.
 */
export function networkLabels({ mtu, subnets }: NetworkSettings): Record<string, string> {
  return {
    ...(mtu !== undefined && { "bulkhead.mtu": String(mtu) }),
    ...(subnets !== undefined && { "bulkhead.subnets": subnets }),
  };
}

/** For an internal network, which keeps containers from the internet, and not from what listens on the host: its bridge does. */
export const NO_HOST = { "com.docker.network.bridge.inhibit_ipv4": "true" };

/**
 * Names of those on which the host has an address, as versions before this one made them, and that stay: to make one anew
 * ends all that is on it.
 */
export function networksWithHost(networks: readonly StackNetwork[], wanted: NetworkSettings): string[] {
  const [[option, closed]] = Object.entries(NO_HOST) as [[string, string]];
  return networks
    .filter((network) => network.Options?.[option] !== closed && !moves(network, wanted))
    .map(({ Name }) => Name);
}

/** As Docker lists them. */
export interface StackNetwork {
  Name: string;
  Options?: Record<string, string> | null;
  Labels?: Record<string, string> | null;
}

export function networksOf(engine: Engine, stackName: string): Promise<StackNetwork[]> {
  return engine.get<StackNetwork[]>(`/networks?filters=${filtersOf(stackName)}`);
}

/** Whether it is made anew. */
function moves({ Labels }: StackNetwork, wanted: NetworkSettings): boolean {
  const said = networkLabels(wanted);
  return ["bulkhead.mtu", "bulkhead.subnets"].some((label) => Labels?.[label] !== said[label]);
}

/**
 * Ends edges, and takes others off their networks, that were told to end and still run.
 *
 * @param since the time on the host, now.
 * @param ended when the update has ended. @default with the program
 * @param lookMs between two looks.
 */
export async function leaveNetworks(
  engine: Engine,
  stackName: string,
  since: Date,
  ended = new AbortController().signal,
  lookMs = 2000,
): Promise<void> {
  const aheadMs = since.getTime() - Date.now();
  while (!ended.aborted) {
    await wait(lookMs, undefined, { signal: ended, ref: false }).catch(() => undefined);
    if (ended.aborted) return;
    const now = new Date(Date.now() + aheadMs);
    const told = await toldToEnd(engine, stackName, since, now).catch(() => new Map<string, number>());
    if (told.size === 0) continue;
    const containers = await engine
      .get<Listed[]>(`/containers/json?all=1&filters=${filtersOf(stackName)}`)
      .catch((): Listed[] => []);
    const hasDoor = containers.some(({ Labels }) => Labels["bulkhead.role"] === "door");
    for (const container of containers) {
      const at = told.get(container.Id);
      if (at === undefined || container.State !== "running") continue;
      await leave(engine, container, now.getTime() / 1000 - at, hasDoor);
    }
  }
}

async function leave(engine: Engine, { Id, Labels, NetworkSettings }: Listed, seconds: number, hasDoor: boolean) {
  // One that has gone meanwhile has what it should.
  const ask = (path: string, body?: object) => engine.post(path, body).catch(() => undefined);
  if (Labels["bulkhead.role"] === "edge") {
    if (!hasDoor || seconds >= EDGE_SECONDS) await ask(`/containers/${Id}/kill`);
  } else if (seconds >= DRAIN_SECONDS)
    // It ends in its own time, as a database must, and reaches nobody any more.
    for (const { NetworkID } of Object.values(NetworkSettings?.Networks ?? {}))
      await ask(`/networks/${NetworkID}/disconnect`, { Container: Id, Force: true });
}

interface Listed {
  Id: string;
  State: string;
  Labels: Record<string, string>;
  NetworkSettings?: { Networks?: Record<string, { NetworkID: string }> };
}

/** Containers that got SIGTERM in that time, with the second of it. */
async function toldToEnd(engine: Engine, stackName: string, since: Date, until: Date): Promise<Map<string, number>> {
  const filters = filtersOf(stackName, { type: ["container"], event: ["kill"] });
  const [from, to] = [since, until].map((time) => Math.floor(time.getTime() / 1000));
  const events = await openStream(engine, `/events?since=${from}&until=${to}&filters=${filters}`);
  const lines = (await text(events)).split("\n").filter((line) => line.trim() !== "");
  return new Map(
    lines
      .map((line) => JSON.parse(line) as { Actor: { ID: string; Attributes: Record<string, string> }; time: number })
      .filter(({ Actor }) => Actor.Attributes["signal"] === "15")
      .map(({ Actor, time }) => [Actor.ID, time]),
  );
}

function filtersOf(stackName: string, more: object = {}): string {
  return encodeURIComponent(JSON.stringify({ ...more, label: [`bulkhead.stack=${stackName}`] }));
}

/** From SIGTERM on, for what is being answered; and for streams, well within the provider's 30 s. */
const EDGE_SECONDS = 10;
const DRAIN_SECONDS = 20;
