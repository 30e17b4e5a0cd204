// What a person does with releases, in a copy of the repository: a job before one, and going back to the one before.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import type { CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startLoad } from "../support/load.ts";
import { inspectAll, removeStack, type ContainerInspect } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const copy = new RepositoryCopy();
const engine = new Engine(process.env["DOCKER_HOST"]!);
const stackFile = join(copy.directory, "Pulumi.local.yaml");
const program = join(copy.directory, "index.ts");
const asCommitted = { stackFile: readFileSync(stackFile, "utf8"), program: readFileSync(program, "utf8") };

beforeAll(async () => {
  await up();
});

afterAll(async () => {
  // `bulkhead down` takes the time that a drain takes: make.test.ts shows it.
  if (SOAK) await make("down", { DATA: "delete" });
  else await removeStack(engine, "reach-local");
  expect(await inspectAll(engine, "reach-local")).toEqual([]);
  engine.close();
  copy.remove();
});

describe("make rollback", () => {
  let first: ContainerInspect;
  let second: ContainerInspect;
  let changed: string;

  test("goes back to the image and the settings of the release before, and loses no request", async () => {
    first = await container("backend");
    appendFileSync(join(copy.directory, "apps/backend/reach/__init__.py"), "\n# The next release.\n");
    changed = `${asCommitted.stackFile}  reach:frontend:\n    memoryMb: 200 # is plenty\n`;
    writeFileSync(stackFile, changed);
    await up();
    second = await container("backend");
    expect(second.Image).not.toBe(first.Image);

    const ca = readFileSync(join(copy.directory, ".bulkhead/certificates/ca.pem"), "utf8");
    const url = "https://localhost:8443/api/status";
    // A local stack has the rate limit of production.
    const load = startLoad({
      ...{ url, address: "127.0.0.1", ca, connections: 4, requestsPerSecond: 40, seconds: 300 },
    });
    await load.advance(50);
    const back = await make("rollback");
    await load.advance(50);
    const { requests, failed, failures } = await load.stop();
    console.log(JSON.stringify({ rollback: "backend and frontend", requests, failed, seconds: back.seconds }));
    expect(back, back.stderr).toMatchObject({ code: 0 });
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(back.stdout).toMatch(/^2 .* runs now *$/m);
    expect(back.stdout).toMatch(/^1 .* back to this one *$/m);
    expect(back.stderr).toMatch(/Up after [\d.]+ s/);

    const now = await container("backend");
    expect(now.Image).toBe(first.Image);
    expect((await container("frontend")).HostConfig.Memory).toBe(256 * 1024 * 1024);
    const file = readFileSync(stackFile, "utf8");
    expect(file).toContain(`    backend: ${first.Image}\n`);
    expect(file).not.toContain("memoryMb: 200");
    expect(file).toContain("# `bulkhead up` makes them, signed by a CA of this machine.");
  });

  test("can be taken back, by the file as it was", async () => {
    writeFileSync(stackFile, changed);
    await up();
    expect((await container("backend")).Image).toBe(second.Image);
  });

  test("to a release that is not there changes nothing", async () => {
    const { code, stderr } = await make("rollback", { TO: "9" });
    expect(code).not.toBe(0);
    expect(stderr).toContain("error: TO: there is no release 9: give one of 4, 3, 2, 1");
    expect(readFileSync(stackFile, "utf8")).toBe(changed);
  });

  test("that fails leaves the file as it was, and the release that runs", async () => {
    // Its image is gone, as after a host was set up anew.
    const { Id } = await container("backend");
    await engine.delete(`/images/${first.Image}?force=1`);
    const { code, stdout, stderr } = await make("rollback", { TO: "1" });
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain(first.Image);
    expect(readFileSync(stackFile, "utf8")).toBe(changed);
    expect((await container("backend")).Id).toBe(Id);
  });
});

describe("a job before a release", () => {
  test("runs as the service, with its secrets, before the new container starts", async () => {
    release({ drainSeconds: 7 }, "import os; print(os.getuid(), len(open(os.environ['REACH_API_KEY_FILE']).read()))");
    await up();
    const job = await container("backend-pre-deploy");
    const backend = await container("backend");
    expect(job.State.ExitCode).toBe(0);
    expect(await engine.logs(job.Id, 5)).toBe("1000 64\n");
    expect(job.State.StartedAt < backend.State.StartedAt).toBe(true);
    expect(job.Image).toBe(backend.Image);
    expect(Object.keys(job.NetworkSettings.Networks)).toEqual(Object.keys(backend.NetworkSettings.Networks));
    for (const key of ["PidsLimit", "Memory", "MemorySwap", "CapDrop", "SecurityOpt", "ReadonlyRootfs"])
      expect(job.HostConfig[key], key).toEqual(backend.HostConfig[key]);
  });

  test("that fails stops the release with its last lines, and again when it is tried again", async () => {
    release({ drainSeconds: 8 }, "import sys; print('no such table: clients'); sys.exit(3)");
    const before = await container("backend");
    expect(before.Config.Env).toContain("DRAIN_SECONDS=7");
    for (const attempt of ["first", "second"]) {
      const { code, stdout, stderr } = await make("up");
      expect(code, attempt).not.toBe(0);
      expect(stdout + stderr).toMatch(
        /backend-pre-deploy: the container \S+ failed: it is exited, exit code 3[^]*?Its last lines:\n *no such table: clients/,
      );
      const { Id, State } = await container("backend");
      expect({ Id, StartedAt: State.StartedAt }).toEqual({ Id: before.Id, StartedAt: before.State.StartedAt });
    }
  });

  /** Another setting, and so another release, with a job before it. */
  function release(backend: object, python: string): void {
    writeFileSync(stackFile, `${asCommitted.stackFile}  reach:backend: ${JSON.stringify(backend)}\n`);
    const line = `  preDeploy: { command: ["python", "-c", ${JSON.stringify(python)}] },`;
    const edited = asCommitted.program.replace(
      "\n  tcp: { clients: 2222 },\n",
      `\n  tcp: { clients: 2222 },\n${line}\n`,
    );
    expect(edited).not.toBe(asCommitted.program);
    writeFileSync(program, edited);
  }
});

test.runIf(SOAK)(
  "a job and a service that are taken out of the program leave nothing behind: its paths are nobody's",
  async () => {
    const frontend = /new WebService\("frontend"[^]*?\n}\);\n/.exec(asCommitted.program)![0];
    const without = asCommitted.program.replace(frontend, "");
    expect(await statusOf("/")).toBe(200);
    writeFileSync(program, without);
    await up();
    expect(await statusOf("/")).toBe(404);
    expect(await statusOf("/api/status")).toBe(200);
    const names = (await inspectAll(engine, "reach-local")).map(({ Config }) => Config.Labels["bulkhead.name"]);
    expect(names).not.toContain("backend-pre-deploy");
    expect(names).not.toContain("frontend");
    expect(new Set(names).size).toBe(names.length);
    writeFileSync(program, asCommitted.program);
    await up();
    expect(await statusOf("/")).toBe(200);
  },
);

function statusOf(path: string): Promise<number> {
  const options = { ca: readFileSync(join(copy.directory, ".bulkhead/certificates/ca.pem")), agent: false, family: 4 };
  return new Promise((resolve, reject) => {
    const request = https.get(`https://localhost:8443${path}`, { ...options, timeout: 10_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode!);
    });
    request.on("timeout", () => request.destroy(new Error(`${path}: no answer in 10 s`)));
    request.on("error", reject);
  });
}

function make(target: string, env: Record<string, string> = {}): Promise<CommandResult> {
  return copy.make(target, { env: { STACK: "local", ...env } });
}

async function up(): Promise<void> {
  const result = await make("up");
  expect(result, result.stderr + result.stdout).toMatchObject({ code: 0 });
}

/** The one container of that name. */
async function container(name: string): Promise<ContainerInspect> {
  const found = (await inspectAll(engine, "reach-local")).filter(
    ({ Config }) => Config.Labels["bulkhead.name"] === name,
  );
  expect(found.map(({ Name }) => Name)).toHaveLength(1);
  return found[0]!;
}
