import * as docker from "@pulumi/docker/container.js";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";
import { hardened, type Posture } from "./hardening.ts";
import { healthArgs, type Health } from "./health.ts";
import { limitPids } from "./pids-limit.ts";

/** What a container is, for whoever looks at the host: its label bulkhead.role. Nothing is found by its name. */
export type Role =
  /** What holds the published ports. The policies refuse ports of anything else. */
  | "door"
  /** What serves, by the route files of services. */
  | "edge"
  | "service"
  /** What works without a route. */
  | "worker"
  /** What keeps data, or pools connections to what does. */
  | "database"
  /** What waits for the time of its job, and runs it. */
  | "scheduled-job"
  /** What tells whether backups are well. */
  | "backup"
  /** What opens a tunnel to Cloudflare. */
  | "tunnel"
  /** What switches a route. */
  | "route"
  | "job"
  /** What carried files into a volume, and never starts. */
  | "file-volume";

export interface ContainerArgs extends Posture {
  host: DockerHost;
  role: Role;
  /** The name of what it works for: its label bulkhead.for. @default none */
  worksFor?: string;
  /** `name:tag@sha256:…`, or the id of an image that was built on the host. Anything else is refused. */
  image: pulumi.Input<string>;
  /**
   * `always`: a service, back after every crash and reboot. `once`: a job that runs to its end in the update and must
   * become healthy to say that it did its work. `never`: a courier that only carries files into volumes.
   */
  run: "always" | "once" | "never";
  /** The old container ends before this one starts, and is started again if this one fails. @default this starts first */
  rollout?: "stop-first";
  /** Size of /dev/shm in MiB. @default 64, Docker's own */
  shmMb?: number;
  /** What the kernel is told for its network alone, like net.ipv4.tcp_wmem. @default as on the host */
  sysctls?: Record<string, string>;
  /** How Docker sees that it works. Required for all that runs, but for the exception `noHealthCommand`. */
  health?: Health;
  /** Networks by name, and the names that the container has there besides its own. No network: none at all. */
  networks?: { name: pulumi.Input<string>; aliases?: string[] }[];
  /** Networks that are known only at the program's end, each with the container's names there. @default [] */
  laterNetworks?: pulumi.Input<{ name: string; aliases: string[] }[]>;
  /**
   * Named volumes. Read-only unless said otherwise. Into an empty one Docker copies what the image has at the path, with its
   * owner; `noCopy` leaves it as it is.
   * @default []
   */
  volumes?: { name: pulumi.Input<string>; path: string; writable?: boolean; noCopy?: boolean }[];
  /** Ports of the host, each bound to an address. @default [] */
  ports?: { address: string; external: number; internal: number }[];
  /** What is told of it beside its name, like how clients ask for it. @default {} */
  labels?: Record<string, pulumi.Input<string>>;
  /** Plain settings. A secret never goes here: see secret.ts. @default {} */
  env?: Record<string, pulumi.Input<string>>;
  /** @default the image's own */
  entrypoint?: string[];
  /** @default the image's own */
  command?: pulumi.Input<pulumi.Input<string>[]>;
  /** Seconds to end when Docker or its host stops, which stops all containers at once. @default 10, Docker's own */
  shutdownSeconds?: number;
  /** More hooks than those of its kind, which come first. @default none */
  hooks?: pulumi.ResourceHookBinding;
  /** Files for volumes of a courier. @default [] */
  uploads?: { path: string; content: pulumi.Input<string>; mode: string; uid: string }[];
}

/**
 * The only place that makes a container. A new one is made and healthy before the old one goes, unless it holds a
 * port of the host, which only one can.
 */
export class Container extends pulumi.ComponentResource {
  /** Its name on the host and in Docker's DNS. Known only when the limits have been read back from Docker. */
  readonly name: pulumi.Output<string>;
  readonly image: pulumi.Output<string>;
  /** What it finds in its HOSTNAME. */
  readonly hostname: pulumi.Output<string>;
  readonly #host: DockerHost;
  readonly #nameInProgram: string;
  #nameAtBeginning: pulumi.Output<string> | undefined;

  constructor(name: string, args: ContainerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Container", name, {}, { providers: [args.host.provider], ...opts });
    const { host, run, health, networks = [], volumes = [], ports = [], uploads = [], exceptions = [] } = args;
    const unasked = exceptions.some((exception) => "noHealthCommand" in exception);
    if (run !== "never" && health === undefined && !unasked)
      throw new Error(`${name}: has no health check: give it one`);
    if (health !== undefined && unasked)
      throw new Error(`${name}: exceptions: noHealthCommand: it has a health check: leave one of them out`);
    // A network given as the mode keeps the container off the default bridge from the start, but Docker then drops
    // its aliases there. Where every network has aliases, the provider takes it off the bridge before it starts.
    const mode = networks.length === 0 ? "none" : networks.find(({ aliases }) => aliases === undefined)?.name;
    const container = new docker.Container(
      name,
      {
        ...hardened(args),
        stopTimeout: args.shutdownSeconds,
        shmSize: args.shmMb,
        sysctls: args.sysctls,
        image: pulumi.output(args.image).apply(pinned),
        entrypoints: args.entrypoint,
        command: args.command,
        envs: Object.entries(args.env ?? {}).map(([key, value]) =>
          typeof value === "string" ? `${key}=${value}` : pulumi.interpolate`${key}=${value}`,
        ),
        labels: host.labels({
          ...args.labels,
          "bulkhead.name": name,
          "bulkhead.pids": String(args.limits.pids),
          "bulkhead.role": args.role,
          ...(args.worksFor !== undefined && { "bulkhead.for": args.worksFor }),
          ...(args.role === "door" && ports.length > 0 && { "bulkhead.publishes": ports.map(publishedAt).join(" ") }),
          ...(args.rollout !== undefined && { "bulkhead.rollout": args.rollout }),
          ...(exceptions.length > 0 ? { "bulkhead.exceptions": JSON.stringify(exceptions) } : {}),
        }),
        networkMode: mode,
        networksAdvanced:
          args.laterNetworks === undefined
            ? networks
            : pulumi.all([networks, args.laterNetworks]).apply(([known, later]) => [...known, ...later]),
        ports: ports
          .map(({ address, external, internal }) => ({ ip: address, external, internal, protocol: "tcp" }))
          .sort((a, b) => a.internal - b.internal),
        volumes: volumes
          .filter(({ noCopy }) => !noCopy)
          .map(({ name, path, writable = false }) => ({
            volumeName: name,
            containerPath: path,
            readOnly: !writable,
          })),
        ...(volumes.some(({ noCopy }) => noCopy) && { mounts: volumes.filter(({ noCopy }) => noCopy).map(uncopied) }),
        uploads: uploads.map(({ path, content, mode, uid }) => ({
          file: path,
          content,
          permissions: mode,
          owner: uid,
          group: uid,
        })),
        restart: run === "always" ? "always" : "no",
        start: run !== "never",
        mustRun: run === "always",
        ...(health && healthArgs(health, host.knowsStartInterval)),
      },
      {
        parent: this,
        hooks: allHooks(hooksOf(args), args.hooks),
        // The provider waits 20 min for a deletion, and a container may take longer to end.
        ...((args.graceSeconds ?? 0) > LONG_GRACE_SECONDS && {
          customTimeouts: { delete: `${args.graceSeconds! + 120}s` },
        }),
        // The provider would delete first, because a fixed name cannot be there twice; these have none.
        deleteBeforeReplace: ports.length > 0,
        // Any image does for a courier, and another one would only write the same files anew, under whoever reads them.
        ignoreChanges: run === "never" ? ["image"] : [],
        // The provider accepts these as updates and then changes nothing. The last is no property but a creation that
        // failed: Pulumi would "update" such a container, which waits for nothing, and call it done.
        replaceOnChanges: ["healthcheck", "tmpfs", "init", "envs", "labels", "mounts", "#initerror"],
      },
    );
    // A courier never runs, and a job gets its limit when it is made, and has ended when the next update looks.
    const limited =
      run === "always"
        ? container.id.apply((id) => limitPids(host.engine, id, name, args.limits.pids).catch(host.faults.rethrow))
        : container.id;
    this.name = pulumi.all([container.name, limited]).apply(([containerName]) => containerName);
    this.image = container.image;
    // Docker's own choice.
    this.hostname = container.id.apply((id) => id.slice(0, 12));
    this.#host = host;
    this.#nameInProgram = name;
    this.registerOutputs({ name: this.name, image: this.image });
  }

  /** The same as the name, for what may be made ready before it is healthy: see creations.ts. */
  get nameAtBeginning(): pulumi.Output<string> {
    this.#nameAtBeginning ??= this.#host.creations.nameOf(this.#nameInProgram, this.name);
    return this.#nameAtBeginning;
  }
}

const LONG_GRACE_SECONDS = 900;

function allHooks(
  own: pulumi.ResourceHookBinding | undefined,
  more: pulumi.ResourceHookBinding | undefined,
): pulumi.ResourceHookBinding | undefined {
  if (own === undefined || more === undefined) return own ?? more;
  return {
    ...own,
    beforeCreate: [...(own.beforeCreate ?? []), ...(more.beforeCreate ?? [])],
    onError: [...(own.onError ?? []), ...(more.onError ?? [])],
  };
}

function hooksOf({ host, run, rollout, ports = [] }: ContainerArgs): pulumi.ResourceHookBinding | undefined {
  if (run === "never") return undefined;
  if (run === "once") return host.hooksOfJobs;
  if (ports.length > 0) return host.hooksOfPorts;
  return rollout === "stop-first" ? host.hooksOfStopFirst : host.hooks;
}

/** The provider knows the option in this form alone. */
function uncopied({ name, path, writable = false }: NonNullable<ContainerArgs["volumes"]>[number]) {
  return { type: "volume", source: name, target: path, readOnly: !writable, volumeOptions: { noCopy: true } };
}

function publishedAt({ address, external }: { address: string; external: number }): string {
  return `${address.includes(":") ? `[${address}]` : address}:${external}`;
}

/** A tag can be moved to other content; a digest, an id and the tag of a stand-in (the key of its recipe) cannot. */
function pinned(reference: string): string {
  if (/@sha256:[0-9a-f]{64}$/.test(reference)) return reference;
  if (/^sha256:[0-9a-f]{64}$/.test(reference)) return reference;
  if (/^bulkhead\.local\/[a-z]+:[0-9a-f]{16}$/.test(reference)) return reference;
  throw new Error(`image ${reference} is not pinned: give name:tag@sha256:<64 hex digits>`);
}
