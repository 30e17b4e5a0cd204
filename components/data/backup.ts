import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import type { Limits } from "../host/hardening.ts";
import { Job } from "../host/job.ts";
import { ScheduledJob } from "../host/scheduled-job.ts";
import { SecretFiles } from "../host/secret.ts";
import { refuse } from "../host/refuse.ts";
import { leastLimitProblems, wholeNumber } from "./argument-problems.ts";
import type { Vault } from "./vault.ts";
import type { Postgres } from "./postgres.ts";
import { DATA_PATH, USER } from "./postgres-image.ts";

export interface BackupArgs {
  /** Made with a vault. */
  database: Postgres;
  /** When a base backup is made: cron, as of a ScheduledJob. @default "30 2 * * *" */
  schedule?: string;
  /** When one is restored, to see that it can be. @default "30 4 * * *" */
  drillSchedule?: string;
  /** The zone of both, like "Europe/Berlin". @default "UTC" */
  timeZone?: string;
  /**
   * How many base backups stay: of so many days, weeks and months that have one, the last. To any moment one can return
   * within the daily ones.
   *
   * @default { daily: 7, weekly: 4, monthly: 6 }
   */
  keep?: { daily?: number; weekly?: number; monthly?: number };
  /** Seconds from one look at new WAL to the next: about what is lost with the host. Each is a request. @default 5 */
  walEverySeconds?: number;
  /**
   * MB of packed WAL that may wait for the storage. When it is full the database holds what comes, up to a quarter of its
   * `maxMb`. @default a quarter of the database's maxMb, at least 64
   */
  spoolMb?: number;
  /** Hours after which the last base backup, or the last drill, is too old to be well. @default 30 */
  maxAgeHours?: number;
  /** Of the scratch server of a drill. @default { memoryMb: 256, cpus: 1, pids: 64 } */
  drillLimits?: Limits;
}

/**
 * Backups of a database, from outside of its container, believed when they were restored. A receiver takes its WAL, a
 * shipper encrypts it and sends it to the vault, a base backup is made by a schedule, and a drill restores it by another.
 * Who takes the database reaches no backup; who takes the shipper reaches no database.
 */
export class Backup extends pulumi.ComponentResource {
  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: BackupArgs, opts?: pulumi.ComponentResourceOptions) {
    const { database } = args;
    const { host, image, vault } = database;
    super("bulkhead:index:Backup", name, {}, { providers: [host.provider], ...opts });
    const { schedule = "30 2 * * *", drillSchedule = "30 4 * * *", timeZone, maxAgeHours = 30 } = args;
    const { walEverySeconds = 5, drillLimits = { memoryMb: 256, cpus: 1, pids: 64 } } = args;
    const { daily = 7, weekly = 4, monthly = 6 } = args.keep ?? {};
    const { spoolMb = Math.max(64, Math.floor(database.maxMb / 4)) } = args;
    const other = vault && keptBy.get(vault);
    if (vault) keptBy.set(vault, other ?? database.name);
    refuse(name, [
      ...(other === undefined
        ? []
        : [`database: the vault has the backups of ${other}: give ${database.name} a Vault with a folder of its own`]),
      ...(vault === undefined ? [`database: ${database.name} has no vault: give it one, { vault: new Vault(…) }`] : []),
      ...wholeNumber("walEverySeconds", walEverySeconds, 1, 3600),
      ...wholeNumber("maxAgeHours", maxAgeHours, 1, 8784),
      ...wholeNumber("spoolMb", spoolMb, 64, 10_000_000),
      ...wholeNumber("keep.daily", daily, 1, 366),
      ...wholeNumber("keep.weekly", weekly, 0, 120),
      ...wholeNumber("keep.monthly", monthly, 0, 120),
      ...leastLimitProblems(drillLimits, { memoryMb: 128, pids: 32 }, "drillLimits"),
    ]);
    const parent = { parent: this };
    const labels = (part: string) => ({ "bulkhead.backup": part, "bulkhead.backup-of": database.name });

    const folders = this.#folders(name, database);
    const at = (path: keyof typeof folders, writable = false) => ({ name: folders[path], path: `/${path}`, writable });
    // In the database it may copy, and write the drill's row.
    const login = database.replicationLogin(name);
    const env = {
      ...{ PGHOST: login.env["DATABASE_HOST"]!, PGPORT: login.env["DATABASE_PORT"]! },
      ...{ PGUSER: login.env["DATABASE_USER"]!, PGAPPNAME: "bulkhead backup" },
    };
    const secrets = { PASSWORD: login.secrets.DATABASE_PASSWORD };
    const files = new SecretFiles(`${name}-receiver-secrets`, { host, readerUid: "999", secrets }, parent);

    const receiver = new Container(
      `${name}-receiver`,
      {
        ...{ host, image, role: "worker", run: "always", rollout: "stop-first", user: USER, worksFor: name },
        labels: { ...labels("receiver") },
        limits: { memoryMb: 128, cpus: 1, pids: 64 },
        env: { ...env, ...files.env },
        networks: [{ name: database.network.name }],
        volumes: [at("spool", true), at("sent"), at("state", true), files.volume],
        tmpfsMb: SCRATCH,
        entrypoint: ["/bin/sh", "-c", script("backup-receive.sh"), "receive"],
        command: [script("backup-base.sh"), String(walEverySeconds), String(spoolMb)],
        health: { test: fresh("/state/packed", 45, "/tmp/trouble"), intervalSeconds: 15 },
      },
      parent,
    );
    const shipperFiles = new SecretFiles(
      `${name}-shipper-secrets`,
      { host, readerUid: "999", secrets: vault!.secrets },
      parent,
    );
    new Container(
      `${name}-shipper`,
      {
        ...{ host, image: vault!.image, role: "worker", run: "always", rollout: "stop-first", user: USER },
        worksFor: name,
        labels: labels("shipper"),
        limits: { memoryMb: 256, cpus: 1, pids: 64 },
        env: { ...shipperFiles.env, HOME: "/tmp" },
        networks: [{ name: vault!.network.name }],
        volumes: [at("spool"), at("sent", true), at("restore", true), shipperFiles.volume],
        entrypoint: ["/bin/sh", "-c", vault!.script(SHIP), "ship"],
        command: [
          ...vault!.place,
          database.name,
          database.beginsBeside ?? "none",
          String(daily),
          String(weekly),
          String(monthly),
        ],
        health: { test: fresh("/sent/wal-good", 60, "/sent/wal-error"), intervalSeconds: 15 },
      },
      // So that it knows whose backups it sends.
      { ...parent, dependsOn: receiver },
    );
    const common = { host, image, timeZone, user: USER, worksFor: name, tmpfsMb: SCRATCH, timeoutSeconds: 21_600 };
    new ScheduledJob(
      `${name}-base`,
      {
        ...{ ...common, schedule, env, secrets, networks: [database.network] },
        labels: labels("base"),
        limits: { memoryMb: 128, cpus: 1, pids: 64 },
        command: ["/bin/sh", "-c", script("backup-base.sh"), "base"],
        folders: [at("spool", true), at("sent")],
      },
      parent,
    );
    new ScheduledJob(
      `${name}-drill`,
      {
        ...{ ...common, schedule: drillSchedule, limits: drillLimits },
        labels: labels("drill"),
        command: [
          "/bin/sh",
          "-c",
          script("backup-result.sh") + script("backup-unpack.sh") + script("backup-drill.sh"),
          "drill",
        ],
        folders: [at("spool"), at("sent"), at("state", true), at("restore", true)],
      },
      // One of another version, which the server refuses, is no drill's either.
      { ...parent, dependsOn: receiver },
    );
    const watch = (mode: string) => ["/bin/sh", "-c", script("backup-watch.sh"), "watch", mode, hours, hours];
    const hours = String(maxAgeHours);
    const container = new Container(
      name,
      {
        ...{ host, image: host.jobImage, role: "backup", run: "always", user: USER },
        // What the policies ask for: whose data is safe with this.
        labels: { ...labels("watch"), "bulkhead.backs-up": database.served.volumeName },
        limits: { memoryMb: 16, cpus: 0.2, pids: 16 },
        volumes: [at("state"), at("sent")],
        entrypoint: watch("serve"),
        command: [],
        // It is red until a drill was green, and an update waits for nobody's drill.
        health: { test: ["CMD", ...watch("health")], intervalSeconds: 15, retries: 1, isAwaited: false },
      },
      parent,
    );
    host.register(name, container);
    this.registerOutputs({ container: container.name });
  }

  /** The volumes between the containers, each written by whoever has to and read by whoever may. None of them is data. */
  #folders(name: string, database: Postgres) {
    const { host } = database;
    const volumes = (["spool", "sent", "restore", "state"] as const).map((folder) => {
      const volume = new docker.Volume(
        `${name}-${folder}`,
        { labels: host.labels({ "bulkhead.name": `${name}-${folder}`, "bulkhead.backup": folder }) },
        { parent: this },
      );
      return [folder, volume] as const;
    });
    const job = new Job(
      `${name}-folders`,
      {
        ...{ host, worksFor: name, user: "0:0" },
        script: `chmod 0700 /folders/* && chown ${USER} /folders/* || exit\nfinish`,
        exceptions: [
          { rootUser: true, why: "root owns a new volume" },
          { capability: "CHOWN", why: "gives the folders of a backup to the user that works in them" },
        ],
        volumes: volumes.map(([folder, { name }]) => ({ name, path: `/folders/${folder}`, writable: true })),
      },
      { parent: this },
    );
    const known = (volume: docker.Volume) => pulumi.all([volume.name, job.name]).apply(([volumeName]) => volumeName);
    return Object.fromEntries(volumes.map(([folder, volume]) => [folder, known(volume)])) as Record<
      (typeof volumes)[number][0],
      pulumi.Output<string>
    >;
  }
}

/** Whose backups a vault has. */
const keptBy = new WeakMap<Vault, string>();

/** Where the official image declares a volume, Docker would make one without a name. */
const SCRATCH = { "/tmp": 32, [DATA_PATH]: 1 };

/** Without its comments, as it stands in every `docker inspect`. */
const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8").replace(/^\s*#.*\n/gm, "");

const SHIP = ["backup-admit.sh", "backup-prune.sh", "backup-ship.sh"].map(script).join("");

/** A health check: the file was written in the last so many seconds. If not, another one may say why. */
function fresh(path: string, seconds: number, why = "/dev/null"): string[] {
  return ["CMD", "/bin/sh", "-c", script("backup-fresh.sh"), "fresh", path, String(seconds), why];
}
