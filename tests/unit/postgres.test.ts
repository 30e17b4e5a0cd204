import { beforeAll, describe, expect, test } from "vitest";
import { Postgres, type PostgresArgs } from "../../components/data/postgres.ts";
import { tuned } from "../../components/data/postgres-settings.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, ofType, record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `postgres:17@sha256:${hex("postgres", 64)}`;
const LIMITS = { memoryMb: 1024, cpus: 2, pids: 100 };

const hostOf = new WeakMap<Postgres, DockerHost>();

function recorded(args: Partial<PostgresArgs> = {}, use: (db: Postgres) => void = () => undefined) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const db = new Postgres("db", { host, image: IMAGE, limits: LIMITS, maxMb: 8192, databases: { app: {} }, ...args });
    hostOf.set(db, host);
    use(db);
  });
}

describe("settings", () => {
  const set = (own = {}) => tuned(LIMITS, 50, 8192, own);

  test.each([
    ["shared_buffers", "256MB"],
    ["max_connections", "50"],
    ["password_encryption", "scram-sha-256"],
    ["fsync", "on"],
    ["wal_level", "replica"],
  ])("%s is given at its start", (key, value) => expect(set().atStart[key]).toBe(value));

  test.each([
    ["effective_cache_size", "768MB"],
    ["maintenance_work_mem", "64MB"],
    ["work_mem", "5242kB"],
    ["max_parallel_workers_per_gather", "1"],
    ["max_slot_wal_keep_size", "2048MB"],
  ])("%s is taken while it runs", (key, value) => expect(set().running[key]).toBe(value));

  test("of the program come last, each where it belongs", () => {
    const { atStart, running } = set({ work_mem: "3MB", shared_buffers: "128MB" });
    expect([running["work_mem"], atStart["shared_buffers"]]).toEqual(["3MB", "128MB"]);
    expect(Object.keys(running)).not.toContain("shared_buffers");
  });

  test("that would weaken the server, or end its line, are refused, all at once", async () => {
    const settings = { fsync: "off", "Work Mem": "1", search_path: "a\nfsync = off" };
    await expect(recorded({ settings })).rejects.toThrow(
      [
        "db: settings.fsync: would weaken the server, or is set by an argument: leave it out",
        "db: settings.Work Mem: is not the name of a setting: give one of PostgreSQL's, like work_mem",
        "db: settings.search_path: has a line break: take it out",
      ].join("\n"),
    );
  });

  test("that only a start changes replace the server, and no other does", async () => {
    const commandWith = async (settings: object) =>
      container(await recorded({ settings: settings as never }), "db").inputs.command;
    const before = await commandWith({});
    expect(await commandWith({ work_mem: "3MB" })).toEqual(before);
    expect(await commandWith({ shared_buffers: "128MB" })).toContain("--shared_buffers=128MB");
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
    expect(options.hooks.beforeCreate).toContain("host-stop-first");
    expect(ofType(recording, "docker:index/network:Network").map(({ inputs }) => inputs["internal"])).toEqual([true]);
  });

  describe("with logins", () => {
    let sound: Recording;
    beforeAll(async () => {
      sound = await recorded({}, (db) => {
        db.login("api", { database: "app", rights: "read-write" });
        db.replicationLogin("backup");
      });
    });

    test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
      expect(complaintsOf(sound)).toEqual([]);
    });
  });

  describe("with the data of others on the host", () => {
    const volume = (Name: string, kind?: string) => ({ Name, Labels: { "bulkhead.kind": kind } });
    async function hookWith(volumes: object[], args: Partial<PostgresArgs> = {}) {
      const recording = await recorded(args, (db) => {
        hostOf.get(db)!.engine.get = () => Promise.resolve({ Volumes: volumes } as never);
      });
      const [created] = ofType(recording, "docker:index/volume:Volume").filter(({ name }) => name === "db-data-volume");
      expect(created!.options.hooks.beforeCreate).toEqual(["db-data-left-data"]);
      const hook = recording.hooks.get("db-data-left-data") as { callback: (args: object) => Promise<void> };
      return hook.callback({});
    }

    test("refuses to begin empty beside that of a database that is gone from the program", async () => {
      await expect(hookWith([volume("reach-test-main-data", "postgres")])).rejects.toThrow(
        "db-data: would begin empty, while the host has the data of a database that the program has no more, " +
          'reach-test-main-data: give that database its name again, or say leaves: ["reach-test-main-data"], and it stays behind',
      );
    });

    test("refuses files of another kind under its name", async () => {
      await expect(hookWith([volume("reach-test-db-data", "redis")])).rejects.toThrow(
        "db-data: the volume reach-test-db-data has files of redis: give another name",
      );
    });

    test("begins where nothing is left behind, or where that is said", async () => {
      await hookWith([]);
      await hookWith([volume("reach-test-uploads"), volume("reach-test-cache-data", "redis")]);
      await hookWith([volume("reach-test-main-data", "postgres"), volume("reach-test-db-data", "postgres")]);
      await hookWith([volume("reach-test-main-data", "postgres")], { leaves: ["reach-test-main-data"] });
    });
  });

  test("keeps its volume whatever happens to the component", async () => {
    const volumes = ofType(await recorded(), "docker:index/volume:Volume");
    const data = volumes.find(({ name }) => name === "db-data-volume")!;
    expect(data).toMatchObject({ inputs: { name: "reach-test-db-data" }, options: { retainOnDelete: true } });
  });

  test.each<[Partial<PostgresArgs>, string]>([
    [{ version: 18 as 17 }, "db: version: 18 is not known: give 15, 16 or 17"],
    [{ limits: { ...LIMITS, memoryMb: 128 } }, "db: limits.memoryMb: 128 is too little: give at least 256"],
    [{ limits: { ...LIMITS, cpus: 0 } }, "db: limits.cpus: 0 is too little: give at least 0.1"],
    [{ limits: { ...LIMITS, cpus: NaN } }, "db: limits.cpus: NaN is too little: give at least 0.1"],
    [{ connections: 12.5 }, "db: connections: 12.5 is not a whole number from 10 to 500: give one"],
    [{ deadlineSeconds: 0 }, "db: deadlineSeconds: 0 is not a whole number from 1 to 86400: give one"],
    [{ limits: { ...LIMITS, pids: 60 } }, "db: limits.pids: 60 is too few for 50 connections: give at least 82"],
    [{ maxMb: 100 }, "db: maxMb: 100 is too little: give whole MiB from 1024"],
    [{ connections: 5 }, "db: connections: 5 is not a whole number from 10 to 500: give one"],
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
    await expect(recorded(args)).rejects.toThrow(new Error(message));
  });

  test("says all that is wrong at once", async () => {
    const args = { maxMb: NaN, connections: 1000, databases: { App: {}, none: {} } };
    await expect(recorded(args)).rejects.toThrow(
      new Error(
        [
          "db: maxMb: NaN is too little: give whole MiB from 1024",
          "db: limits.pids: 100 is too few for 1000 connections: give at least 1032",
          "db: connections: 1000 is not a whole number from 10 to 500: give one",
          "db: databases.App: is no name of a database: give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own",
          "db: databases.none: is no name of a database: give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own",
        ].join("\n"),
      ),
    );
  });

  test("refuses a login of no role's name, to a database that is not declared, or with rights that are none", async () => {
    const login = (consumer: string, database: string, rights = "read") =>
      recorded({}, (db) => void db.login(consumer, { database, rights: rights as "read" }));
    const noRole = "db-pg_x: consumer: pg_x is no name of a role";
    const like = "give one like app_1, of a-z, 0-9 and _, and none of PostgreSQL's own";
    await expect(login("pg_x", "app")).rejects.toThrow(new Error(`${noRole}: ${like}`));
    await expect(login("api", "other", "superuser")).rejects.toThrow(
      new Error(
        "db-api: database: other is not declared: give one of app\n" +
          "db-api: rights: superuser is none: give owner, read-write, read",
      ),
    );
  });
});
