// Backups of a real PostgreSQL in a real S3 storage: restored to be believed, damaged on purpose, and all there is when the
// host is gone.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { vaultLocks } from "../../cli/doctor/vault-lock.ts";
import { dataImages } from "../../components/data/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import type { BaseBackup } from "../../cli/backup/list.ts";
import { lastLines } from "../support/command.ts";
import { images as pinned } from "../support/images.ts";
import { DONE } from "../../cli/exit-codes.ts";
import { bulkheadAtTerminal } from "../support/bulkhead-at-terminal.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { inSoak, SOAK } from "../support/soak.ts";
import { startVaultStorage, type VaultStorage } from "../support/vault-storage.ts";

const engine = new Engine(process.env["DOCKER_HOST"]!);
const LABEL = "backup-backup";
const { acknowledged, committed, health: healthOf, idOf, runNow, superuser, toldOfAll } = insideStack(LABEL);
/** Of the backup as a whole. */
const health = () => healthOf("backup");
const KEY = randomBytes(32).toString("base64url");
const SECRET_ACCESS_KEY = randomBytes(20).toString("base64url");
let storage: VaultStorage;
let project: TestProject;
let config: Record<string, unknown>;

beforeAll(async () => {
  const { postgres, rclone } = dataImages;
  const wanted = { traefik: pinned.traefik, postgres, rclone };
  const images = { ...wanted, ...(await provideImages(engine, wanted)) };
  const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
  storage = await startVaultStorage(stdout.trim());
  config = {
    "backup:host": "local",
    "backup:images": images,
    "backup:storage": { endpoint: storage.endpoint, bucket: storage.bucket },
  };
  project = await freshProject();
  await up();
});

afterAll(async () => {
  await removeStack(engine, LABEL);
  project?.remove();
  await storage?.stop();
  engine.close();
});

/** As on another machine: the stack file, the secrets, and no state. */
async function freshProject(): Promise<TestProject> {
  const made = await createTestProject({
    ...{ stack: "backup", config },
    program: new URL("../programs/backup", import.meta.url).pathname,
  });
  await made.setSecret("backupKey", KEY);
  await made.setSecret("accessKeyId", "AKIDEXAMPLE");
  await made.setSecret("secretAccessKey", SECRET_ACCESS_KEY);
  if (SOAK) await made.setSecret("copySecretAccessKey", randomBytes(20).toString("base64url"));
  return made;
}

async function up(): Promise<number> {
  const { code, stdout, stderr, seconds } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
  return seconds;
}

test("the backup is red until a drill was green", async () => {
  await until(async () => (await health()).said.trim() === "no backup was restored yet: bulkhead drill does it now");
  expect((await health()).status).not.toBe("healthy");
  const { code, stdout, seconds } = await runNow("backup-drill");
  expect(stdout).toMatch(/drill: restored to the row of just before: \d+ rows in 3 tables, every page and index read/);
  expect(code).toBe(0);
  console.log(JSON.stringify({ event: "drill", seconds }));
  await until(async () => (await health()).status === "healthy");
  const { stdout: scratch } = await docker("exec", await idOf("backup-drill"), "ls", "-A", "/restore");
  expect(scratch.trim().split("\n")).toEqual(["fetched"]);
});

test("what leaves the host is encrypted, and nobody who has the one thing has the other", async () => {
  const names = await storage.list();
  expect(names.some((name) => /^backup-backup\/wal\//.test(name))).toBe(true);
  for (const name of names) expect(String((await storage.read(name)).subarray(0, 8)), name).toBe("RCLONE\0\0");
  const volumesOf = async (name: string) =>
    (await inspect(await idOf(name))).Mounts.map(({ Destination }) => Destination).sort();
  expect(await volumesOf("db")).toEqual(["/etc/bulkhead", "/var/lib/postgresql/data", "/var/run/postgresql"]);
  const networksOf = async (name: string) =>
    Object.keys((await inspect(await idOf(name))).NetworkSettings.Networks).sort();
  expect(await networksOf("backup-shipper")).toEqual([`${LABEL}-vault-egress`]);
  expect(await networksOf("backup-receiver")).toEqual([`${LABEL}-db`]);
  expect(await networksOf("backup-drill")).toEqual(["none"]);
  for (const text of await toldOfAll())
    for (const secret of [KEY, SECRET_ACCESS_KEY]) expect(text.includes(secret)).toBe(false);
});

test("a backup that lists well and cannot be restored is caught by the drill, and the next one is good", async () => {
  const [name] = (await storage.list("backup-backup/base/")).filter((each) => each.includes("base.tar.zst"));
  const content = await storage.read(name!);
  content[content.length >> 1]! ^= 1;
  await storage.write(name!, content);
  const { code, stdout } = await runNow("backup-drill");
  expect(stdout).toContain("what is there cannot be decrypted: it was changed, or the key is another");
  expect(code).toBe(1);
  await until(async () => (await health()).status === "unhealthy");
  expect((await health()).said).toContain("the last drill failed: base backup");
  content[content.length >> 1]! ^= 1;
  await storage.write(name!, content);
});

test("the commands make a backup, restore one, and list what was restored", async () => {
  const made = await bulkhead("backup");
  expect(made.stdout).toMatch(/base backup: \w+ is in the vault, after \d+ s/);
  expect(made.code).toBe(0);
  expect((await bulkhead("drill", "db")).code).toBe(0);
  const { stdout } = await bulkhead("backups", "--json");
  const [first, second] = JSON.parse(stdout) as BaseBackup[];
  expect([first!.drill!.ok, second!.drill!.ok]).toEqual([false, true]);
  expect((await bulkhead("backups")).stdout).toContain("NO, ");
  await until(async () => (await health()).status === "healthy");
  expect((await bulkhead("drill", "other")).stderr).toContain(
    "other: no such database or volume with backups: there is db",
  );
});

test.each(
  inSoak<[string, () => Promise<() => Promise<void>>, RegExp]>(
    [
      "the WAL has a flipped byte",
      async () => {
        await runNow("backup-drill");
        const [name] = (await storage.list("backup-backup/wal/")).slice(-1);
        const content = await storage.read(name!);
        const damaged = Buffer.from(content);
        damaged[damaged.length >> 1]! ^= 1;
        await storage.write(name!, damaged);
        return () => storage.write(name!, content);
      },
      /WAL: what is there (cannot be decrypted|ends too early, or was changed)/,
    ],
    [
      "a segment is missing",
      async () => {
        await runNow("backup-drill");
        await superuser("select pg_switch_wal(); checkpoint; select pg_switch_wal()");
        const names = await storage.list("backup-backup/wal/");
        const name = names.at(-2)!;
        const content = await storage.read(name);
        await storage.remove(name);
        return () => storage.write(name, content);
      },
      /WAL before [0-9A-F]{24} is missing in the vault: make a base backup now/,
    ],
    [
      "the credentials are refused",
      () => {
        storage.trouble("credentials expired");
        return Promise.resolve(() => Promise.resolve(storage.trouble(undefined)));
      },
      /is not sent: the storage refuses the credentials: give valid ones in the stack/,
    ],
    [
      "the storage answers 503",
      () => {
        storage.trouble("503");
        return Promise.resolve(() => Promise.resolve(storage.trouble(undefined)));
      },
      /is not sent: the storage has trouble of its own \(503\)/,
    ],
    [
      "the receiver is gone",
      async () => {
        const id = await idOf("backup-receiver");
        await docker("pause", id);
        return async () => void (await docker("unpause", id));
      },
      /no probe row was written: does the receiver run/,
    ],
  ),
)(
  "where %s the drill is red and says why, and it heals",
  async (_, harm, said) => {
    const heal = await harm();
    try {
      const { code, stdout } = await runNow("backup-drill");
      expect(stdout).toMatch(said);
      expect(code).toBe(1);
      await until(async () => (await health()).status === "unhealthy");
    } finally {
      await heal();
    }
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
    await until(async () => (await health()).status === "healthy");
  },
  600_000,
);

test.each(inSoak("slow"))(
  "a storage that is %s, with 3 s for each answer, is green, and nothing is lost",
  async () => {
    storage.trouble("slow");
    try {
      const { code, stdout, seconds } = await runNow("backup-drill");
      console.log(JSON.stringify({ event: "drill of a slow storage", seconds }));
      expect(stdout).toContain("restored to the row of just before");
      expect(code).toBe(0);
      expect((await health()).status).toBe("healthy");
    } finally {
      storage.trouble(undefined);
    }
  },
  600_000,
);

/** Until the health says so; gives the seconds that it took. */
async function red(said: RegExp, seconds = 240): Promise<number> {
  const began = performance.now();
  await until(async () => {
    const now = await health();
    return now.status === "unhealthy" && said.test(now.said);
  }, seconds).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await health())}`);
  });
  const took = Math.round((performance.now() - began) / 1000);
  console.log(JSON.stringify({ event: "red", seconds: took, said: (await health()).said.trim() }));
  return took;
}

/** Segments full of WAL. */
async function writeWal(segments: number): Promise<void> {
  for (let left = segments; left > 0; left--)
    await superuser(
      "create table if not exists filler (x text); insert into filler select md5(random()::text) || md5(random()::text) from generate_series(1, 100000); truncate filler; select pg_switch_wal()",
      "app",
    );
  await superuser("checkpoint");
}

test.each(
  inSoak<[string, Parameters<VaultStorage["trouble"]>[0], RegExp]>(
    ["hangs", "hangs", /no WAL is sent: (the storage cannot be reached|\d+ files are being sent since .*is slow)/],
    ["is full", "full", /no WAL is sent: the storage is full, or its quota is used up: give it more room/],
    ["answers 503", "503", /no WAL is sent: the storage has trouble of its own \(503\)/],
  ),
)(
  "where the storage %s the backup is red within two minutes, loses nothing, and heals by itself",
  async (_, trouble, said) => {
    const stored = await storage.list();
    storage.trouble(trouble);
    try {
      expect(await red(said)).toBeLessThan(120);
    } finally {
      storage.trouble(undefined);
    }
    const healing = performance.now();
    await until(async () => (await health()).status === "healthy", 240);
    console.log(JSON.stringify({ event: "healed", seconds: Math.round((performance.now() - healing) / 1000) }));
    const bases = (names: string[]) => names.filter((name) => name.includes("/base/"));
    expect(bases(await storage.list())).toEqual(expect.arrayContaining(bases(stored)));
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
  },
  600_000,
);

test.each(inSoak("a full spool"))(
  "%s is red, Postgres holds what comes, and no WAL is missing when the storage is well again",
  async () => {
    storage.trouble("503");
    try {
      // 64 MB of packed WAL.
      await writeWal(16);
      await red(/no WAL is received: the spool is full, \d+ MB wait to be sent: the storage has trouble of its own/);
    } finally {
      storage.trouble(undefined);
    }
    await until(async () => (await health()).status === "healthy", 240);
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
    expect((await health()).said).not.toContain("gave the slot up");
  },
  600_000,
);

test.each(inSoak("a slot given up"))(
  "%s is red until a base backup of after it is in the vault, which is made by itself",
  async () => {
    const before = await manifests();
    const id = await idOf("backup-receiver");
    await docker("stop", id);
    await red(/no WAL is received: does the receiver run/);
    // A quarter of 1024 MB.
    await writeWal(20);
    storage.trouble("503");
    await docker("start", id);
    try {
      await red(/Postgres gave the slot up: nobody can go back to the time between. A base backup is made by itself/);
    } finally {
      storage.trouble(undefined);
    }
    await until(async () => (await health()).status === "healthy", 240);
    expect((await manifests()).filter((name) => !before.includes(name))).not.toEqual([]);
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
  },
  600_000,
);

test.each(inSoak("a person in the server"))(
  "what %s made by hand is found by an audit: a superuser, a slot; and a backup that is red says why there",
  async () => {
    expect((await runNow("backup-drill")).code).toBe(0);
    await until(async () => (await health()).status === "healthy", 120);
    const before = await bulkhead("audit");
    expect(before, before.stdout + before.stderr).toMatchObject({ code: 0 });
    await superuser("create role mallory superuser login");
    await superuser("select pg_create_physical_replication_slot('forgotten', true)");
    const receiver = await idOf("backup-receiver");
    await docker("stop", receiver);
    try {
      await red(/no WAL is received: does the receiver run/);
      const { code, stdout, stderr } = await bulkhead("audit");
      console.log(stdout);
      expect(code, stdout + stderr).not.toBe(0);
      for (const said of ["role mallory", "replication slot forgotten", "no WAL is received: does the receiver run"])
        expect(stdout).toContain(said);
    } finally {
      await docker("start", receiver);
      await superuser("drop role mallory");
      await superuser("select pg_drop_replication_slot('forgotten')");
    }
    await until(async () => (await health()).status === "healthy", 240);
  },
  600_000,
);

test.each(inSoak("a dropped table"))(
  "%s is there again as of a second before, and the old volume is kept",
  async () => {
    const sent = await manifests();
    const before = (await acknowledged()).length;
    await sleep(3_000);
    const moment = new Date(Date.now() - 1_000).toISOString().replace(/T(.{8}).*/, " $1+00");
    await superuser("drop table acks", "app");
    // The WAL of a moment later has to be in the vault: short of the moment Postgres refuses to open.
    await superuser("create table later ()", "app");
    await superuser("select pg_switch_wal()");
    await sleep(10_000);
    project.setConfig({ ...configWithSecrets(), "backup:restore": { db: { id: "p1", to: moment } } });
    await up();
    expect((await superuser("select to_regclass('acks') is null", "app")).trim()).toBe("t");
    project.setConfig({ ...configWithSecrets(), "backup:restore": { db: { id: "p1", to: moment, serve: true } } });
    await up();
    const count = Number(await superuser("select count(*) from acks", "app"));
    expect(count).toBeGreaterThanOrEqual(before);
    const { stdout } = await docker("volume", "ls", "--quiet", "--filter", `label=bulkhead.stack=${LABEL}`);
    expect(stdout).toContain(`${LABEL}-db-data\n`);
    // A base backup of what serves now.
    await until(async () => (await manifests()).some((name) => !sent.includes(name)), 120);
  },
  300_000,
);

test.each(inSoak("a person at a terminal"))(
  "%s is shown what was restored, and nothing is served until a word was typed",
  async () => {
    const data = async () =>
      (await inspect(await idOf("db"))).Mounts.find(({ Destination }) => Destination === "/var/lib/postgresql/data");
    const before = await data();
    const count = (await acknowledged()).length;
    const question = ["Type restore db to end it", "no"] as const;
    const refused = await bulkheadAtTerminal(project, ["restore", "db", "--latest"], [question]);
    expect(refused.text).toContain("restored to");
    expect(refused.text).toContain("Not served.");
    expect(refused.code).toBe(1);
    expect(await data()).toEqual(before);
    const { code, text } = await bulkheadAtTerminal(
      project,
      ["restore", "db", "--latest"],
      [[question[0], "restore db"]],
    );
    console.log(text.slice(-4000));
    expect(code).toBe(DONE);
    expect((await data())!.Name).not.toBe(before!.Name);
    expect(Number(await superuser("select count(*) from acks", "app"))).toBeGreaterThanOrEqual(count - 30);
    expect((await docker("volume", "ls", "--quiet")).stdout).toContain(before!.Name);
  },
  900_000,
);

test.each(inSoak("a second place"))(
  "%s with a lock has all of it, is red when it cannot, and gives it back when a captured host deleted everything",
  async () => {
    const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
    const second = await startVaultStorage(stdout.trim());
    try {
      await second.makeLocked("locked", 1);
      await second.makeBucket("again");
      // One is there, whatever was run before.
      expect((await bulkhead("backup")).code).toBe(0);
      const place = { endpoint: second.endpoint, bucket: "locked" };
      project.setConfig({ ...configWithSecrets(), "backup:copy": place });
      await up();
      const copyHealth = () => healthOf("vault-copy");
      await until(async () => (await copyHealth()).status === "healthy", 120);
      const found = await vaultLocks(engine, LABEL);
      expect(found).toContainEqual({ bucket: "locked", mode: "COMPLIANCE", days: 1 });
      expect(found).toContainEqual({ bucket: "backups", mode: "none" });

      second.trouble("credentials expired");
      const began = performance.now();
      await until(async () => (await copyHealth()).status === "unhealthy", 400);
      console.log(JSON.stringify({ event: "red", seconds: Math.round((performance.now() - began) / 1000) }));
      const refused = "the second place is not read: the storage refuses the credentials";
      await until(async () => (await copyHealth()).said.includes(refused));
      second.trouble(undefined);
      await until(async () => (await copyHealth()).status === "healthy", 240);

      // Who took the host has what the copy has.
      const copier = await idOf("vault-copy");
      const rclone = async (...args: string[]) => {
        const { code, stdout, stderr } = await docker(
          "exec",
          copier,
          "rclone",
          "--config",
          "/tmp/rclone.conf",
          ...args,
        );
        return { code, said: stdout + stderr };
      };
      const lost = await toLose();
      const shipper = await idOf("backup-shipper");
      await docker("stop", shipper);
      const moment = new Date().toISOString().replace(/T(.{8}).*/, " $1");
      await sleep(2_000);
      await rclone("purge", `s3:backups/${LABEL}`);
      expect(await storage.list()).toEqual([]);
      // Not by a purge, which asks for every version too, and is refused. A copy that had begun is still sent meanwhile.
      await until(async () => {
        await rclone("delete", `copy:locked/${LABEL}`);
        return (await rclone("lsf", "-R", "--files-only", `copy:locked/${LABEL}`)).said.trim() === "";
      });
      const erased = await rclone("delete", "--s3-versions", `copy:locked/${LABEL}`);
      expect(erased.said).toContain("AccessDenied");

      // As docs/how-to/backup-copy.md has it.
      const back = ["copy", `copy,version_at='${moment}':locked/${LABEL}`, `copy:again/${LABEL}`];
      expect(await rclone(...back)).toMatchObject({ code: 0 });
      const again = (await rclone("lsf", "-R", "--files-only", `copy:again/${LABEL}`)).said;
      expect(again).toContain("/backup_manifest");
      const to = { id: "c1", to: "latest", from: "copy", serve: true };
      project.setConfig({
        ...configWithSecrets(),
        "backup:copy": { ...place, bucket: "again" },
        "backup:restore": { db: to },
      });
      const seconds = await up();
      // It looks once a minute here.
      expect(await secondsLost(lost, { event: "restored from the second place", seconds })).toBeLessThan(90);
      await until(async () => (await copyHealth()).said.includes("the vault has no backup any more"), 120);
      // A base backup of what serves, and it is well again.
      const stopped = "backup-shipper: its container does not run: `bulkhead logs backup-shipper` says why";
      expect((await bulkhead("backup")).stderr).toContain(stopped);
      await docker("start", shipper);
      expect((await bulkhead("backup")).code).toBe(0);
      await until(async () => (await copyHealth()).status === "healthy", 240);
    } finally {
      await second.stop();
    }
  },
  1_200_000,
);

test("the host is gone: another one has all but the last seconds, from the stack file, the vault and the key", async () => {
  await until(async () => (await acknowledged()).length > 200);
  const lost = await loseHost();

  // Who forgets the restore makes no empty database, and nothing in the vault is touched.
  const stored = await storage.list();
  project = await freshProject();
  const refused = await project.up();
  expect(refused.stdout + refused.stderr).toMatch(
    /db: would begin empty, while the vault has backups of it up to \w+\. Get it back with `bulkhead restore db --latest`/,
  );
  expect(refused.code).not.toBe(0);
  const volumes = await docker("volume", "ls", "--quiet");
  expect(volumes.code).toBe(0);
  expect(volumes.stdout).not.toContain(`${LABEL}-db-data`);
  expect(await storage.list()).toEqual(stored);
  await removeStack(engine, LABEL);
  project.remove();

  expect(await restoredAfter(lost, "r1")).toBeLessThan(10);
  // What serves again is backed up again, from a base backup of its own.
  await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.includes("is sent"));
  expect((await runNow("backup-drill")).code).toBe(0);
});

test.each(inSoak("a database of 1 GB"))(
  "%s: what is lost with the host, and how long it is away",
  async () => {
    config["backup:maxMb"] = 8192;
    project.setConfig({ ...configWithSecrets(), "backup:maxMb": 8192 });
    await up();
    await superuser("create table ballast (id bigint, text text)", "app");
    // Each well within the time that one statement has, on a busy machine too.
    for (let filled = 0; filled < 1000; filled += 20)
      await superuser(
        "insert into ballast select n, (select string_agg(md5(random()::text || n || i), '') from generate_series(1, 30) i) from generate_series(1, 20000) n",
        "app",
      );
    const megabytes = Number(await superuser("select pg_database_size('app') / 1048576"));
    expect(megabytes).toBeGreaterThan(900);
    const made = await bulkhead("backup");
    expect(made, made.stdout + made.stderr).toMatchObject({ code: 0 });
    const drilled = await runNow("backup-drill");
    expect(drilled, drilled.stdout).toMatchObject({ code: 0 });
    const [last] = (JSON.parse((await bulkhead("backups", "--json")).stdout) as BaseBackup[]).slice(-1);
    const event = { backup: made.seconds, drill: drilled.seconds, packed: Math.round(last!.bytes / 2 ** 20) };
    console.log(JSON.stringify({ event: "1 GB", megabytes, ...event }));
    await sleep(30_000);
    const rpoSeconds = await restoredAfter(await loseHost(), "g1");
    expect(rpoSeconds).toBeLessThan(10);
    expect(Number(await superuser("select count(*) from ballast", "app"))).toBe(1_000_000);
  },
  1_800_000,
);

test.each(inSoak("a database that is new"))(
  "nothing of %s is sent beside the backups of another, also where nobody asked the vault before",
  async () => {
    await removeStack(engine, LABEL);
    project.remove();
    const stored = await storage.list();
    delete config["backup:restore"];
    project = await freshProject();
    // The volume is there: nobody asks the vault before it is made.
    await docker(
      "volume",
      "create",
      "--label",
      `bulkhead.stack=${LABEL}`,
      "--label",
      "bulkhead.kind=postgres",
      `${LABEL}-db-data`,
    );
    const { code, stdout, stderr } = await project.up();
    expect(stdout + stderr).toMatch(/the vault has backups of another database, up to \w+: get that one back/);
    expect(code).not.toBe(0);
    expect(await storage.list()).toEqual(stored);
    const [, newest] = /another database, up to (\w+):/.exec(stdout + stderr)!;
    project.setConfig({ ...configWithSecrets(), "backup:beginsEmpty": { db: newest } });
    await up();
    await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.includes("is sent"), 120);
    const now = await storage.list();
    expect(stored.filter((name) => !now.includes(name))).toEqual([]);
    expect((await runNow("backup-drill")).code).toBe(0);
  },
  400_000,
);

/** Of the base backups that are complete. */
async function manifests(): Promise<string[]> {
  return (await storage.list("backup-backup/base/")).filter((name) => name.includes("/backup_manifest"));
}

interface Loss {
  acknowledged: { nonce: string; at: number }[];
  /** When it was. */
  at: number;
}

/** Under load, with all volumes, and with the state. */
async function loseHost(): Promise<Loss> {
  const lost = await toLose();
  await docker("kill", await idOf("backup-shipper"), await idOf("backup-receiver"), await idOf("db"));
  await removeStack(engine, LABEL);
  project.remove();
  return lost;
}

/** What was acknowledged and is there: what a restore of the tests before took back is not lost once more. */
async function toLose(): Promise<Loss> {
  const all = await acknowledged();
  const there = await committed();
  return { acknowledged: all.filter(({ nonce }) => there.has(nonce)), at: Date.now() / 1000 };
}

/** Everything on another host, the database out of the vault; gives the seconds of which acknowledged commits are lost. */
async function restoredAfter(loss: Loss, id: string): Promise<number> {
  config["backup:restore"] = { db: { id, to: "latest", serve: true } };
  project = await freshProject();
  return secondsLost(loss, { event: "restored", seconds: await up() });
}

async function secondsLost({ acknowledged, at }: Loss, event: object): Promise<number> {
  const there = await committed();
  const lost = acknowledged.filter(({ nonce }) => !there.has(nonce));
  const rpoSeconds = lost.length > 0 ? at - lost[0]!.at : 0;
  const counts = { acknowledged: acknowledged.length, lost: lost.length };
  console.log(JSON.stringify({ ...event, ...counts, rpoSeconds }));
  expect(there.size).toBeGreaterThan(150);
  return rpoSeconds;
}

/** With the secrets that the project was given. */
function configWithSecrets(): Record<string, unknown> {
  return (parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, unknown> }).config;
}

function bulkhead(...args: string[]) {
  return project.bulkhead(args);
}

interface Inspected {
  State: { Health: { Status: string; Log: { Output: string }[] } };
  Config: { Entrypoint: string[]; Cmd: string[] };
  Mounts: { Destination: string; Name: string }[];
  NetworkSettings: { Networks: Record<string, unknown> };
}
const inspect = (id: string) => engine.get<Inspected>(`/containers/${id}/json`);
