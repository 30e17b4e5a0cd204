// Backups of a real PostgreSQL in a real S3 storage: restored to be believed, damaged on purpose, and all there is when the
// host is gone.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { dataImages } from "../../components/data/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import type { BaseBackup } from "../../cli/backup/list.ts";
import { lastLines, runCommand } from "../support/command.ts";
import { images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { inSoak } from "../support/soak.ts";
import { startVaultStorage, type VaultStorage } from "../support/vault-storage.ts";

const engine = new Engine(process.env["DOCKER_HOST"]!);
const LABEL = "backup-backup";
const { acknowledged, health: healthOf, idOf, runNow, superuser } = insideStack(LABEL);
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
  const ids = (await docker("ps", "-aq", "--filter", `label=bulkhead.stack=${LABEL}`)).stdout.trim().split("\n");
  for (const id of ids)
    for (const { stdout, stderr } of [await docker("inspect", id), await docker("logs", id)])
      for (const secret of [KEY, SECRET_ACCESS_KEY]) expect((stdout + stderr).includes(secret)).toBe(false);
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
    "other: no such database or volume with backups: there are db",
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

test.each(inSoak("a dropped table"))(
  "%s is there again as of a second before, and the old volume is kept",
  async () => {
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
    await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.split("is sent").length > 3);
  },
  300_000,
);

test("the host is gone: another one has all but the last seconds, from the stack file, the vault and the key", async () => {
  await until(async () => (await acknowledged()).length > 200);
  const acks = await acknowledged();
  const gone = Date.now() / 1000;
  await docker("kill", await idOf("backup-shipper"), await idOf("backup-receiver"), await idOf("db"));
  await removeStack(engine, LABEL);
  project.remove();

  // Who forgets the restore makes no empty database, and nothing in the vault is touched.
  const stored = await storage.list();
  project = await freshProject();
  const refused = await project.up();
  expect(refused.stdout + refused.stderr).toMatch(
    /db: would begin empty, while the vault has backups of it up to \w+\. Get it back with `bulkhead restore db --latest`/,
  );
  expect(refused.code).not.toBe(0);
  expect((await docker("volume", "ls", "--quiet")).stdout).not.toContain(`${LABEL}-db-data`);
  expect(await storage.list()).toEqual(stored);
  await removeStack(engine, LABEL);
  project.remove();

  config["backup:restore"] = { db: { id: "r1", to: "latest", serve: true } };
  project = await freshProject();
  const seconds = await up();
  const there = new Set((await superuser("select nonce from acks", "app")).trim().split("\n"));
  const lost = acks.filter(({ nonce }) => !there.has(nonce));
  const rpoSeconds = lost.length > 0 ? gone - lost[0]!.at : 0;
  console.log(JSON.stringify({ event: "restored", acknowledged: acks.length, lost: lost.length, rpoSeconds, seconds }));
  expect(there.size).toBeGreaterThan(150);
  expect(rpoSeconds).toBeLessThan(10);
  // What serves again is backed up again, from a base backup of its own.
  await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.includes("is sent"));
  expect((await runNow("backup-drill")).code).toBe(0);
});

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

/** With the secrets that the project was given. */
function configWithSecrets(): Record<string, unknown> {
  return (parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, unknown> }).config;
}

/** The command, where a stack file of this project is. */
function bulkhead(verb: string, ...args: string[]) {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  return runCommand(process.execPath, [main, verb, ...args, "--stack", "backup"], { cwd: project.directory });
}

interface Inspected {
  State: { Health: { Status: string; Log: { Output: string }[] } };
  Config: { Entrypoint: string[]; Cmd: string[] };
  Mounts: { Destination: string }[];
  NetworkSettings: { Networks: Record<string, unknown> };
}
const inspect = (id: string) => engine.get<Inspected>(`/containers/${id}/json`);
