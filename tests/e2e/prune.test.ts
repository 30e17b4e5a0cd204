// Somebody next door cleans up Docker, in every way that it offers, while the site is under load; and what Bulkhead itself
// cleans up, and leaves.
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startLoad, type Load } from "../support/load.ts";
import { inspectAll, removeStack, type ContainerInspect } from "../support/reach.ts";
import { startRegistry, type Registry } from "../support/registry.ts";
import { SOAK } from "../support/soak.ts";

const copy = new RepositoryCopy();
const engine = new Engine(process.env["DOCKER_HOST"]!);
const stackFile = join(copy.directory, "Pulumi.local.yaml");
const committed = readFileSync(stackFile, "utf8");
const folder = mkdtempSync(join(tmpdir(), "bulkhead-prune-"));
let registry: Registry | undefined;
let load: Load | undefined;
/** The site before anybody cleaned up. */
let serving: Map<string, string>;
let images: { first: string; second: string };

beforeAll(async () => {
  await succeed("up");
  const first = (await container("backend")).Image;
  appendFileSync(join(copy.directory, "apps/backend/reach/__init__.py"), "\n# The next release.\n");
  await succeed("up");
  images = { first, second: (await container("backend")).Image };
  serving = await services();
  // A job stays some seconds when its work is done, to be seen.
  await vi.waitFor(async () => expect((await container("backend-route-job")).State.Status).toBe("exited"), 30_000);
  const ca = readFileSync(join(copy.directory, ".bulkhead/certificates/ca.pem"), "utf8");
  // A local stack has the rate limit of production.
  load = startLoad({
    ...{ url: "https://localhost:8443/api/status", address: "127.0.0.1", ca },
    ...{ connections: 4, requestsPerSecond: 20, seconds: 900 },
  });
  await load.advance(20);
});

afterAll(async () => {
  await load?.stop().catch(() => undefined);
  // `bulkhead down` takes the time that a drain takes: make.test.ts shows it.
  const down = SOAK ? await make("down", { DATA: "delete" }) : await removeStack(engine, "reach-local");
  await registry?.stop();
  const left = await inspectAll(engine, "reach-local");
  engine.close();
  copy.remove();
  rmSync(folder, { recursive: true });
  if (down) expect(down, down.stderr).toMatchObject({ code: 0 });
  expect(left).toEqual([]);
});

const GONE = /^Gone, and not missed, as their work is done: (.+)$/m;

test.each([
  ["docker container prune", ["container", "prune", "--force"]],
  ["docker network prune", ["network", "prune", "--force"]],
  ["docker image prune -a", ["image", "prune", "--all", "--force"]],
  ["docker volume prune -a", ["volume", "prune", "--force"]],
  ["docker system prune -af", ["system", "prune", "--all", "--force"]],
  ["docker system prune -af --volumes", ["system", "prune", "--all", "--force", "--volumes"]],
])("after `%s` the site runs on, and `bulkhead audit` finds nothing that is to be cured", async (_, args) => {
  // On Docker before 23 it takes volumes with a name too, which needs --all afterwards.
  const { ApiVersion } = await engine.get<{ ApiVersion: string }>("/version");
  const all = args[0] === "volume" && Number(ApiVersion.split(".")[1]) >= 42 ? ["--all"] : [];
  const pruned = await runCommand("docker", [...args, ...all]);
  expect(pruned, pruned.stderr).toMatchObject({ code: 0 });
  expect(await services()).toEqual(serving);
  const audit = await make("audit");
  expect(audit, audit.stdout + audit.stderr).toMatchObject({ code: 0 });
  expect(audit.stdout).toContain("The host is as the stack promises.");
  const [, gone = ""] = GONE.exec(audit.stdout) ?? [];
  for (const name of ["backend-secrets-courier", "backend-route-job", "edge-door-config-courier"])
    expect(gone.split(", ")).toContain(name);
});

test("the audit still sees what somebody does to a secret whose courier is gone", async () => {
  const { Mounts } = await container("backend");
  const volume = Mounts.find(({ Destination }) => Destination === "/run/secrets")!.Name!;
  const { Image } = await container("edge");
  const inVolume = (script: string) =>
    runCommand("docker", [
      ...["run", "--rm", "--user", "0:0", "--network", "none", "--volume", `${volume}:/v`],
      ...["--entrypoint", "sh", Image, "-c", `cd /v && ${script}`],
    ]);
  expect(await inVolume("chmod 0444 *")).toMatchObject({ code: 0 });
  const audit = await make("audit");
  expect(audit.stdout).toMatch(/^backend-secrets-courier +file \S+ +0400, 1000:1000 +0444, 1000:1000$/m);
  expect(await inVolume("chmod 0400 *")).toMatchObject({ code: 0 });
});

// The test after it has a refresh before its `bulkhead up`.
test.runIf(SOAK)("the next `bulkhead up` is content, and replaces no service", async () => {
  await succeed("up");
  expect(await services()).toEqual(serving);
  expect((await make("audit")).stdout).toContain("The host is as the stack promises.");
});

test("a refresh sees what is gone; `bulkhead up` makes that anew, and rolls no service", async () => {
  expect(await pulumi("refresh --yes --skip-preview")).toMatchObject({ code: 0 });
  await succeed("up");
  expect(await services()).toEqual(serving);
  const audit = await make("audit");
  expect(audit.stdout).toBe("The host is as the stack promises.\n");
});

test("a secret is rotated", async () => {
  await prune();
  // Where a registry answers, Pulumi itself pulls what was pruned. Here only `bulkhead up` has stand-ins for it.
  await succeed("up");
  const urns = await pulumi("stack --show-urns");
  const [urn] = /urn:\S*RandomPassword::api-key-value/.exec(urns.stdout) ?? [];
  const rotated = await pulumi(`up --yes --skip-preview --replace '${urn}'`);
  expect(rotated, rotated.stdout + rotated.stderr).toMatchObject({ code: 0 });
  const now = await services();
  expect(now.get("backend")).not.toBe(serving.get("backend"));
  expect({ ...Object.fromEntries(now), backend: "" }).toEqual({ ...Object.fromEntries(serving), backend: "" });
});

test("the record of releases is there, and says of an image that is gone that it is gone", async () => {
  const file = readFileSync(stackFile, "utf8");
  const before = await services();
  const back = await make("rollback");
  expect(back.code).not.toBe(0);
  expect(back.stdout).toMatch(/^2 .* runs now *$/m);
  expect(back.stdout).toMatch(/^1 .* back to this one *$/m);
  expect(back.stderr).toContain(`backend (${images.first})`);
  expect(back.stderr).toContain("Nothing was changed");
  expect(readFileSync(stackFile, "utf8")).toBe(file);
  expect(await services()).toEqual(before);
});

test.runIf(SOAK)(
  "of twelve releases by digest the host keeps the images of ten, and a rollback pulls what was pruned",
  async () => {
    registry = await startRegistry([]);
    const base = (await container("backend")).Image;
    const releases: string[] = [];
    for (let number = 1; number <= 12; number++) {
      writeFileSync(join(folder, "content"), randomBytes(5_000_000));
      writeFileSync(join(folder, "Dockerfile"), `FROM ${base}\nCOPY content /content-${number}\n`);
      const built = await runCommand("docker", ["build", "--tag", "variant:1", folder]);
      expect(built, built.stderr).toMatchObject({ code: 0 });
      releases.push(await registry.push("variant:1", `backend:${number}`));
      expect(await runCommand("docker", ["rmi", "variant:1"])).toMatchObject({ code: 0 });
    }
    const before = await diskMb();
    // Somebody else has the first by a name of his own, and nothing that runs.
    await engine.pull(releases[0]!);
    await runCommand("docker", ["tag", releases[0]!, "somebodys:own"]);
    for (const reference of releases) {
      writeFileSync(stackFile, `${committed}  reach:images:\n    backend: ${reference}\n`);
      await succeed("up");
    }
    const there = await Promise.all(releases.map(async (reference) => Boolean(await find(reference))));
    console.log(JSON.stringify({ releases: releases.length, diskMb: { before, after: await diskMb() }, there }));
    // Ten are in the record. The first is somebody's too.
    expect(there).toEqual([true, false, ...releases.slice(2).map(() => true)]);

    await prune();
    expect(await find(releases[10]!)).toBeUndefined();
    const back = await make("rollback");
    expect(back, back.stdout + back.stderr).toMatchObject({ code: 0 });
    expect((await container("backend")).Config.Image).toBe(releases[10]);
  },
);

test("no request of all these failed", async () => {
  const { requests, failed, failures } = await load!.stop();
  load = undefined;
  console.log(JSON.stringify({ prune: "every form", requests, failed }));
  // A quick machine is done before there are many more.
  expect(requests).toBeGreaterThan(300);
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
});

async function prune(): Promise<void> {
  const pruned = await runCommand("docker", ["system", "prune", "--all", "--force", "--volumes"]);
  expect(pruned, pruned.stderr).toMatchObject({ code: 0 });
}

async function diskMb(): Promise<number> {
  return Math.round((await engine.get<{ LayersSize: number }>("/system/df")).LayersSize / 1e6);
}

function find(image: string): Promise<object | undefined> {
  return engine.find(`/images/${image}/json`);
}

/** Name to id of all that serves. */
async function services(): Promise<Map<string, string>> {
  const found = await inspectAll(engine, "reach-local");
  const running = found.filter(({ HostConfig }) => (HostConfig["RestartPolicy"] as { Name: string }).Name === "always");
  return new Map(running.map(({ Id, Config }) => [Config.Labels["bulkhead.name"]!, Id] as const).sort());
}

async function container(name: string): Promise<ContainerInspect> {
  const found = await inspectAll(engine, "reach-local");
  return found.find(({ Config }) => Config.Labels["bulkhead.name"] === name)!;
}

function make(target: string, env: Record<string, string> = {}): Promise<CommandResult> {
  return copy.make(target, { env: { STACK: "local", ...env } });
}

/** As docs/how-to/preview.md has it. */
function pulumi(command: string): Promise<CommandResult> {
  const script = `eval "$(make -s env)"; pulumi ${command}`;
  return runCommand("bash", ["-c", script], { cwd: copy.directory, env: { STACK: "local" }, timeoutMs: 300_000 });
}

async function succeed(target: string): Promise<void> {
  const result = await make(target);
  expect(result, result.stderr + result.stdout).toMatchObject({ code: 0 });
}
