// Both examples where it takes long: on a host that fails, out of their backups, and beside Reach on a small host.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { images as platform } from "../../components/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { images as ofProfileDoctor } from "../../examples/profiledoctor/images.ts";
import { images as ofStatsBoard } from "../../examples/statsboard/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { currentTestEngine } from "../support/engine.ts";
import { Example } from "../support/example.ts";
import { FarExample } from "../support/far-example.ts";
import { startLoad } from "../support/load.ts";
import { inspectAll, prepareReach, type Reach } from "../support/reach.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";
import { SOAK } from "../support/soak.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { startVaultStorage, type VaultStorage } from "../support/vault-storage.ts";

interface System {
  name: "statsboard" | "profiledoctor";
  port: number;
  images: Record<string, string>;
  /** From what clients reach to what keeps data. */
  parts: string[];
  /** Puts data in through the whole chain, and gives what reads them back. */
  write: (example: Example) => Promise<() => Promise<unknown>>;
  /** What tells the rows that it keeps, for its database's superuser. */
  rows: { database: string; sql: string };
}

const SYSTEMS: System[] = [
  {
    ...{ name: "statsboard", port: 8444, images: ofStatsBoard },
    parts: ["edge-door", "edge", "site", "backend", "database"],
    rows: { database: "statsboard", sql: "select id, home_score, away_score from matches order by id" },
    write: async (board) => {
      const [token] = await board.secrets("backend", "board_token");
      const send = async (method: string, path: string, body: object) => {
        const { status, text } = await board.ask(method, path, body, { Authorization: `Bearer ${token}` });
        expect(status, text).toBeLessThan(300);
        return JSON.parse(text) as { id: number };
      };
      const [home, away] = [
        await send("POST", "/api/teams", { name: "Rovers" }),
        await send("POST", "/api/teams", { name: "United" }),
      ];
      const { id } = await send("POST", "/api/matches", { home_id: home.id, away_id: away.id });
      await send("PUT", `/api/matches/${id}/score`, { home_score: 3, away_score: 1 });
      return async () => JSON.parse((await board.ask("GET", "/api/matches")).text) as unknown;
    },
  },
  {
    ...{ name: "profiledoctor", port: 8445, images: ofProfileDoctor },
    parts: ["edge-door", "edge", "frontend", "backend", "cache", "database"],
    rows: { database: "profiles", sql: "select id, title from checks order by id" },
    write: async (doctor) => {
      const made = await doctor.ask("POST", "/api/checks", { text: "Ada Lovelace\nA team player." });
      expect(made.status, made.text).toBe(201);
      const Cookie = made.headers["set-cookie"]![0]!.split(";")[0]!;
      const { id } = JSON.parse(made.text) as { id: string };
      return async () => {
        const [all, one] = await Promise.all(
          ["/api/checks", `/api/checks/${id}`].map((path) => doctor.ask("GET", path, undefined, { Cookie })),
        );
        return { all: JSON.parse(all!.text) as unknown, one: JSON.parse(one!.text) as unknown };
      };
    },
  },
];

const PATIENCE = { timeout: 240_000, interval: 500 };

/** What one of them has, and what tells whether it still has it. */
interface Kept {
  system: System;
  example: FarExample;
  read: () => Promise<unknown>;
  written: unknown;
}

describe.skipIf(!SOAK)("profiledoctor and statsboard on a host that fails", () => {
  let host: RemoteHost;
  const all: Kept[] = [];

  beforeAll(async () => {
    host = await startRemoteHost(currentTestEngine(), "examples");
    Object.assign(process.env, host.env);
    const here = new Engine(process.env["DOCKER_HOST"]!);
    const images = SYSTEMS.map((system) => system.images);
    const wanted = { ...platform, ...images[0], ...images[1], cloudflared: undefined };
    const standIns = await provideImages(here, wanted);
    here.close();
    await host.loadImages(Object.values({ ...wanted, ...standIns }).filter((image) => image !== undefined));
    await Promise.all(SYSTEMS.map((system) => deployed(system, standIns)));
  });
  afterAll(async () => {
    await Promise.all(all.map(({ example }) => example.remove()));
    await host?.stop();
  });

  async function deployed(system: System, standIns: Record<string, string>): Promise<void> {
    const example = new FarExample(system.name, system.port, {
      engine: new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]),
      address: host.address,
      config: { host: host.url, knownHosts: host.knownHostsFile, images: ownOf(system, standIns) },
      env: { ...host.env, DOCKER_HOST: "unix:///nowhere/docker.sock" },
    });
    await example.start();
    const read = await system.write(example);
    all.push({ system, example, read, written: await read() });
  }

  async function allAreBack(what: string, since: number): Promise<void> {
    for (const { system, example, read, written } of all) {
      await expect.poll(() => read().catch((error: Error) => error.message), PATIENCE).toEqual(written);
      const seconds = Math.round((performance.now() - since) / 1000);
      await expect.poll(() => example.allHealthy().catch(() => false), PATIENCE).toBe(true);
      expect(await read()).toEqual(written);
      console.log(JSON.stringify({ event: what, system: system.name, backAfterSeconds: seconds }));
    }
  }

  test.each(["KILL", "TERM"] as const)("all data are there after the daemon got SIG%s", async (signal) => {
    const start = performance.now();
    await host.signalDaemon(signal);
    // Until it is gone, all would look well.
    await sleep(2_000);
    await host.daemonReady();
    await allAreBack(`the daemon got SIG${signal}`, start);
  });

  test("all data are there after a reboot", async () => {
    const start = performance.now();
    await host.reboot();
    await allAreBack("a reboot", start);
  });

  test.each([
    ["from the outside in", (parts: string[]) => parts],
    ["from the inside out", (parts: string[]) => parts.toReversed()],
    ["with the database last", (parts: string[]) => [...parts.slice(1, -1), parts[0]!, parts.at(-1)!]],
  ] as const)("all data are there after a reboot in which its parts start %s", async (order, sorted) => {
    const each = all.map(async ({ system, example }) => {
      const containers = await example.byName();
      expect(Object.keys(containers).sort()).toEqual([...system.parts].sort());
      return sorted(system.parts).map((part) => containers[part]!.Id);
    });
    const ids = (await Promise.all(each)).flat();
    const restart = async (policy: string) => {
      const { code, stderr } = await host.exec("docker", ["update", "--restart", policy, ...ids]);
      expect(code, stderr).toBe(0);
    };
    await restart("no");
    const start = performance.now();
    await host.reboot();
    await host.daemonReady();
    for (const id of ids) {
      await host.exec("docker", ["start", id]);
      // So long that it is at work before the next one is there.
      await sleep(1_000);
    }
    await restart("always");
    await allAreBack(`a reboot, ${order}`, start);
  });
});

describe.skipIf(!SOAK)("profiledoctor and statsboard, out of their backups", () => {
  let storage: VaultStorage;
  const examples = new Map<string, FarExample>();
  const keys = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: randomBytes(20).toString("base64url") };

  beforeAll(async () => {
    const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
    storage = await startVaultStorage(stdout.trim());
    for (const system of SYSTEMS) {
      const engine = new Engine(process.env["DOCKER_HOST"]!);
      const wanted = { ...platform, ...system.images, cloudflared: undefined };
      const example = new FarExample(system.name, system.port, {
        engine,
        address: "127.0.0.1",
        config: { host: "local", images: ownOf(system, await provideImages(engine, wanted)) },
        // It is on another day, by a state that does not know the first one's key.
        secrets: { backupKey: randomBytes(32).toString("base64url") },
      });
      examples.set(system.name, example);
      const s3 = JSON.stringify({ endpoint: storage.endpoint, bucket: storage.bucket, ...keys });
      const bucket = 'bucket && new ObjectStorage("backups", { account: account!, ...bucket });';
      example.edit("index.ts", bucket, `{ s3: (..._: string[]) => (${s3}) };`);
    }
    await Promise.all([...examples.values()].map((example) => example.start()));
  });
  afterAll(async () => {
    for (const example of examples.values()) await example.remove();
    await storage?.stop();
  });

  test.each(SYSTEMS)("a fresh stack has all that was written, and a drill of it is green", async (system) => {
    const { name, rows, write } = system;
    const example = examples.get(name)!;
    const inside = insideStack(example.stack);
    const kept = () => inside.superuserOf("database", rows.sql, rows.database);
    const read = await write(example);
    const written = await read();
    const before = await kept();
    expect(before.trim().split("\n")).toHaveLength(1);
    // A drill ends at a row of its own, which came after the data.
    await until(async () => (await inside.runNow("backup-drill")).code === 0, 180);
    const gone = performance.now();
    await example.gone();
    expect(await inside.idOf("database")).toBe("");
    await example.deployed({ restore: { database: { id: "r1", to: "latest", serve: true } } });
    const seconds = Math.round((performance.now() - gone) / 1000);
    console.log(JSON.stringify({ name, event: "restored into a fresh stack", seconds }));
    expect(await kept()).toBe(before);
    // Visitors of ProfileDoctor are known by a key that went with the state.
    if (name === "statsboard") expect(await read()).toEqual(written);
    expect((await inside.runNow("backup-drill")).code).toBe(0);
  });
});

/** The stand-ins of what a system takes: a key that it does not have is a mistake. */
function ownOf({ images }: System, standIns: Record<string, string>): Record<string, string> {
  const known = Object.keys({ ...platform, ...images });
  return Object.fromEntries(Object.entries(standIns).filter(([key]) => known.includes(key)));
}

describe.skipIf(!SOAK)("both and Reach side by side", () => {
  const MB = 1024 * 1024;
  const board = new Example("statsboard", 8444);
  const doctor = new Example("profiledoctor", 8445);
  let reach: Reach;

  beforeAll(async () => {
    await limitHost(4096 * MB);
    await board.start();
    await doctor.start();
    reach = await prepareReach({ stack: "beside", domain: "reach.test", httpsPort: 8443, tcpPort: 2222 });
    await reach.deploy();
  });
  afterAll(async () => {
    await reach?.stop();
    await doctor.remove();
    await board.remove();
    await limitHost(-1);
  });

  test("three systems serve on a host of 4 GB, and none is short of memory", async () => {
    const stacks = { statsboard: board.stack, profiledoctor: doctor.stack, reach: "reach-beside" };
    const atRest = await usedMb(stacks);
    const requests = { connections: 4, requestsPerSecond: 15, seconds: 300, address: "127.0.0.1" };
    const loads = [
      startLoad({ ...requests, url: `${board.address}/api/matches`, ca: board.ca() }),
      startLoad({ ...requests, url: `${doctor.address}/api/checks`, ca: doctor.ca() }),
      startLoad({ ...requests, url: `${reach.url}/api/status`, ca: reach.ca }),
    ];
    await Promise.all(loads.map((load) => load.advance(300)));
    const underLoad = await usedMb(stacks);
    const results = await Promise.all(loads.map((load) => load.stop()));
    const served = results.map(({ requests: all, failed }) => ({ requests: all, failed }));
    const most = Math.round(Number(readFileSync(join(cgroup(), "memory.max_usage_in_bytes"), "utf8")) / MB);
    console.log(JSON.stringify({ atRest, underLoad, served, mostEverMb: most }));
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
    for (const stack of Object.values(stacks))
      for (const { Name, State } of await inspectAll(board.engine, stack))
        expect({ Name, killed: (State as { OOMKilled?: boolean }).OOMKilled }).toEqual({ Name, killed: false });
  });

  /** Of what runs: what each stack takes, without files that the kernel may forget, and what its limits allow. */
  async function usedMb(stacks: Record<string, string>) {
    const each = Object.entries(stacks).map(async ([name, stack]) => {
      const running = (await inspectAll(board.engine, stack)).filter(({ State }) => State.Running);
      const used = running.map(async ({ Id }) => {
        const path = `/containers/${Id}/stats?stream=false&one-shot=true`;
        const { memory_stats } = await board.engine.get<Stats>(path);
        const { total_inactive_file, inactive_file } = memory_stats.stats;
        return memory_stats.usage - (total_inactive_file ?? inactive_file ?? 0);
      });
      const sum = (all: number[]) => Math.round(all.reduce((total, one) => total + one, 0) / MB);
      const limits = running.map(({ HostConfig }) => HostConfig.Memory);
      return [name, { containers: running.length, used: sum(await Promise.all(used)), limits: sum(limits) }] as const;
    });
    return Object.fromEntries(await Promise.all(each));
  }

  interface Stats {
    memory_stats: { usage: number; stats: { total_inactive_file?: number; inactive_file?: number } };
  }

  /** Where the kernel counts all containers of the test engine together. */
  const cgroup = () => `/sys/fs/cgroup/memory/bulkhead-test-${currentTestEngine().id}`;

  async function limitHost(bytes: number): Promise<void> {
    await vi.waitFor(() => writeFileSync(join(cgroup(), "memory.limit_in_bytes"), String(bytes)), 30_000);
  }
});
