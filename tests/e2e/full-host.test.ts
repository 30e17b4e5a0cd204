// Thirty services on one host, and a host whose networks are not well: as Docker runs out of addresses, drops its rules,
// has packets that are too large. All of it in `make soak` alone.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { checks } from "../../cli/doctor/host-checks.ts";
import { gatherFacts } from "../../cli/doctor/host-facts.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { run } from "../../toolchain/steps.ts";
import { makeCertificates } from "../support/certificates.ts";
import type { CommandResult } from "../support/command.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { inspectAll, removeStack, type ContainerInspect } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const DOMAIN = "full.example";
const STACK = "compartments-full";
/** Beside the three that the program has. */
const MORE = 27;

describe.runIf(SOAK)("a full host", () => {
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-full-host-"));
  let project: TestProject;
  let world: OutsideWorld;
  let config: Record<string, unknown>;

  beforeAll(async () => {
    world = await startOutsideWorld();
    // As wide as Docker's networks, whatever this machine's own way out takes.
    await run("ip", ["link", "set", "uplink", "mtu", "1500"]);
    const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
    const certificates = await makeCertificates(DOMAIN);
    config = {
      "compartments:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
      "compartments:domain": DOMAIN,
      "compartments:certificatePem": certificates.certificate,
      "compartments:privateKeyPem": certificates.privateKey,
    };
    project = await create();
    await deployed(up());
  });

  afterAll(async () => {
    await removeStack(engine, STACK);
    project?.remove();
    await world?.stop();
    engine.close();
    rmSync(directory, { recursive: true });
  });

  function create(): Promise<TestProject> {
    const program = new URL("../programs/compartments", import.meta.url).pathname;
    return createTestProject({ stack: "full", config, program });
  }

  function up(change: Record<string, unknown> = {}): Promise<CommandResult> {
    project.setConfig({ ...config, ...change });
    return project.up();
  }

  async function deployed(running: Promise<CommandResult>): Promise<CommandResult> {
    const result = await running;
    expect(result, result.stdout + result.stderr).toMatchObject({ code: 0 });
    return result;
  }

  async function finding(name: string) {
    const edge = { address: "0.0.0.0", httpsPort: 8443, tcp: { raw: 18_022, other: 18_099 } };
    return checks[name]!(await gatherFacts(engine, { label: STACK, domain: DOMAIN, memoryMb: 0, edge }));
  }

  test.each<[check: string, is: RegExp, becomes: RegExp, breaks: () => Promise<() => unknown>]>([
    [
      "MTU",
      /^1500 in Docker's networks, 1500 on/,
      /^1500 in Docker's networks, 1300 on/,
      async () => {
        await run("ip", ["link", "set", "uplink", "mtu", "1300"]);
        return () => run("ip", ["link", "set", "uplink", "mtu", "1500"]);
      },
    ],
    [
      "firewall",
      /^has Docker's rules$/,
      /^has none of Docker's rules$/,
      async () => {
        const rules = join(directory, "rules");
        await run("sh", ["-c", `iptables-save -t nat >${rules} && iptables -t nat -F && iptables -t nat -X`]);
        return () => run("iptables-restore", ["--table=nat", rules]);
      },
    ],
    [
      "metadata",
      /does not answer containers$/,
      /^169\.254\.169\.254 answers containers$/,
      async () => {
        const serve = "require('node:http').createServer((_, response) => response.end('role')).listen(80)";
        const served = world.node(["--eval", `${serve}; setTimeout(() => process.exit(), 25_000)`]);
        const answers = () => fetch(`http://${world.metadataAddress}/`).then(({ status }) => status);
        await vi.waitFor(async () => expect(await answers()).toBe(200), 15_000);
        return () => served;
      },
    ],
    [
      "resolvers",
      /^answer from within a container$/,
      /^do not answer from within a container$/,
      async () => {
        const rule = "-p udp --dport 53 -j DROP";
        await run("sh", ["-c", `iptables -I OUTPUT ${rule} && iptables -I FORWARD ${rule}`]);
        return () => run("sh", ["-c", `iptables -D OUTPUT ${rule} && iptables -D FORWARD ${rule}`]);
      },
    ],
    [
      "ports",
      /^8443, 18022 and 18099 on 0\.0\.0\.0$/,
      /^edge\.tcp\.other: 18099 is held by \S+ \(pid \d+\)/,
      () =>
        new Promise((resolve) => {
          const holder = createServer().listen(18_099, "0.0.0.0", () => resolve(() => holder.close()));
        }),
    ],
  ])("doctor: %s", async (name, is, becomes, breaks) => {
    const before = await finding(name);
    expect(before).toMatchObject({ verdict: "ok", found: expect.stringMatching(is) as string });
    const cure = await breaks();
    const broken = await finding(name);
    await cure();
    console.log(JSON.stringify({ check: name, ...broken }));
    expect(["warn", "bad"]).toContain(broken.verdict);
    expect(broken.found).toMatch(becomes);
    expect(await finding(name)).toEqual(before);
  });

  test("doctor: as many networks as it says are left, and then none; an update that wants one more is told", async () => {
    const made: string[] = [];
    const free = async () => {
      for (const network of made.splice(0)) await run("docker", ["network", "rm", network]);
    };
    onTestFinished(free);
    const { found } = await finding("address pools");
    const room = Number(/^room for (\d+) more networks$/.exec(found)![1]);
    for (let number = 1; number <= room; number++) {
      made.push((await run("docker", ["network", "create", `filler-${number}`])).trim());
      if (number === room - 4) expect(await finding("address pools")).toMatchObject({ verdict: "warn" });
    }
    await expect(run("docker", ["network", "create", "one-too-many"])).rejects.toThrow(/non-overlapping IPv4 address/);
    expect(await finding("address pools")).toMatchObject({ verdict: "bad", found: "no room for another network" });

    const before = await running();
    const refused = await up({ "compartments:more": 1 });
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain("Docker has no addresses left for another network");
    expect(await running()).toEqual(before);
    await free();
    await deployed(up({ "compartments:more": 1 }));
    await deployed(up());
  });

  test("thirty services", { timeout: 900_000 }, async () => {
    const networks = { "compartments:networks": { subnets: "10.89.0.0/16" } };
    // Ranges of its own make the networks of a stack anew: here there is none yet.
    await removeStack(engine, STACK);
    project.remove();
    project = await create();
    const all = await deployed(up({ ...networks, "compartments:more": MORE }));
    const names = await running();
    // The door, the edge, three services and two programs without a route.
    expect(names).toHaveLength(MORE + 7);
    const again = await deployed(up({ ...networks, "compartments:more": MORE }));
    expect(again.stdout).toMatch(/^ +\d+ unchanged$/m);
    const one = await deployed(up({ ...networks, "compartments:more": MORE + 1 }));
    const memoryMb = Object.fromEntries(
      await Promise.all(["edge", "edge-door", "api"].map(async (name) => [name, await memoryOf(name)] as const)),
    );
    console.log(
      JSON.stringify({
        ...{ services: MORE + 3, firstSeconds: all.seconds, unchangedSeconds: again.seconds, oneMore: one.seconds },
        ...{ memoryMb, pools: (await finding("address pools")).found },
      }),
    );
  });

  async function running(): Promise<string[]> {
    const found = (await inspectAll(engine, STACK)).filter(({ State }) => State.Running);
    return found.map((each: ContainerInspect) => each.Config.Labels["bulkhead.name"]!).sort();
  }

  async function memoryOf(name: string): Promise<number> {
    const found = (await inspectAll(engine, STACK)).find(
      ({ State, Config }) => State.Running && Config.Labels["bulkhead.name"] === name,
    );
    interface Stats {
      memory_stats: { usage: number; stats: { inactive_file?: number; total_inactive_file?: number } };
    }
    const { memory_stats } = await engine.get<Stats>(`/containers/${found!.Id}/stats?stream=false`);
    const cached = memory_stats.stats.total_inactive_file ?? memory_stats.stats.inactive_file ?? 0;
    return Math.round((memory_stats.usage - cached) / 2 ** 20);
  }
});
