// A service writes through PgBouncer all the time and keeps what was acknowledged, while everything happens to a remote host
// that may. In `make soak` alone; docs/reference/faults.md has the figures.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { retireOldLogins } from "../../cli/stack/old-logins.ts";
import { dataImages } from "../../components/data/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { lastLines } from "../support/command.ts";
import { currentTestEngine } from "../support/engine.ts";
import { images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";
import { SOAK } from "../support/soak.ts";
import { insideStack, until } from "../support/stack-inside.ts";
import { startVaultStorage, type VaultStorage } from "../support/vault-storage.ts";

const LABEL = "commits-commits";
/** All that runs and that the writer needs, and what takes its backups. */
const ALWAYS = ["db", "pool", "writer", "backup-receiver", "backup-shipper"];
/** Half of the server's 30 connections beside eight others. */
const SERVER_CONNECTIONS = 11;

describe.runIf(SOAK)("acknowledged commits", () => {
  const { committed, idOf, runNow, superuser } = insideStack(LABEL, (...command) => host.exec(...command));
  let host: RemoteHost;
  let engine: Engine;
  let storage: VaultStorage;
  let project: TestProject;
  let config: Record<string, unknown>;
  let release = 1;
  const counts: Record<string, number> = {};

  beforeAll(async () => {
    const here = new Engine(process.env["DOCKER_HOST"]!);
    host = await startRemoteHost(currentTestEngine(), "commits");
    Object.assign(process.env, host.env);
    engine = new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]);
    const { postgres, pgbouncer, rclone } = dataImages;
    const wanted = { traefik: pinned.traefik, postgres, pgbouncer, rclone };
    const images = { ...wanted, ...(await provideImages(here, wanted)) };
    here.close();
    await host.loadImages(Object.values(images));
    const gateway = ["network", "inspect", "remote-hosts", "--format", "{{(index .IPAM.Config 0).Gateway}}"];
    storage = await startVaultStorage((await currentTestEngine().exec("docker", gateway)).stdout.trim());
    config = {
      ...{ "commits:host": host.url, "commits:knownHosts": host.knownHostsFile, "commits:images": images },
      "commits:storage": { endpoint: storage.endpoint, bucket: storage.bucket },
    };
    project = await createTestProject({
      ...{ stack: "commits", config, env: { ...host.env, DOCKER_HOST: "unix:///nowhere/docker.sock" } },
      program: new URL("../programs/commits", import.meta.url).pathname,
    });
    await project.setSecret("backupKey", randomBytes(32).toString("base64url"));
    await project.setSecret("accessKeyId", "AKIDEXAMPLE");
    await project.setSecret("secretAccessKey", randomBytes(20).toString("base64url"));
    await up();
  });

  afterAll(async () => {
    project?.remove();
    engine?.close();
    await storage?.stop();
    await host?.stop();
  });

  async function up(args: string[] = []): Promise<void> {
    const { code, stdout, stderr } = await project.up(args);
    expect(code, lastLines(stdout + stderr, 60)).toBe(0);
  }

  /** With the secrets that are there. */
  function change(changes: Record<string, unknown>): void {
    const { config: now } = parse(readFileSync(project.configFile, "utf8")) as { config: Record<string, unknown> };
    project.setConfig({ ...now, ...changes });
  }

  async function noted(): Promise<string[]> {
    const { stdout } = await host.exec("docker", ["exec", await idOf("writer"), "sh", "-c", "cat /notes/acks-*"]);
    // One that a full disk or the end of the host has cut off says nothing.
    return stdout.split("\n").filter((line) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(line));
  }

  async function count(): Promise<number> {
    const writer = await idOf("writer").catch(() => "");
    if (writer === "") return 0;
    const { stdout } = await host.exec("docker", ["exec", writer, "sh", "-c", "cat /notes/acks-* | wc -l"]);
    return Number(stdout);
  }

  const written = async (from: number) => until(async () => (await count()) > from + 100, 180);

  /** What a fault costs: nothing that was acknowledged, and the time until something is again. */
  async function through(fault: string, act: () => Promise<void>): Promise<void> {
    await written(await count());
    const before = await count();
    await act();
    const begins = performance.now();
    await written(await count());
    const seconds = Math.round((performance.now() - begins) / 100) / 10;
    const acks = await noted();
    const there = await committed();
    const lost = acks.filter((nonce) => !there.has(nonce)).length;
    counts[fault] = acks.length - before;
    console.log(JSON.stringify({ event: fault, acknowledged: acks.length, during: counts[fault], lost, seconds }));
    expect(there.size).toBeGreaterThan(before);
    expect(lost).toBe(0);
  }

  const inHost = async (script: string) => {
    const { code, stdout, stderr } = await host.exec("sh", ["-c", script]);
    expect(code, stderr).toBe(0);
    return stdout.trim();
  };

  test("bear kill -9 of the server", () =>
    through("kill -9 of Postgres", async () => {
      for (let times = 0; times < 3; times++) {
        const id = await idOf("db");
        await inHost(`docker exec ${id} sh -c 'kill -9 $(head -1 /var/lib/postgresql/data/postmaster.pid)'`);
        await written(await count());
      }
    }));

  test("bear a base backup", () =>
    through("a base backup", async () => {
      const { code, stdout } = await runNow("backup-base");
      expect(code, stdout).toBe(0);
    }));

  test("bear a neighbour that takes all the memory it may", () =>
    through("a neighbour out of memory", async () => {
      const image = await inHost(`docker inspect --format '{{.Image}}' ${await idOf("db")}`);
      const hog = `docker run --name hog --network none --memory 64m --memory-swap 64m --entrypoint tail ${image} /dev/zero`;
      await inHost(`${hog} || true`);
      expect(await inHost("docker inspect --format '{{.State.OOMKilled}}' hog && docker rm --volumes hog")).toBe(
        "true\nhog",
      );
    }));

  test.each(["KILL", "TERM"] as const)("bear SIG%s of Docker", (signal) =>
    through(`SIG${signal} of dockerd`, async () => {
      await host.signalDaemon(signal);
      await sleep(1000);
      await host.daemonReady();
    }),
  );

  test("bear a restart of the host", () =>
    through("a restart of the host", async () => {
      await host.reboot();
      await host.daemonReady();
    }));

  test.each([["inwards", [...ALWAYS].reverse()] as const, ["outwards", ALWAYS] as const])(
    "bear a restart of the host that starts what runs %s",
    (order, names) =>
      through(`a restart, ${order}`, async () => {
        const ids = new Map(await Promise.all(names.map(async (name) => [name, await idOf(name)] as const)));
        const restart = (policy: string) => inHost(`docker update --restart ${policy} ${[...ids.values()].join(" ")}`);
        await restart("no");
        await host.reboot();
        await host.daemonReady();
        for (const name of names) {
          await inHost(`docker start ${ids.get(name)}`);
          await sleep(1500);
        }
        await restart("always");
      }),
  );

  test("bear a full disk", () =>
    through("a full disk", async () => {
      await host.fillDisk();
      // So long that WAL and tables have to grow.
      await sleep(20_000);
      const log = await inHost(`docker logs --tail 400 ${await idOf("db")} 2>&1 || true`);
      expect(log).toContain("No space left on device");
      await host.freeDisk();
    }));

  test("bear a rollout of everything that runs", () =>
    through("a rollout of everything", async () => {
      const before = await Promise.all(["db", "pool", "writer"].map(idOf));
      change({ "commits:release": ++release });
      await up();
      const after = await Promise.all(["db", "pool", "writer"].map(idOf));
      expect(after.filter((id) => before.includes(id))).toEqual([]);
    }));

  test("bear a password's rotation", () =>
    through("a password's rotation", async () => {
      const { deployment } = await project.exportState<{ deployment: { resources: { urn: string }[] } }>();
      const { urn } = deployment.resources.find((each) => each.urn.endsWith("::db-writer-password-value"))!;
      await up(["--replace", urn]);
      expect(await retireOldLogins(engine, LABEL)).toHaveLength(1);
    }));

  test("two PgBouncers side by side take no more than the server has, with crowds before both databases", () =>
    through("PgBouncer replaced before two crowds", async () => {
      const crowds = async (does: string) => {
        for (const name of ["crowd-app", "crowd-report"])
          await inHost(`docker exec ${await idOf(name)} sh -c '${does}'`);
      };
      await crowds("touch /tmp/crowd");
      await sleep(3000);
      const most = { app: 0, report: 0, all: 0 };
      const look = async () => {
        const sql = "select datname, count(*) from pg_stat_activity where backend_type = 'client backend' group by 1";
        const rows = (await superuser(sql)).trim().split("\n");
        const now = new Map(rows.map((row) => row.split("|")).map(([name, found]) => [name, Number(found)]));
        most.app = Math.max(most.app, now.get("app") ?? 0);
        most.report = Math.max(most.report, now.get("report") ?? 0);
        most.all = Math.max(most.all, (now.get("app") ?? 0) + (now.get("report") ?? 0));
      };
      await look();
      console.log(JSON.stringify({ event: "connections of one PgBouncer", ...most }));
      // Each takes its share, and no more.
      expect([most.app, most.report]).toEqual([5, 5]);
      expect(most.all).toBeLessThanOrEqual(SERVER_CONNECTIONS);
      change({ "commits:clients": 120 });
      let ends = false;
      const updated = up().finally(() => (ends = true));
      while (!ends) await look();
      await updated;
      await crowds("rm /tmp/crowd");
      console.log(JSON.stringify({ event: "connections while it was replaced", ...most }));
      expect(most.all).toBeLessThanOrEqual(2 * SERVER_CONNECTIONS);
      const log = await inHost(`docker logs ${await idOf("db")} 2>&1`);
      expect(log).not.toMatch(/too many clients|remaining connection slots/);
    }));

  test("were at least 100,000", () => {
    const all = Object.values(counts).reduce((sum, each) => sum + each, 0);
    console.log(JSON.stringify({ event: "all", acknowledged: all, ...counts }));
    expect(all).toBeGreaterThanOrEqual(100_000);
  });
});
