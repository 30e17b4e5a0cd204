import type * as pulumi from "@pulumi/pulumi";
import type { DataVolumeArgs } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import type { Limits } from "../host/hardening.ts";
import { settingProblems, type PostgresSettings } from "./postgres-settings.ts";
import { leastLimitProblems, wholeNumber } from "./argument-problems.ts";
import type { Vault } from "./vault.ts";

export interface PostgresArgs {
  host: DockerHost;
  /**
   * The official image of `version` on Debian, by digest. Alpine's has another user and sorts text otherwise.
   * @default dataImages.postgres, of 17
   */
  image?: pulumi.Input<string>;
  /** Major version of the image: 15, 16 or 17. A volume of another one is refused before the server ends. @default 17 */
  version?: 15 | 16 | 17;
  /** The server is tuned from them. At least 256 MiB, and 32 processes more than connections. */
  limits: Limits;
  /** MiB that its data may take, at least 1024: as of a DataVolume. A quarter of them is for WAL that nobody fetches. */
  maxMb: number;
  /** Why no backup has it, as of a DataVolume. Absent: something of the stack has to back it up, or the policies refuse it. */
  withoutBackup?: DataVolumeArgs["withoutBackup"];
  /** Where a Backup keeps its backups, and where `bulkhead restore` takes one from. @default none */
  vault?: Vault;
  /** Volumes of former databases that stay behind on the host, by their names there. @default [] */
  leaves?: string[];
  /** The most connections at a time, 10 to 500; each is a process. @default 50 */
  connections?: number;
  /** Database to the extensions that it has. Names like "app". At least one. */
  databases: Record<string, { extensions?: string[] }>;
  /**
   * Settings of PostgreSQL's own by name. One that would weaken the server is refused. Most are taken while it runs; what
   * only another start changes, like `shared_buffers`, replaces the container, and the preview names it.
   * @default {}
   */
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

/** Everything that is wrong with the arguments. */
export function problemsOf({
  version = 17,
  limits,
  maxMb,
  connections = 50,
  databases,
  settings = {},
  deadlineSeconds = 120,
}: PostgresArgs): string[] {
  const names = Object.keys(databases);
  return [
    ...([15, 16, 17].includes(version) ? [] : [`version: ${version} is not known: give 15, 16 or 17`]),
    ...leastLimitProblems(limits, { memoryMb: 256, pids: 1 }),
    ...(Number.isInteger(maxMb) && maxMb >= 1024 ? [] : [`maxMb: ${maxMb} is too little: give whole MiB from 1024`]),
    ...(limits.pids >= connections + 32
      ? []
      : [`limits.pids: ${limits.pids} is too few for ${connections} connections: give at least ${connections + 32}`]),
    ...wholeNumber("connections", connections, 10, 500),
    ...wholeNumber("deadlineSeconds", deadlineSeconds, 1, 86_400),
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
    ...settingProblems(settings),
  ];
}

/** What is wrong with what a consumer may. */
export function rightsProblems({ rights }: LoginArgs): string[] {
  return RIGHTS.includes(rights) ? [] : [`rights: ${rights} is none: give ${RIGHTS.join(", ")}`];
}

/** What is wrong with the name of a consumer, whose role has it. */
export function consumerProblems(consumer: string): string[] {
  const role = consumer.replaceAll("-", "_");
  return NAME.test(role) && !RESERVED.test(role) ? [] : [`consumer: ${consumer} is no name of a role: ${LIKE}`];
}

const RIGHTS: LoginArgs["rights"][] = ["owner", "read-write", "read"];
const NAME = /^[a-z][a-z0-9_]{0,40}$/;
/** PostgreSQL's own, those that owners of databases have, and Bulkhead's. */
const RESERVED = /^(pg_.*|.*_owner|bulkhead.*|postgres|template0|template1|public|none)$/;
const LIKE = "give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own";
