// What an operator asks of a stack that runs: how it does, what it writes, a command in it, a new secret, what ran before.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { repository, RepositoryCopy } from "../support/copy.ts";
import { followLog } from "../support/followed-log.ts";
import { startLoad } from "../support/load.ts";
import { inspectAll, type ContainerInspect } from "../support/reach.ts";
import { atTerminal } from "../support/terminal.ts";

const STACK = "operate-local";
const copy = new RepositoryCopy();
const program = join(copy.directory, "tests/programs/operate");
const engine = new Engine(process.env["DOCKER_HOST"]!);

beforeAll(async () => {
  await up();
});

afterAll(async () => {
  const down = await bulkhead("down", "--delete-data", "--yes");
  const left = await inspectAll(engine, STACK);
  engine.close();
  copy.remove();
  expect(down, down.stderr).toMatchObject({ code: 0 });
  expect(left).toEqual([]);
});

test("status: all is well, and of a container that was stopped what is wrong and how it is cured", async () => {
  const well = await bulkhead("status");
  console.log(well.stdout, JSON.stringify({ statusSeconds: well.seconds }));
  expect(well, well.stdout + well.stderr).toMatchObject({ code: 0 });
  expect(well.stdout).toMatch(/^counter +node\S+ +healthy +200 +\S+(?: min)? +0 +\d+ of 256 MiB +\d\.\d\d of 1$/m);
  expect(well.stdout).toMatch(/^last update +\S+; release 1 of \S+, by \S+@\S+$/m);
  expect(well.stdout).toContain("All is well with the stack local.");
  // Not on a terminal.
  expect(well.stdout).not.toContain("\x1b");

  const { Id } = await counter();
  await engine.post(`/containers/${Id}/stop?t=1`);
  const stopped = await bulkhead("status", "--json");
  expect(stopped, stopped.stderr).toMatchObject({ code: 1 });
  const { needs } = JSON.parse(stopped.stdout) as { needs: { about: string; what: string; cure: string }[] };
  expect(needs.filter(({ about }) => about === "counter")[0]).toMatchObject({
    what: "exited, and not by itself",
    cure: expect.stringContaining("`bulkhead up --stack local` starts it") as string,
  });
  await engine.post(`/containers/${Id}/start`);
  await vi.waitFor(async () => expect((await counter()).State.Health?.Status).toBe("healthy"), 60_000);
});

test("what the page on security types shows how many connections the door refused", async () => {
  const page = readFileSync(join(repository, "docs/concepts/security.md"), "utf8");
  const [command] = /^docker exec \$\(docker ps .*$/m.exec(page)!;
  const { code, stdout, stderr } = await runCommand("sh", ["-c", command]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^# pxname,svname,\w*,?dcon\b.*\n(\S+,\S+,\d*,\d*\n){3}$/m);
});

test("exec: the exit code, both outputs, and what is piped in; an unknown service is refused", async () => {
  const ran = await bulkhead("exec", "counter", "--", "sh", "-c", "echo out; echo err >&2; exit 7");
  expect(ran).toMatchObject({ code: 7, stdout: "out\n", stderr: "err\n" });
  const input = `${"0123456789".repeat(40_000)}\n`;
  const piped = await copy.bulkhead(["exec", "counter", "--", "cat"], { cwd: program, input });
  expect(piped.code, piped.stderr).toBe(0);
  expect(piped.stdout === input).toBe(true);
  // Releases of Docker differ in which.
  expect([126, 127]).toContain((await bulkhead("exec", "counter", "--", "no-such-program")).code);
  const unknown = await bulkhead("exec", "countr", "--", "true");
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain("countr: no such service: did you mean counter? there are counter, ");
});

test("at a terminal: a shell in a service, and status --watch until Ctrl-C", async () => {
  const shell = await atTerminal([...copy.command, "exec", "counter", "--", "sh"], {
    ...{ cwd: program, answers: [["$ ", "tty; exit 7"]] },
  });
  expect(shell.text).toMatch(/^\/dev\/pts\/\d+\r$/m);
  expect(shell.code, shell.text).toBe(7);
  const well = "All is well with the stack local.";
  const watched = await atTerminal([...copy.command, "status", "--watch"], {
    ...{
      cwd: program,
      answers: [
        [well, ""],
        [well, "\x03"],
      ],
    },
  });
  expect(watched.code, watched.text).toBe(0);
  // Each look begins at the top of a screen that is empty.
  expect(watched.text.split("\x1b[H\x1b[2J").length - 1).toBeGreaterThanOrEqual(2);
});

test("logs --follow goes through a rollout: of each container every line, once", async () => {
  const before = await counter();
  const { text, stop } = followLog(copy, program, "counter");
  await vi.waitFor(() => expect(text()).toContain("INFO count"), 20_000);
  edit("first", "second");
  await up();
  const after = await counter();
  expect(after.Id).not.toBe(before.Id);
  await vi.waitFor(() => expect(countsOf(text(), after).length).toBeGreaterThan(100), 20_000);
  await stop();
  const [old, now] = [countsOf(text(), before), countsOf(text(), after)];
  console.log(JSON.stringify({ followed: { old: old.length, new: now.length } }));
  expect(old).toEqual(Array.from(old, (_, index) => old[0]! + index));
  expect(text()).toMatch(
    new RegExp(`^counter +\\S+ \\S+ INFO last run=${before.Config.Hostname} n=${old.at(-1)}$`, "m"),
  );
  expect(now).toEqual(Array.from(now, (_, index) => 1 + index));

  const { stdout } = await bulkhead("logs", "counter", "--tail", "3", "--json");
  const told = stdout.trim().split("\n");
  expect(told.map((line) => JSON.parse(line) as object)).toEqual(
    [1, 2, 3].map(() => ({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      ...{ service: "counter", stream: "stdout", text: expect.stringMatching(/^\{.*\}$/) as string },
    })),
  );

  const gone = await bulkhead("logs", "counter", "--release", "previous");
  expect(gone.code).toBe(1);
  expect(gone.stderr).toContain("no container of a former release is there any more");
});

test("releases: what ran, and what differs between two", async () => {
  const stackFile = join(program, "Pulumi.local.yaml");
  const text = readFileSync(stackFile, "utf8");
  writeFileSync(stackFile, text.replace("burst: 2000", "burst: 1999"));
  await up();
  const all = await bulkhead("releases");
  expect(all.stdout, all.stderr).toMatch(/^2 +\S+ +\S+@\S+ +counter \S+ +runs now$/m);
  const differ = await bulkhead("releases", "1", "2", "--json");
  expect(JSON.parse(differ.stdout)).toEqual({
    ...{ from: 1, to: 2 },
    differences: [{ what: "operate:edge.burst", before: "2000", after: "1999" }],
  });
});

test("rotate: says who is rolled, does it, and no request fails", async () => {
  const unknown = await bulkhead("rotate", "api-kay", "--yes");
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain("api-kay: no such generated secret: did you mean api-key? there is api-key");
  const before = await counter();
  const unasked = await bulkhead("rotate", "api-key");
  expect(unasked.stderr).toContain("nobody is here to answer: --yes, or YES=1");
  expect((await counter()).Id).toBe(before.Id);

  const value = () => bulkhead("exec", "counter", "--", "cat", "/run/secrets/api_key");
  const old = await value();
  const ca = readFileSync(join(program, ".bulkhead/certificates/ca.pem"), "utf8");
  const load = startLoad({
    ...{ url: "https://localhost:8443/", address: "127.0.0.1", ca },
    ...{ connections: 4, requestsPerSecond: 40, seconds: 300 },
  });
  await load.advance(20);
  const rotated = await bulkhead("rotate", "api-key", "--yes");
  expect(rotated, rotated.stdout + rotated.stderr).toMatchObject({ code: 0 });
  await load.advance(20);
  const { requests, failed, failures } = await load.stop();
  console.log(JSON.stringify({ rotate: "under load", requests, failed, seconds: rotated.seconds }));
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect(rotated.stdout).toMatch(/\*\*counter\*\* +\| rolled: /);
  expect((await counter()).Id).not.toBe(before.Id);
  const now = await value();
  expect(now.stdout).toMatch(/^\w{64}$/);
  expect(now.stdout === old.stdout).toBe(false);
  expect((rotated.stdout + rotated.stderr).includes(now.stdout)).toBe(false);
});

/** The numbers that a container was seen to write, in the order of the lines. */
function countsOf(text: string, { Config }: ContainerInspect): number[] {
  return [...text.matchAll(new RegExp(`run=${Config.Hostname} n=(\\d+)$`, "gm"))].map(([, n]) => Number(n));
}

function edit(from: string, to: string): void {
  copy.edit("tests/programs/operate/index.ts", `"${from}"`, `"${to}"`);
}

async function up(): Promise<void> {
  const result = await bulkhead("up");
  expect(result, result.stderr + result.stdout).toMatchObject({ code: 0 });
}

function bulkhead(...args: string[]): Promise<CommandResult> {
  return copy.bulkhead(args, { cwd: program });
}

async function counter(): Promise<ContainerInspect> {
  const found = await inspectAll(engine, STACK);
  return found.find(({ Config }) => Config.Labels["bulkhead.name"] === "counter")!;
}
