import { describe, expect, test } from "vitest";
import { Postgres, type PostgresArgs } from "../../components/data/postgres.ts";
import { postgresConf } from "../../components/data/postgres-settings.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, ofType, record } from "../../testing/recorder.ts";

const IMAGE = `postgres:17@sha256:${hex("postgres", 64)}`;
const LIMITS = { memoryMb: 1024, cpus: 2, pids: 100 };

function recorded(args: Partial<PostgresArgs> = {}, use: (db: Postgres) => void = () => undefined) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    use(new Postgres("db", { host, image: IMAGE, limits: LIMITS, databases: { app: {} }, ...args }));
  });
}

describe("postgresql.conf", () => {
  const valueOf = (key: string, conf: string) => new RegExp(`^${key} = '(.*)'$`, "m").exec(conf)?.[1];

  test.each([
    ["shared_buffers", "256MB"],
    ["effective_cache_size", "768MB"],
    ["maintenance_work_mem", "64MB"],
    ["work_mem", "5242kB"],
    ["max_connections", "50"],
    ["max_parallel_workers_per_gather", "1"],
    ["password_encryption", "scram-sha-256"],
  ])("has %s by its limits", (key, value) => expect(valueOf(key, postgresConf(LIMITS, 50, {}))).toBe(value));

  test("takes settings of the program, and quotes them", () => {
    const conf = postgresConf(LIMITS, 50, { work_mem: "3MB", log_line_prefix: "it's %m" });
    expect(valueOf("work_mem", conf)).toBe("3MB");
    expect(conf).toContain("log_line_prefix = 'it''s %m'\n");
  });

  test("refuses what would weaken it, and what would end its line, all at once", () => {
    expect(() => postgresConf(LIMITS, 50, { fsync: "off", "Work Mem": "1", search_path: "a\nfsync = off" })).toThrow(
      [
        "settings.fsync: would weaken the server, or is set by an argument: leave it out",
        "settings.Work Mem: is not the name of a setting: give one of PostgreSQL's, like work_mem",
        "settings.search_path: has a line break or a backslash: take it out",
      ].join("\n"),
    );
  });
});

describe("Postgres", () => {
  test("is one server that is not root, on an internal network alone", async () => {
    const recording = await recorded();
    const { inputs, options } = container(recording, "db");
    expect(inputs).toMatchObject({
      user: "999:999",
      readOnly: true,
      capabilities: { drops: ["ALL"], adds: [] },
      ports: [],
    });
    expect(inputs["networksAdvanced"]).toMatchObject([{ aliases: ["db"] }]);
    expect(options).toMatchObject({ deleteBeforeReplace: true });
    expect(ofType(recording, "docker:index/network:Network").map(({ inputs }) => inputs["internal"])).toEqual([true]);
  });

  /** Written for programs without a database: they do not know its network, its volumes and its way of being replaced. */
  const OTHERWISE = new Set([
    "the network internal, and no other, has no way out",
    "a container is made before the old one goes, unless it holds ports",
    "a container has no setting that no invariant judges",
    "a service writes to no volume but the certificates of the CA",
  ]);
  const judging = Object.entries(invariants).filter(([name]) => !OTHERWISE.has(name));
  test.each(judging)("with a login: %s", async (_, complaintsOf) => {
    const recording = await recorded({}, (db) => void db.login("api", { database: "app", rights: "read-write" }));
    expect(complaintsOf(recording)).toEqual([]);
  });

  test("keeps its volume whatever happens to the component", async () => {
    const volumes = ofType(await recorded(), "docker:index/volume:Volume");
    const data = volumes.find(({ name }) => name === "db-data")!;
    expect(data.options).toMatchObject({ protect: true, retainOnDelete: true });
  });

  test.each<[Partial<PostgresArgs>, string]>([
    [{ version: 18 as 17 }, "db: version: 18 is not known: give 15, 16 or 17"],
    [{ limits: { ...LIMITS, memoryMb: 128 } }, "db: limits.memoryMb: 128 is too little: give at least 256"],
    [{ limits: { ...LIMITS, pids: 60 } }, "db: limits.pids: 60 is too few for 50 connections: give at least 82"],
    [{ connections: 5 }, "db: connections: 5 is not from 10 to 500: give such a number"],
    [{ databases: {} }, "db: databases: has none: give one, like { app: {} }"],
    [
      { databases: { postgres: {} } },
      "db: databases.postgres: is no name of a database: give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own",
    ],
    [
      { databases: { app: { extensions: ["a b"] } } },
      "db: databases.app.extensions: a b is no name of an extension: give one like pg_trgm",
    ],
  ])("refuses %j", async (args, message) => {
    await expect(recorded(args)).rejects.toThrow(message);
  });

  test("refuses a login of no role's name, or to a database that is not declared", async () => {
    const login = (consumer: string, database: string) =>
      recorded({}, (db) => void db.login(consumer, { database, rights: "read" }));
    await expect(login("pg_x", "app")).rejects.toThrow("db-pg_x: consumer: pg_x is no name of a role");
    await expect(login("api", "other")).rejects.toThrow("db-api: database: other is not declared: give one of app");
  });
});
