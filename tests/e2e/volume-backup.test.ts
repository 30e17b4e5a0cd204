// Snapshots of volumes in a real S3 storage: believed when they were restored, damaged on purpose, and restored.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
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
import { currentTestEngine } from "../support/engine.ts";
import { provideSmallImage } from "../support/small-image.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { inSoak, SOAK } from "../support/soak.ts";
import { startVaultStorage, type VaultStorage } from "../support/vault-storage.ts";

const engine = new Engine(process.env["DOCKER_HOST"]!);
const LABEL = "volumes-volumes";
const { health, idOf, toldOfAll } = insideStack(LABEL);
const KEY = randomBytes(32).toString("base64url");
const SECRET_ACCESS_KEY = randomBytes(20).toString("base64url");
const CONTENT = "what-a-user-uploaded ".repeat(2000);
let storage: VaultStorage;
let project: TestProject;

beforeAll(async () => {
  const { rclone, restic, valkey } = dataImages;
  const wanted = { traefik: pinned.traefik, rclone, restic, valkey };
  const images = { ...wanted, ...(await provideImages(engine, wanted)) };
  const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
  storage = await startVaultStorage(stdout.trim());
  project = await createTestProject({
    stack: "volumes",
    program: new URL("../programs/volumes", import.meta.url).pathname,
    config: {
      "volumes:host": "local",
      "volumes:images": images,
      "volumes:storage": { endpoint: storage.endpoint, bucket: storage.bucket },
    },
  });
  await project.setSecret("backupKey", KEY);
  await project.setSecret("accessKeyId", "AKIDEXAMPLE");
  await project.setSecret("secretAccessKey", SECRET_ACCESS_KEY);
  if (SOAK) await project.setSecret("copySecretAccessKey", randomBytes(20).toString("base64url"));
  await up();
});

afterAll(async () => {
  await removeStack(engine, LABEL);
  project?.remove();
  await storage?.stop();
  engine.close();
});

test("a volume is in the vault, encrypted, and its backup is green when it was restored", async () => {
  await inClient(
    `printf '${CONTENT}' >"/uploads/a picture"; mkdir -p /uploads/b; echo two >/uploads/b/two; ln -s b /uploads/link`,
  );
  expect((await health("uploads-backup")).said).toContain("the vault has no backup yet: bulkhead backup makes one now");
  const made = await bulkhead("backup", "uploads");
  expect(made.stdout + made.stderr).toMatch(/backup: \w+ is in the vault, after \d+ s: 2 files with checksums/);
  expect(made.code).toBe(0);
  const drilled = await bulkhead("drill", "uploads");
  expect(drilled.stdout + drilled.stderr).toContain("drill: restored: 2 files, 2 compared with their checksums");
  expect(drilled.code).toBe(0);
  await until(async () => (await health("uploads-backup")).status === "healthy");
  const [first] = JSON.parse((await bulkhead("backups", "uploads", "--json")).stdout) as BaseBackup[];
  expect(first).toMatchObject({ drill: { ok: true } });
  for (const name of await storage.list())
    expect((await storage.read(name)).includes("what-a-user-uploaded"), name).toBe(false);
});

test("what reads a volume has it read-only, and no way out; what has the credentials has no key and no volume", async () => {
  const reader = await inspect(await idOf("uploads-backup-snapshot"));
  expect(reader.Mounts.find(({ Destination }) => Destination === "/volume")).toMatchObject({ RW: false });
  expect(Object.keys(reader.NetworkSettings.Networks)).toEqual([`${LABEL}-vault-restic`]);
  expect((await docker("exec", await idOf("uploads-backup-snapshot"), "ls", "/run/secrets")).stdout).toBe("key\n");
  const server = await idOf("vault-restic");
  expect((await inspect(server)).Mounts.map(({ Destination }) => Destination)).toEqual(["/run/secrets"]);
  const held = (await docker("exec", server, "sh", "-c", "cat /run/secrets/* /tmp/rclone.conf")).stdout;
  expect(held).toContain(SECRET_ACCESS_KEY);
  // The second is what rclone makes of a key.
  for (const needle of [KEY, "password"]) expect(held).not.toContain(needle);
  for (const text of await toldOfAll())
    for (const secret of [KEY, SECRET_ACCESS_KEY]) expect(text.includes(secret)).toBe(false);
  // Who took the reader deletes nothing.
  const gone =
    'wget -q -S -O - --post-data= "${RESTIC_REPOSITORY#rest:}snapshots/x" 2>&1; restic --no-cache forget --tag files --keep-last 1 --unsafe-allow-remove-all 2>&1; restic --no-cache forget latest 2>&1';
  const { stdout } = await docker("exec", await idOf("uploads-backup-snapshot"), "sh", "-c", gone);
  expect(stdout).toContain("403");
  expect((JSON.parse((await bulkhead("backups", "uploads", "--json")).stdout) as BaseBackup[]).length).toBe(1);
});

test("a snapshot that lists well and cannot be restored is caught by the drill", async () => {
  const packs = await storage.list(`${LABEL}/restic/uploads/data/`);
  const contents = await Promise.all(packs.map((name) => storage.read(name)));
  for (const [index, name] of packs.entries()) {
    const damaged = Buffer.from(contents[index]!);
    damaged[40]! ^= 1;
    await storage.write(name, damaged);
  }
  const { code, stdout, stderr } = await bulkhead("drill", "uploads");
  expect(stdout + stderr).toContain("what is there was changed, or is damaged");
  expect(code).not.toBe(0);
  await until(async () => (await health("uploads-backup")).status === "unhealthy");
  for (const [index, name] of packs.entries()) await storage.write(name, contents[index]!);
  expect((await bulkhead("drill", "uploads")).code).toBe(0);
});

test.each(inSoak("slow"))(
  "with a storage that is %s, with 3 s for each answer, a snapshot and its drill are green all the same",
  async () => {
    await inClient("head -c 1000000 /dev/urandom >/uploads/slow");
    storage.trouble("slow");
    try {
      const made = await bulkhead("backup", "uploads");
      expect(made, made.stdout + made.stderr).toMatchObject({ code: 0 });
      const drilled = await bulkhead("drill", "uploads");
      expect(drilled, drilled.stdout + drilled.stderr).toMatchObject({ code: 0 });
      console.log(JSON.stringify({ event: "slow", backup: made.seconds, drill: drilled.seconds }));
      expect((await health("vault-restic")).status).toBe("healthy");
    } finally {
      storage.trouble(undefined);
      await inClient("rm /uploads/slow");
    }
    // What is restored later has it no more.
    expect((await bulkhead("backup", "uploads")).code).toBe(0);
  },
  3_000_000,
);

test("files and keys are there again in new volumes, and the old volumes are kept", async () => {
  await valkey("set", "carts", "three");
  expect((await bulkhead("backup", "cache-data")).code).toBe(0);
  expect((await bulkhead("drill", "cache-data")).code).toBe(0);
  await valkey("del", "carts");
  await inClient("rm -r /uploads/b; echo changed >'/uploads/a picture'");
  const to = { id: "r1", to: "latest", serve: true };
  const { config } = parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, unknown> };
  project.setConfig({ ...config, "volumes:restore": { uploads: to, "cache-data": to } });
  await up();
  expect(await valkey("get", "carts")).toBe("three\n");
  expect(await inClient("cat '/uploads/a picture'")).toBe(CONTENT);
  expect(await inClient("cat /uploads/link/two")).toBe("two\n");
  const { stdout } = await docker("volume", "ls", "--quiet", "--filter", `label=bulkhead.stack=${LABEL}`);
  expect(stdout).toContain(`${LABEL}-uploads\n`);
  // What serves again is what is backed up.
  await inClient("echo new >/uploads/new");
  expect((await bulkhead("backup", "uploads")).code).toBe(0);
  expect((await bulkhead("drill", "uploads")).stdout).toContain("restored: 3 files");
});

test("the record of releases comes back out of the vault", async () => {
  const smallImage = await provideSmallImage(currentTestEngine());
  const recorded = async () => {
    const { stdout, stderr } = await bulkhead("releases", "--json");
    return stdout === "" ? stderr : (JSON.parse(stdout) as { number: number }[]).length;
  };
  const first = await bulkheadAtTerminal(project, ["up", "--yes"]);
  expect(first, first.text).toMatchObject({ code: DONE });
  expect(await recorded()).toBe(1);
  expect((await bulkhead("backup", "releases")).code).toBe(0);
  // As on a new host: neither its volumes nor what is in them is there.
  await docker("volume", "rm", `${LABEL}-release-1`);
  const snapshot = await inspect(await idOf("releases-backup-snapshot"));
  const { Name } = snapshot.Mounts.find(({ Destination }) => Destination === "/volume")!;
  await docker("run", "--rm", "--volume", `${Name}:/volume`, "--entrypoint", "rm", smallImage, "/volume/releases.json");
  expect(await recorded()).toContain("no release is recorded");
  const { config } = parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, object> };
  const to = { id: "r1", to: "latest", serve: true };
  project.setConfig({ ...config, "volumes:restore": { ...config["volumes:restore"], releases: to } });
  await up();
  expect(await recorded()).toBe(1);
  // What is recorded next goes into the volume that came back.
  const second = await bulkheadAtTerminal(project, ["up", "--yes"]);
  expect(second, second.text).toMatchObject({ code: DONE });
  expect(await recorded()).toBe(2);
});

test.each(inSoak("at a terminal"))(
  "`bulkhead restore` of a volume %s asks in words, and backups after it are green each time",
  async () => {
    await inClient("echo first >/uploads/first");
    expect((await bulkhead("backup", "uploads")).code).toBe(0);
    await inClient("echo second >/uploads/second");
    const { code, text } = await bulkheadAtTerminal(
      project,
      ["restore", "uploads", "--latest"],
      [["Type restore uploads to end it", "restore uploads"]],
    );
    console.log(text.slice(-4000));
    expect(code).toBe(DONE);
    expect(text).toMatch(/restored to \w+: \d+ files, \d+ compared/);
    expect(await inClient("cat /uploads/first")).toBe("first\n");
    expect(await inClient("ls /uploads")).not.toContain("second");
    for (let left = 8; left > 0; left--) {
      await inClient(`echo ${left} >/uploads/new`);
      const made = await bulkhead("backup", "uploads");
      expect(made, made.stdout + made.stderr).toMatchObject({ code: 0 });
    }
  },
  900_000,
);

test.each(
  inSoak<[string, () => void | Promise<void>, string, RegExp]>(
    [
      "refuses the credentials",
      () => storage.trouble("credentials expired"),
      "vault-restic",
      /refuses the credentials/,
    ],
    ["answers 503", () => storage.trouble("503"), "vault-restic", /trouble of its own \(503\)/],
    ["is full", () => storage.trouble("full"), "vault-restic", /the storage is full, or its quota is used up/],
  ),
)(
  "where the storage %s it is red and says why, and it heals",
  async (_, harm, name, said) => {
    await harm();
    await inClient("head -c 100000 /dev/urandom >/uploads/more");
    const running = bulkhead("backup", "uploads");
    try {
      await until(async () => said.test((await health(name)).said), 150);
    } finally {
      storage.trouble(undefined);
    }
    await running;
    await until(async () => (await health(name)).status === "healthy", 900);
    expect((await bulkhead("backup", "uploads")).code).toBe(0);
    expect((await bulkhead("drill", "uploads")).code).toBe(0);
  },
  1_200_000,
);

test.each(inSoak("another key"))(
  "with %s nothing is added, nothing is lost, and it says so",
  async () => {
    await project.setSecret("backupKey", randomBytes(32).toString("base64url"));
    await up();
    const { code, stdout, stderr } = await bulkhead("backup", "uploads");
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("the key is another than the one that the vault was made with");
    await until(async () => (await health("uploads-backup")).said.includes("the last backup failed"));
    await project.setSecret("backupKey", KEY);
    await up();
    expect((await bulkhead("backup", "uploads")).code).toBe(0);
  },
  300_000,
);

// The last one: the vault is empty after it.
test.each(inSoak("a second place"))(
  "%s has the snapshots too, and a restore takes them from there when the vault is empty",
  async () => {
    await inClient("echo kept >/uploads/kept");
    expect((await bulkhead("backup", "uploads")).code).toBe(0);
    const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
    const second = await startVaultStorage(stdout.trim());
    try {
      const place = { endpoint: second.endpoint, bucket: second.bucket };
      const { config } = parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, unknown> };
      project.setConfig({ ...config, "volumes:copy": place });
      await up();
      await until(async () => (await health("vault-copy")).status === "healthy", 120);
      for (const name of await storage.list()) await storage.remove(name);
      // It looks every five minutes.
      await until(async () => (await health("vault-copy")).said.includes("who took them away"), 400);
      await inClient("rm /uploads/kept");
      const to = { id: "c1", to: "latest", from: "copy", serve: true };
      project.setConfig({ ...config, "volumes:copy": place, "volumes:restore": { uploads: to } });
      await up();
      expect(await inClient("cat /uploads/kept")).toBe("kept\n");
    } finally {
      await second.stop();
    }
  },
  900_000,
);

async function up(): Promise<void> {
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
}

function bulkhead(...args: string[]) {
  return project.bulkhead(args, { timeoutMs: 1_500_000 });
}

async function inClient(script: string): Promise<string> {
  const { code, stdout, stderr } = await docker("exec", await idOf("client"), "sh", "-c", script);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

const valkey = (...command: string[]) =>
  inClient(
    `REDISCLI_AUTH=$(cat $REDIS_PASSWORD_FILE) valkey-cli -h cache --no-auth-warning --user $REDIS_USER ${command.join(" ")}`,
  );

interface Inspected {
  State: { Health: { Status: string; Log: { Output: string }[] } };
  Mounts: { Name: string; Destination: string; RW: boolean }[];
  NetworkSettings: { Networks: Record<string, unknown> };
}
const inspect = (id: string) => engine.get<Inspected>(`/containers/${id}/json`);
