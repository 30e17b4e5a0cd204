import type { ArchivedFile } from "../../components/docker-engine/archive.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import type { EngineFacts } from "../doctor/host-facts.ts";
import { isServer, serverState, type ServerState } from "./database-state.ts";
import { hasRole, type ExpectedState, type ExpectedContainer } from "./expected-state.ts";

/** `docker inspect`, as far as it is compared. */
export interface ContainerState {
  Id: string;
  Name: string;
  /** Id of the image. */
  Image: string;
  State: { Status: string; Health?: { Status: string; Log?: { Output: string }[] | null } };
  /** How often Docker has started it again: because it ended, or because it hung and was ended. */
  RestartCount: number;
  Config: {
    Image: string;
    User: string;
    Env: string[] | null;
    Labels: Record<string, string> | null;
    Entrypoint: string[] | null;
    Cmd: string[] | null;
    StopTimeout?: number;
    Healthcheck?: { Test?: string[]; Interval?: number; Timeout?: number; Retries?: number; StartPeriod?: number };
  };
  HostConfig: {
    NetworkMode: string;
    PidMode: string;
    IpcMode: string;
    UTSMode: string;
    UsernsMode: string;
    CgroupParent: string;
    Privileged: boolean;
    ReadonlyRootfs: boolean;
    PublishAllPorts: boolean;
    Init: boolean | null;
    OomKillDisable: boolean | null;
    Memory: number;
    MemorySwap: number;
    NanoCpus: number;
    CpuShares: number;
    CpusetCpus: string;
    PidsLimit: number | null;
    CapAdd: string[] | null;
    CapDrop: string[] | null;
    SecurityOpt: string[] | null;
    GroupAdd: string[] | null;
    ExtraHosts: string[] | null;
    Dns: string[] | null;
    Devices: { PathOnHost: string }[] | null;
    DeviceRequests: unknown[] | null;
    Sysctls: Record<string, string> | null;
    Tmpfs: Record<string, string> | null;
    PortBindings: Record<string, { HostIp: string; HostPort: string }[] | null> | null;
    RestartPolicy: { Name: string };
    LogConfig: { Type: string; Config: Record<string, string> | null };
  };
  Mounts: { Type: string; Name?: string; Source: string; Destination: string; RW: boolean }[];
  NetworkSettings: { Networks: Record<string, { NetworkID: string; Aliases: string[] | null }> };
}

export interface ImageState {
  Id: string;
  Config: Partial<Pick<ContainerState["Config"], "Env" | "Labels" | "User" | "Entrypoint" | "Cmd">>;
}

export interface NetworkState {
  Id: string;
  Name: string;
  Driver: string;
  Internal: boolean;
  Attachable: boolean;
  EnableIPv6: boolean;
  Labels: Record<string, string> | null;
}

export interface VolumeState {
  Name: string;
  Driver: string;
  Labels: Record<string, string> | null;
  Options: Record<string, string> | null;
}

/** Of a container that Docker has started again, as a user reads it. */
export function timesStarted(count: number): string {
  return `started again ${count === 1 ? "once" : `${count} times`}`;
}

/** What is on the host of a stack. Whatever is not there is not in it. */
export interface HostState {
  engine: EngineFacts;
  /** All that are there, also other stacks' and nobody's. */
  containers: readonly ContainerState[];
  /** By the reference under which a container was promised it, and by its id. */
  images: Readonly<Record<string, ImageState>>;
  networks: readonly NetworkState[];
  volumes: readonly VolumeState[];
  /** The files that couriers carried, by the courier's name. */
  carried: Readonly<Record<string, readonly ArchivedFile[]>>;
  /** What PostgreSQL servers that answer say, by their names in the program. */
  servers: Readonly<Record<string, ServerState>>;
  /** The edge's routes. */
  routes?: readonly ArchivedFile[];
}

/** Looks and changes nothing. */
export async function hostState(engine: Engine, { containers, networks, volumes }: ExpectedState): Promise<HostState> {
  const list = await engine.get<{ Id: string }[]>("/containers/json?all=1");
  const found = await each(list, ({ Id }) => engine.find<ContainerState>(`/containers/${Id}/json`));
  const isThere = ({ id }: { id: string }) => found.some(({ Id }) => Id === id);
  const own = found.filter(({ Id }) => containers.some(({ id }) => id === Id));
  const references = [...new Set([...containers.map(({ inputs }) => inputs.image), ...own.map(({ Image }) => Image)])];
  const images = await each(references, async (reference) => {
    const image = await engine.find<ImageState>(`/images/${reference}/json`);
    return image && ([reference, image] as const);
  });
  const couriers = containers.filter(({ inputs }) => (inputs.uploads ?? []).length > 0);
  const carried = await each(couriers, async (courier) => {
    const place = placeOf(courier, found);
    const files = place && (await engine.files(...place));
    return files && ([courier.name, files] as const);
  });
  const servers = await each(containers.filter(isServer).filter(isThere), async (server) => {
    const state = await serverState(engine, server);
    return state && ([server.name, state] as const);
  });
  const edge = containers.filter(({ inputs }) => hasRole(inputs, "edge")).find(isThere);
  return {
    engine: await engine.get<EngineFacts>("/info"),
    containers: found,
    images: Object.fromEntries(images),
    networks: await each(networks, ({ id }) => engine.find<NetworkState>(`/networks/${id}`)),
    volumes: await each(volumes, ({ id }) => engine.find<VolumeState>(`/volumes/${id}`)),
    carried: Object.fromEntries(carried),
    servers: Object.fromEntries(servers),
    routes: edge && (await engine.files(edge.id, "/routes")),
  };
}

/** A container and a folder of it with the files: those of the courier, or, when it was pruned, of a reader. */
function placeOf({ id, inputs }: ExpectedContainer, found: readonly ContainerState[]): [string, string] | undefined {
  if (found.some(({ Id }) => Id === id)) return [id, folderOf(inputs)];
  const volume = inputs.volumes?.[0]?.volumeName;
  for (const { Id, Mounts } of found) {
    const mount = Mounts.find(({ Name }) => Name !== undefined && Name === volume);
    if (mount) return [Id, mount.Destination];
  }
  return undefined;
}

/** Where a courier's volume is. */
export function folderOf({ volumes = [] }: ExpectedContainer["inputs"]): string {
  return volumes[0]!.containerPath!;
}

/** One after the other: a host over ssh has few sessions. What is not there is left out. */
async function each<T, Found>(items: readonly T[], look: (item: T) => Promise<Found | undefined>): Promise<Found[]> {
  const all: Found[] = [];
  for (const item of items) {
    const found = await look(item);
    if (found !== undefined) all.push(found);
  }
  return all;
}
