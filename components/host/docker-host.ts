import { createHmac } from "node:crypto";
import * as docker from "@pulumi/docker/provider.js";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random/randomPassword.js";
import { daemonSettings, type DaemonInfo, type DaemonSettings } from "../docker-engine/daemon-settings.ts";
import { Engine } from "../docker-engine/client.ts";
import { sshOptions } from "../docker-engine/ssh.ts";
import { publishersOf, type Publisher } from "../docker-engine/published-ports.ts";
import { explainUnreachable } from "../docker-engine/connection-errors.ts";
import { buildHook } from "./build-hook.ts";
import { Creations } from "./creations.ts";
import { failureHooks, announceDowntime } from "./deploy-failures.ts";
import { HostFaults } from "./host-faults.ts";
import { imageVolumesHook } from "./image-volumes.ts";
import { jobHook } from "./job-hook.ts";
import { stopFirstHooks } from "./stop-first.ts";
import {
  leaveNetworksThatMove,
  networkLabels,
  networksOf,
  networksWithHost,
  type StackNetwork,
} from "./networks-anew.ts";
import { Subnets, type NetworkSettings } from "./subnets.ts";

export interface DockerHostArgs {
  /** `local` (DOCKER_HOST, or the usual socket of this machine) or `ssh://user@address[:port]`. */
  host: string;
  /** A known_hosts file for an ssh host. @default that of the user */
  knownHosts?: string;
  /**
   * For couriers and jobs: an image with a POSIX shell, wget and nslookup, which sets no USER (Docker would give a
   * courier's files to that user). The edge's own image is one.
   */
  jobImage: string;
  /** How the networks of the stack are made there. @default as Docker makes them */
  networks?: NetworkSettings;
}

/** What runs without a route. */
interface Program {
  name: pulumi.Output<string>;
  image: pulumi.Output<string>;
}

/** The Docker host that everything runs on: the provider for resources, Docker's API for what the provider cannot do. */
export class DockerHost extends pulumi.ComponentResource {
  readonly provider: docker.Provider;
  readonly engine: Engine;
  readonly jobImage: string;
  readonly faults: HostFaults;
  readonly creations: Creations;
  /** Whether its engine can look at a container more often while that starts: from Docker 25 on. Known after check. */
  knowsStartInterval = true;
  /** For every container that runs. */
  readonly hooks: pulumi.ResourceHookBinding;
  /** For one that holds ports of the host. */
  readonly hooksOfPorts: pulumi.ResourceHookBinding;
  /** For one that starts when the one before it has ended. */
  readonly hooksOfStopFirst: pulumi.ResourceHookBinding;
  /** For one that runs to its end in an update. */
  readonly hooksOfJobs: pulumi.ResourceHookBinding;
  /** For what it builds. */
  readonly hooksOfBuilds: pulumi.ResourceHookBinding;
  readonly #fingerprintKey: random.RandomPassword;
  readonly #knownHosts: string | undefined;
  readonly #networks: NetworkSettings;
  readonly #subnets: Subnets | undefined;
  readonly #programs = new Map<string, Program>();
  /** Networks that stay as an earlier version made them, known when the host was checked. */
  #networksWithHost: readonly string[] = [];
  /** Marks all that belongs to this stack, so that stacks on one host never touch each other's. */
  readonly stackName = `${pulumi.getProject()}-${pulumi.getStack()}`;

  constructor(name: string, args: DockerHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:DockerHost", name, {}, opts);
    const url = args.host === "local" ? (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock") : args.host;
    const sshOpts = sshOptions(url, args.knownHosts);
    this.engine = new Engine(url, sshOpts);
    this.#knownHosts = args.knownHosts;
    this.jobImage = args.jobImage;
    this.#networks = args.networks ?? {};
    const { subnets } = this.#networks;
    this.#subnets = subnets === undefined ? undefined : new Subnets(subnets, this.stackName);
    this.faults = new HostFaults(name, this.engine, args.knownHosts);
    pulumi.runtime.registerStackTransformation(({ type, props, opts }) => {
      // A program may have other hosts, each with a hook of its own.
      const provider = opts.provider ?? opts.parent?.getProvider(type);
      if (!type.startsWith("docker:") || provider !== this.provider) return undefined;
      // Before all others, which need not ask a host that is gone. Merging writes into the first object, so it is new.
      return { props, opts: pulumi.mergeOptions({ hooks: { onError: [this.faults.hook] } }, opts) };
    });
    // Registered once, as each costs a call to Docker.
    this.creations = new Creations(name);
    const failures = failureHooks(name, this, this.creations);
    const imageVolumes = imageVolumesHook(name, this);
    // Before anything that runs is touched.
    const checked = (hooks: pulumi.ResourceHookBinding) => ({
      ...hooks,
      beforeCreate: [imageVolumes, ...(hooks.beforeCreate ?? [])],
    });
    this.hooks = checked(failures);
    this.hooksOfPorts = checked({
      ...failures,
      beforeCreate: [announceDowntime(name, this), ...failures.beforeCreate!],
    });
    this.hooksOfJobs = { ...this.hooks, afterCreate: [...this.hooks.afterCreate!, jobHook(name, this)] };
    this.hooksOfStopFirst = checked(stopFirstHooks(name, this, failures));
    this.hooksOfBuilds = { beforeCreate: [buildHook(name, this)] };
    this.provider = new docker.Provider(`${name}-docker`, { host: url, sshOpts }, { parent: this });
    this.#fingerprintKey = new random.RandomPassword(`${name}-fingerprint-key`, { length: 32 }, { parent: this });
    // For `bulkhead audit`: how Docker was set when the stack was deployed.
    this.registerOutputs({ url, daemon: pulumi.runtime.isDryRun() ? undefined : this.#daemonSettings() });
  }

  /**
   * Another text for other values, which tells nothing of them: it stands in the state in clear. Not a plain hash, by
   * which a weak secret could be guessed.
   */
  fingerprint(values: Record<string, pulumi.Input<string>>): pulumi.Output<string> {
    const text = pulumi
      .all([this.#fingerprintKey.result, pulumi.output(values)])
      .apply(([key, known]) => createHmac("sha256", key).update(JSON.stringify(known)).digest("hex").slice(0, 16));
    return pulumi.unsecret(text);
  }

  /** For a program without a route, which the stack's outputs name too. */
  register(name: string, container: Program): void {
    this.#programs.set(name, container);
  }

  /** What has registered itself, by name. */
  get programs(): ReadonlyMap<string, Program> {
    return this.#programs;
  }

  /** A name on the host that no other stack has. */
  named(name: string): string {
    return `${this.stackName}-${name}`;
  }

  /** What a network of the stack is made with, beside its own: a bridge with a name that no other stack has. */
  network(name: string, options: Record<string, string> = {}, labels: Record<string, pulumi.Input<string>> = {}) {
    const { mtu } = this.#networks;
    const all = { ...options, ...(mtu !== undefined && { "com.docker.network.driver.mtu": String(mtu) }) };
    return {
      ...{
        name: this.named(name),
        driver: "bridge",
        labels: this.labels({ ...labels, ...networkLabels(this.#networks) }),
      },
      ...(Object.keys(all).length > 0 && { options: all }),
      ...(this.#subnets && { ipamConfigs: [this.#subnets.of(name)] }),
    };
  }

  /** Whether the host has an address on a network that is there, and stays as it is. */
  hasAddressOn(network: string): boolean {
    return this.#networksWithHost.includes(this.named(network));
  }

  /** Labels of everything that this stack makes on the host. */
  labels(labels: Record<string, pulumi.Input<string>> = {}): { label: string; value: pulumi.Input<string> }[] {
    return Object.entries({ ...labels, "bulkhead.stack": this.stackName })
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([label, value]) => ({ label, value }));
  }

  /**
   * Learns what Docker can do, so it comes before the first container. Throws one clear error unless the host answers
   * and its ports are free for this stack. A preview may run with the host away, which is then taken for a new one.
   */
  async check(ports: Record<string, { address: string; port: number }>): Promise<void> {
    let networks: StackNetwork[];
    try {
      await this.engine.ping();
      const { ApiVersion } = await this.engine.get<{ ApiVersion: string }>("/version");
      this.knowsStartInterval = Number(ApiVersion.split(".")[1]) >= START_INTERVAL_API_MINOR;
      networks = await networksOf(this.engine, this.stackName);
    } catch (error) {
      if (pulumi.runtime.isDryRun()) return;
      throw new pulumi.RunError(`host: ${explainUnreachable(this.engine.host, error as Error, this.#knownHosts)}`);
    }
    this.#networksWithHost = networksWithHost(networks, this.#networks);
    if (pulumi.runtime.isDryRun()) return;
    const containers = await this.engine.get<Publisher[]>("/containers/json");
    const problems = Object.entries(ports).flatMap(([path, { address, port }]) =>
      publishersOf(containers, address, port)
        .filter(({ Labels }) => Labels["bulkhead.stack"] !== this.stackName)
        .map(
          ({ Names }) =>
            `${path}: ${port} is held by the container ${Names[0]?.slice(1)}: give another port, or stop it`,
        ),
    );
    if (problems.length > 0) throw new pulumi.RunError(problems.join("\n"));
    // What goes wrong there the update itself tells.
    await leaveNetworksThatMove(this.engine, this.stackName, networks, this.#networks).catch(() => undefined);
  }

  /** Undefined for a host that does not answer, which is for check to say. */
  #daemonSettings(): Promise<DaemonSettings | undefined> {
    const ask = () => this.engine.get<DaemonInfo>("/info");
    // The first may go over a connection that is dead, for which check makes another one meanwhile.
    return ask()
      .catch(ask)
      .then(daemonSettings, () => undefined);
  }
}

/** StartInterval came with version 1.44 of the API. */
const START_INTERVAL_API_MINOR = 44;
