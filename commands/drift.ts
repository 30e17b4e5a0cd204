import { createHash } from "node:crypto";
import type { ArchivedFile } from "../engine.ts";
import type { ContainerState, HostState } from "./host-state.ts";
import type { ContainerInputs, Promised, PromisedContainer } from "./promises.ts";

/** One thing on the host that is not as the stack promises. */
export interface Finding {
  /** Its name in the program, or on the host where the program does not know it. */
  resource: string;
  field: string;
  promised: string;
  found: string;
  cure: string;
}

/** All that differs. Values that may be secret are never in it. */
export function findings(promised: Promised, host: HostState, stackLabel: string): Finding[] {
  return [
    ...promised.containers.flatMap((container) => ofContainer(container, promised, host)),
    ...ofNetworks(promised, host),
    ...ofVolumes(promised, host),
    ...promised.containers.flatMap((container) => ofFiles(container, host)),
    ...ofRoutes(promised, host),
    ...strangers(promised, host, stackLabel),
  ];
}

const UPDATE = "`make up` puts it right.";
const REFRESH = "`pulumi refresh`, then `make up`: it is made anew.";
const NETWORKS =
  "`docker network disconnect` it from what is too much; what is missing is there after `pulumi up --replace` of it.";
const REPLACE =
  "It is not what the stack made. Find out who made it; then `docker rm --force` it, `pulumi refresh`, and `make up`.";
const STRANGER = "The stack knows nothing of it. Find out whose it is, and `docker rm --force` it.";

function ofContainer(container: PromisedContainer, promised: Promised, host: HostState): Finding[] {
  const { name, id, inputs, hostName } = container;
  const found = host.containers.find(({ Id }) => Id === id);
  if (found === undefined) {
    // A job that has ended is not missed: `docker system prune` takes those, and what they did stays done.
    if (inputs.restart !== "always") return [];
    const other = host.containers.find(({ Name }) => Name === `/${hostName}`);
    if (other === undefined)
      return [{ resource: name, field: "container", promised: "there", found: "gone", cure: REFRESH }];
    return [
      { resource: name, field: "container", promised: id.slice(0, 12), found: other.Id.slice(0, 12), cure: REPLACE },
      ...differences(container, other, promised, host, REPLACE),
    ];
  }
  return differences(container, found, promised, host);
}

function differences(
  container: PromisedContainer,
  found: ContainerState,
  promised: Promised,
  host: HostState,
  cure?: string,
): Finding[] {
  return Object.entries(fields).flatMap(([field, { promise, read, cure: own }]) => {
    const wanted = promise(container, promised, host);
    if (wanted === undefined) return [];
    const is = read(found, container, host);
    if (is === wanted) return [];
    return [{ resource: container.name, field, promised: wanted, found: is, cure: cure ?? own ?? REPLACE }];
  });
}

interface Field {
  /** Undefined where the stack promises nothing. */
  promise: (container: PromisedContainer, promised: Promised, host: HostState) => string | undefined;
  read: (found: ContainerState, container: PromisedContainer, host: HostState) => string;
  /** @default REPLACE */
  cure?: string;
}

/** A promise that is the same for all: what nothing of a stack has. */
const none = (read: (found: ContainerState) => unknown): Field => ({
  promise: () => "none",
  read: (found) => listed(read(found)) || "none",
});

const isService = ({ inputs }: PromisedContainer) => inputs.restart === "always";
const given = (promise: (inputs: ContainerInputs) => string | undefined) => (container: PromisedContainer) =>
  promise(container.inputs);

/** Every field of a container that is compared. Each is text, to be shown. */
export const fields: Record<string, Field> = {
  state: {
    promise: (container) => (isService(container) ? "running" : undefined),
    read: ({ State }) => State.Status,
    cure: "`docker start` or `docker unpause` it; the container's log says why it ended.",
  },
  health: {
    promise: (container) => (isService(container) ? "healthy" : undefined),
    // What does not run is told by its state.
    read: ({ State }) => (State.Status === "running" ? (State.Health?.Status ?? "not looked at") : "healthy"),
    cure: "The container's log says why, and so does `docker inspect` of its health. `docker restart` may do.",
  },
  name: {
    promise: ({ hostName }) => hostName,
    read: ({ Name }) => Name.slice(1),
    cure: "`docker rename` it back: other containers find it by its name.",
  },
  image: {
    promise: ({ inputs }, _, { images }) => images[inputs.image]?.Id.slice(0, 19) ?? inputs.image,
    read: ({ Image }) => Image.slice(0, 19),
  },
  user: {
    promise: ({ inputs }, _, { images }) => inputs.user || images[inputs.image]?.Config.User || "root",
    read: ({ Config }) => Config.User || "root",
  },
  // Names only: what somebody put there may be a secret.
  env: {
    promise: () => "as deployed",
    read: ({ Config }, { inputs }, { images }) => {
      const base = images[inputs.image]?.Config.Env ?? [];
      return unlike(inputs.envs ?? [], Config.Env ?? [], base);
    },
  },
  labels: {
    promise: () => "as deployed",
    read: ({ Config }, { inputs }, { images }) => {
      const entries = (labels: Record<string, string> | null = {}) =>
        Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
      const wanted = (inputs.labels ?? []).map(({ label, value }) => `${label}=${value}`);
      const base = entries(images[inputs.image]?.Config.Labels);
      return unlike(wanted, entries(Config.Labels), base);
    },
  },
  entrypoint: {
    promise: ({ inputs }, _, { images }) => fingerprint(inputs.entrypoints ?? images[inputs.image]?.Config.Entrypoint),
    read: ({ Config }) => fingerprint(Config.Entrypoint),
  },
  command: {
    // Another entry point takes the image's command away.
    promise: ({ inputs: { command = [], entrypoints, image } }, _, { images }) =>
      fingerprint(command.length > 0 || entrypoints ? command : images[image]?.Config.Cmd),
    read: ({ Config }) => fingerprint(Config.Cmd),
  },
  "health check": {
    promise: given(({ healthcheck }) => {
      if (!healthcheck) return undefined;
      const { tests = [], interval, timeout, retries } = healthcheck;
      return `${tests.join(" ")}, ${seconds(interval)} s, ${seconds(timeout)} s, ${retries} times`;
    }),
    read: ({ Config }) => {
      const { Test = [], Interval = 0, Timeout = 0, Retries = 0 } = Config.Healthcheck ?? {};
      return `${Test.join(" ")}, ${Interval / 1e9} s, ${Timeout / 1e9} s, ${Retries} times`;
    },
  },
  "stop timeout": {
    promise: given(({ stopTimeout }) => (stopTimeout === undefined ? undefined : `${stopTimeout} s`)),
    read: ({ Config }) => `${Config.StopTimeout ?? 10} s`,
  },
  privileged: { promise: () => "no", read: ({ HostConfig }) => (HostConfig.Privileged ? "yes" : "no") },
  "capabilities added": {
    promise: given(({ capabilities }) => capabilitiesOf(capabilities?.adds)),
    read: ({ HostConfig }) => capabilitiesOf(HostConfig.CapAdd),
  },
  "capabilities dropped": {
    promise: given(({ capabilities }) => capabilitiesOf(capabilities?.drops)),
    read: ({ HostConfig }) => capabilitiesOf(HostConfig.CapDrop),
  },
  "security options": {
    promise: given(({ securityOpts }) => listed(securityOpts) || "none"),
    read: ({ HostConfig }) => listed(HostConfig.SecurityOpt) || "none",
  },
  "root file system": {
    promise: given(({ readOnly }) => (readOnly ? "read-only" : "writable")),
    read: ({ HostConfig }) => (HostConfig.ReadonlyRootfs ? "read-only" : "writable"),
  },
  tmpfs: {
    promise: given(({ tmpfs = {} }) => listed(tmpfs) || "none"),
    read: ({ HostConfig }) => listed(HostConfig.Tmpfs) || "none",
  },
  memory: {
    promise: given(({ memory }) => `${memory} MiB`),
    read: ({ HostConfig }) => `${HostConfig.Memory / 2 ** 20} MiB`,
    cure: REFRESH,
  },
  "memory and swap": {
    promise: given(({ memorySwap }) => `${memorySwap} MiB`),
    read: ({ HostConfig }) => (HostConfig.MemorySwap < 0 ? "no limit" : `${HostConfig.MemorySwap / 2 ** 20} MiB`),
    cure: REFRESH,
  },
  cpus: {
    promise: given(({ cpus }) => String(Number(cpus))),
    read: ({ HostConfig }) => String(HostConfig.NanoCpus / 1e9),
    cure: REFRESH,
  },
  "cpu shares": { promise: () => "0", read: ({ HostConfig }) => String(HostConfig.CpuShares), cure: REFRESH },
  "cpu set": { promise: () => "all", read: ({ HostConfig }) => HostConfig.CpusetCpus || "all", cure: REFRESH },
  pids: {
    // A courier never starts.
    promise: given(({ labels = [], start }) =>
      start === false ? undefined : labels.find(({ label }) => label === "bulkhead.pids")?.value,
    ),
    read: ({ HostConfig }) => String(HostConfig.PidsLimit ?? "no limit"),
    cure: UPDATE,
  },
  restart: {
    promise: given(({ restart }) => restart),
    read: ({ HostConfig }) => HostConfig.RestartPolicy.Name || "no",
    cure: REFRESH,
  },
  init: { promise: () => "yes", read: ({ HostConfig }) => (HostConfig.Init ? "yes" : "no") },
  logs: {
    promise: given(({ logDriver, logOpts }) => `${logDriver} ${listed(logOpts)}`),
    read: ({ HostConfig: { LogConfig } }) => `${LogConfig.Type} ${listed(LogConfig.Config)}`,
  },
  "ipc namespace": { promise: given(({ ipcMode }) => ipcMode), read: ({ HostConfig }) => HostConfig.IpcMode },
  "pid namespace": none(({ HostConfig }) => [HostConfig.PidMode].filter(Boolean)),
  "uts namespace": none(({ HostConfig }) => [HostConfig.UTSMode].filter(Boolean)),
  "user namespace": none(({ HostConfig }) => [HostConfig.UsernsMode].filter(Boolean)),
  "cgroup parent": none(({ HostConfig }) => [HostConfig.CgroupParent].filter(Boolean)),
  devices: none(({ HostConfig }) => [
    ...(HostConfig.Devices ?? []).map(({ PathOnHost }) => PathOnHost),
    ...(HostConfig.DeviceRequests ?? []).map((request) => JSON.stringify(request)),
  ]),
  groups: none(({ HostConfig }) => HostConfig.GroupAdd),
  sysctls: none(({ HostConfig }) => HostConfig.Sysctls),
  hosts: none(({ HostConfig }) => HostConfig.ExtraHosts),
  "name servers": none(({ HostConfig }) => HostConfig.Dns),
  "OOM killer": none(({ HostConfig }) => (HostConfig.OomKillDisable ? ["off"] : [])),
  ports: {
    promise: given(({ ports = [] }) =>
      listed(ports.map(({ ip, external, internal }) => `${ip}:${external} to ${internal}`).sort()),
    ),
    read: ({ HostConfig: { PortBindings, PublishAllPorts } }) =>
      listed([
        ...(PublishAllPorts ? ["all"] : []),
        ...Object.entries(PortBindings ?? {})
          .flatMap(([port, bindings]) =>
            (bindings ?? []).map(({ HostIp, HostPort }) => `${HostIp}:${HostPort} to ${port.replace("/tcp", "")}`),
          )
          .sort(),
      ]),
  },
  mounts: {
    promise: given(({ volumes = [] }) =>
      listed(volumes.map((volume) => mount(volume.volumeName!, volume.containerPath!, !volume.readOnly)).sort()),
    ),
    read: ({ Mounts }) =>
      listed(
        Mounts.filter(({ Type }) => Type !== "tmpfs")
          .map(({ Name, Source, Destination, RW }) => mount(Name ?? Source, Destination, RW))
          .sort(),
      ),
  },
  networks: {
    promise: ({ inputs }) =>
      listed((inputs.networksAdvanced ?? []).map(({ name }) => name).sort()) || inputs.networkMode,
    read: ({ NetworkSettings: { Networks }, HostConfig: { NetworkMode } }) =>
      listed(
        Object.keys(Networks)
          .filter((name) => name !== "none")
          .sort(),
      ) || NetworkMode,
    cure: NETWORKS,
  },
  aliases: {
    promise: given(({ networksAdvanced = [] }) =>
      networksAdvanced.some(({ aliases = [] }) => aliases.length > 0) ? "as deployed" : undefined,
    ),
    read: ({ NetworkSettings: { Networks } }, { inputs }) => {
      const missing = (inputs.networksAdvanced ?? []).flatMap(({ name, aliases = [] }) =>
        aliases.filter((alias) => !Networks[name]?.Aliases?.includes(alias)).map((alias) => `${alias} on ${name}`),
      );
      return missing.length > 0 ? `without ${listed(missing)}` : "as deployed";
    },
    cure: NETWORKS,
  },
};

function ofNetworks({ networks }: Promised, host: HostState): Finding[] {
  return networks.flatMap(({ name, id, inputs }): Finding[] => {
    const found = host.networks.find(({ Id }) => Id === id);
    if (found === undefined)
      return [{ resource: name, field: "network", promised: "there", found: "gone, or made by hand", cure: REPLACE }];
    const say = (value: object) => listed(value);
    const promised = say({ driver: inputs.driver, internal: inputs.internal ?? false, ipv6: false });
    const is = say({ driver: found.Driver, internal: found.Internal, ipv6: found.EnableIPv6 });
    return promised === is ? [] : [{ resource: name, field: "settings", promised, found: is, cure: REPLACE }];
  });
}

function ofVolumes({ volumes }: Promised, host: HostState): Finding[] {
  return volumes.flatMap(({ name, id }): Finding[] => {
    const found = host.volumes.find(({ Name }) => Name === id);
    if (found === undefined)
      return [{ resource: name, field: "volume", promised: "there", found: "gone", cure: REFRESH }];
    // With options a volume can be a folder of the host.
    const is = listed({ driver: found.Driver, ...found.Options });
    return is === "driver=local"
      ? []
      : [{ resource: name, field: "settings", promised: "driver=local", found: is, cure: REPLACE }];
  });
}

/** What couriers carried: contents are compared, and never shown. */
function ofFiles({ name, inputs }: PromisedContainer, { carried }: HostState): Finding[] {
  const files = carried[name];
  if (files === undefined) return [];
  const cure = `Somebody changed it. If it is a secret, rotate it: \`pulumi up --replace\` of its volume rolls the reader.`;
  const wanted = new Map((inputs.uploads ?? []).map((upload) => [upload.file.replace(/.*\//, ""), upload] as const));
  const found = new Map(files.map((file) => [file.name, file] as const));
  return [...new Set([...wanted.keys(), ...found.keys()])].flatMap((file): Finding[] => {
    const [upload, is] = [wanted.get(file), found.get(file)];
    const field = `file ${file}`;
    if (upload === undefined) return [{ resource: name, field, promised: "none", found: "there", cure }];
    if (is === undefined) return [{ resource: name, field, promised: "there", found: "gone", cure }];
    const promised = `${upload.permissions}, ${upload.owner}:${upload.group}`;
    const rights = `${is.mode.toString(8).padStart(4, "0")}, ${is.uid}:${is.gid}`;
    return [
      ...(rights === promised ? [] : [{ resource: name, field, promised, found: rights, cure }]),
      ...(is.content.equals(Buffer.from(upload.content ?? ""))
        ? []
        : [{ resource: name, field, promised: "its content", found: "another content", cure }]),
    ];
  });
}

/** What the edge serves is what the jobs wrote. */
function ofRoutes({ containers }: Promised, { routes }: HostState): Finding[] {
  if (routes === undefined) return [];
  const wanted = new Map<string, string>(
    containers.flatMap(({ inputs }) => {
      const env = Object.fromEntries((inputs.envs ?? []).map((entry) => splitOnce(entry)));
      return env["ROUTE_FILE"] === undefined ? [] : [[`${env["ROUTE_FILE"]}.yml`, env["ROUTE"]!] as const];
    }),
  );
  const found = new Map(routes.filter(({ name }) => name.endsWith(".yml")).map((file) => [file.name, text(file)]));
  const cure =
    "`pulumi up --replace` of the job that writes it (its name ends in -job); one that nobody writes: delete it.";
  return [...new Set([...wanted.keys(), ...found.keys()])].flatMap((file): Finding[] => {
    const [promised, is] = [wanted.get(file), found.get(file)];
    if (promised === is) return [];
    return [
      {
        ...{ resource: "edge", field: `route ${file}`, cure },
        promised: promised === undefined ? "none" : "as deployed",
        found: is === undefined ? "gone" : promised === undefined ? "there" : "another",
      },
    ];
  });
}

/** Containers that the stack did not make, and that are in its compartments all the same. */
function strangers({ containers, networks, volumes }: Promised, host: HostState, stackLabel: string): Finding[] {
  const own = new Set(containers.map(({ id }) => id));
  const names = new Set(containers.map(({ hostName }) => `/${hostName}`));
  return host.containers
    .filter(({ Id, Name }) => !own.has(Id) && !names.has(Name))
    .flatMap((stranger): Finding[] => {
      const resource = stranger.Name.slice(1);
      const joined = networks.filter(({ id }) =>
        Object.values(stranger.NetworkSettings.Networks).some(({ NetworkID }) => NetworkID === id),
      );
      const mounted = volumes.filter(({ id }) => stranger.Mounts.some(({ Name }) => Name === id));
      const labelled = stranger.Config.Labels?.["bulkhead.stack"] === stackLabel;
      const finding = (field: string, found: string) => ({ resource, field, promised: "none", found, cure: STRANGER });
      return [
        ...joined.map(({ name }) => finding("stranger on a network", name)),
        ...mounted.map(({ name }) => finding("stranger with a volume", name)),
        ...(labelled ? [finding("stranger with the stack's label", stackLabel)] : []),
      ];
    });
}

/** What is there beyond what was promised and what the image brings, and what is not; by name. */
function unlike(wanted: readonly string[], found: readonly string[], base: readonly string[]): string {
  const nameOf = (entry: string) => splitOnce(entry)[0];
  const names = wanted.map(nameOf);
  const expected = new Set([...wanted, ...base.filter((entry) => !names.includes(nameOf(entry)))]);
  const others = [
    ...[...expected].filter((entry) => !found.includes(entry)),
    ...found.filter((entry) => !expected.has(entry)),
  ].map(nameOf);
  return others.length === 0 ? "as deployed" : `other: ${listed([...new Set(others)].sort())}`;
}

function listed(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return "";
  const entries = Object.entries(value).map(([key, inner]) => `${key}=${String(inner)}`);
  return entries.sort().join(", ");
}

/** The provider and the engine write them with and without a prefix. */
function capabilitiesOf(names: readonly string[] | null | undefined): string {
  return listed((names ?? []).map((name) => name.replace(/^CAP_/, "")).sort()) || "none";
}

/** Commands may be scripts of many lines. */
function fingerprint(words: readonly string[] | null | undefined): string {
  const all = (words ?? []).join(" ").replace(/\s+/g, " ");
  return all.length <= 60
    ? all
    : `${all.slice(0, 40)}… (${createHash("sha256").update(all).digest("hex").slice(0, 8)})`;
}

/** `1m30s`, `500ms`. */
function seconds(duration: string | undefined): number {
  const units: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 0.001 };
  return [...(duration ?? "").matchAll(/(\d+)(ms|h|m|s)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * units[unit!]!,
    0,
  );
}

function mount(name: string, path: string, writable: boolean): string {
  return `${name} at ${path}${writable ? ", writable" : ""}`;
}

function splitOnce(entry: string): [string, string] {
  const at = entry.indexOf("=");
  return [entry.slice(0, at), entry.slice(at + 1)];
}

function text({ content }: ArchivedFile): string {
  return content.toString();
}
