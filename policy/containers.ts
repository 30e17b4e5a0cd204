import type { ContainerArgs } from "@pulumi/docker/container.js";
import type { Unwrap } from "@pulumi/pulumi";
import { labelOf, ofEach } from "./inputs.ts";
import type { Rule } from "./rule.ts";
import { workloadRows, type Workload } from "./workloads.ts";

export const CONTAINER = "docker:index/container:Container";

export const containerRules: Rule[] = workloadRows.map((row) => ({
  ...row,
  name: `container-${row.name}`,
  type: CONTAINER,
  faults: (props) => row.faults(workloadOf(props as Unwrap<ContainerArgs>)),
}));

export function workloadOf(props: Unwrap<ContainerArgs>): Workload {
  return {
    get image() {
      return props.image;
    },
    get kind() {
      return props.start === false ? "courier" : props.mustRun === false ? "job" : "service";
    },
    get user() {
      return props.user;
    },
    get readOnly() {
      return props.readOnly;
    },
    get privileged() {
      return props.privileged;
    },
    get capabilities() {
      return props.capabilities ?? {};
    },
    get securityOpts() {
      return props.securityOpts ?? [];
    },
    get memory() {
      return props.memory;
    },
    get memorySwap() {
      return props.memorySwap;
    },
    get cpus() {
      return props.cpus ? Number(props.cpus) : props.cpuQuota;
    },
    get healthTests() {
      return props.healthcheck?.tests;
    },
    get init() {
      return props.init;
    },
    get executableTmpfs() {
      return Object.entries(props.tmpfs ?? {}).flatMap(([path, options]) =>
        options.split(",").includes("exec") ? [path] : [],
      );
    },
    get restart() {
      return props.restart;
    },
    get log() {
      return { driver: props.logDriver, options: props.logOpts };
    },
    get grace() {
      return props.destroyGraceSeconds;
    },
    get hostPaths() {
      return [
        ...ofEach(props.volumes, ({ hostPath }) => (hostPath ? [hostPath] : [])),
        ...ofEach(props.mounts, ({ type, source }) => (type === "bind" ? [source ?? "a folder"] : [])),
      ];
    },
    get networkModes() {
      return [props.networkMode ?? "default"];
    },
    get isOnOwnNetwork() {
      return (props.networksAdvanced ?? []).length > 0;
    },
    get pidMode() {
      return props.pidMode;
    },
    get ipcMode() {
      return props.ipcMode;
    },
    get userNamespace() {
      return props.usernsMode;
    },
    get devices() {
      return [
        ...ofEach(props.devices, ({ hostPath }) => [hostPath]),
        ...ofEach(props.deviceCgroupRules, (rule) => [rule]),
        ...ofEach(props.deviceRequests, ({ driver }) => [driver ?? "of a request"]),
        ...(props.gpus ? [`gpus ${props.gpus}`] : []),
      ];
    },
    get ports() {
      return ofEach(props.ports, ({ ip, external, protocol }) => [
        { address: ip ?? "0.0.0.0", port: external, ...(protocol && { protocol }) },
      ]);
    },
    get publishesAll() {
      return props.publishAllPorts ?? false;
    },
    get env() {
      return props.envs ?? [];
    },
    get labels() {
      return props.labels ?? [];
    },
    get arguments() {
      return [...ofEach(props.entrypoints, (word) => [word]), ...ofEach(props.command, (word) => [word])];
    },
    label: (name) => labelOf(props, name),
  };
}
