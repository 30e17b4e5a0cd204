import { createHash } from "node:crypto";
import type { DnsRecordArgs } from "@pulumi/cloudflare/dnsRecord.js";
import type { ZeroTrustTunnelCloudflaredConfigArgs } from "@pulumi/cloudflare/zeroTrustTunnelCloudflaredConfig.js";
import type { RulesetArgs } from "@pulumi/cloudflare/ruleset.js";
import type { NetworkArgs } from "@pulumi/docker/network.js";
import type { RemoteImageArgs } from "@pulumi/docker/remoteImage.js";
import type { VolumeArgs } from "@pulumi/docker/volume.js";
import type * as pulumi from "@pulumi/pulumi";
import { basesOf } from "./dockerfile.ts";
import { containers, hex, label, ofType, type ContainerInputs, type Recorded, type Recording } from "./recorder.ts";

type Container = Recorded<ContainerInputs>;

/** What must be true of every resource of every stack. Each gives its complaints, which name the resource. */
export const invariants: Record<string, (recording: Recording) => string[]> = {
  "a secret is only in a courier's upload or a provider, and marked as a secret there": (recording) => {
    const isUpload = (resource: Recorded, path: string) =>
      (isContainer(resource) && resource.inputs.start === false && /^uploads\.\d+\.content$/.test(path)) ||
      // The one that is for Pulumi itself.
      (resource.type === "pulumi:providers:cloudflare" && path === "apiToken");
    return recording.resources.flatMap((resource) => [
      ...leaves(resource.inputs)
        .filter(([path, value]) => holdsSecret(value, recording.secrets) && !isUpload(resource, path))
        .map(([path]) => `${resource.name}: ${path} holds a secret`),
      ...leaves(resource.inputs)
        .filter(([path, value]) => holdsSecret(value, recording.secrets) && isUpload(resource, path))
        .filter(([path]) => !resource.secretPaths.some((secret) => `${path}.`.startsWith(`${secret}.`)))
        .map(([path]) => `${resource.name}: ${path} holds a secret and is not marked as one`),
      ...resource.secretPaths
        .filter((path) => !isUpload(resource, path))
        .map((path) => `${resource.name}: ${path} is made of a secret`),
      ...leaves(resource.options.replacementTrigger?.value)
        .filter(([, value]) => holdsSecret(value, recording.secrets))
        .map(() => `${resource.name}: the replacement trigger holds a secret`),
      ...leaves(resource.outputs)
        .filter(([, value]) => holdsSecret(value, recording.secrets))
        .map(([path]) => `${resource.name}: the output ${path} holds a secret`),
    ]);
  },

  "every uploaded file is for one reader alone": (recording) =>
    complaintsOf(containers(recording), (courier) => {
      const volumes = new Set(mountedVolumes(courier.inputs).map(({ volumeName }) => volumeName));
      const readers = containers(recording).filter(
        (each) => each !== courier && mountedVolumes(each.inputs).some(({ volumeName }) => volumes.has(volumeName)),
      );
      // Root's are those of a reader that is root, which is for its exception to say.
      const mayBeRoots = readers.length > 0 && readers.every(({ inputs }) => isRoot(inputs.user));
      return (courier.inputs.uploads ?? []).flatMap(({ file, permissions, owner, group }) => [
        ...(permissions === "0400" ? [] : [`${file} has the mode ${permissions}`]),
        ...(owner && owner === group && (mayBeRoots || !isRoot(owner)) ? [] : [`${file} belongs to ${owner}:${group}`]),
      ]);
    }),

  "a route that asks who may pass has no hash in it, and answers 503 where it cannot ask": eachContainer(({ inputs }) =>
    (inputs.envs ?? [])
      .filter((entry) => entry.startsWith("ROUTE={"))
      .flatMap((entry) => askingFaults(JSON.parse(entry.slice("ROUTE=".length)) as RouteContent)),
  ),

  "no container is on the default bridge or in another's network": (recording) => {
    const networks = ofType<{ name: string }>(recording, "docker:index/network:Network").map(
      (network) => network.inputs.name,
    );
    return complaintsOf(containers(recording), ({ inputs: { networkMode, networksAdvanced = [] } }) => [
      ...networksAdvanced
        .filter(({ name }) => !networks.includes(name))
        .map(({ name }) => `is on the network ${name}, which is not the stack's`),
      ...(networksAdvanced.length === 0
        ? networkMode === "none"
          ? []
          : [`has no network and the mode ${networkMode}`]
        : networkMode === undefined || networksAdvanced.some(({ name }) => name === networkMode)
          ? []
          : [`has the network mode ${networkMode}`]),
    ]);
  },

  "only the door publishes ports, and each is bound to an address": (recording) =>
    complaintsOf(containers(recording), (container) => [
      ...(container.inputs.ports ?? []).flatMap(({ ip, external }) => [
        ...(isWithin(recording, container, "FrontDoor") ? [] : [`publishes ${external} and is not the door`]),
        ...(ip ? [] : [`publishes ${external} on no address`]),
      ]),
      // The policies believe it.
      ...(label(container, "bulkhead.publishes") === undefined || isWithin(recording, container, "FrontDoor")
        ? []
        : ["may publish ports and is not the door"]),
    ]),

  "only the door, the edge and cutover jobs are on the door's network": (recording) =>
    complaintsOf(containers(recording), (container) =>
      networksOf(recording, container).includes("door") &&
      !isWithin(recording, container, "FrontDoor", "RouteFile") &&
      !isOwn(recording, container, "Proxy")
        ? ["is on the network door, whose members are believed what they say of a client's address"]
        : [],
    ),

  "the edge reaches no network but door, proxy and those with programs, and the door none but door and tunnel": (
    recording,
  ) =>
    complaintsOf(containers(recording), (container) => {
      const withPrograms = programsOf(recording).map((name) => `${name}-edge`);
      const ofEdge = isOwn(recording, container, "Proxy") ? ["door", "proxy", ...withPrograms] : ["door", "proxy"];
      const allowed = isWithin(recording, container, "FrontDoor") ? ["door", "tunnel"] : ofEdge;
      return isWithin(recording, container, "Proxy", "RouteFile")
        ? networksOf(recording, container)
            .filter((network) => !allowed.includes(network))
            .map((network) => `is on the network ${network}`)
        : [];
    }),

  "only the door and a connector are on the tunnel's network, and the connector on no other": (recording) =>
    complaintsOf(containers(recording), (container) => {
      const networks = networksOf(recording, container);
      const others = networks.filter((network) => network !== "tunnel");
      if (isOwn(recording, container, "Tunnel")) return others.map((network) => `is on the network ${network}`);
      return networks.includes("tunnel") && !isWithin(recording, container, "FrontDoor")
        ? ["is on the network tunnel, whose members are believed whose request it is"]
        : [];
    }),

  "a stack with a tunnel publishes no port, and its names lead there alone": (recording) => {
    const [tunnel] = ofType(recording, "ZeroTrustTunnelCloudflared");
    if (!tunnel) return [];
    const there = `${hex(tunnel.name, 32)}.cfargotunnel.com`;
    return [
      ...complaintsOf(containers(recording), ({ inputs }) =>
        (inputs.ports ?? []).map(({ external }) => `publishes ${external} beside the tunnel`),
      ),
      ...complaintsOf(dnsRecords(recording), ({ inputs: { type, content } }) =>
        type === "CAA" || content === there ? [] : [`leads to ${content}`],
      ),
    ];
  },

  "a tunnel leads to the door, whose certificate is checked, and nowhere else": (recording) =>
    complaintsOf(
      ofType<pulumi.Unwrap<ZeroTrustTunnelCloudflaredConfigArgs>>(recording, "ZeroTrustTunnelCloudflaredConfig"),
      ({ inputs }) => {
        const rules = inputs.config?.ingresses ?? [];
        return [
          ...rules
            .filter(({ service }) => service !== "https://door:8443" && service !== "http_status:404")
            .map(({ service }) => `leads to ${service}`),
          ...rules.filter(({ originRequest }) => originRequest?.noTlsVerify).map(() => "checks no certificate"),
          ...rules
            .filter(({ hostname, originRequest }) => hostname !== originRequest?.originServerName)
            .map(({ hostname }) => `does not ask for the certificate of ${hostname}`),
        ];
      },
    ),

  "a program's networks are for it, its job and the edge alone, and proxy is the edge's": (recording) =>
    complaintsOf(containers(recording), (container) => {
      const names = programsOf(recording);
      const allowed = (network: string) => {
        const service = names.find((name) => network === `${name}-edge` || network === `${name}-egress`);
        if (service === undefined) return network !== "proxy" || isOwn(recording, container, "Proxy");
        const isEdge = isOwn(recording, container, "Proxy") && network.endsWith("-edge");
        return isEdge || container.name === service || label(container, "bulkhead.for") === service;
      };
      return networksOf(recording, container)
        .filter((network) => !allowed(network))
        .map((network) => `is on the network ${network}, which is another's`);
    }),

  "no network has a way out but door, proxy, tunnel and those named egress": (recording) =>
    complaintsOf(ofType<pulumi.Unwrap<NetworkArgs>>(recording, "docker:index/network:Network"), ({ inputs }) => {
      const internal = !/^(door|proxy|tunnel|.+-egress)$/.test(
        (inputs.name ?? "").replace(`${recording.stackName}-`, ""),
      );
      return [
        ...(inputs.internal === internal ? [] : [`has internal: ${inputs.internal}`]),
        ...(inputs.driver === "bridge" ? [] : [`has the driver ${inputs.driver}`]),
        ...(inputs.attachable || inputs.ingress ? ["can be joined from elsewhere"] : []),
      ];
    }),

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

  "a database is on networks of databases alone, and ends before another one starts": (recording) => {
    const names = databasesOf(recording);
    const pools = componentsOf(recording, "PgBouncer");
    return complaintsOf(containers(recording), (container) => {
      if (!names.includes(container.name)) return [];
      return [
        ...networksOf(recording, container)
          .filter((network) => !names.includes(network))
          .map((network) => `is on the network ${network}`),
        ...(label(container, "bulkhead.rollout") === "stop-first" || pools.includes(container.name)
          ? []
          : ["starts beside the one before it"]),
      ];
    });
  },

  "a container is made before the old one goes, unless it holds ports": eachContainer(({ inputs, options }) => [
    ...(options.deleteBeforeReplace === (inputs.ports ?? []).length > 0
      ? []
      : [`has deleteBeforeReplace: ${options.deleteBeforeReplace}`]),
    ...(inputs.name === undefined ? [] : [`has the fixed name ${inputs.name}`]),
    ...["healthcheck", "tmpfs", "init", "mounts"]
      .filter((what) => !options.replaceOnChanges.includes(what))
      .map((what) => `is not replaced for ${what}, which the provider would take for an update and not make`),
  ]),

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

  "nothing of the host is mounted": (recording) => {
    const volumes = ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume").map(
      ({ name, inputs }) => inputs.name ?? name,
    );
    return complaintsOf(containers(recording), ({ inputs }) => [
      ...(inputs.mounts ?? [])
        .filter(({ type, volumeOptions }) => type !== "volume" || volumeOptions?.driverOptions !== undefined)
        .map(({ source }) => `mounts ${source}`),
      ...mountedVolumes(inputs).flatMap((mount) => [
        ...(mount.hostPath === undefined && mount.fromContainer === undefined
          ? []
          : [`mounts ${mount.hostPath ?? mount.fromContainer}`]),
        ...(volumes.some((volume) => volume === mount.volumeName || isAutonamed(mount.volumeName, volume))
          ? []
          : [`mounts ${mount.volumeName}, which is no volume of the stack`]),
        ...(/docker\.sock|^\/(proc|sys|dev)?(\/|$)/.test(mount.containerPath ?? "/")
          ? [`has a mount at ${mount.containerPath}`]
          : []),
      ]),
    ]);
  },

  "a service writes to no volume but one with data, which is retained, and a scheduled job to its schedule": (
    recording,
  ) => {
    const data = ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume")
      .filter(({ inputs, options }) => options.retainOnDelete && hasLabel(inputs.labels, "bulkhead.data"))
      .map(({ inputs }) => inputs.name);
    const isOwnFolder = (container: Container, path: string | undefined) =>
      (path === "/run/schedule" && label(container, "bulkhead.role") === "scheduled-job") ||
      (path === "/var/run/postgresql" && isOwn(recording, container, "Postgres")) ||
      // The folders between the containers of a backup.
      (["/spool", "/sent", "/restore", "/state"].includes(path ?? "") &&
        label(container, "bulkhead.backup") !== undefined);
    return complaintsOf(containers(recording), (container) =>
      mountedVolumes(container.inputs)
        .filter(({ readOnly, volumeName }) => !readOnly && container.inputs.mustRun && !data.includes(volumeName))
        .filter(({ containerPath }) => !isOwnFolder(container, containerPath))
        .map(({ volumeName, containerPath }) => `may write to ${volumeName} at ${containerPath}`),
    );
  },

  "a volume with data is mounted as it is, with nothing of an image copied into it": (recording) => {
    const data = ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume")
      .filter(({ parent }) => recording.resources.some(({ urn, type }) => urn === parent && /:DataVolume$/.test(type)))
      .map(({ inputs }) => inputs.name);
    return complaintsOf(containers(recording), ({ inputs }) => [
      ...(inputs.volumes ?? [])
        .filter(({ volumeName }) => inputs.mustRun && data.includes(volumeName))
        .map(({ volumeName }) => `mounts ${volumeName}, into which Docker copies what the image has there`),
      ...(inputs.mounts ?? [])
        .filter(({ volumeOptions }) => volumeOptions?.noCopy !== true)
        .map(({ source }) => `mounts ${source}, into which Docker copies what the image has there`),
    ]);
  },

  "a volume with data is retained, and no volume is elsewhere": (recording) =>
    complaintsOf(
      ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume"),
      ({ inputs: { labels, driver, driverOpts }, options }) => [
        ...(labels?.some(({ label, value }) => label === "bulkhead.data" && value === "true") &&
        !options.retainOnDelete &&
        !options.protect
          ? ["holds data and is deleted with the stack"]
          : []),
        // The policies believe it.
        ...(labels?.some(({ label }) => label === "bulkhead.retained") && !options.retainOnDelete
          ? ["says that it is retained, and is deleted with the stack"]
          : []),
        ...(driver === undefined && driverOpts === undefined ? [] : [`has the driver ${driver ?? "of the options"}`]),
      ],
    ),

  "everything on the host says whose it is": (recording) =>
    complaintsOf(
      recording.resources.filter(({ type }) => /^docker:index\/(container|network|volume):/.test(type)),
      ({ inputs }) => {
        const labels = (inputs["labels"] ?? []) as { label: string; value: string }[];
        const stack = labels.find(({ label }) => label === "bulkhead.stack")?.value;
        const name = inputs["name"] as string | undefined;
        return [
          ...(stack === recording.stackName ? [] : [`has the label bulkhead.stack: ${stack}`]),
          ...(name === undefined || name.startsWith(`${recording.stackName}-`)
            ? []
            : [`has the name ${name}, which another stack may have`]),
        ];
      },
    ),

  "everything goes to the stack's own host": (recording) => {
    const hosts = ofType(recording, "pulumi:providers:docker").map(({ urn }) => urn);
    return complaintsOf(
      recording.resources.filter(({ type }) => type.startsWith("docker:")),
      ({ provider }) => (hosts.includes(provider.slice(0, provider.lastIndexOf("::"))) ? [] : ["has no provider"]),
    );
  },

  "no record shows the host's address without a reason": (recording) =>
    complaintsOf(dnsRecords(recording), ({ inputs: { type, proxied, comment } }) =>
      type === "CAA" || proxied === true || /, not proxied: .{10,}/.test(comment ?? "")
        ? []
        : [`has proxied: ${proxied} and the comment ${comment}`],
    ),

  "a name at Cloudflare is served with strict TLS": (recording) => {
    const settings = ofType<{ settingId: string; value: unknown }>(
      recording,
      "cloudflare:index/zoneSetting:ZoneSetting",
    );
    const value = (id: string) => settings.find(({ inputs }) => inputs.settingId === id)?.inputs.value;
    const wanted = { ssl: ["strict"], always_use_https: ["on"], min_tls_version: ["1.2", "1.3"], tls_1_3: ["on"] };
    if (dnsRecords(recording).length === 0) return [];
    return Object.entries(wanted)
      .filter(([id, values]) => !values.includes(value(id) as string))
      .map(([id]) => `the zone has ${id}: ${JSON.stringify(value(id))}`);
  },

  "Cloudflare's caches hold nothing but static files": (recording) =>
    complaintsOf(ofType<pulumi.Unwrap<RulesetArgs>>(recording, "cloudflare:index/ruleset:Ruleset"), ({ inputs }) => {
      const rules = inputs.rules ?? [];
      const cached = rules.filter(({ actionParameters }) => actionParameters?.cache !== false);
      return [
        ...cached
          .filter(({ expression }) => !/ and \(starts_with\(http\.request\.uri\.path, "\/\w+\/"\)/.test(expression))
          .map(({ expression }) => `caches ${expression}`),
        ...(rules.length > cached.length ? [] : ["has no rule for the rest"]),
      ];
    }),

  "everything at Cloudflare goes through the stack's own account": (recording) => {
    const accounts = ofType(recording, "pulumi:providers:cloudflare").map(({ urn }) => urn);
    return complaintsOf(
      recording.resources.filter(({ type }) => type.startsWith("cloudflare:")),
      ({ provider }) => (accounts.includes(provider.slice(0, provider.lastIndexOf("::"))) ? [] : ["has no provider"]),
    );
  },

  "a child's name begins with its parent's": (recording) =>
    complaintsOf(recording.resources, (resource) => {
      const parent = recording.resources.find(({ urn }) => urn === resource.parent);
      if (parent === undefined || parent.type === "pulumi:pulumi:Stack") return [];
      return `${resource.name}-`.startsWith(`${parent.name}-`) ? [] : [`is the child of ${parent.name}`];
    }),
};

interface RouteContent {
  http?: {
    routers?: Record<string, { rule: string; middlewares?: string[] }>;
    middlewares?: Record<string, { basicAuth?: { users?: unknown }; forwardAuth?: { trustForwardHeader?: boolean } }>;
  };
}

function askingFaults({ http: { routers = {}, middlewares = {} } = {} }: RouteContent): string[] {
  const asks = (name: string) =>
    middlewares[name]?.basicAuth !== undefined || middlewares[name]?.forwardAuth !== undefined;
  const closed = Object.values(routers).filter(({ middlewares = [] }) => middlewares.join().endsWith("-closed"));
  return [
    ...Object.entries(middlewares).flatMap(([name, { basicAuth, forwardAuth }]) => [
      ...(basicAuth?.users === undefined ? [] : [`has users in ${name}`]),
      ...(forwardAuth?.trustForwardHeader === true ? [`believes clients in ${name}`] : []),
    ]),
    ...Object.entries(routers)
      .filter(
        ([, { rule, middlewares = [] }]) =>
          middlewares.some(asks) && !closed.some((other) => rule.startsWith(other.rule)),
      )
      .map(([name]) => `has the router ${name}, and none that is closed in its place`),
  ];
}

function dnsRecords(recording: Recording) {
  return ofType<pulumi.Unwrap<DnsRecordArgs>>(recording, "cloudflare:index/dnsRecord:DnsRecord");
}

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
  ...["waitTimeout", "destroyGraceSeconds", "stopTimeout", "ipcMode", "shmSize"],
];

/** Every volume of a container, in whichever form it is asked for. */
function mountedVolumes({ volumes = [], mounts = [] }: Container["inputs"]) {
  const more = mounts.map(({ source, target, readOnly }) => ({
    ...{ volumeName: source, containerPath: target, readOnly },
    ...{ hostPath: undefined, fromContainer: undefined },
  }));
  return [...volumes, ...more];
}

function hasLabel(labels: VolumeLabels, name: string): boolean {
  return labels?.some(({ label, value }) => label === name && value === "true") ?? false;
}

type VolumeLabels = pulumi.Unwrap<VolumeArgs>["labels"];

function eachContainer(complain: (container: Container) => string[]): (recording: Recording) => string[] {
  return (recording) => complaintsOf(containers(recording), complain);
}

function complaintsOf<T extends { name: string }>(resources: T[], complain: (resource: T) => string[]): string[] {
  return resources.flatMap((resource) => complain(resource).map((complaint) => `${resource.name}: ${complaint}`));
}

function isContainer(resource: Recorded): resource is Recorded & Container {
  return resource.type === "docker:index/container:Container";
}

/** Whether one of its ancestors is a component of one of these kinds. */
function isWithin(recording: Recording, resource: Recorded<object>, ...kinds: string[]): boolean {
  for (let urn = resource.parent; urn !== "";) {
    const parent = recording.resources.find((other) => other.urn === urn);
    if (kinds.some((kind) => parent?.type === `bulkhead:index:${kind}`)) return true;
    urn = parent?.parent ?? "";
  }
  return false;
}

/** Whether it is the one container that a component is named after. */
function isOwn(recording: Recording, container: Container, kind: string): boolean {
  return recording.resources.some(({ type, name }) => type === `bulkhead:index:${kind}` && name === container.name);
}

/** The names of all services, workers and scheduled jobs. */
function programsOf(recording: Recording): string[] {
  return ["WebService", "Worker", "ScheduledJob"].flatMap((kind) => componentsOf(recording, kind));
}

/** The names of all that keeps data or stands before it, each with a network of that name. */
function databasesOf(recording: Recording): string[] {
  return ["Postgres", "PgBouncer", "Redis"].flatMap((kind) => componentsOf(recording, kind));
}

/** The names of all components of a kind. */
function componentsOf(recording: Recording, kind: string): string[] {
  return recording.resources.flatMap(({ type, name }) => (type === `bulkhead:index:${kind}` ? [name] : []));
}

/** The networks of a container, without the stack's name. */
function networksOf({ stackName }: Recording, { inputs }: Container): string[] {
  return (inputs.networksAdvanced ?? []).map(({ name }) => name.replace(`${stackName}-`, ""));
}

interface Exception {
  why?: string;
  capability?: string;
  rootUser?: boolean;
  writableRoot?: boolean;
  noInit?: boolean;
  tmpfsExec?: string;
  noHealthCommand?: boolean;
}

function exceptionsOf(container: Container): Exception[] {
  return JSON.parse(label(container, "bulkhead.exceptions") ?? "[]") as Exception[];
}

function isRoot(user: string | undefined): boolean {
  return /^(0+|root)?(:|$)/.test(user ?? "");
}

function isPinned(reference: string): boolean {
  return (
    /^[^\s@]+:[^\s@:/]+@sha256:[0-9a-f]{64}$/.test(reference) ||
    /^bulkhead\.local\/[a-z]+:[0-9a-f]{16}$/.test(reference)
  );
}

function isAutonamed(name: string | undefined, logicalName: string): boolean {
  return name !== undefined && new RegExp(`-${logicalName}-[0-9a-f]{7}$`).test(name);
}

/** Every value in it that is no object, with its path, and every key: a secret can be in either. */
function leaves(value: unknown, path = ""): [path: string, value: string][] {
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return [...(Array.isArray(value) ? [] : [[at, key] as [string, string]]), ...leaves(inner, at)];
  });
}

/** Also a part of it that says as much: one line of a key, or the value in base64. */
export function s3Key(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function holdsSecret(value: string, secrets: string[]): boolean {
  const lines = secrets
    .flatMap((secret) => secret.split("\n"))
    .filter((line) => line.length >= 16 && !/^-----/.test(line));
  // As it is, as base64, and as the key of S3 that R2 makes of a token.
  const forms = lines.flatMap((line) => [line, btoa(line).slice(0, -4), s3Key(line)]);
  return forms.some((form) => value.includes(form));
}
