// PostgreSQL 15 with backups becomes 17 under a writer: a trial beside it, one that fails, and the upgrade.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { dataImages } from "../../components/data/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { lastLines } from "../support/command.ts";
import { images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { startVaultStorage, type VaultStorage } from "../support/vault-storage.ts";

const engine = new Engine(process.env["DOCKER_HOST"]!);
const LABEL = "backup-upgrade";
const { acknowledged, idOf, runNow, said: jobSaid, superuser } = insideStack(LABEL);
let storage: VaultStorage;
let project: TestProject;
let images: Record<"traefik" | "postgres" | "rclone", string>;
let old: string;

beforeAll(async () => {
  const { postgres, rclone } = dataImages;
  const wanted = { traefik: pinned.traefik, postgres, rclone };
  images = { ...wanted, ...(await provideImages(engine, wanted)) };
  const { tag = "postgres:15-bookworm" } = await provideImages(engine, { tag: "postgres:15-bookworm" });
  old = (await docker("image", "inspect", tag, "--format", "{{.Id}}")).stdout.trim();
  const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
  storage = await startVaultStorage(stdout.trim());
  project = await createTestProject({
    stack: "upgrade",
    config: {
      "backup:images": { ...images, postgres: old },
      "backup:version": 15,
      "backup:storage": { endpoint: storage.endpoint, bucket: storage.bucket },
    },
    program: new URL("../programs/backup", import.meta.url).pathname,
  });
  await project.setSecret("backupKey", randomBytes(32).toString("base64url"));
  await project.setSecret("accessKeyId", "AKIDEXAMPLE");
  await project.setSecret("secretAccessKey", randomBytes(20).toString("base64url"));
  const { code, stdout: said, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(said + stderr, 60)}`);
});

afterAll(async () => {
  await removeStack(engine, LABEL);
  project?.remove();
  await storage?.stop();
  engine.close();
});

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
  const acks = await acknowledged();
  const there = new Set((await superuser("select nonce from acks", "app")).trim().split("\n"));
  const lost = acks.filter(({ nonce }) => !there.has(nonce)).length;
  const gapSeconds = Math.max(...acks.slice(1).map(({ at }, index) => at - acks[index]!.at));
  console.log(JSON.stringify({ event: "upgraded", acknowledged: acks.length, lost, gapSeconds, seconds }));
  expect(lost).toBe(0);
  expect((await superuser("select extname from pg_extension where extname = 'pg_trgm'", "app")).trim()).toBe("pg_trgm");
  expect((await docker("volume", "ls", "--quiet")).stdout).toContain(`${LABEL}-db-data\n`);
});

test("the vault takes its backups beside those of before, and one is restored", async () => {
  await until(async () => (await docker("logs", await idOf("backup-shipper"))).stdout.includes("is sent"));
  expect((await runNow("backup-drill")).stdout).toContain("restored to the row of just before");
});

/** An update with 17 in the program, and with what the command writes into the stack file. */
async function upgradeTo(upgrade: object | undefined) {
  const { config } = parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, unknown> };
  project.setConfig({
    ...config,
    ...{ "backup:images": images, "backup:version": 17 },
    ...(upgrade && { "backup:upgrade": { db: { from: 15, to: 17, image: old, ...upgrade } } }),
  });
  const { code, stdout, stderr, seconds } = await project.up();
  return { code, said: stdout + stderr, seconds };
}
