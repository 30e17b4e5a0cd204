// `bulkhead up` and `bulkhead down` as a person types them, in a copy of the repository, with a run killed in the middle.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy, repository } from "../support/copy.ts";
import { inspectAll } from "../support/reach.ts";

const copy = new RepositoryCopy();
const { directory } = copy;
const made = join(directory, ".bulkhead");
const localFile = join(made, "Pulumi.local.yaml");
const locks = join(made, "state", ".pulumi", "locks", "organization", "reach", "local");
const engine = new Engine(process.env["DOCKER_HOST"]!);
/** What only looks as if it was left behind. */
const others: string[] = [];

beforeAll(async () => {
  const up = await make("up");
  expect(up, up.stderr).toMatchObject({ code: 0 });
  expect(up.stdout).toMatch(/^SERVICE +URL +HEALTH +FROM OUTSIDE +IMAGE$/m);
  for (const service of ["backend", "door", "edge", "frontend"])
    expect(up.stdout).toMatch(new RegExp(`^${service} .* healthy +(open|\\d{3})? +\\S+$`, "m"));
  expect(up.stdout).toContain("\nOpen https://localhost:8443\n");
  expect(up.stdout).toMatch(/^Policies:\n +\S+ bulkhead@v\S+ \(local: \S+policy\)\n/m);
});

afterAll(async () => {
  if (existsSync(join(made, "Pulumi.local.yaml"))) await make("down", { DATA: "delete" });
  for (const path of others) await engine.delete(path);
  engine.close();
  copy.remove();
});

test("it answers with a certificate of this machine's own authority", async () => {
  expect(await get("/api/status", readFileSync(join(made, "certificates", "ca.pem")))).toBe(200);
  await expect(get("/api/status", undefined)).rejects.toThrow(/certificate/);
});

test("nothing that is committed is changed, and the passphrase is its owner's alone", () => {
  for (const file of ["Pulumi.local.yaml", "Pulumi.yaml"])
    expect(readFileSync(join(directory, file), "utf8")).toBe(readFileSync(join(repository, file), "utf8"));
  expect(statSync(join(made, "passphrase")).mode & 0o777).toBe(0o600);
});

test("a second `bulkhead up` changes nothing", async () => {
  const before = await ids();
  const shim = countingPulumi();
  const up = await make("up", { PATH: `${shim.directory}:${process.env["PATH"]}` });
  expect(up, up.stderr).toMatchObject({ code: 0 });
  expect(up.stdout).toMatch(/^ +\d+ unchanged$/m);
  // Each start costs about a second: the state is read from its file.
  expect(shim.asked()).toEqual(["version", `up --stack local --yes --skip-preview --config-file ${localFile}`]);
  expect(up.stdout).not.toMatch(/created|replaced|updated|deleted/);
  expect(await ids()).toEqual(before);
});

test("`bulkhead audit` finds nothing on it, and what somebody changed", async () => {
  expect(await make("audit")).toMatchObject({ code: 0, stdout: "The host is as the stack promises.\n" });
  const [edge] = (await inspectAll(engine, "reach-local")).filter(
    ({ Config }) => Config.Labels["bulkhead.name"] === "edge",
  );
  await engine.post(`/containers/${edge!.Id}/update`, { PidsLimit: 4000 });
  const found = await make("audit");
  expect(found.code).toBe(2);
  expect(found.stdout).toMatch(/^edge +pids +\d+ +4000$/m);
  expect(found.stdout).toContain("\n`bulkhead up` fixes it.\n  edge: pids\n");
  const json = JSON.parse((await make("audit", { FORMAT: "json" })).stdout) as object[];
  expect(json).toMatchObject([{ resource: "edge", field: "pids", found: "4000" }]);
  expect(await make("up")).toMatchObject({ code: 0 });
  expect(await make("audit")).toMatchObject({ code: 0 });
});

test("what is written for programs is JSON and nothing else", async () => {
  const json = async (verb: string) => {
    const args = [verb, "--stack", "local", "--json"];
    const { stdout, stderr } = await runCommand(join(directory, "bulkhead"), args, {
      cwd: directory,
      timeoutMs: 300_000,
    });
    return { stderr, said: JSON.parse(stdout) as unknown };
  };
  const preview = await json("preview");
  expect(preview.said).toMatchObject({ stack: "local", refused: false, errors: [], dataAtRisk: [] });
  expect(preview.stderr, "what Pulumi says").toMatch(/^ +\d+ unchanged$/m);
  expect((await json("doctor")).said).toMatchObject({
    checks: expect.arrayContaining([expect.objectContaining({ check: "Docker", verdict: "ok" })]) as object[],
    outside: expect.arrayContaining([expect.objectContaining({ resource: "backend", ok: true })]) as object[],
  });
  expect((await json("audit")).said).toEqual([]);
});

test("a run that is alive keeps its lock", async () => {
  drainFor(11);
  const first = make("up");
  await lockHolder();
  const [second, unlock] = [await make("up"), await make("unlock", { UNLOCK: "local" })];
  expect([second.code, unlock.code]).toEqual([2, 2]);
  const holder =
    /^error: The run of \S+@\S+ \(process \d+, since [-\d]+ [:\d]+ UTC\) works on the stack local and is alive/m;
  expect(second.stderr).toMatch(holder);
  expect(second.stderr).toContain("This run has changed nothing: wait for that one to end");
  expect(second.stderr + second.stdout).not.toContain("pulumi cancel");
  expect(unlock.stderr).toMatch(holder);
  expect(await first).toMatchObject({ code: 0 });
});

test("the lock of a run on another machine is released when someone says so, and not before", async () => {
  mkdirSync(locks, { recursive: true });
  const since = "2026-02-03T04:05:06.789Z";
  const lock = { pid: 4711, username: "deploy", hostname: `not-${hostname()}`, timestamp: since };
  writeFileSync(join(locks, "b5ac3e0e-54dc-4f1f-a5de-6b0d1f2f0b61.json"), JSON.stringify(lock));
  const holder = `The run of deploy@not-${hostname()} (process 4711, since 2026-02-03 04:05:06 UTC) holds the lock`;

  const up = await make("up");
  expect(up.code).toBe(2);
  expect(up.stderr).toContain(`error: ${holder} of the stack local. This run has changed nothing.`);
  expect(up.stderr).toContain("cannot be seen from here: wait for it to end");
  expect(up.stderr).toContain("`bulkhead unlock --stack local`");
  const unanswered = await make("unlock");
  expect(unanswered.code).toBe(2);
  expect(unanswered.stderr).toContain(holder);
  expect(unanswered.stderr).toContain("nobody is here to answer: run with UNLOCK=local");
  const wrong = await make("unlock", { UNLOCK: "prod" });
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain("the answer was prod and not local: nothing was released");
  expect(readdirSync(locks)).toHaveLength(1);

  expect(await make("unlock", { UNLOCK: "local" })).toMatchObject({ code: 0 });
  expect(readdirSync(locks)).toEqual([]);
  expect((await make("unlock")).stderr).toContain("no run holds the lock of the stack local");
});

test("a run that is killed stops nobody, and what it left is removed", async () => {
  const image = (await inspectAll(engine, "reach-local"))[0]!.Image;
  const foreign = await engine.post<{ Id: string }>("/containers/create?name=another-stacks", {
    Image: image,
    Cmd: ["true"],
    Labels: { "bulkhead.stack": "reach-locale", "bulkhead.name": "backend" },
  });
  others.push(`/containers/${foreign.Id}`);
  others.push("/volumes/reach-local-kept");
  await engine.post("/volumes/create", {
    Name: "reach-local-kept",
    Labels: { "bulkhead.stack": "reach-local", "bulkhead.data": "true" },
  });

  drainFor(12);
  const killed = make("up");
  const pid = await lockHolder();
  await until("the new backend is there", async () => (await named("backend")).length === 2);
  process.kill(pid, "SIGKILL");
  expect((await killed).code).not.toBe(0);
  // Seen when Pulumi was killed while it wrote the state.
  writeFileSync(join(made, "state", ".pulumi", "stacks", "reach", "local.json.attrs"), "");
  expect(await get("/api/status", readFileSync(join(made, "certificates", "ca.pem")))).toBe(200);

  const up = await make("up");
  expect(up, up.stderr).toMatchObject({ code: 0 });
  expect(up.stderr).toContain("releasing its lock");
  expect(up.stderr).toMatch(/^A killed run was making reach-local-backend-\w{7}: to be removed$/m);
  expect(await named("backend")).toHaveLength(1);
  expect(await engine.find(`/containers/${foreign.Id}/json`)).toBeDefined();
  expect(await volumes()).toContain("reach-local-kept");

  const next = await make("up");
  expect(next.stdout).not.toContain("pending operations");
  expect(next.stdout).toMatch(/^ +\d+ unchanged$/m);
});

test("`bulkhead down` leaves nothing but the data, until it is told to", async () => {
  const unanswered = await make("down");
  expect(unanswered).toMatchObject({ code: 2 });
  expect(unanswered.stderr).toContain("run with DATA=delete or DATA=keep");
  const mistyped = await make("down", { DATA: "delte" });
  expect(mistyped).toMatchObject({ code: 2 });
  expect(mistyped.stderr).toContain("error: DATA: is delte: give delete or keep\n");
  expect(await named("backend")).toHaveLength(1);

  const kept = await make("down", { DATA: "keep" });
  expect(kept, kept.stderr).toMatchObject({ code: 0 });
  expect(kept.stderr).toContain("Everything is removed but the data: reach-local-kept");
  expect(await inspectAll(engine, "reach-local")).toEqual([]);
  expect(await volumes()).toEqual(["reach-local-kept"]);
});

/** The stack file of the copy, with another drain: a change that rolls the backend. */
function drainFor(seconds: number): void {
  const file = join(directory, "Pulumi.local.yaml");
  const without = readFileSync(file, "utf8").replace(/ {2}reach:backend:\n {4}drainSeconds: \d+\n/, "");
  writeFileSync(file, `${without}  reach:backend:\n    drainSeconds: ${seconds}\n`);
}

/** A directory with a `pulumi` that writes down how it was called, and then is the real one. */
function countingPulumi(): { directory: string; asked: () => string[] } {
  const directory = join(copy.directory, ".bulkhead", "counting");
  const log = join(directory, "asked");
  const real = execFileSync("sh", ["-c", "command -v pulumi"]).toString().trim();
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "pulumi"), `#!/bin/sh\necho "$*" >>'${log}'\nexec '${real}' "$@"\n`, { mode: 0o755 });
  return { directory, asked: () => readFileSync(log, "utf8").trim().split("\n") };
}

function make(target: string, env: Record<string, string> = {}): Promise<CommandResult> {
  return copy.make(target, { env: { STACK: "local", ...env } });
}

function get(path: string, ca: Buffer | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      `https://localhost:8443${path}`,
      { ca, agent: false, family: 4, timeout: 10_000 },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      },
    );
    request.on("timeout", () => request.destroy(new Error("no answer in 10 s")));
    request.on("error", reject);
  });
}

async function named(name: string) {
  return (await inspectAll(engine, "reach-local")).filter(({ Config }) => Config.Labels["bulkhead.name"] === name);
}

async function ids(): Promise<string[]> {
  return (await inspectAll(engine, "reach-local")).map(({ Id }) => Id).sort();
}

async function volumes(): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: ["bulkhead.stack=reach-local"] }));
  const { Volumes } = await engine.get<{ Volumes: { Name: string }[] | null }>(`/volumes?filters=${filters}`);
  return (Volumes ?? []).map(({ Name }) => Name);
}

/** The process that holds the stack's lock, as soon as one does. */
async function lockHolder(): Promise<number> {
  const found = () => (existsSync(locks) ? readdirSync(locks) : []).find((file) => file.endsWith(".json"));
  await until("the run holds its lock", () => Promise.resolve(found() !== undefined));
  return (JSON.parse(readFileSync(join(locks, found()!), "utf8")) as { pid: number }).pid;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const start = Date.now(); !(await holds()); await delay(100))
    if (Date.now() - start > 60_000) throw new Error(`waited 60 s, but not yet: ${what}`);
}
