import { createHash } from "node:crypto";
import type { ContainerState, HostState, ImageState } from "./host-state.ts";
import { hasRole, type ContainerInputs, type ExpectedContainer } from "./expected-state.ts";
import { labelOf } from "../../policy/inputs.ts";

/** One field of a container, as text that can be shown. */
export interface Field {
  /** Undefined where the stack promises nothing. */
  promise: (container: ExpectedContainer, host: HostState) => string | undefined;
  read: (found: ContainerState, container: ExpectedContainer, host: HostState) => string;
  /** @default OWN */
  cure?: string;
}

const UPDATE = "`bulkhead up` fixes it.";
export const REFRESH = "`pulumi refresh`, then `bulkhead up`: it is made anew.";
const NETWORKS =
  "`docker network disconnect` it from what is too much; what is missing is there after `pulumi up --replace` of it.";
/** Of a container that the state names by its id: whatever it shows, the stack made it, and clients may be on it. */
export const OWN =
  "It is the stack's own container, so leave it running. `pulumi up --replace` of it makes it anew as the stack says, and\n" +
  "takes this one away when the new one is healthy (the preview says for how long ports are closed).";
/** Of a container that stands where the stack's own was, and may serve in its place. */
export const REPLACE =
  "Another container than the one that the stack made. Find out who made it, and leave it running: it may be what serves.\n" +
  "`pulumi refresh`, then `bulkhead up` makes the stack's own; remove this one when that is healthy. If it holds the ports of\n" +
  "the host, they are closed from its removal until `bulkhead up` has ended.";

/** A promise that is the same for all: what nothing of a stack has. */
const none = (read: (found: ContainerState) => unknown): Field => ({
  promise: () => "none",
  read: (found) => listed(read(found)) || "none",
});

const isService = ({ inputs }: ExpectedContainer) => inputs.restart === "always";
const given = (promise: (inputs: ContainerInputs) => string | undefined) => (container: ExpectedContainer) =>
  promise(container.inputs);

/** Every field of a container that is compared. Each is text, to be shown. */
export const fields: Record<string, Field> = {
  state: {
    promise: (container) => (isService(container) ? "running" : undefined),
    read: ({ State }) => State.Status,
    cure: "`docker start` or `docker unpause` it; the container's log says why it ended.",
  },
  health: {
    promise: (container) => (isService(container) && container.inputs.healthcheck ? "healthy" : undefined),
    // What does not run is told by its state.
    read: ({ State }, { inputs }) => (State.Status === "running" ? healthOf(State, saysWhy(inputs)) : "healthy"),
    cure:
      "The container's log says why, and so does `docker inspect` of its health; of a backup or a job it stands here, with its\n" +
      "cure. Of anything else `docker restart` may do.",
  },
  name: {
    promise: ({ hostName }) => hostName,
    read: ({ Name }) => Name.slice(1),
    cure: "`docker rename` it back: other containers find it by its name.",
  },
  image: {
    // The stack's own container is what it was made from, whatever becomes of the image's names. Another may have been
    // made from something else by the same name.
    promise: ({ id, inputs }, { containers, images }) =>
      containers.some(({ Id }) => Id === id) ? inputs.image : (images[inputs.image]?.Id.slice(0, 19) ?? inputs.image),
    read: ({ Id, Image, Config }, { id, inputs }, { images }) =>
      Id === id || images[inputs.image] === undefined ? Config.Image : Image.slice(0, 19),
  },
  user: {
    promise: (container, host) => {
      const { user } = container.inputs;
      return user || ifKnown(container, host, ({ Config }) => Config.User || "root");
    },
    read: ({ Config }) => Config.User || "root",
  },
  // Names only: what somebody put there may be a secret.
  env: {
    promise: (container, host) => ifKnown(container, host, () => "as deployed"),
    read: ({ Config }, container, host) => {
      const base = imageOf(container, host)?.Config.Env ?? [];
      return unlike(container.inputs.envs ?? [], Config.Env ?? [], base);
    },
  },
  labels: {
    promise: (container, host) => ifKnown(container, host, () => "as deployed"),
    read: ({ Config }, container, host) => {
      const entries = (labels: Record<string, string> | null = {}) =>
        Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
      const wanted = (container.inputs.labels ?? []).map(({ label, value }) => `${label}=${value}`);
      const base = entries(imageOf(container, host)?.Config.Labels);
      return unlike(wanted, entries(Config.Labels), base);
    },
  },
  entrypoint: {
    promise: (container, host) =>
      container.inputs.entrypoints
        ? fingerprint(container.inputs.entrypoints)
        : ifKnown(container, host, ({ Config }) => fingerprint(Config.Entrypoint)),
    read: ({ Config }) => fingerprint(Config.Entrypoint),
  },
  command: {
    // Another entry point takes the image's command away.
    promise: (container, host) => {
      const { command = [], entrypoints } = container.inputs;
      if (command.length > 0 || entrypoints) return fingerprint(command);
      return ifKnown(container, host, ({ Config }) => fingerprint(Config.Cmd));
    },
    read: ({ Config }) => fingerprint(Config.Cmd),
  },
  "health check": {
    promise: given(({ healthcheck }) => {
      if (!healthcheck) return undefined;
      const { tests = [], interval, timeout, retries } = healthcheck;
      return `${healthCommand(tests)}, ${seconds(interval)} s, ${seconds(timeout)} s, ${retries} times`;
    }),
    read: ({ Config }) => {
      const { Test = [], Interval = 0, Timeout = 0, Retries = 0 } = Config.Healthcheck ?? {};
      return `${healthCommand(Test)}, ${Interval / 1e9} s, ${Timeout / 1e9} s, ${Retries} times`;
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
  init: {
    promise: given(({ init }) => (init === false ? "no" : "yes")),
    read: ({ HostConfig }) => (HostConfig.Init ? "yes" : "no"),
  },
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
  sysctls: {
    promise: given(({ sysctls }) => listed(sysctls) || "none"),
    read: ({ HostConfig }) => listed(HostConfig.Sysctls) || "none",
  },
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
    promise: given(({ volumes = [], mounts = [] }) =>
      listed(
        [
          ...volumes.map((volume) => mount(volume.volumeName!, volume.containerPath!, !volume.readOnly)),
          ...mounts.map(({ source, target, readOnly }) => mount(source!, target, !readOnly)),
        ].sort(),
      ),
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

/**
 * What it was made from. Of the stack's own container that is what the host says that it runs: an image loses its name
 * when someone prunes, or passes it on to another when it is built or loaded anew.
 */
function imageOf({ id, inputs }: ExpectedContainer, { containers, images }: HostState): ImageState | undefined {
  const own = containers.find(({ Id }) => Id === id);
  return images[own?.Image ?? inputs.image];
}

/** Of the stack's own container whose image is gone from the host: nothing that the image brought is promised. */
function ifKnown(container: ExpectedContainer, host: HostState, of: (image: Pick<ImageState, "Config">) => string) {
  const image = imageOf(container, host);
  if (image === undefined && host.containers.some(({ Id }) => Id === container.id)) return undefined;
  return of(image ?? { Config: {} });
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

/** Of lists and of tables, in an order that does not depend on theirs. */
export function listed(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return "";
  const entries = Object.entries(value).map(([key, inner]) => `${key}=${String(inner)}`);
  return entries.sort().join(", ");
}

/** The provider and Docker write them with and without a prefix. */
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

/** Of Bulkhead's own health checks, whose words have no secret in them. Those of a program's services are its own. */
function saysWhy(inputs: ContainerInputs): boolean {
  return (
    labelOf(inputs, "bulkhead.backup") !== undefined || hasRole(inputs, "backup") || hasRole(inputs, "scheduled-job")
  );
}

function healthOf({ Health }: ContainerState["State"], says: boolean): string {
  if (Health === undefined) return "not looked at";
  const said = says && Health.Status !== "healthy" ? (Health.Log?.at(-1)?.Output.trim() ?? "") : "";
  return said === "" ? Health.Status : `${Health.Status}: ${said.split("\n").join("; ")}`;
}

/** With a script in it as little as tells it from another. */
function healthCommand(words: readonly string[]): string {
  return words.map((word) => (word.includes("\n") ? fingerprint([word]) : word)).join(" ");
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

export function splitOnce(entry: string): [string, string] {
  const at = entry.indexOf("=");
  return [entry.slice(0, at), entry.slice(at + 1)];
}
