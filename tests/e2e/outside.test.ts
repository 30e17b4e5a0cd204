// What clients get, though every container says that it is well: ports that are dead, dropped packets, services that hang.
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { inspectAll, removeStack } from "../support/reach.ts";
import { inSoak } from "../support/soak.ts";

const copy = new RepositoryCopy();
const engine = new Engine(process.env["DOCKER_HOST"]!);
const make = (target: string, env: Record<string, string> = {}): Promise<CommandResult> =>
  copy.make(target, { env: { STACK: "local", ...env } });

beforeAll(async () => {
  const up = await make("up");
  expect(up, up.stderr).toMatchObject({ code: 0 });
  expect(up.stdout).toMatch(/^door +healthy +open +\S+$/m);
  expect(up.stdout).toMatch(/^frontend +\S+ +healthy +200 +\S+$/m);
});

afterAll(async () => {
  await removeStack(engine, "reach-local");
  engine.close();
  copy.remove();
});

test.each([{ port: 8443, asked: "https://127.0.0.1:8443" }, ...inSoak({ port: 2222, asked: "tcp://127.0.0.1:2222" })])(
  "port $port is dead while all is healthy: audit and doctor are red, `bulkhead up` cures it",
  async ({ port, asked }) => {
    killProxyOf(port);
    await allHealthy();
    const audit = await make("audit");
    expect(audit).toMatchObject({ code: 2 });
    expect(audit.stdout).toMatch(new RegExp(`^door +from outside: ${asked} +answers +dead: refused`, "m"));
    expect(audit.stdout).toContain("`bulkhead up --stack local` restarts the door.");
    const doctor = await make("doctor");
    expect(doctor).toMatchObject({ code: 2 });
    expect(doctor.stdout).toContain(`door: ${asked}: dead: refused`);
    const up = await make("up");
    expect(up, up.stderr).toMatchObject({ code: 0 });
    expect(up.stderr).toMatch(
      new RegExp(`^${asked}: dead for every client.*: restarting reach-local-edge-door-\\w+$`, "m"),
    );
    expect(await make("audit")).toMatchObject({ code: 0 });
  },
);

test("packets that a firewall drops are told from a dead port, and the door is left alone", async () => {
  const before = await doorStartedAt();
  const up = await behindFirewall(() => make("up"));
  expect(up.code).toBe(2);
  expect(up.stderr).toContain("door: https://127.0.0.1:8443: no answer: packets are dropped");
  expect(up.stderr).not.toContain("restart");
  expect(await doorStartedAt()).toBe(before);
  expect(await make("audit")).toMatchObject({ code: 0 });
});

test("a service that hangs is red, and the others are not", async () => {
  const backend = (await named("backend"))!.Id;
  await engine.post(`/containers/${backend}/pause`);
  let paused = true;
  const unpause = async () => paused && ((paused = false), await engine.post(`/containers/${backend}/unpause`));
  onTestFinished(async () => void (await unpause()));
  const doctor = await make("doctor");
  expect(doctor.code).toBe(2);
  expect(doctor.stdout).toContain("backend: https://localhost:8443/api: no answer in 10 s");
  expect(doctor.stdout).toMatch(/^frontend +https:\/\/localhost:8443\/health +200$/m);
  await unpause();
});

test("another health path switches the route alone, and is asked for from then on", async () => {
  const { Id } = (await named("frontend"))!;
  const undo = healthPathOfFrontend("/nothing");
  const refused = await make("up");
  expect(refused.code).toBe(2);
  expect(refused.stdout + refused.stderr).toContain("answered 404");
  // What clients are still served.
  expect((await make("doctor")).stdout).toMatch(/^frontend +https:\/\/localhost:8443\/health +200$/m);
  undo();
  const back = healthPathOfFrontend("/");
  onTestFinished(back);
  expect(await make("up")).toMatchObject({ code: 0 });
  expect((await make("doctor")).stdout).toMatch(/^frontend +https:\/\/localhost:8443\/ +200$/m);
  expect(await make("audit")).toMatchObject({ code: 0 });
  expect((await named("frontend"))!.Id).toBe(Id);
});

test("a rollback that clients cannot reach is one all the same: it ends with 3, and the stack file says it", async () => {
  const stackFile = join(copy.directory, "Pulumi.local.yaml");
  const released = readFileSync(stackFile, "utf8");
  // No container is replaced for it.
  appendFileSync(stackFile, "  reach:frontend:\n    healthTimeoutSeconds: 6\n");
  expect(await make("up")).toMatchObject({ code: 0 });
  const rollback = () =>
    // `make` has one exit code for all that fails.
    runCommand("bash", ["toolchain/run", "cli/main.ts", "rollback"], { cwd: copy.directory, env: { STACK: "local" } });
  const back = await behindFirewall(rollback);
  expect(back, back.stderr).toMatchObject({ code: 3 });
  expect(back.stderr).toContain(
    "Deployed, but clients do not reach all of it:\ndoor: https://127.0.0.1:8443: no answer",
  );
  expect(back.stderr).toContain("Commit that file");
  expect(readFileSync(stackFile, "utf8")).not.toContain("healthTimeoutSeconds");
  writeFileSync(stackFile, released);
  expect(await make("up")).toMatchObject({ code: 0 });
});

function healthPathOfFrontend(path: string): () => void {
  const until = 'port: 3000,\n  health: { test: ["CMD", "bash", "health.sh"] },\n  healthPath: ';
  return copy.edit("index.ts", `${until}"/health"`, `${until}"${path}"`);
}

/** While packets to the port are dropped. */
async function behindFirewall<Result>(act: () => Promise<Result>): Promise<Result> {
  const rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", "8443", "-j", "DROP"];
  const iptables = async (...args: string[]) => expect(await runCommand("iptables", args)).toMatchObject({ code: 0 });
  await iptables("-I", ...rule);
  try {
    return await act();
  } finally {
    await iptables("-D", ...rule);
  }
}

/** Docker's own process for a published port, in this namespace of processes: what is in another is not seen here. */
function killProxyOf(port: number): void {
  const found = readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const words = readFileSync(`/proc/${pid}/cmdline`, { encoding: "utf8", flag: "r" }).split("\0");
    return words[0]!.endsWith("docker-proxy") && words[words.indexOf("-host-port") + 1] === String(port);
  });
  expect(found).toHaveLength(1);
  process.kill(Number(found[0]), "SIGKILL");
}

async function allHealthy(): Promise<void> {
  for (const name of ["edge-door", "edge", "backend", "frontend"])
    expect((await named(name))!.State.Health!.Status).toBe("healthy");
}

async function doorStartedAt(): Promise<string> {
  const door = await engine.get<{ State: { StartedAt: string } }>(`/containers/${(await named("edge-door"))!.Id}/json`);
  return door.State.StartedAt;
}

async function named(name: string) {
  return (await inspectAll(engine, "reach-local")).find(({ Config }) => Config.Labels["bulkhead.name"] === name);
}
