// How each container is held.
import type { RemoteImageArgs } from "@pulumi/docker/remoteImage.js";
import { basesOf } from "./dockerfile.ts";
import type * as pulumi from "@pulumi/pulumi";
import { complaintsOf, eachContainer, exceptionsOf, isRoot, type Invariants } from "./recorded.ts";
import { containers, label, ofType } from "./recorder.ts";

export const containerInvariants: Invariants = {
  "memory is limited, with no swap beyond it": eachContainer(
    ({ inputs: { memory, memorySwap, memoryReservation } }) => [
      ...(memory && memory > 0 ? [] : [`has the memory limit ${memory}`]),
      ...(memorySwap === memory ? [] : [`has the memory limit ${memory} and with swap ${memorySwap}`]),
      ...(memoryReservation === undefined || memoryReservation < memory!
        ? []
        : [`keeps ${memoryReservation} MiB of the memory limit ${memory}`]),
    ],
  ),

  "CPU time is limited": eachContainer(({ inputs: { cpus } }) =>
    // As Docker's client writes it back: with a fraction, or it would show as a change for ever.
    cpus !== undefined && /^\d+\.\d+$/.test(cpus) && Number(cpus) > 0 ? [] : [`has the CPU limit ${cpus}`],
  ),

  "processes are limited": eachContainer((container) =>
    /^[1-9]\d*$/.test(label(container, "bulkhead.pids") ?? "")
      ? []
      : [`has the label bulkhead.pids: ${label(container, "bulkhead.pids")}`],
  ),

  "health is checked and waited for": eachContainer((container) => {
    const { start, healthcheck, wait, waitTimeout } = container.inputs;
    // A backup is red until a drill was green, and no update waits for one.
    const isAwaited = label(container, "bulkhead.role") !== "backup";
    const excepted = exceptionsOf(container).some(({ noHealthCommand }) => noHealthCommand);
    return start === false || (healthcheck === undefined && excepted)
      ? []
      : [
          ...(healthcheck?.tests?.[0] === "CMD" && healthcheck.tests.length > 1
            ? []
            : [`has the health check ${JSON.stringify(healthcheck?.tests)}`]),
          ...(wait === isAwaited ? [] : [wait ? "is waited for" : "is not waited for"]),
          ...(waitTimeout && waitTimeout > 0 ? [] : [`is waited for ${waitTimeout} s`]),
        ];
  }),

  "a container that does not come up says why": eachContainer(({ inputs: { start }, options }) =>
    start === false || options.hooks.onError.includes("host-explain") ? [] : ["fails without a word"],
  ),

  "a hook runs once for a container": eachContainer(({ options: { hooks } }) =>
    [...hooks.beforeCreate, ...hooks.afterCreate, ...hooks.onError]
      .filter((name, index, all) => all.indexOf(name) !== index)
      .map((name) => `has the hook ${name} more than once`),
  ),

  "a container has no capability but those with a reason": eachContainer((container) => {
    const { drops, adds = [] } = container.inputs.capabilities ?? {};
    const excepted = exceptionsOf(container).flatMap(({ capability = [] }) => capability);
    return [
      ...(drops?.join() === "ALL" ? [] : [`drops ${drops?.join() || "no capability"}`]),
      ...adds.filter((add) => !excepted.includes(add)).map((add) => `has ${add} without an exception`),
      ...excepted.filter((add) => !adds.includes(add)).map((add) => `has an exception for ${add}, which it has not`),
    ];
  }),

  "a container can gain no privileges": eachContainer(({ inputs: { securityOpts, privileged } }) => [
    ...(securityOpts?.join() === "no-new-privileges:true" ? [] : [`has the security options ${securityOpts?.join()}`]),
    ...(privileged === false ? [] : [`has privileged: ${privileged}`]),
  ]),

  "the root file system is read-only, or there is a reason": eachContainer((container) => {
    const excepted = exceptionsOf(container).some(({ writableRoot }) => writableRoot);
    if (container.inputs.readOnly === !excepted) return [];
    return [excepted ? "has an exception for a writable root, and a read-only one" : "has a writable root"];
  }),

  "the user is not root, or there is a reason": eachContainer((container) => {
    const { user } = container.inputs;
    const excepted = exceptionsOf(container).some(({ rootUser }) => rootUser);
    if (excepted === isRoot(user)) return [];
    return [excepted ? `has an exception for root, and the user ${user}` : `runs as the user "${user ?? ""}"`];
  }),

  "every exception is known and has a reason": eachContainer((container) =>
    exceptionsOf(container).flatMap(({ why, ...what }) => [
      ...(why && why.length > 10 ? [] : [`has the exception ${JSON.stringify(what)} without a reason`]),
      ...(KNOWN_EXCEPTIONS.includes(Object.keys(what).join())
        ? []
        : [`has the unknown exception ${JSON.stringify(what)}`]),
    ]),
  ),

  "every tmpfs has a size and runs nothing": eachContainer((container) =>
    Object.entries(container.inputs.tmpfs ?? { "": "" }).flatMap(([path, options]) => {
      const set = options.split(",");
      const executable = exceptionsOf(container).some(({ tmpfsExec }) => tmpfsExec === path);
      const missing = [executable ? "exec" : "noexec", "nosuid", "nodev"].filter((option) => !set.includes(option));
      if (!set.some((option) => /^size=[1-9]\d*m$/.test(option))) missing.push("size");
      return missing.map((option) => `has the tmpfs ${path} without ${option}`);
    }),
  ),

  "an init reaps, stops take their time, and logs are rotated": eachContainer(({ inputs, ...container }) => [
    ...(inputs.init === !exceptionsOf({ inputs, ...container }).some(({ noInit }) => noInit) ? [] : ["has no init"]),
    ...(inputs.destroyGraceSeconds && inputs.destroyGraceSeconds > 0 ? [] : ["is killed without grace"]),
    ...(inputs.logDriver === "json-file" ? [] : [`logs to ${inputs.logDriver}`]),
    ...(JSON.stringify(Object.entries(inputs.logOpts ?? {}).sort()) === '[["max-file","3"],["max-size","10m"]]'
      ? []
      : [`has the log options ${JSON.stringify(inputs.logOpts)}`]),
  ]),

  "a service restarts always, and a job and a courier never": eachContainer(({ inputs }) => {
    const { start, mustRun, restart } = inputs;
    const kind = start === false ? "courier" : mustRun ? "service" : "job";
    return restart === (kind === "service" ? "always" : "no") ? [] : [`is a ${kind} and has restart: ${restart}`];
  }),

  "a container is made before the old one goes, unless it holds ports": eachContainer(({ inputs, options }) => [
    ...(options.deleteBeforeReplace === (inputs.ports ?? []).length > 0
      ? []
      : [`has deleteBeforeReplace: ${options.deleteBeforeReplace}`]),
    ...(inputs.name === undefined ? [] : [`has the fixed name ${inputs.name}`]),
    ...["healthcheck", "tmpfs", "init", "mounts"]
      .filter((what) => !options.replaceOnChanges.includes(what))
      .map((what) => `is not replaced for ${what}, which the provider would take for an update and not make`),
  ]),

  "the kernel is told of the edge's buffers, and of nothing else": eachContainer((container) => {
    const { sysctls = {} } = container.inputs;
    const known = label(container, "bulkhead.role") === "edge" ? ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"] : [];
    return Object.keys(sysctls)
      .filter((sysctl) => !known.includes(sysctl))
      .map((sysctl) => `sets ${sysctl}`);
  }),

  "a container has no setting that no invariant judges": eachContainer(({ inputs }) =>
    Object.keys(inputs)
      .filter((input) => !JUDGED.includes(input))
      .map((input) => `sets ${input}`),
  ),

  "every image is pinned": (recording) => [
    ...complaintsOf(containers(recording), ({ inputs: { image } }) =>
      isPinned(image) || /^sha256:[0-9a-f]{64}$/.test(image) ? [] : [`has the image ${image}`],
    ),
    ...complaintsOf(
      ofType<pulumi.Unwrap<RemoteImageArgs>>(recording, "docker:index/remoteImage:RemoteImage"),
      ({ inputs: { build, name } }) => {
        if (build === undefined) return isPinned(name) ? [] : [`pulls ${name}`];
        const bases = basesOf(build.context ?? ".", build.buildArgs, build.dockerfile);
        return bases.filter((base) => !isPinned(base)).map((base) => `is built from ${base}, without a digest`);
      },
    ),
  ],
};

const KNOWN_EXCEPTIONS = [
  ...["capability", "rootUser", "writableRoot", "noInit", "tmpfsExec", "noHealthCommand"],
  ...["entryPoint", "withoutBackup", "encodedSlashes", "unverifiedUpstream"],
];

/** Inputs of a container that the invariants above look at, or that are harmless. */
const JUDGED = [
  ...["image", "entrypoints", "command", "envs", "labels", "uploads", "volumes", "mounts", "tmpfs", "readOnly", "user"],
  ...[
    "networkMode",
    "networksAdvanced",
    "ports",
    "memory",
    "memorySwap",
    "memoryReservation",
    "cpus",
    "init",
    "logDriver",
    "logOpts",
  ],
  ...["capabilities", "securityOpts", "privileged", "restart", "start", "mustRun", "healthcheck", "wait"],
  ...["waitTimeout", "destroyGraceSeconds", "stopTimeout", "ipcMode", "shmSize", "sysctls"],
];

function isPinned(reference: string): boolean {
  return (
    /^[^\s@]+:[^\s@:/]+@sha256:[0-9a-f]{64}$/.test(reference) ||
    /^bulkhead\.local\/[a-z]+:[0-9a-f]{16}$/.test(reference)
  );
}
