import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Network } from "@pulumi/docker/network.js";
import * as volume from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import type { DataVolume } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { dataNetwork } from "../host/networks.ts";
import { Courier } from "../host/file-volume.ts";
import { Job, type JobArgs } from "../host/job.ts";
import { GeneratedSecret, SecretFiles } from "../host/secret.ts";
import { refuse } from "../host/refuse.ts";
import type { Vault } from "./vault.ts";
import {
  consumerProblems,
  problemsOf,
  rightsProblems,
  type Login,
  type LoginArgs,
  type PostgresArgs,
} from "./postgres-args.ts";
import { tuned, type PostgresSettings } from "./postgres-settings.ts";
import { DATA_PATH, USER } from "./postgres-image.ts";
import { serverVolumes, whatServes, type Socket } from "./postgres-volumes.ts";

export type { Login, LoginArgs, PostgresArgs };

/**
 * A PostgreSQL server on a network of its own, which those join who name it: it has no way out, and no port of the host.
 * It is not root from the first moment. One server at a time has the volume: another release ends the old one first.
 * Its volume is kept when the component goes.
 */
export class Postgres extends pulumi.ComponentResource {
  /** Its name in the program, and in the network. */
  readonly name: string;
  /** What a consumer joins. */
  readonly network: Network;
  readonly container: Container;
  /** For whoever backs it up: `volumeName` for the label `bulkhead.backs-up`. Mounted beside the server, it must be read-only. */
  readonly data: DataVolume;
  /** The image that its jobs and tools run too. */
  readonly image: pulumi.Input<string>;
  readonly version: 15 | 16 | 17;
  readonly connections: number;
  readonly maxMb: number;
  readonly host: DockerHost;
  /** Where its backups are, and where a restore comes from. */
  readonly vault: Vault | undefined;
  /** The volume that the server has: its own, or one that a restore made. */
  readonly served: DataVolume;
  /** The newest base backup of another database in the vault, beside which this one is to begin empty. */
  readonly beginsBeside: string | undefined;
  /** Names of its databases. */
  readonly databases: readonly string[];
  readonly #socket: Socket;
  readonly #ready: Job;

  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: PostgresArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Postgres", name, {}, { providers: [args.host.provider], ...opts });
    const { host, limits, connections = 50, maxMb } = args;
    const { databases, settings = {}, deadlineSeconds = 120 } = args;
    refuse(name, problemsOf(args));
    const serves = whatServes(name, args);
    const { image, version } = serves;
    this.name = name;
    this.image = image;
    this.version = version;
    this.connections = connections;
    this.maxMb = maxMb;
    this.host = host;
    this.databases = Object.keys(databases);
    this.vault = args.vault;
    this.beginsBeside = serves.beginsBeside;
    this.network = dataNetwork(host, name, this);
    const socketVolume = new volume.Volume(
      `${name}-socket`,
      { labels: host.labels({ "bulkhead.name": `${name}-socket` }) },
      { parent: this },
    );
    this.#socket = { name: socketVolume.name, path: SOCKET_PATH, writable: true };
    const volumes = serverVolumes(name, args, { serves, socket: this.#socket, parent: this });
    this.data = volumes.data;
    this.served = volumes.served;
    const data = { name: this.served.volumeName, path: DATA_PATH, writable: true, noCopy: true } as const;
    const { atStart, running } = tuned(limits, connections, maxMb, settings);
    const ofConnections = { memoryMb: 256, cpus: 1, pids: 32 };
    const init = new Job(
      `${name}-init`,
      {
        ...{ host, image, user: USER, worksFor: name, script: INIT, limits: ofConnections },
        scriptArguments: [String(version), ...flags({ ...atStart, ...running })],
        env: { PGDATA: DATA_PATH },
        volumes: [data],
        deadlineSeconds: 120,
      },
      { parent: this, dependsOn: volumes.filled },
    );
    const configuration = new Courier(
      `${name}-configuration`,
      { host, readerUid: "999", files: { "pg_hba.conf": script("pg_hba.conf") } },
      { parent: this },
    );
    this.container = new Container(
      name,
      {
        ...{ host, image, limits, role: "database", run: "always", rollout: "stop-first", user: USER },
        entrypoint: ["/bin/sh", "-c", START, name],
        command: flags(atStart),
        env: { PGDATA: DATA_PATH, ...volumes.env },
        networks: [{ name: this.network.name, aliases: [name] }],
        volumes: [data, this.#socket, { name: configuration.volumeName, path: "/etc/bulkhead" }],
        // For parallel queries; of the memory that it has anyway.
        shmMb: Math.max(64, Math.floor(limits.memoryMb / 4)),
        // A query over the socket: that the port is open says nothing of a server that recovers or has no memory.
        health: { test: ["CMD", "psql", "-XqAtU", "postgres", "-c", "select 1"], timeoutSeconds: 5, deadlineSeconds },
        graceSeconds: 60,
        // Docker's own stop too, as it comes before a reboot.
        shutdownSeconds: 60,
      },
      { parent: this, dependsOn: init },
    );
    const extensionsOf = (database: string) => (databases[database]!.extensions ?? []).join(",");
    this.#ready = this.#job(`${name}-databases`, {
      script: DATABASES,
      scriptArguments: [
        ...Object.entries(running).map(([key, value]) => `${key}=${value}`),
        "--",
        ...this.databases.map((database) => `${database}:${extensionsOf(database)}`),
      ],
      dependsOn: this.container,
    });
    host.register(name, this.container);
    this.registerOutputs({ container: this.container.name });
  }

  /**
   * A login of one consumer, with a password that nobody has seen: `new WebService("api", { …, networks: [db.network],
   * ...db.login("api", { database: "app", rights: "read-write" }) })`. Each consumer has its own.
   *
   * @throws Error with all that is wrong with the arguments.
   */
  login(consumer: string, { database, rights }: LoginArgs): Login {
    refuse(`${this.name}-${consumer}`, [
      ...consumerProblems(consumer),
      ...(this.databases.includes(database)
        ? []
        : [`database: ${database} is not declared: give one of ${this.databases.join(", ")}`]),
      ...rightsProblems({ database, rights }),
    ]);
    return this.#login(consumer, database, rights);
  }

  /**
   * A login for the replication protocol alone, such as of what takes backups: `pg_receivewal`, `pg_basebackup`, slots. In
   * the database `postgres` it may ask for `pg_switch_wal()` and `pg_create_restore_point()`, and it reads no other.
   *
   * @throws Error with all that is wrong with the arguments.
   */
  replicationLogin(consumer: string): Login {
    refuse(`${this.name}-${consumer}`, consumerProblems(consumer));
    return this.#login(consumer, "postgres", "replication");
  }

  /** A login of a PgBouncer: it may ask for the hashes of consumers' logins, and for nothing else. */
  poolLogin(pool: string): Login {
    refuse(`${this.name}-${pool}`, consumerProblems(pool));
    return this.#login(pool, "postgres", "pool");
  }

  #login(consumer: string, database: string, rights: LoginArgs["rights"] | "replication" | "pool"): Login {
    const host = this.host;
    const name = `${this.name}-${consumer}`;
    const role = consumer.replaceAll("-", "_");
    const password = new GeneratedSecret(`${name}-password`, {}, { parent: this });
    // Another password is another login, so that who has the old one works on until it is replaced.
    const user = host.fingerprint({ password: password.value }).apply((of) => `${role}_${of.slice(0, 8)}`);
    const files = new SecretFiles(
      `${name}-login-secrets`,
      { host, readerUid: "999", secrets: { PASSWORD: password.value } },
      { parent: this },
    );
    const job = this.#job(`${name}-login`, {
      script: LOGIN,
      scriptArguments: [user, role, rights, database],
      labels: { "bulkhead.login": user },
      volumes: [files.volume],
      dependsOn: this.#ready,
    });
    const known = <T>(value: pulumi.Input<T>) => pulumi.all([value, job.name]).apply(([it]) => it as string);
    return {
      env: {
        DATABASE_HOST: known(this.name),
        DATABASE_PORT: known("5432"),
        DATABASE_NAME: known(database),
        DATABASE_USER: known(user),
      },
      secrets: { DATABASE_PASSWORD: password.value },
    };
  }

  /** Of the superuser, over the socket. */
  #job(name: string, { volumes = [], dependsOn, ...job }: SocketJob): Job {
    return new Job(
      name,
      {
        ...{ host: this.host, image: this.image, user: USER, worksFor: this.name, deadlineSeconds: 60, ...job },
        limits: { memoryMb: 64, cpus: 0.5, pids: 32 },
        // Anew for another volume, which may be of a time before.
        env: { SERVED: this.served.volumeName },
        volumes: [this.#socket, ...volumes],
        // Where the image declares a volume, Docker would make one without a name.
        tmpfsMb: { "/tmp": 16, [DATA_PATH]: 1 },
      },
      { parent: this, dependsOn },
    );
  }
}

interface SocketJob extends Pick<JobArgs, "script" | "scriptArguments" | "labels" | "volumes"> {
  dependsOn: pulumi.Resource;
}

const SOCKET_PATH = "/var/run/postgresql";
const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
const INIT = script("postgres-init.sh");
const START = script("postgres-start.sh");
const DATABASES = script("postgres-databases.sh");
const LOGIN = script("postgres-login.sh");

const flags = (settings: PostgresSettings) => Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
