import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import type { MountedVolume, VolumeVault } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import type { Limits } from "../host/hardening.ts";
import { Job } from "../host/job.ts";
import { refuse } from "../host/refuse.ts";
import { ScheduledJob } from "../host/scheduled-job.ts";
import { leastLimitProblems, wholeNumber } from "./argument-problems.ts";
import { exceptionsOf, repositoryEnv, script } from "./restic.ts";
import { Vault } from "./vault.ts";

export interface VolumeBackupArgs {
  /** A DataVolume, `data` of a Redis, or `certificates` of an edge. */
  volume: BackedUpVolume;
  /** @default the volume's own */
  vault?: Vault;
  /** When it is read: cron, as of a ScheduledJob. @default "0 2 * * *" */
  schedule?: string;
  /** When the newest snapshot is restored, to see that it can be. @default "0 4 * * *" */
  drillSchedule?: string;
  /** The zone of both, like "Europe/Berlin". @default "UTC" */
  timeZone?: string;
  /** How many snapshots stay: of so many days, weeks and months that have one, the last. @default { daily: 7, weekly: 4, monthly: 6 } */
  keep?: { daily?: number; weekly?: number; monthly?: number };
  /** Hours after which the last snapshot, or the last drill, is too old to be well. @default 30 */
  maxAgeHours?: number;
  /** Of what reads it, and of a drill. @default { memoryMb: 384, cpus: 1, pids: 64 } */
  limits?: Limits;
}

/** What a VolumeBackup takes. */
export interface BackedUpVolume extends Pick<MountedVolume, "volumeName" | "owner"> {
  /** In the program: what `bulkhead restore` calls it. */
  readonly name: string;
  readonly host: DockerHost;
  readonly vault?: object | undefined;
  /** What Bulkhead itself keeps in it. @default nothing */
  readonly holds?: string | undefined;
  /** Of one that is made before there is a vault: a restore takes it from there. */
  keptIn?(vault: VolumeVault): void;
}

/**
 * Snapshots of a volume in a vault, believed when one was restored. What reads the volume has it read-only, has the key, and
 * reaches one server alone, which has the storage's credentials and sees what is encrypted.
 */
export class VolumeBackup extends pulumi.ComponentResource {
  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: VolumeBackupArgs, opts?: pulumi.ComponentResourceOptions) {
    const { volume, vault = volume.vault } = args;
    const { host, owner } = volume;
    super("bulkhead:index:VolumeBackup", name, {}, { providers: [host.provider], ...opts });
    const { schedule = "0 2 * * *", drillSchedule = "0 4 * * *", timeZone, maxAgeHours = 30 } = args;
    const { limits = { memoryMb: 384, cpus: 1, pids: 64 } } = args;
    const { daily = 7, weekly = 4, monthly = 6 } = args.keep ?? {};
    refuse(name, [
      ...(vault instanceof Vault ? [] : [`volume: ${volume.name} has no vault: give it one, { vault: new Vault(…) }`]),
      ...wholeNumber("maxAgeHours", maxAgeHours, 1, 8784),
      ...wholeNumber("keep.daily", daily, 1, 366),
      ...wholeNumber("keep.weekly", weekly, 0, 120),
      ...wholeNumber("keep.monthly", monthly, 0, 120),
      ...leastLimitProblems(limits, { memoryMb: 64, pids: 16 }),
    ]);
    if (!(vault instanceof Vault)) return;
    volume.keptIn?.(vault);
    const { restic } = vault;
    const labels = (part: string) => ({
      ...{ "bulkhead.backup": part, "bulkhead.backup-of": volume.name, "bulkhead.backup-kind": "volume" },
    });
    const folders = this.#folders(name, host, owner);
    const state = { name: folders.state, path: "/state", writable: true };
    const exceptions = exceptionsOf(owner);
    const common = {
      ...{ host, image: vault.resticImage, timeZone, user: owner, worksFor: name, timeoutSeconds: 21_600 },
      ...{ limits, networks: [restic.network], exceptions },
    };
    // Docker's provider takes another volume at a folder for no change, and another setting for one.
    const env = { ...repositoryEnv(vault, volume.name), VOLUME: volume.volumeName };
    const KEY = vault.secrets["KEY"]!;
    new ScheduledJob(
      `${name}-snapshot`,
      {
        ...{ ...common, schedule, secrets: { KEY } },
        labels: { ...labels("base"), ...(volume.holds && { "bulkhead.holds": volume.holds }) },
        env: { ...env, SCRATCH: "/state/scratch" },
        command: ["/bin/sh", "-c", script("restic-repository.sh") + script("restic-snapshot.sh"), "read", volume.name],
        folders: [{ name: volume.volumeName, path: "/volume", noCopy: true }, state],
      },
      { parent: this },
    );
    const drill = script("restic-repository.sh") + script("backup-result.sh") + script("restic-drill.sh");
    new ScheduledJob(
      `${name}-drill`,
      {
        ...{ ...common, schedule: drillSchedule, labels: labels("drill") },
        secrets: { KEY, PRUNE: restic.prunePassword },
        env: { ...env, SCRATCH: "/restore/scratch", PRUNE_REPOSITORY: restic.repository(volume.name, 8001) },
        command: ["/bin/sh", "-c", drill, "drill", volume.name, ...[daily, weekly, monthly].map(String)],
        folders: [state, { name: folders.restore, path: "/restore", writable: true }],
      },
      { parent: this },
    );
    const hours = String(maxAgeHours);
    const watch = (mode: string) => {
      return ["/bin/sh", "-c", script("backup-watch.sh"), "watch", mode, hours, hours, "/state"];
    };
    const container = new Container(
      name,
      {
        ...{ host, image: host.jobImage, role: "backup", run: "always", user: owner, exceptions },
        // What the policies ask for: whose data is safe with this.
        labels: { ...labels("watch"), "bulkhead.backs-up": volume.volumeName },
        limits: { memoryMb: 16, cpus: 0.2, pids: 16 },
        volumes: [{ ...state, writable: false }],
        entrypoint: watch("serve"),
        command: [],
        // It is red until a drill was green, and an update waits for nobody's drill.
        health: { test: ["CMD", ...watch("health")], intervalSeconds: 15, retries: 1, isAwaited: false },
      },
      { parent: this },
    );
    host.register(name, container);
    this.registerOutputs({ container: container.name });
  }

  /** What the containers tell each other, and where a drill restores. */
  #folders(name: string, host: DockerHost, owner: string) {
    const parent = { parent: this };
    const folder = (what: string) =>
      new docker.Volume(
        `${name}-${what}`,
        { labels: host.labels({ "bulkhead.name": `${name}-${what}`, "bulkhead.backup": what }) },
        parent,
      );
    const [state, restore] = [folder("state"), folder("restore")];
    const job = new Job(
      `${name}-folders`,
      {
        ...{ host, worksFor: name, user: "0:0" },
        script: `chmod 0700 /folders/* && chown ${owner} /folders/* || exit\nfinish`,
        exceptions: [
          { rootUser: true, why: "root owns a new volume" },
          { capability: "CHOWN", why: "gives the folders of a backup to the user that works in them" },
        ],
        volumes: [state, restore].map((volume, index) => ({
          ...{ name: volume.name, path: `/folders/${index}`, writable: true },
        })),
      },
      parent,
    );
    const known = (volume: docker.Volume) => pulumi.all([volume.name, job.name]).apply(([volumeName]) => volumeName);
    return { state: known(state), restore: known(restore) };
  }
}
