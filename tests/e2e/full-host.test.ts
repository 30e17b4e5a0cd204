// A host whose networks are not well: Docker runs out of addresses, its rules are gone, packets are too large, no name server
// answers, a port is held. All of it in `make soak` alone.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
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
import { startLoad } from "../support/load.ts";
import { inspectAll, removeStack, type ContainerInspect } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const DOMAIN = "full.example";
const STACK = "compartments-full";

describe.runIf(SOAK)("a full host", () => {
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-full-host-"));
  let project: TestProject;
  let world: OutsideWorld;
  let config: Record<string, unknown>;
  let ca: string;

  beforeAll(async () => {
    world = await startOutsideWorld();
    // As wide as Docker's networks, whatever this machine's own way out takes.
    await run("ip", ["link", "set", "uplink", "mtu", "1500"]);
    const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
    const certificates = await makeCertificates(DOMAIN);
    ca = certificates.ca;
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

  test("what no health check of is answered in time is tried once more, and twice is told", async () => {
    const once = await deployed(up({ "compartments:busyUntil": Date.now() + 16_000 }));
    expect(once.stdout).toContain(
      "busy: no health check of it got an answer in time: the host may be busy; it is tried once more",
    );
    expect(await running()).toContain("busy");
    const twice = await up({ "compartments:busyUntil": Date.now() + 60_000 });
    expect(twice.code).not.toBe(0);
    expect(twice.stdout).toMatch(/busy: the container \S+ did not become healthy in time: it is running/);
    console.log(JSON.stringify({ onceSeconds: once.seconds, twiceSeconds: twice.seconds }));
    await deployed(up());
    expect(await running()).not.toContain("busy");
  });

  test("another volume at a folder is another release", async () => {
    await deployed(up({ "compartments:folder": "one" }));
    const mounted = async () => {
      const keeper = (await inspectAll(engine, STACK)).find(
        ({ Config }) => Config.Labels["bulkhead.name"] === "keeper",
      );
      return keeper!.Mounts.filter(({ Destination }) => Destination === "/data").map(({ Name }) => Name);
    };
    expect(await mounted()).toEqual([`${STACK}-one`]);
    await deployed(up({ "compartments:folder": "other" }));
    expect(await mounted()).toEqual([`${STACK}-other`]);
    const again = await deployed(up({ "compartments:folder": "other" }));
    expect(again.stdout).toMatch(/^ +\d+ unchanged$/m);
    await deployed(up());
  });

  test("another MTU for all networks, and none again, by plain `pulumi up`", async () => {
    for (const mtu of [1400, undefined]) {
      const { seconds } = await deployed(up(mtu === undefined ? {} : { "compartments:networks": { mtu } }));
      const clients = startLoad({
        ...{
          url: `https://${DOMAIN}:8443/page`,
          address: "127.0.0.1",
          ca,
          seconds: 30,
          connections: 2,
          requestsPerSecond: 20,
        },
      });
      await clients.advance(20);
      const { requests, failed } = await clients.stop();
      console.log(JSON.stringify({ mtu, seconds, requests, failed }));
      expect(failed).toBe(0);
      const networks = await engine.get<{ Name: string; Options: Record<string, string> }[]>("/networks");
      const own = networks.filter(({ Name }) => Name.startsWith(`${STACK}-`));
      expect(own.length).toBeGreaterThan(3);
      for (const { Name, Options } of own)
        expect(Options["com.docker.network.driver.mtu"], Name).toBe(mtu === undefined ? undefined : String(mtu));
    }
  }, 600_000);

  test("thirty services: all at once, one of them under load, and away again", async () => {
    // Docker's own pools have room for 31 networks.
    const thirty = { "compartments:networks": { subnets: "10.213.0.0/16" }, "compartments:more": 27 };
    const first = await deployed(up(thirty));
    const names = (await running()).filter((name) => /^(more-\d+|api|page|mailer)$/.test(name));
    expect(names).toHaveLength(30);
    const same = await deployed(up(thirty));
    expect(same.stdout).toMatch(/^ +\d+ unchanged$/m);
    const clients = ["more-1", "more-2"].map((name) =>
      startLoad({
        ...{ url: `https://${DOMAIN}:8443/${name}`, address: "127.0.0.1", ca, seconds: 300 },
        ...{ connections: 4, requestsPerSecond: 20 },
      }),
    );
    await Promise.all(clients.map((each) => each.advance(20)));
    const one = await deployed(up({ ...thirty, "compartments:release": "-second" }));
    await Promise.all(clients.map((each) => each.advance(20)));
    const loads = await Promise.all(clients.map((each) => each.stop()));
    const pools = (await finding("address pools")).found;
    const away = await deployed(up({ "compartments:networks": thirty["compartments:networks"] }));
    const figures = { first, same, one, away };
    const seconds = Object.fromEntries(
      Object.entries(figures).map(([name, { seconds }]) => [name, Math.round(seconds)]),
    );
    console.log(
      JSON.stringify({ services: 30, seconds, loads: loads.map(({ requests, failed }) => [requests, failed]), pools }),
    );
    for (const { failed, failures } of loads) expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(one.stdout).toMatch(/more-1 /);
    expect((await running()).filter((name) => name.startsWith("more-"))).toEqual([]);
    await deployed(project.destroy());
    expect(await running()).toEqual([]);
  }, 900_000);

  async function running(): Promise<string[]> {
    const found = (await inspectAll(engine, STACK)).filter(({ State }) => State.Running);
    return found.map((each: ContainerInspect) => each.Config.Labels["bulkhead.name"]!).sort();
  }
});
