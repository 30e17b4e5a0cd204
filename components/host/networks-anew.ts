// An update that makes the networks anew ends all that is on them before others come, and the provider waits 30 s for a
// network to be left: then the update fails with the site down. What is told to end may take longer. An edge waits for clients
// as long as a connection may carry requests, which is for an edge that another one follows; a service drains.
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import type { Engine } from "../docker-engine/client.ts";
import { openStream } from "../docker-engine/connections.ts";
import { SIZE, within, type NetworkSettings } from "./subnets.ts";

/**
 * Where the networks of the stack are others than the settings say, sees to it that each is left in time, until the update
 * has ended. It gives as soon as that is known.
 */
export async function leaveNetworksThatMove(
  engine: Engine,
  stackName: string,
  networks: readonly StackNetwork[],
  wanted: NetworkSettings,
) {
  if (!networks.some((network) => mayMove(network, wanted))) return;
  // By its clock, which the events go by.
  const { SystemTime } = await engine.get<{ SystemTime: string }>("/info");
  void leaveNetworks(engine, stackName, {
    since: new Date(SystemTime),
    areMoving: networks.some((network) => moves(network, wanted)),
  });
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
  IPAM?: { Config?: { Subnet?: string }[] | null };
}

export function networksOf(engine: Engine, stackName: string): Promise<StackNetwork[]> {
  return engine.get<StackNetwork[]>(`/networks?filters=${filtersOf(stackName)}`);
}

/** Whether it is made anew for sure. */
function moves({ Options, IPAM }: StackNetwork, { mtu, subnets }: NetworkSettings): boolean {
  if (mtu !== undefined && Options?.[MTU] !== String(mtu)) return true;
  return subnets !== undefined && !within(subnetOf({ IPAM }), subnets);
}

function mayMove(network: StackNetwork, wanted: NetworkSettings): boolean {
  if (moves(network, wanted)) return true;
  // A daemon may give its networks an MTU, or such a size, too: then this is only a look more.
  if (wanted.mtu === undefined && network.Options?.[MTU] !== undefined) return true;
  return wanted.subnets === undefined && subnetOf(network).endsWith(`/${SIZE}`);
}

function subnetOf({ IPAM }: Pick<StackNetwork, "IPAM">): string {
  return IPAM?.Config?.[0]?.Subnet ?? "";
}

const MTU = "com.docker.network.driver.mtu";

export interface Leaving {
  /** The time on the host, now. */
  since: Date;
  /** Whether networks are made anew for sure. Else what another container follows is left alone: it may be a rollout. */
  areMoving: boolean;
  /** When the update has ended. @default with the program */
  ended?: AbortSignal;
  /** Between two looks. @default 2000 */
  lookMs?: number;
}

/** Ends edges, and takes others off their networks, that were told to end, still run, and that nobody follows. */
export async function leaveNetworks(
  engine: Engine,
  stackName: string,
  { since, areMoving, ended = new AbortController().signal, lookMs = 2000 }: Leaving,
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
    const running = containers.filter(({ State }) => State === "running");
    const hasDoor = containers.some(({ Labels }) => Labels["bulkhead.role"] === "door");
    for (const container of running) {
      const at = told.get(container.Id);
      if (at === undefined) continue;
      const seconds = now.getTime() / 1000 - at;
      const isFollowed = running.some(
        ({ Id, Labels }) => !told.has(Id) && Labels["bulkhead.name"] === container.Labels["bulkhead.name"],
      );
      await leave(engine, container, { seconds, hasDoor, isAlone: areMoving || !isFollowed, areMoving });
    }
  }
}

async function leave(
  engine: Engine,
  { Id, Labels, NetworkSettings }: Listed,
  { seconds, hasDoor, isAlone, areMoving }: { seconds: number; hasDoor: boolean; isAlone: boolean; areMoving: boolean },
): Promise<void> {
  // One that has gone meanwhile has what it should.
  const ask = (path: string, body?: object) => engine.post(path, body).catch(() => undefined);
  const role = Labels["bulkhead.role"];
  if (role === "edge") {
    if (!hasDoor || (isAlone && seconds >= EDGE_SECONDS)) await ask(`/containers/${Id}/kill`);
    return;
  }
  // These end before another one comes in each rollout.
  const mayBeRollout = !areMoving && (role === "door" || Labels["bulkhead.rollout"] === "stop-first");
  if (!isAlone || mayBeRollout || seconds < DRAIN_SECONDS) return;
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
