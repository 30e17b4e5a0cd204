import { beforeAll, describe, expect, test } from "vitest";
import { PgBouncer, type PgBouncerArgs } from "../../components/data/pgbouncer.ts";
import { Postgres, type PostgresArgs } from "../../components/data/postgres.ts";
import { Redis, type RedisArgs } from "../../components/data/redis.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { resourceRules, stackRules } from "../../policy/rules.ts";
import { stackViolations, violations } from "../../policy/violations.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, label, ofType, record, type Recording } from "../../testing/recorder.ts";

const image = (name: string) => `${name}:1@sha256:${hex(name, 64)}`;
const withoutBackup = { why: "a test has no backup" };
const LIMITS = { memoryMb: 256, cpus: 1, pids: 100 };

interface Args {
  server?: Partial<PostgresArgs>;
  pool?: Partial<PgBouncerArgs>;
  cache?: Partial<RedisArgs>;
  use?: (made: { db: Postgres; pool: PgBouncer; cache: Redis }) => void;
  noBackup?: boolean;
}

function recorded({ server, pool: ofPool, cache: ofCache, use = () => undefined, noBackup = false }: Args = {}) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: image("jobs") });
    const why = noBackup ? {} : { withoutBackup };
    const common = { host, limits: LIMITS, maxMb: 2048, ...why };
    const db = new Postgres("db", { ...common, image: image("postgres"), databases: { app: {} }, ...server });
    const pool = new PgBouncer("pool", { host, server: db, image: image("pgbouncer"), ...ofPool });
    const users = { api: { rights: "read-write" as const, keys: ["cart:*"] }, report: { rights: "read" as const } };
    const cache = new Redis("cache", { ...common, image: image("valkey"), users, ...ofCache });
    use({ db, pool, cache });
  });
}

function uploaded(recording: Recording, courier: string, file: string): string {
  const { inputs } = container(recording, courier);
  return inputs.uploads!.find((upload) => upload.file.endsWith(`/${file}`))!.content!;
}

function brokenRules({ resources }: Recording): string[] {
  const all = resources.map(({ type, name, urn, inputs, options: { protect } }) => {
    return { type, name, urn, props: inputs, opts: { protect } };
  });
  return [
    ...resourceRules.flatMap((rule) =>
      all
        .filter(({ type }) => type === rule.type)
        .flatMap((each) => violations(rule, each).map((message) => `${rule.name}: ${message}`)),
    ),
    ...stackRules.flatMap((rule) => stackViolations(rule, all).map(({ message }) => `${rule.name}: ${message}`)),
  ];
}

describe("the data tier", () => {
  let sound: Recording;
  beforeAll(async () => {
    sound = await recorded({ use: ({ pool }) => void pool.login("api", { database: "app", rights: "read-write" }) });
  });

  test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
    expect(complaintsOf(sound)).toEqual([]);
  });

  test("keeps every rule of the policies, and breaks one without a backup or with a way out", async () => {
    expect(brokenRules(await recorded())).toEqual([]);
    expect(brokenRules(await recorded({ noBackup: true })).map((each) => each.split(":")[0])).toEqual([
      "stack-data-in-backup",
      "stack-data-in-backup",
    ]);
    const open = await recorded();
    for (const { inputs } of ofType(open, "docker:index/network:Network")) inputs["internal"] = false;
    expect(brokenRules(open).filter((each) => each.startsWith("stack-database-internal")).length).toBeGreaterThan(2);
  });
});

describe("PgBouncer", () => {
  test("shares connections out so that two of them fit, and knows one password alone", async () => {
    const recording = await recorded();
    const ini = uploaded(recording, "pool-configuration-courier", "pgbouncer.ini");
    expect(ini).toContain("app = host=db port=5432\n");
    expect(ini).toContain("postgres = host=db port=5432 pool_size=1 max_db_connections=1\n");
    expect(ini).toContain("pool_mode = transaction\n");
    expect(ini).toContain("max_db_connections = 21\n");
    expect(uploaded(recording, "pool-configuration-courier", "userlist.txt")).toMatch(
      new RegExp(`^"pool_[0-9a-f]{8}" "${hex("generated db-pool-password-value", 64)}"\n$`),
    );
  });

  test("shares them out between the server's databases, as a limit of its own is for each", async () => {
    const databases = { app: {}, report: {}, shop: {} };
    const ini = uploaded(await recorded({ server: { databases } }), "pool-configuration-courier", "pgbouncer.ini");
    const ofEach = Number(/^max_db_connections = (\d+)$/m.exec(ini)![1]);
    expect(ofEach).toBe(7);
    expect(ini).toContain("default_pool_size = 7\n");
    expect(3 * ofEach * 2 + 8).toBeLessThanOrEqual(50);
    await expect(recorded({ server: { databases }, pool: { serverConnections: 5 } })).rejects.toThrow(
      "pool: serverConnections: 5 is not from 6 to 21: give such a number, or the server more connections, of which two " +
        "PgBouncers side by side take twice as many",
    );
    await expect(recorded({ server: { databases, connections: 19 } })).rejects.toThrow(
      "pool: serverConnections: of db's 19 connections too few are left for 3 databases: give db at least 20 connections",
    );
  });

  test("takes what another one before the same server leaves", async () => {
    const another: Args["use"] = ({ db }) =>
      void new PgBouncer("second", { host: db.host, server: db, image: image("pgbouncer") });
    const both = await recorded({ pool: { serverConnections: 15 }, use: another });
    const of = (name: string) => uploaded(both, `${name}-configuration-courier`, "pgbouncer.ini");
    expect([of("pool"), of("second")].map((ini) => /^max_db_connections = (\d+)$/m.exec(ini)![1])).toEqual(["15", "6"]);
    await expect(recorded({ use: another })).rejects.toThrow(
      "second: serverConnections: of db's 50 connections 42 may be pool's, and too few are left for 1 database: " +
        "give db at least 54 connections, or its other PgBouncers fewer serverConnections",
    );
  });

  test("has a name that its login at the server can have, as a backup and a login for replication have", async () => {
    const like = "give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own";
    const named: Args["use"] = ({ db }) =>
      void new PgBouncer("public", { host: db.host, server: db, image: image("pgbouncer"), serverConnections: 2 });
    await expect(recorded({ pool: { serverConnections: 2 }, use: named })).rejects.toThrow(
      `db-public: consumer: public is no name of a role: ${like}`,
    );
    await expect(recorded({ use: ({ db }) => void db.replicationLogin("Copy") })).rejects.toThrow(
      `db-Copy: consumer: Copy is no name of a role: ${like}`,
    );
  });

  test("is replaced side by side, and its clients get time to leave", async () => {
    const { inputs, options } = container(await recorded({ pool: { drainSeconds: 20 } }), "pool");
    expect(inputs).toMatchObject({ user: "1000:1000", readOnly: true, destroyGraceSeconds: 25 });
    expect(options.hooks.beforeCreate).not.toContain("host-stop-first");
  });

  test("gives a consumer the server's login, by its own name", async () => {
    const env: Record<string, unknown> = {};
    await recorded({
      use: ({ pool }) => {
        const login = pool.login("api", { database: "app", rights: "read" });
        for (const [key, value] of Object.entries(login.env)) value.apply((it) => (env[key] = it));
      },
    });
    expect(env).toEqual({
      ...{ DATABASE_HOST: "pool", DATABASE_PORT: "6432", DATABASE_NAME: "app" },
      DATABASE_USER: expect.stringMatching(/^api_[0-9a-f]{8}$/) as string,
    });
  });

  test("says all that is wrong with its arguments", async () => {
    const pool = { clients: 1, serverConnections: 30, drainSeconds: 0, limits: { memoryMb: 16, cpus: 0, pids: 8 } };
    await expect(recorded({ pool })).rejects.toThrow(
      [
        "pool: limits.memoryMb: 16 is too little: give at least 32",
        "pool: limits.cpus: 0 is too little: give at least 0.1",
        "pool: limits.pids: 8 is too few: give at least 16",
        "pool: clients: 1 is not a whole number from 10 to 10000: give one",
        "pool: serverConnections: 30 is not from 2 to 21: give such a number, or the server more connections, of which two " +
          "PgBouncers side by side take twice as many",
        "pool: drainSeconds: 0 is not a whole number from 1 to 3600: give one",
      ].join("\n"),
    );
  });
});

describe("Redis", () => {
  test("has a user for each consumer, no other, and nobody's password in clear", async () => {
    const lines = uploaded(await recorded(), "cache-users-courier", "users_acl").split("\n");
    expect(lines[0]).toBe("user default off");
    expect(lines.map((line) => line.split(" ")[1])).toEqual(["default", "health", "api", "report", undefined]);
    expect(lines[2]).toMatch(
      /^user api on resetkeys resetchannels ~cart:\* &cart:\* \+@all -@admin -@dangerous .* #[0-9a-f]{64}$/,
    );
    expect(lines[3]).toContain("~* &* -@all +@read +@connection -@admin -@dangerous");
  });

  test("ends before another one starts, and writes what it is told to a file", async () => {
    const redis = container(await recorded({ cache: { fsync: "always", eviction: "allkeys-lru" } }), "cache");
    expect(label(redis, "bulkhead.rollout")).toBe("stop-first");
    const command = redis.inputs.command!.join(" ");
    expect(command).toContain("--appendonly yes --appendfsync always");
    expect(command).toContain("--maxmemory 153mb --maxmemory-policy allkeys-lru");
  });

  test("says all that is wrong with its arguments", async () => {
    const users = { Default: { rights: "all" as "read", keys: ["a b"] } };
    await expect(
      recorded({
        cache: {
          users,
          maxMb: 100,
          limits: { memoryMb: 63, cpus: 0, pids: 1 },
          deadlineSeconds: 0.5,
          fsync: "no" as "always",
        },
      }),
    ).rejects.toThrow(
      [
        "cache: limits.memoryMb: 63 is too little: give at least 64",
        "cache: limits.cpus: 0 is too little: give at least 0.1",
        "cache: limits.pids: 1 is too few: give at least 16",
        "cache: maxMb: 100 is too little: give whole MiB, at least twice the memory",
        "cache: users.Default: is no name of a user: give one like api, of a-z, 0-9, _ and -",
        "cache: users.Default.rights: all is none: give read-write, read",
        'cache: users.Default.keys: "a b" is no pattern of keys: give one like cart:*',
        "cache: fsync: no is none: give everysec, always",
        "cache: deadlineSeconds: 0.5 is not a whole number from 1 to 86400: give one",
      ].join("\n"),
    );
    await expect(recorded({ cache: { users: {}, eviction: "oldest" as "noeviction" } })).rejects.toThrow(
      'cache: users: has none: give one, like { api: { rights: "read-write" } }\n' +
        "cache: eviction: oldest is none: give noeviction, allkeys-lru, allkeys-lfu, volatile-lru, volatile-ttl",
    );
    const half = { memoryMb: 64.5, cpus: 1, pids: 16.5 };
    await expect(recorded({ cache: { limits: half } })).rejects.toThrow(
      "cache: limits.memoryMb: 64.5 is not a whole number: give one from 64\n" +
        "cache: limits.pids: 16.5 is not a whole number: give one from 16",
    );
    await expect(recorded({ use: ({ cache }) => void cache.login("shop") })).rejects.toThrow(
      "cache: shop is not in its users: give one of api, report",
    );
  });
});
