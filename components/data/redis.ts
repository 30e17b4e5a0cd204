import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import { DataVolume, restoredEnv, type DataVolumeArgs } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { dataNetwork } from "../host/networks.ts";
import type { Limits } from "../host/hardening.ts";
import { GeneratedSecret, SecretFiles } from "../host/secret.ts";
import { refuse } from "../host/refuse.ts";
import { leastLimitProblems, wholeNumber } from "./argument-problems.ts";
import { dataImages } from "./images.ts";

export interface RedisArgs {
  host: DockerHost;
  /** An official image of Valkey, or of Redis 7 or newer, by digest. @default dataImages.valkey */
  image?: pulumi.Input<string>;
  /** Three fifths of the memory are for data. At least 64 MiB. */
  limits: Limits;
  /** MiB that its files may take, as of a DataVolume: at least twice the memory, as it writes them anew beside the old ones. */
  maxMb: number;
  /** Why no backup has it, as of a DataVolume. Absent: something of the stack has to back it up, or the policies refuse it. */
  withoutBackup?: DataVolumeArgs["withoutBackup"];
  /** Where a VolumeBackup keeps its files, and where `bulkhead restore NAME-data` takes them from. @default none */
  vault?: DataVolumeArgs["vault"];
  /** Volumes of former databases that stay behind on the host, by their names there. @default [] */
  leaves?: string[];
  /** Consumer to what it may. Each has a user of its own; there is no other. At least one. */
  users: Record<string, RedisUser>;
  /** What happens when the memory is full: writes fail, or the keys go that were not used for longest. @default "noeviction" */
  eviction?: "noeviction" | "allkeys-lru" | "allkeys-lfu" | "volatile-lru" | "volatile-ttl";
  /**
   * When a write is on disk: within a second of its answer, or before it. A crash of the server alone loses none; one of the
   * host loses up to a second with `everysec`.
   * @default "everysec"
   */
  fsync?: "everysec" | "always";
  /** Seconds that it gets to start and to load its data. @default 120 */
  deadlineSeconds?: number;
}

export interface RedisUser {
  /** `read-write` has all commands but those that administer the server or walk through all of it, like KEYS and FLUSHALL. */
  rights: "read-write" | "read";
  /** Keys and channels that it may use, like `cart:*`. @default ["*"] */
  keys?: string[];
}

/** What a consumer's service is given, besides `networks`. */
export interface RedisLogin {
  /** REDIS_HOST, REDIS_PORT and REDIS_USER; known when the server answers. */
  env: Record<string, pulumi.Output<string>>;
  /** REDIS_PASSWORD: the service gets REDIS_PASSWORD_FILE. */
  secrets: { REDIS_PASSWORD: pulumi.Output<string> };
}

/**
 * Valkey or Redis on a network of its own, with an append-only file in a volume that stays. One server at a time has the
 * volume: another release, or another set of users, ends the old one first.
 */
export class Redis extends pulumi.ComponentResource {
  /** Its name in the program, and in the network. */
  readonly name: string;
  /** What a consumer joins. */
  readonly network: Network;
  readonly container: Container;
  /** For a VolumeBackup. */
  readonly data: DataVolume;
  readonly #passwords: ReadonlyMap<string, GeneratedSecret>;

  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: RedisArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Redis", name, {}, { providers: [args.host.provider], ...opts });
    refuse(name, problemsOf(args));
    const {
      host,
      image = dataImages.valkey,
      limits,
      maxMb,
      users,
      withoutBackup,
      leaves,
      deadlineSeconds = 120,
    } = args;
    const { eviction = "noeviction", fsync = "everysec" } = args;
    this.name = name;
    this.network = dataNetwork(host, name, this);
    this.data = new DataVolume(
      `${name}-data`,
      { host, maxMb, withoutBackup, vault: args.vault, leaves, kind: "redis" },
      { parent: this },
    );
    const password = (user: string) => new GeneratedSecret(`${name}-${user}-password`, {}, { parent: this });
    this.#passwords = new Map(Object.keys(users).map((user) => [user, password(user)]));
    const health = password("health");
    const hash = ({ value }: GeneratedSecret) => value.apply((it) => createHash("sha256").update(it).digest("hex"));
    const lines = [
      "user default off",
      pulumi.interpolate`user health on #${hash(health)} resetkeys resetchannels -@all +info`,
      ...[...this.#passwords].map(
        ([user, secret]) => pulumi.interpolate`${ruleOf(user, users[user]!)} #${hash(secret)}`,
      ),
    ];
    const files = new SecretFiles(
      `${name}-users`,
      {
        ...{ host, readerUid: "1000" },
        secrets: { USERS_ACL: pulumi.all(lines).apply((all) => `${all.join("\n")}\n`), HEALTH: health.value },
      },
      { parent: this },
    );
    const settings = {
      ...{ dir: "/data", "protected-mode": "no", aclfile: `${files.volume.path}/users_acl` },
      ...{ appendonly: "yes", appendfsync: fsync, "aof-use-rdb-preamble": "yes" },
      ...{ maxmemory: `${Math.floor(limits.memoryMb * 0.6)}mb`, "maxmemory-policy": eviction },
      ...{ "enable-debug-command": "no", "enable-module-command": "no", "enable-protected-configs": "no" },
    };
    this.container = new Container(
      name,
      {
        ...{ host, image, limits, role: "database", run: "always", rollout: "stop-first" },
        entrypoint: ["/bin/sh", "-c", START, name],
        command: Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]),
        env: restoredEnv([this.data]),
        networks: [{ name: this.network.name, aliases: [name] }],
        volumes: [files.volume, { name: this.data.volumeName, path: "/data", writable: true, noCopy: true }],
        health: { test: ["CMD", "/bin/sh", "-c", HEALTH], deadlineSeconds },
        graceSeconds: 60,
        // Docker's own stop too, as it comes before a reboot.
        shutdownSeconds: 60,
      },
      { parent: this, dependsOn: this.data },
    );
    host.register(name, this.container);
    this.registerOutputs({ container: this.container.name });
  }

  /**
   * What a consumer of `users` is given: `networks: [cache.network], ...cache.login("api")`.
   *
   * @throws Error if it is none of them.
   */
  login(consumer: string): RedisLogin {
    const password = this.#passwords.get(consumer);
    if (password === undefined)
      throw new Error(
        `${this.name}: ${consumer} is not in its users: give one of ${[...this.#passwords.keys()].join(", ")}`,
      );
    const known = (value: string) => this.container.name.apply(() => value);
    return {
      env: { REDIS_HOST: known(this.name), REDIS_PORT: known("6379"), REDIS_USER: known(consumer) },
      secrets: { REDIS_PASSWORD: password.value },
    };
  }
}

/** Without comments, as they stand in every `docker inspect`. */
const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8").replace(/^\s*#.*\n/gm, "");
const START = script("redis-start.sh");
const HEALTH = script("redis-health.sh");

/** Clients name themselves, and libraries ask whether the server has loaded: both are in the category of the dangerous. */
const HARMLESS = "+info +client|setname +client|setinfo +client|id +client|getname +client|no-evict +client|no-touch";

function ruleOf(user: string, { rights, keys = ["*"] }: RedisUser): string {
  const may = rights === "read" ? "-@all +@read +@connection" : "+@all";
  const where = keys.map((key) => `~${key} &${key}`).join(" ");
  return `user ${user} on resetkeys resetchannels ${where} ${may} -@admin -@dangerous -function -acl ${HARMLESS}`;
}

const NAME = /^[a-z][a-z0-9_-]{0,40}$/;

function problemsOf({ limits, maxMb, users, eviction, fsync, deadlineSeconds = 120 }: RedisArgs): string[] {
  const names = Object.keys(users);
  const oneOf = (key: string, value: string | undefined, known: string[]) =>
    value === undefined || known.includes(value) ? [] : [`${key}: ${value} is none: give ${known.join(", ")}`];
  return [
    ...leastLimitProblems(limits, { memoryMb: 64, pids: 16 }),
    ...(Number.isInteger(maxMb) && maxMb >= 2 * limits.memoryMb
      ? []
      : [`maxMb: ${maxMb} is too little: give whole MiB, at least twice the memory`]),
    ...(names.length > 0 ? [] : ['users: has none: give one, like { api: { rights: "read-write" } }']),
    ...names
      .filter((each) => !NAME.test(each) || ["default", "health"].includes(each))
      .map((each) => `users.${each}: is no name of a user: give one like api, of a-z, 0-9, _ and -`),
    ...names.flatMap((each) => [
      ...oneOf(`users.${each}.rights`, users[each]!.rights, ["read-write", "read"]),
      ...(users[each]!.keys ?? [])
        .filter((key) => !/^[\x21-\x7e]+$/.test(key))
        .map((key) => `users.${each}.keys: ${JSON.stringify(key)} is no pattern of keys: give one like cart:*`),
    ]),
    ...oneOf("eviction", eviction, ["noeviction", "allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-ttl"]),
    ...oneOf("fsync", fsync, ["everysec", "always"]),
    ...wholeNumber("deadlineSeconds", deadlineSeconds, 1, 86_400),
  ];
}
