import type * as pulumi from "@pulumi/pulumi";
import { compartment, type Connections } from "./compartment.ts";
import { composedOf, exporting, type Composing } from "./composed.ts";
import { Container, type ContainerArgs, type Role } from "./container.ts";
import type { Health } from "./health.ts";
import { dataMounts, restoredEnv, type DataMount } from "./data-volume.ts";
import type { DockerHost } from "./docker-host.ts";
import type { Limits, Posture } from "./hardening.ts";
import { Job } from "./job.ts";
import type { Gate } from "./networks.ts";
import { refuseBadRelease } from "./release-problems.ts";
import { SecretFiles } from "./secret.ts";
import { SECRETS_PATH } from "./secrets-path.ts";

/** What a release has, whether requests come to it or not. */
export interface ReleaseArgs
  extends
    Pick<Posture, "limits" | "tmpfsMb" | "exceptions" | "user">,
    Pick<ContainerArgs, "command">,
    Connections,
    Composing {
  image: pulumi.Input<string>;
  /** Setting to value. The container gets SETTING_FILE, the path of a file that only it can read. @default {} */
  secrets?: Record<string, pulumi.Input<string>>;
  /** Volumes with data, each at its folder. @default [] */
  volumes?: DataMount[];
  /** What has to be done before a release starts, such as a database migration. @default nothing */
  preDeploy?: PreDeploy;
  /** Seconds that work in progress gets to end when a release is replaced; the container gets DRAIN_SECONDS. */
  drainSeconds: number;
}

/** What may be several at once. */
export interface ReplicatedArgs {
  /** Containers of a release that run side by side on the host. Each has the limits for itself. @default 1 */
  replicas?: number;
  /**
   * - `start-first`: all replicas of the new release start at once beside the old ones, which end when all are healthy.
   * - `one-by-one`: the same, but each starts when the one before it is healthy: slower, and easier on the host.
   * - `stop-first`: for what may only run once, such as an owner of an SQLite file. The old container ends before the new
   *   one starts, so nothing of it runs in between. If the new one fails, the old one is started again.
   *
   * @default "start-first"
   */
  rollout?: "start-first" | "one-by-one" | "stop-first";
}

/**
 * A program that runs to its end when the secrets of a release are there, before its container starts: in the same
 * image, with the same settings, secrets and networks, unless it has its own. If it fails, so does the update, with its last lines, and the old
 * release serves on. It runs anew when any of these changes, so it must be idempotent.
 */
export interface PreDeploy {
  /** The program and its arguments. The image needs a POSIX shell to run it. */
  command: string[];
  /** Where the service's own image has no shell: another target of the same Dockerfile, for one. @default the service's own */
  image?: pulumi.Input<string>;
  /** The update fails when it has not ended by then. @default 300 */
  deadlineSeconds?: number;
  /** @default the service's own */
  limits?: Limits;
  /** Settings that it has beside the service's, or in their place. @default {} */
  env?: Record<string, pulumi.Input<string>>;
  /**
   * Secrets in place of the service's, so that the service itself need not have the rights of a migration: a login that
   * owns the tables, say. @default the service's own
   */
  secrets?: Record<string, pulumi.Input<string>>;
}

/** What differs between the kinds of program. */
export interface ReleaseKind {
  host: DockerHost;
  role: Role;
  health: Health | undefined;
  /** The edge that leads to it. @default none does */
  gate?: Gate;
  /** In place of the image's. @default the image's own */
  entrypoint?: string[];
  /** @default {} */
  labels?: ContainerArgs["labels"];
  worksFor?: string;
  /** Beside the secrets. @default [] */
  volumes?: ContainerArgs["volumes"];
  /** @default five more than drainSeconds, for what a process does after it */
  graceSeconds?: number;
}

/**
 * The containers of a release, as children of the component that it is: its secrets as files, then its pre-deploy job, then
 * the container, or one for each replica. The first has the component's name, the others a number after it.
 */
export function releaseOf(
  parent: pulumi.Resource,
  name: string,
  args: ReleaseArgs & ReplicatedArgs,
  kind: ReleaseKind,
): [Container, ...Container[]] {
  const { replicas = 1, rollout = "start-first", secrets = {}, drainSeconds } = args;
  refuseBadRelease(name, args);
  const { host, role, health } = kind;
  const { tmpfsMb = { "/tmp": 16 }, volumes = [] } = args;
  const user = userOf(args);
  const data = dataMounts(name, volumes, { user, taken: [SECRETS_PATH, ...Object.keys(tmpfsMb)] });
  const dataVolumes = volumes.map(({ volume }) => volume);
  const { networks, env } = compartment(parent, name, args, kind);
  const secretFiles = (of: string, given: typeof secrets, settings: typeof env) => {
    const all = { ...given, ...composedOf({ composed: args.composed, env: settings, secrets: given }) };
    return Object.keys(all).length > 0
      ? new SecretFiles(`${of}-secrets`, { host, readerUid: user.split(":")[0]!, secrets: all }, { parent })
      : undefined;
  };
  const common = (files: SecretFiles | undefined) => ({
    host,
    image: args.image,
    user,
    limits: args.limits,
    tmpfsMb: args.tmpfsMb,
    exceptions: args.exceptions,
    env: { ...env, ...files?.env, ...restoredEnv(dataVolumes) },
    networks,
    volumes: [...(files ? [files.volume] : []), ...data],
  });
  const files = secretFiles(name, secrets, env);
  const exported = (of: SecretFiles | undefined) =>
    exporting((args.exportSecrets ?? []).filter((secret) => of && `${secret}_FILE` in of.env));
  const filesOf = ({ secrets: own, env: ownEnv }: PreDeploy) =>
    own || (ownEnv && args.composed) ? secretFiles(`${name}-pre-deploy`, own ?? secrets, { ...env, ...ownEnv }) : files;
  const jobFiles = args.preDeploy && filesOf(args.preDeploy);
  const preDeploy =
    args.preDeploy &&
    new Job(
      `${name}-pre-deploy`,
      {
        ...preDeployJob(common(jobFiles), args.preDeploy, exported(jobFiles)),
        worksFor: name,
      },
      { parent, dependsOn: dataVolumes },
    );
  const entrypoint = [...exported(files), ...(kind.entrypoint ?? [])];
  const made: Container[] = [];
  for (let number = 1; number <= replicas; number++) {
    const before = rollout === "one-by-one" ? made.at(-1) : undefined;
    const container = new Container(
      number === 1 ? name : `${name}-${number}`,
      {
        ...common(files),
        role,
        run: "always",
        rollout: rollout === "stop-first" ? rollout : undefined,
        worksFor: number === 1 ? kind.worksFor : name,
        labels: kind.labels,
        entrypoint: entrypoint.length > 0 ? entrypoint : undefined,
        command: args.command,
        health,
        env: { ...env, ...files?.env, ...restoredEnv(dataVolumes), DRAIN_SECONDS: String(drainSeconds) },
        networks:
          rollout === "stop-first" ? networks.map((each) => ({ ...each, aliases: [onlyName(name)] })) : networks,
        volumes: [...common(files).volumes, ...(kind.volumes ?? [])],
        graceSeconds: kind.graceSeconds ?? drainSeconds + 5,
      },
      { parent, dependsOn: [...dataVolumes, preDeploy, before].filter((each) => each !== undefined) },
    );
    made.push(container);
  }
  return made as [Container, ...Container[]];
}

/** The name in Docker's DNS of the one container that a stop-first service has, whichever release it is of. */
export function onlyName(name: string): string {
  return `${name}-only`;
}

/** The user of a program, in the image and outside: unless it names another, or an exception makes it root. */
function userOf({ user, exceptions = [] }: Pick<ReleaseArgs, "user" | "exceptions">): string {
  return user ?? (exceptions.some((exception) => "rootUser" in exception) ? "0:0" : "1000:1000");
}

function preDeployJob<Common extends JobOfRelease>(common: Common, preDeploy: PreDeploy, before: string[]) {
  const { command, deadlineSeconds = 300, limits = common.limits, image = common.image, env } = preDeploy;
  // It is asked by Docker whether it is done, whatever the service is asked by.
  const exceptions = common.exceptions?.filter((exception) => !("noHealthCommand" in exception));
  return {
    ...common,
    exceptions,
    image,
    limits,
    env: { ...common.env, ...env },
    deadlineSeconds,
    script: '"$@" || exit\nfinish',
    scriptArguments: [...before, ...command],
  };
}

interface JobOfRelease {
  image: pulumi.Input<string>;
  limits: Limits;
  env: ReleaseArgs["env"];
  exceptions: ReleaseArgs["exceptions"];
}
