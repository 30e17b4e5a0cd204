// An update that makes the networks anew removes door and edge before others come. An edge that is told to end waits for
// clients as long as a connection may carry requests, which is for an edge that another one follows; the provider waits 30 s
// for a network to be left, and then the update fails with the site down.
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import type { Engine } from "../docker-engine/client.ts";
import { openStream } from "../docker-engine/connections.ts";
import { SIZE, within, type NetworkSettings } from "./subnets.ts";

/**
 * Where the networks of the stack are others than the settings say, ends edges that were told to end and have no door any
 * more, until the update has ended. It gives as soon as that is known.
 */
export async function endEdgesIfNetworksMove(
  engine: Engine,
  stackName: string,
  networks: readonly StackNetwork[],
  wanted: NetworkSettings,
) {
  if (!networks.some((network) => mayMove(network, wanted))) return;
  // By its clock, which the events go by.
  const { SystemTime } = await engine.get<{ SystemTime: string }>("/info");
  void endEdgesWithoutDoor(engine, stackName, new Date(SystemTime));
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

/**
 * An edge that nobody told to end stays, also while its door is replaced.
 *
 * @param since the time on the host, now.
 * @param ended when the update has ended. @default with the program
 */
export async function endEdgesWithoutDoor(
  engine: Engine,
  stackName: string,
  since: Date,
  ended = new AbortController().signal,
): Promise<void> {
  const aheadMs = since.getTime() - Date.now();
  while (!ended.aborted) {
    await wait(LOOK_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
    if (ended.aborted) return;
    const containers = await engine
      .get<Listed[]>(`/containers/json?all=1&filters=${filtersOf(stackName)}`)
      .catch((): Listed[] => []);
    const running = containers.filter(({ State }) => State === "running").map(({ Id }) => Id);
    const hasDoor = containers.some(({ Labels }) => Labels["bulkhead.role"] === "door");
    if (hasDoor || running.length === 0) continue;
    const until = new Date(Date.now() + aheadMs);
    for (const id of await toldToEnd(engine, stackName, since, until).catch(() => []))
      // One that has gone meanwhile has what it should.
      if (running.includes(id)) await engine.post(`/containers/${id}/kill`).catch(() => undefined);
  }
}

interface Listed {
  Id: string;
  State: string;
  Labels: Record<string, string>;
}

/** Edges that got SIGTERM in that time. */
async function toldToEnd(engine: Engine, stackName: string, since: Date, until: Date): Promise<string[]> {
  const filters = filtersOf(stackName, ["bulkhead.role=edge"], { type: ["container"], event: ["kill"] });
  const [from, to] = [since, until].map((time) => Math.floor(time.getTime() / 1000));
  const events = await openStream(engine, `/events?since=${from}&until=${to}&filters=${filters}`);
  const lines = (await text(events)).split("\n").filter((line) => line.trim() !== "");
  return lines
    .map((line) => JSON.parse(line) as { Actor: { ID: string; Attributes: Record<string, string> } })
    .filter(({ Actor }) => Actor.Attributes["signal"] === "15")
    .map(({ Actor }) => Actor.ID);
}

function filtersOf(stackName: string, labels: readonly string[] = [], more: object = {}): string {
  return encodeURIComponent(JSON.stringify({ ...more, label: [`bulkhead.stack=${stackName}`, ...labels] }));
}

const LOOK_MS = 2000;
