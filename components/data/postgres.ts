import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as network from "@pulumi/docker/network.js";
import * as volume from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { Courier } from "../host/file-volume.ts";
import type { Limits } from "../host/hardening.ts";
import { Job } from "../host/job.ts";
import { GeneratedSecret, SecretFiles } from "../host/secret.ts";
import { postgresConf, type PostgresSettings } from "./postgres-settings.ts";

export interface PostgresArgs {
  host: DockerHost;
  /** The official image of `version` on Debian, by digest. Alpine's has another user and sorts text otherwise. */
  image: pulumi.Input<string>;
  /** Major version of the image: 15, 16 or 17. A volume of another one is refused before the server starts. @default 17 */
  version?: 15 | 16 | 17;
  /** The server is tuned from them. At least 256 MiB, and 32 processes more than connections. */
  limits: Limits;
  /** The most connections at a time, 10 to 500; each is a process. @default 50 */
  connections?: number;
  /** Database to the extensions that it has. Names like "app". At least one. */
  databases: Record<string, { extensions?: string[] }>;
  /** Settings of PostgreSQL's own by name. One that would weaken the server is refused. @default {} */
  settings?: PostgresSettings;
  /** Seconds that it gets to start, recovery after a crash included. @default 120 */
  deadlineSeconds?: number;
}

export interface LoginArgs {
  database: string;
  /** `owner` changes tables too, for a program that migrates. */
  rights: "owner" | "read-write" | "read";
}

/** What a consumer's service is given, besides `networks`. */
export interface Login {
  /** DATABASE_HOST, DATABASE_PORT, DATABASE_NAME and DATABASE_USER; known when the login works. */
  env: Record<string, pulumi.Output<string>>;
  /** DATABASE_PASSWORD: the service gets DATABASE_PASSWORD_FILE. */
  secrets: { DATABASE_PASSWORD: pulumi.Output<string> };
}

/**
 * A PostgreSQL server on a network of its own, which those join who name it: it has no way out, and no port of the host.
 * It is not root from the first moment. One server at a time has the volume: another release ends the old one first.
 * Its volume is protected, and stays when the component goes.
 */
export class Postgres extends pulumi.ComponentResource {
  /** What a consumer joins. */
  readonly network: network.Network;
  readonly container: Container;
  readonly #name: string;
  readonly #args: PostgresArgs;
  readonly #socket: Mounted;

  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: PostgresArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Postgres", name, {}, { providers: [args.host.provider], ...opts });
    const { host, image, limits, version = 17, connections = 50, settings = {}, deadlineSeconds = 120 } = args;
    refuse(name, problemsOf(args));
    this.#name = name;
    this.#args = args;
    this.network = new network.Network(
      `${name}-network`,
      { name: host.named(name), driver: "bridge", internal: true, labels: host.labels() },
      { parent: this, deleteBeforeReplace: true },
    );
    const dataVolume = new volume.Volume(
      `${name}-data`,
      { labels: host.labels({ "bulkhead.name": `${name}-data`, "bulkhead.data": "postgres" }) },
      { parent: this, protect: true, retainOnDelete: true },
    );
    const socketVolume = new volume.Volume(
      `${name}-socket`,
      { labels: host.labels({ "bulkhead.name": `${name}-socket` }) },
      { parent: this },
    );
    const data = { name: dataVolume.name, path: DATA_PATH, writable: true };
    this.#socket = { name: socketVolume.name, path: SOCKET_PATH, writable: true };
    const init = new Job(
      `${name}-init`,
      {
        ...{ host, image, user: USER, worksFor: name, script: INIT, scriptArguments: [String(version)] },
        limits: { memoryMb: 256, cpus: 1, pids: 32 },
        env: { PGDATA: DATA_PATH },
        volumes: [data],
        deadlineSeconds: 120,
      },
      { parent: this },
    );
    const configuration = new Courier(
      `${name}-configuration`,
      {
        host,
        readerUid: "999",
        files: {
          "postgresql.conf": postgresConf(limits, connections, settings),
          "pg_hba.conf": readFileSync(join(import.meta.dirname, "pg_hba.conf"), "utf8"),
        },
      },
      { parent: this },
    );
    this.container = new Container(
      name,
      {
        ...{ host, image, limits, role: "service", run: "always", rollout: "stop-first", user: USER },
        entrypoint: ["/bin/sh", "-c", START],
        command: [],
        env: { PGDATA: DATA_PATH },
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
    this.registerOutputs({ container: this.container.name });
  }

  /**
   * A login role of one consumer, with a password that nobody has seen: `new WebService("api", { …,
   * networks: [db.network], ...db.login("api", { database: "app", rights: "read-write" }) })`. Each consumer has its own.
   *
   * @throws Error with all that is wrong with the arguments.
   */
  login(consumer: string, { database, rights }: LoginArgs): Login {
    const { host, image, databases } = this.#args;
    const name = `${this.#name}-${consumer}`;
    refuse(name, [
      ...(NAME.test(consumer) && !RESERVED.test(consumer)
        ? []
        : [`consumer: ${consumer} is no name of a role: ${LIKE}`]),
      ...(Object.hasOwn(databases, database)
        ? []
        : [`database: ${database} is not declared: give one of ${Object.keys(databases).join(", ")}`]),
    ]);
    const password = new GeneratedSecret(`${name}-password`, {}, { parent: this });
    const files = new SecretFiles(
      `${name}-login-secrets`,
      { host, readerUid: "999", secrets: { PASSWORD: password.value } },
      { parent: this },
    );
    const job = new Job(
      `${name}-login`,
      {
        ...{ host, image, user: USER, worksFor: this.#name, script: LOGIN, deadlineSeconds: 60 },
        scriptArguments: [database, consumer, rights, (databases[database]!.extensions ?? []).join(" ")],
        limits: { memoryMb: 64, cpus: 0.5, pids: 32 },
        volumes: [this.#socket, files.volume],
        // Where the image declares a volume, Docker would make one without a name.
        tmpfsMb: { "/tmp": 16, [DATA_PATH]: 1 },
      },
      { parent: this, dependsOn: this.container },
    );
    const known = (value: string) => job.name.apply(() => value);
    return {
      env: {
        DATABASE_HOST: known(this.#name),
        DATABASE_PORT: known("5432"),
        DATABASE_NAME: known(database),
        DATABASE_USER: known(consumer),
      },
      secrets: { DATABASE_PASSWORD: password.value },
    };
  }
}

interface Mounted {
  name: pulumi.Output<string>;
  path: string;
  writable: true;
}

/** `postgres` in the official image on Debian. */
const USER = "999:999";
const DATA_PATH = "/var/lib/postgresql/data";
const SOCKET_PATH = "/var/run/postgresql";
const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
const INIT = script("postgres-init.sh");
const START = script("postgres-start.sh");
const LOGIN = script("postgres-login.sh");

const NAME = /^[a-z][a-z0-9_]{0,40}$/;
/** PostgreSQL's own, and those that owners of databases have. */
const RESERVED = /^(pg_.*|.*_owner|postgres|template0|template1|public|none)$/;
const LIKE = "give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own";

function problemsOf({ version = 17, limits, connections = 50, databases }: PostgresArgs): string[] {
  const names = Object.keys(databases);
  return [
    ...([15, 16, 17].includes(version) ? [] : [`version: ${version} is not known: give 15, 16 or 17`]),
    ...(limits.memoryMb >= 256 ? [] : [`limits.memoryMb: ${limits.memoryMb} is too little: give at least 256`]),
    ...(limits.pids >= connections + 32
      ? []
      : [`limits.pids: ${limits.pids} is too few for ${connections} connections: give at least ${connections + 32}`]),
    ...(Number.isInteger(connections) && connections >= 10 && connections <= 500
      ? []
      : [`connections: ${connections} is not from 10 to 500: give such a number`]),
    ...(names.length > 0 ? [] : ["databases: has none: give one, like { app: {} }"]),
    ...names
      .filter((each) => !NAME.test(each) || RESERVED.test(each))
      .map((each) => `databases.${each}: is no name of a database: ${LIKE}`),
    ...names.flatMap((each) =>
      (databases[each]!.extensions ?? [])
        .filter((extension) => !/^[a-z][a-z0-9_-]*$/.test(extension))
        .map(
          (extension) => `databases.${each}.extensions: ${extension} is no name of an extension: give one like pg_trgm`,
        ),
    ),
  ];
}

function refuse(name: string, problems: string[]): void {
  if (problems.length > 0) throw new Error(problems.map((problem) => `${name}: ${problem}`).join("\n"));
}
