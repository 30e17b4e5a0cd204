// PostgreSQL 15 with backups becomes 17 under a writer: a trial beside it, one that fails, and the upgrade. In soak 16 too, by
// a person at a terminal.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { DONE } from "../../cli/exit-codes.ts";
import { bulkheadAtTerminal } from "../support/bulkhead-at-terminal.ts";
import { givenByHand, ofDatabase, ofServer } from "../support/grants.ts";
import { SOAK } from "../support/soak.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { startUpgradeStack, type UpgradeStack } from "../support/upgrade-stack.ts";

const engine = new Engine(process.env["DOCKER_HOST"]!);
afterAll(() => engine.close());

describe("15 becomes 17", () => {
  let stack: UpgradeStack;
  const { acknowledged, idOf, runNow, said: jobSaid, superuser } = insideStack("backup-upgrade");
  beforeAll(async () => {
    stack = await startUpgradeStack(engine, "upgrade", 15);
  });
  afterAll(() => stack?.remove());

  /** An update with 17 in the program, and with what the command writes into the stack file. */
  async function upgradeTo(upgrade: object | undefined) {
    const { project, images, old, configure } = stack;
    configure({
      ...{ images, version: 17 },
      ...(upgrade && { upgrade: { db: { from: 15, to: 17, image: old, ...upgrade } } }),
    });
    const { code, stdout, stderr, seconds } = await project.up();
    return { code, said: stdout + stderr, seconds };
  }

  test("PostgreSQL 15 serves, and its backup is restored by a drill", async () => {
    expect(await superuser("show server_version_num")).toMatch(/^15/);
    await until(async () => (await acknowledged()).length > 20);
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
  });

  test("another version alone is refused, and an upgrade that fails leaves the old one serving", async () => {
    const before = (await acknowledged()).length;
    const refused = await upgradeTo(undefined);
    expect(refused.said).toContain("the volume holds PostgreSQL 15, and the image is of 17");
    // What the next version has no more.
    await superuser("create view odd as select buffers_backend from pg_stat_bgwriter", "app");
    const failed = await upgradeTo({ id: "u0", serve: true });
    expect(failed.code).not.toBe(0);
    expect(failed.said).toContain("buffers_backend does not exist");
    expect(await superuser("show server_version_num")).toMatch(/^15/);
    await until(async () => (await acknowledged()).length > before + 20);
    await superuser("drop view odd", "app");
  });

  test("a trial changes nothing, and the upgrade loses no acknowledged commit", async () => {
    const server = await idOf("db");
    const tried = await upgradeTo({ id: "u1" });
    expect(tried.code, tried.said).toBe(0);
    expect(await idOf("db")).toBe(server);
    expect(await jobSaid("db-upgraded-u1-restore")).toMatch(/upgraded from 15: \d+ rows in \d+ tables/);

    const { code, said, seconds } = await upgradeTo({ id: "u1", serve: true });
    expect(code, said).toBe(0);
    expect(await superuser("show server_version_num")).toMatch(/^17/);
    const after = (await acknowledged()).length;
    // By the same login, with the same password.
    await until(async () => (await acknowledged()).length > after + 20);
    const found = await stack.lost();
    console.log(JSON.stringify({ event: "upgraded", ...found, seconds }));
    expect(found.lost).toBe(0);
    const trigrams = "select extname from pg_extension where extname = 'pg_trgm'";
    expect((await superuser(trigrams, "app")).trim()).toBe("pg_trgm");
    expect((await docker("volume", "ls", "--quiet")).stdout).toContain(`${stack.label}-db-data\n`);
  });

  test("the vault takes its backups beside those of before, and one is restored", async () => {
    await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.includes("is sent"));
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
  });
});

describe.runIf(SOAK)("16 becomes 17, by `bulkhead upgrade-database` at a terminal", () => {
  let stack: UpgradeStack;
  const { acknowledged, idOf, runNow, superuser } = insideStack("backup-upgrade16");
  const grants = async () => {
    const parts = [await superuser(ofServer), await superuser(ofDatabase), await superuser(ofDatabase, "app")];
    // The stack sets the passwords of its own logins again: the same, with another salt.
    const ofStack = /^(role \w+_[0-9a-f]{8}: \{"password": )"\w+"/;
    return parts.flatMap((part) => part.trim().split("\n")).map((right) => right.replace(ofStack, '$1"one"'));
  };
  const upgrade = (typed: string) =>
    bulkheadAtTerminal(
      stack.project,
      ["upgrade-database", "db", "--to", "17"],
      [["Type upgrade db to end it and to serve", typed]],
    );
  beforeAll(async () => {
    stack = await startUpgradeStack(engine, "upgrade16", 16);
  }, 600_000);
  afterAll(() => stack?.remove());

  test("another word than the one that is asked for leaves 16 serving, and the volume of the trial", async () => {
    expect(await superuser("show server_version_num")).toMatch(/^16/);
    await superuser(givenByHand, "app");
    await until(async () => (await acknowledged()).length > 20);
    stack.configure({ images: stack.images, version: 17 });
    const server = await idOf("db");
    const { code, text } = await upgrade("no");
    expect(code, text).toBe(1);
    expect(text).toMatch(/upgraded from 16: \d+ rows in \d+ tables/);
    expect(text).toContain("db still serves with PostgreSQL 16.");
    expect(text).toContain("Not upgraded. To forget the trial");
    expect(await idOf("db")).toBe(server);
  }, 600_000);

  test("the word upgrades it: no acknowledged commit is lost, and every right is there, one by one", async () => {
    const before = await grants();
    const { code, text } = await upgrade("upgrade db");
    expect(code, text).toBe(DONE);
    expect(text).toContain("says so now: commit it.");
    expect(text).toMatch(/To copy and to read it took \d+ s\./);
    // From when the old server ended, which is before it is copied.
    expect(Number(/db: nothing of it ran for ([\d.]+) s/.exec(text)?.[1])).toBeGreaterThan(3);
    expect(await superuser("show server_version_num")).toMatch(/^17/);
    const after = (await acknowledged()).length;
    await until(async () => (await acknowledged()).length > after + 20);
    const found = await stack.lost();
    console.log(JSON.stringify({ event: "upgraded from 16", ...found, rights: before.length }));
    expect(found.lost).toBe(0);
    expect(before.length).toBeGreaterThan(40);
    expect(await grants()).toEqual(before);
    expect((await docker("volume", "ls", "--quiet")).stdout).toContain(`${stack.label}-db-data\n`);
    await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.includes("is sent"));
    expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
  }, 900_000);
});
