// Workers, scheduled jobs and images of a private registry on a host over ssh, which also restarts in the middle of a run.
// In `make soak` alone; each has a test of its own on this machine.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse, stringify } from "yaml";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { currentTestEngine } from "../support/engine.ts";
import { images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { inspectAll, type ContainerInspect } from "../support/reach.ts";
import { loginFile, startRegistry, type Registry } from "../support/registry.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";
import { SOAK } from "../support/soak.ts";

const STACK = "workers-far";
const DOMAIN = "far.test";
const GUARD = { user: "shop", token: "a-token-of-the-registry-0123456789" };

describe.runIf(SOAK)("on a host over ssh", { timeout: 600_000 }, () => {
  const copy = new RepositoryCopy();
  const program = join(copy.directory, "tests/programs/workers");
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-far-shapes-"));
  let host: RemoteHost;
  let engine: Engine;
  let registry: Registry;
  /** Where its state is. */
  let project: TestProject;
  /** In the registry alone. */
  let node: string;

  beforeAll(async () => {
    const here = new Engine(process.env["DOCKER_HOST"]!);
    const wanted = { traefik: pinned.traefik, haproxy: pinned.haproxy, node: pinned.node };
    const { traefik, haproxy, node: image } = { ...wanted, ...(await provideImages(here, wanted)) };
    here.close();
    host = await startRemoteHost(currentTestEngine(), "far-shapes");
    engine = new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]);
    Object.assign(process.env, host.env);
    await host.loadImages([traefik, haproxy]);
    registry = await startRegistry([host], { ...GUARD, ...(await makeCertificates("127.0.0.1")) });
    node = await registry.push(image, "shop/node:1");
    const { certificate, privateKey } = await makeCertificates(DOMAIN);
    writeFileSync(join(folder, "leaf.pem"), certificate);
    writeFileSync(join(folder, "leaf.key"), privateKey, { mode: 0o600 });
    mkdirSync(join(folder, "no-login"));
    const settings = {
      ...{ host: host.url, knownHosts: host.knownHostsFile, domain: DOMAIN, images: { traefik, haproxy, node } },
      edge: { address: host.address, httpsPort: 8443, keepAliveSeconds: 4 },
      certificates: {
        ...{ kind: "files", certificate: join(folder, "leaf.pem"), privateKey: join(folder, "leaf.key") },
      },
    };
    const config = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`workers:${key}`, value]));
    project = await createTestProject({ stack: "far", program, config });
    writeFileSync(join(program, "Pulumi.far.yaml"), readFileSync(project.configFile));
  });

  afterAll(async () => {
    engine?.close();
    await registry?.stop();
    await host?.stop();
    project?.remove();
    copy.remove();
    rmSync(folder, { recursive: true });
  });

  test("a private registry is asked as the stack or docker's login here says, and refusals come before all else", async () => {
    const address = node.split("/")[0]!;
    const refused = await bulkhead("up", "--yes");
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain(`images.node: ${address} wants to know who asks`);
    await setRegistry("user", GUARD.user);
    await setRegistry("token", "wrong");
    const wrong = await bulkhead("up", "--yes");
    expect(wrong.stdout + wrong.stderr).toContain(
      `images.node: ${address} refuses the user shop: give one that may pull`,
    );
    expect((await host.docker(["ps", "--all", "--quiet"])).stdout).toBe("");

    await setRegistry("token", GUARD.token);
    const up = await bulkhead("up", "--yes");
    console.log(JSON.stringify({ event: "first up", seconds: up.seconds }));
    expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
    expect((await running("mail"))[0]!.Config.Image).toBe(node);
    for (const said of [refused, wrong, up]) expect(said.stdout + said.stderr).not.toContain(GUARD.token);
    // Nowhere in clear: not in the state or the stack file, and not on the host.
    for (const place of [join(project.directory, "state"), join(program, "Pulumi.far.yaml")])
      expect(await runCommand("grep", ["-rF", GUARD.token, place])).toMatchObject({ code: 1 });
    const places = ["/root", "/home", "/etc", "/var/lib/docker/containers", "/var/lib/docker/volumes"];
    expect(await host.exec("grep", ["-rlF", GUARD.token, ...places])).toMatchObject({ code: 1, stdout: "" });

    // The host has it no more, and the login is docker's of this machine.
    const file = parse(readFileSync(join(program, "Pulumi.far.yaml"), "utf8")) as { config: Record<string, unknown> };
    delete file.config["workers:registries"];
    writeFileSync(join(program, "Pulumi.far.yaml"), stringify(file));
    writeFileSync(join(folder, "no-login/config.json"), loginFile(address, GUARD));
    await gone(node);
    // As an update says to whoever took a container away by hand.
    expect((await bulkhead("up", "--yes")).stdout).toContain("run `pulumi refresh`, then this again");
    const refresh = await runCommand("pulumi", ["refresh", "--yes", "--skip-preview", "--stack", "far"], {
      ...{ cwd: program, env: project.env, timeoutMs: 200_000 },
    });
    expect(refresh, refresh.stdout + refresh.stderr).toMatchObject({ code: 0 });
    const again = await bulkhead("up", "--yes");
    expect(again, again.stdout + again.stderr).toMatchObject({ code: 0 });
    expect(await host.docker(["image", "inspect", "--format", "ok", node])).toMatchObject({ code: 0 });
  });

  test("a release lets a worker and a run end what they have begun", async () => {
    const [mail] = await running("mail");
    const [report] = await running("report");
    const log = follow(mail!);
    await begun(report!);
    copy.edit("tests/programs/workers/index.ts", 'RELEASE = "first"', 'RELEASE = "second"');
    const released = await bulkhead("up", "--yes");
    console.log(JSON.stringify({ event: "release", seconds: released.seconds }));
    expect(released, released.stdout + released.stderr).toMatchObject({ code: 0 });
    expect(await log).toMatch(/told to end[^]*ended what it had begun/);
    const [next] = await running("report");
    expect(next!.Id).not.toBe(report!.Id);
    await begun(next!);
    const status = await bulkhead("status");
    for (const name of ["mail", "report"]) expect(status.stdout).toMatch(new RegExp(`^${name} +\\S+ +healthy `, "m"));
    expect(await metrics("report")).toMatchObject({ failed_runs_total: 0, skipped_runs_total: 0 });
    const ran = await bulkhead("run", "failing");
    expect(ran).toMatchObject({ code: 3, stdout: expect.stringContaining("no such table") as string });
  });

  test("a run that the host's restart cuts off is told and counted, overlaps no other, and the next one comes", async () => {
    const [report] = await running("report");
    const before = await metrics("report");
    await begun(report!);
    await host.reboot();
    await host.daemonReady();
    await vi.waitFor(async () => expect(eventsIn(await logOf(report!))).toContain("cut off"), {
      timeout: 58_000,
      interval: 500,
    });
    const cut = await metrics("report");
    expect(cut["failed_runs_total"]).toBe(before["failed_runs_total"]! + 1);
    await vi.waitFor(
      async () =>
        expect(eventsIn(await logOf(report!)).slice(-3)).toEqual(["cut off", "begins", "ended with exit code 0"]),
      { timeout: 90_000, interval: 2000 },
    );
    expect(overlapsIn(eventsIn(await logOf(report!)))).toEqual([]);
    const after = await metrics("report");
    console.log(JSON.stringify({ before, cut, after }));
    expect(after).toMatchObject({ failed_runs_total: cut["failed_runs_total"], missed_runs_total: 0 });
    expect(after["skipped_runs_total"]).toBe(0);
    // The next run ended well, which may be before Docker looked at its health, or anybody at `status`.
    await vi.waitFor(
      async () => {
        const { stdout } = await bulkhead("status");
        expect(stdout).toMatch(/^report +\S+ +healthy /m);
        expect(stdout).toMatch(
          /^report before +the run that began at \d{4}-\d\d-\d\dT\d\d:\d\d was cut off when this container ended$/m,
        );
      },
      { timeout: 60_000, interval: 2000 },
    );
    // Of before, it is what it was.
    expect((await running("report"))[0]!.Id).toBe(report!.Id);
    expect((await running("mail"))[0]!.State.Health!.Status).toBe("healthy");
  });

  test("one by hand that is cut off ends the command, and is told", async () => {
    const [report] = await running("report");
    const before = await metrics("report");
    // Not while a run of the schedule goes on.
    await vi.waitFor(async () => expect(eventsIn(await logOf(report!)).at(-1)).toBe("ended with exit code 0"), {
      timeout: 70_000,
      interval: 500,
    });
    const asked = bulkhead("run", "report");
    await vi.waitFor(async () => expect((await host.docker(["top", report!.Id])).stdout).toContain("schedule now"), {
      timeout: 30_000,
      interval: 500,
    });
    await host.reboot();
    const ran = await asked;
    await host.daemonReady();
    console.log(JSON.stringify({ event: "run by hand, cut off", code: ran.code, said: ran.stdout + ran.stderr }));
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("report: the connection broke off (");
    await vi.waitFor(
      async () => expect((await metrics("report"))["failed_runs_total"]).toBe(before["failed_runs_total"]! + 1),
      { timeout: 30_000, interval: 1000 },
    );
  });

  test("a run that ends within the ten seconds of a daemon that is told to end is none that was cut off", async () => {
    const [report] = await running("report");
    const before = await metrics("report");
    await begun(report!);
    await host.signalDaemon("TERM");
    await host.daemonReady();
    await vi.waitFor(
      async () => expect(eventsIn(await logOf(report!)).slice(-2)).toEqual(["begins", "ended with exit code 0"]),
      { timeout: 90_000, interval: 2000 },
    );
    const after = await metrics("report");
    console.log(JSON.stringify({ event: "daemon told to end", before, after }));
    expect(after["failed_runs_total"]).toBe(before["failed_runs_total"]);
    expect(overlapsIn(eventsIn(await logOf(report!)))).toEqual([]);
  });

  test("what may only run once is never there twice, also if the host restarts while one takes the other's place", async () => {
    const once = async (...args: string[]) => {
      const filter = ["--filter", `label=bulkhead.stack=${STACK}`, "--filter", "label=bulkhead.name=once"];
      const { stdout } = await host.docker([
        "ps",
        "--quiet",
        ...filter,
        "--filter",
        "label=bulkhead.role=service",
        ...args,
      ]);
      return stdout.trim().split("\n").filter(Boolean);
    };
    const [old] = await once();
    // One that takes its time to be unhealthy.
    copy.edit("tests/programs/workers/index.ts", 'ONCE = "first"', 'ONCE = "broken"');
    const failing = bulkhead("up", "--yes");
    await vi.waitFor(
      async () => {
        const [there, now] = [await once("--all"), await once()];
        expect(there.length === 2 && now.length === 1 && now[0] !== old).toBe(true);
      },
      { timeout: 300_000, interval: 200 },
    );
    await host.reboot();
    await host.daemonReady();
    let most = 0;
    for (const until = Date.now() + 30_000; Date.now() < until;) most = Math.max(most, (await once()).length);
    const failed = await failing;
    console.log(
      JSON.stringify({ event: "restart in the gap", most, code: failed.code, said: failed.stdout.slice(-1500) }),
    );
    expect(most).toBeLessThanOrEqual(1);
    expect(failed.code).not.toBe(0);
    copy.edit("tests/programs/workers/index.ts", 'ONCE = "broken"', 'ONCE = "second"');
    const up = await bulkhead("up", "--yes");
    expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
    expect((await once()).length).toBe(1);
    const policy = ["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", ...(await once())];
    expect((await host.docker(policy)).stdout.trim()).toBe("always");
  });

  test("down leaves nothing there", async () => {
    const down = await bulkhead("down", "--delete-data", "--yes");
    expect(down, down.stdout + down.stderr).toMatchObject({ code: 0 });
    expect(await inspectAll(engine, STACK)).toEqual([]);
  });

  function bulkhead(...args: string[]): Promise<CommandResult> {
    const { PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE_FILE } = project.env;
    return copy.bulkhead(args, {
      ...{ cwd: program, timeoutMs: 400_000 },
      env: {
        ...{ STACK: "far", DOCKER_HOST: "unix:///nowhere/docker.sock", DOCKER_CONFIG: join(folder, "no-login") },
        ...{ PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE_FILE },
      },
    });
  }

  /** As docs/how-to/private-registry.md says. */
  async function setRegistry(key: "user" | "token", value: string): Promise<void> {
    const secret = key === "token" ? ["--secret"] : [];
    const path = `registries["${node.split("/")[0]}"].${key}`;
    const args = ["config", "set", ...secret, "--path", path, "--stack", "far"];
    expect(await runCommand("pulumi", args, { cwd: program, env: project.env, input: value })).toMatchObject({
      code: 0,
    });
  }

  /** Takes an image and what runs of it away from the host. */
  async function gone(image: string): Promise<void> {
    const { stdout } = await host.docker(["ps", "--all", "--quiet", "--filter", `ancestor=${image}`]);
    await host.docker(["rm", "--force", ...stdout.trim().split("\n")]);
    expect(await host.docker(["rmi", "--force", image])).toMatchObject({ code: 0 });
  }

  async function running(name: string): Promise<ContainerInspect[]> {
    return (await inspectAll(engine, STACK)).filter(
      ({ Config: { Labels }, State }) =>
        State.Running &&
        ["worker", "scheduled-job"].includes(Labels["bulkhead.role"]!) &&
        Labels["bulkhead.name"] === name,
    );
  }

  async function metrics(name: string): Promise<Record<string, number>> {
    const { stdout } = await bulkhead("exec", name, "--", "cat", "/run/schedule/metrics.prom");
    const lines = [...stdout.matchAll(/^bulkhead_job_(\w+) (\d+)$/gm)];
    return Object.fromEntries(lines.map(([, key, value]): [string, number] => [key!, Number(value)]));
  }

  async function logOf({ Id }: ContainerInspect): Promise<string> {
    const { stdout, stderr } = await host.docker(["logs", Id]);
    return stdout + stderr;
  }

  /** All that it writes until it ends. */
  async function follow({ Id }: ContainerInspect): Promise<string> {
    return (await host.docker(["logs", "--follow", Id], { timeoutMs: 300_000 })).stdout;
  }

  /** Waits for the next run of its schedule to begin. */
  async function begun(job: ContainerInspect): Promise<void> {
    const begins = async () => eventsIn(await logOf(job)).filter((event) => event === "begins").length;
    const before = await begins();
    await vi.waitFor(async () => expect(await begins()).toBeGreaterThan(before), { timeout: 75_000, interval: 500 });
  }
});

/** What became of the runs, in order. */
function eventsIn(log: string): string[] {
  const lines = log.matchAll(
    /^schedule: the run (?:of .*?|that began at \S+ was) (begins|cut off|ended with exit code \d+)/gm,
  );
  return [...lines].map(([, event]) => event!);
}

/** Runs that began while another went on. */
function overlapsIn(events: readonly string[]): string[] {
  return events.filter((event, index) => event === "begins" && events[index - 1] === "begins");
}
