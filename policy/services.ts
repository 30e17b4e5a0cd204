import type { ServiceArgs } from "@pulumi/docker/service.js";
import type { Unwrap } from "@pulumi/pulumi";
import { workloadRows, type Workload } from "./workloads.ts";
import { labelOf, ofEach } from "./inputs.ts";
import type { Rule } from "./rule.ts";

export const SERVICE = "docker:index/service:Service";

/** Rules that a Swarm service cannot keep or break, and why. */
export const NOT_IN_SWARM: Record<string, string> = {
  privileged: "Swarm runs nothing privileged",
  "no-new-privileges": "the provider has no field for it",
  "kernel-profiles": "the provider has no field for it",
  swap: "Swarm has no limit for swap",
  "host-pid": "Swarm has no such mode",
  "host-ipc": "Swarm has no such mode",
  "host-users": "Swarm has no such mode",
  init: "the provider has no field for it",
  tmpfs: "the provider has no options for it",
  devices: "Swarm hands out no device",
  "bind-address": "Swarm publishes on every address",
  "default-bridge": "a service is never on it",
};

export const serviceRules: Rule[] = workloadRows
  .filter(({ name }) => !(name in NOT_IN_SWARM))
  .map((row) => ({
    ...row,
    name: `service-${row.name}`,
    type: SERVICE,
    faults: (props) => row.faults(workloadOf(props as Unwrap<ServiceArgs>)),
  }));

export function workloadOf(props: Unwrap<ServiceArgs>): Workload {
  const task = () => props.taskSpec;
  const container = () => task().containerSpec;
  const limits = () => task().resources?.limits;
  return {
    get image() {
      return container().image;
    },
    kind: "service",
    get user() {
      return container().user;
    },
    get readOnly() {
      return container().readOnly;
    },
    privileged: undefined,
    get capabilities() {
      return { drops: container().capDrops, adds: container().capAdds };
    },
    securityOpts: [],
    get memory() {
      return limits()?.memoryBytes;
    },
    memorySwap: undefined,
    get cpus() {
      return limits()?.nanoCpus;
    },
    get healthTests() {
      return container().healthcheck?.tests;
    },
    // Swarm starts what ended again, unless it is told not to.
    get restart() {
      return task().restartPolicy?.condition ?? "any";
    },
    get log() {
      return { driver: task().logDriver?.name, options: task().logDriver?.options };
    },
    get grace() {
      return container().stopGracePeriod;
    },
    get hostPaths() {
      return ofEach(container().mounts, ({ type, source }) => (type === "bind" ? [source ?? "a folder"] : []));
    },
    get networkModes() {
      return ofEach(task().networksAdvanceds, ({ name, id }) => [name ?? id ?? ""]);
    },
    isOnOwnNetwork: true,
    pidMode: undefined,
    ipcMode: undefined,
    userNamespace: undefined,
    init: undefined,
    executableTmpfs: [],
    devices: [],
    get ports() {
      return ofEach(props.endpointSpec?.ports, ({ publishedPort, protocol }) => [
        { address: "0.0.0.0", port: publishedPort, ...(protocol && { protocol }) },
      ]);
    },
    publishesAll: false,
    get env() {
      return Object.entries(container().env ?? {}).map(([name, value]) => `${name}=${value}`);
    },
    get labels() {
      return [...ofEach(props.labels, (label) => [label]), ...ofEach(container().labels, (label) => [label])];
    },
    get arguments() {
      return [...ofEach(container().commands, (word) => [word]), ...ofEach(container().args, (word) => [word])];
    },
    label: (name) => labelOf(props, name) ?? labelOf(container(), name),
  };
}
