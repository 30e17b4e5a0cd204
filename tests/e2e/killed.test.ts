// The deploy killed at every step of a rollout, as a machine dies under it, with clients asking all the time.
import { readdirSync, readFileSync, symlinkSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { lastLines, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startDockerProxy, type DockerProxy } from "../support/docker-proxy.ts";
import { startLoad, type Load } from "../support/load.ts";
import { CONTAINERS, inspectAll, prepareReach, snapshot, type ContainerInspect, type Reach } from "../support/reach.ts";
import { killSession } from "../support/session.ts";
import { inSoak, SOAK } from "../support/soak.ts";

/** Stacks side by side, each with a copy of the repository: what one waits for does not keep the others. */
const STACKS = ["a", ...inSoak("b", "c")];
const lanes: Lane[] = [];
const engine = new Engine(process.env["DOCKER_HOST"]!);
const bystanders: { container?: string; volume?: string } = {};
/** What changes something on the host in a rollout, in order. */
let steps: string[];

/** Points that are no call to Docker. */
const LOCKED = "the lock is taken";
const CANDIDATE = "the job has written the candidate";
const ROUTE = "the job has written the route";

/**
 * `make soak` kills at every step, `make test` at one of each kind of recovery, here and in the tests below: nothing was
 * made yet; a volume and a container that Pulumi does not know, filled; one that is not started, one that runs; a job that
 * is still at work, and one that has switched the route; an old release that is half gone.
 */
const KINDS = [LOCKED, "create backend", "start backend-route-job", "remove backend"];

/** So many releases on, the secret is as long. */
const SAME_SECRET = 3;

/** About thirty pairs of runs: the limit is for one that hangs. */
const LONG = { timeout: 3_600_000 };

beforeAll(async () => {
  // Already a first run can be killed, while it makes what has fixed names and holds ports.
  const killedAt = ["start edge-door", ...inSoak(undefined, "create network internal")];
  for (const [index, stack] of STACKS.entries()) lanes.push(await Lane.prepare(stack, 8443 + index, 2222 + index));
  await Promise.all(lanes.map((lane, index) => lane.start(killedAt[index])));
  // What only looks like a leftover of stack a.
  bystanders.container = await container("reach-a-b-backend-0123abc", "reach-a-b");
  await volume("reach-a-kept", { "bulkhead.data": "true" });
  bystanders.volume = "reach-a-kept";
});

afterAll(async () => {
  if (bystanders.container) await engine.delete(`/containers/${bystanders.container}?force=1`);
  if (bystanders.volume) await engine.delete(`/volumes/${bystanders.volume}`);
  for (const lane of lanes) await lane.stop();
  engine.close();
});

test("a rollout consists of these steps", async () => {
  const [lane] = lanes;
  const calls: string[] = [];
  lane!.release();
  await lane!.mustBeUp(await lane!.up({ onChange: (call) => calls.push(call) }));
  steps = [...new Set(calls)];
  console.log(JSON.stringify({ stepsOfARollout: calls }));
  for (const step of [
    "create volume backend-secrets-files",
    "create backend-secrets-courier",
    "archive backend-secrets-courier",
    "build backend",
    "create backend",
    "connect backend, network internal",
    "start backend",
    "update backend",
    "create backend-route-job",
    "start backend-route-job",
    "stop backend",
    "remove backend",
    "remove backend-secrets-courier",
    "remove volume backend-secrets-files",
  ])
    expect(steps).toContain(step);
});

test("killed at any of them, the site stays up and the next run puts everything in order", LONG, async () => {
  // Of these Pulumi knows nothing: someone made it forget what was pending.
  await container("reach-a-backend-0123abc", "reach-a");
  await volume("reach-a-backend-secrets-files-0123abc");
  const points = SOAK ? [LOCKED, ...steps, CANDIDATE, ROUTE] : KINDS;
  const failures = await onLanes(points, (lane, point) => lane.killedAt(point));
  expect(failures).toEqual([]);
});

test.runIf(SOAK)("also when the next run is of another release", LONG, async () => {
  const more = ["create backend-secrets-courier", "start backend", "start backend-route-job", "remove backend"];
  const points = [ROUTE, ...more];
  const failures = await onLanes(points, (lane, point) => lane.killedAt(point, { another: true }));
  expect(failures).toEqual([]);
});

test("also when the next run is back at the release before, whose route the killed one may have taken", async () => {
  const [lane] = lanes;
  // Another image alone: a secret that was made anew would be another one after it too.
  await lane!.kill("create backend-route-job", { releases: SAME_SECRET });
  // A moment later it would have been started, and would work on: the route leads to what Pulumi had not written down.
  await lane!.switchRoute();
  lane!.release(-SAME_SECRET);
  await lane!.mustBeUp(await lane!.up());
});

test("also when that run is killed too", async () => {
  const [lane] = lanes;
  await lane!.killedAt("start backend", { before: "archive backend-secrets-courier" });
});

test("no request failed, and nobody else was touched", async () => {
  const results = await Promise.all(lanes.flatMap(({ loads }) => loads.map((load) => load.stop())));
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  const worstMs = Math.round(Math.max(...results.map(({ latencyMs }) => latencyMs.max)));
  console.log(JSON.stringify({ killed: "all", requests, failed, worstMs }));
  for (const result of results) expect(result).toMatchObject({ failed: 0, failures: [], unacknowledgedIds: [] });
  const other = await engine.get<ContainerInspect>(`/containers/${bystanders.container}/json`);
  expect(other).toMatchObject({ RestartCount: 0, State: { Running: true } });
  expect((await snapshot(engine, "reach-a")).volumes).toContain("reach-a-kept");
});

test("`bulkhead down` after a run that was killed leaves nothing but data", async () => {
  const lane = lanes[0]!;
  await lane.kill("start backend-route-job");
  const down = await lane.make("down", { env: { DATA: "keep" } });
  expect(down.code, lastLines(down.stdout + down.stderr, 60)).toBe(0);
  expect(down.stderr).toContain("Everything is removed but the data: reach-a-kept");
  expect(await snapshot(engine, "reach-a")).toEqual({ containers: [], networks: [], volumes: ["reach-a-kept"] });
});

async function container(name: string, stack: string): Promise<string> {
  const { Id } = await engine.post<{ Id: string }>(`/containers/create?name=${name}`, {
    ...{ Image: (await lanes[0]!.containers())[0]!.Image, Entrypoint: ["sleep", "3600"] },
    Labels: { "bulkhead.stack": stack, "bulkhead.name": "backend" },
    // Without it no signal ends it, and who removes it waits for as long as an edge may take to end.
    HostConfig: { Init: true },
  });
  await engine.post(`/containers/${Id}/start`);
  return Id;
}

async function volume(name: string, labels: Record<string, string> = {}): Promise<void> {
  await engine.post("/volumes/create", { Name: name, Labels: { "bulkhead.stack": "reach-a", ...labels } });
}

/** Does something for each point, on whichever stack is free; gives what went wrong. */
async function onLanes(points: string[], act: (lane: Lane, point: string) => Promise<void>): Promise<string[]> {
  const left = [...points];
  const failures: string[] = [];
  await Promise.all(
    lanes.map(async (lane) => {
      for (let point = left.shift(); point !== undefined; point = left.shift())
        await act(lane, point).catch((error: Error) => {
          console.error(`${lane.stack}, ${point}: ${error.message}`);
          failures.push(`${lane.stack}, ${point}`);
        });
    }),
  );
  return failures;
}

interface RunOptions {
  env?: Record<string, string>;
  onChange?: (call: string) => void;
  onStart?: (pid: number) => void;
}

class Lane {
  readonly stack: string;
  readonly reach: Reach;
  readonly copy: RepositoryCopy;
  readonly proxy: DockerProxy;
  readonly loads: Load[] = [];
  #release = 0;
  static async prepare(stack: string, httpsPort: number, tcpPort: number): Promise<Lane> {
    const copy = new RepositoryCopy();
    const reach = await prepareReach({
      ...{ stack, domain: `${stack}.test`, httpsPort, tcpPort, program: copy.directory },
      config: { "reach:backend": { drainSeconds: 1 }, "reach:frontend": { drainSeconds: 1 } },
    });
    symlinkSync(reach.project.configFile, join(copy.directory, `Pulumi.${stack}.yaml`));
    return new Lane(stack, reach, copy, await startDockerProxy(process.env["DOCKER_HOST"]!, stack));
  }

  constructor(stack: string, reach: Reach, copy: RepositoryCopy, proxy: DockerProxy) {
    this.stack = stack;
    this.reach = reach;
    this.copy = copy;
    this.proxy = proxy;
  }

  async start(killedAt: string | undefined): Promise<void> {
    if (killedAt === undefined) this.release();
    else await this.kill(killedAt);
    await this.mustBeUp(await this.up());
    const { address, ca, url } = this.reach;
    const common = { address, ca, seconds: 3600, connections: 2, requestsPerSecond: 10 };
    this.loads.push(
      startLoad({ ...common, url: `${url}/api/status` }),
      startLoad({ ...common, url: `${url}/api/echo`, method: "POST", protocol: "http/2" }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.stop()));
    await this.reach.stop();
    this.copy.remove();
    await this.proxy.close();
  }

  /** Another image of the backend, and another secret of it. */
  release(releases = 1): void {
    this.#release += releases;
    const dockerfile = join(this.copy.directory, "apps/backend/Dockerfile");
    const lines = readFileSync(dockerfile, "utf8").replace(/^LABEL release=.*\n/m, "");
    writeFileSync(dockerfile, `${lines}LABEL release="${this.#release}"\n`);
    const program = join(this.copy.directory, "index.ts");
    writeFileSync(program, readFileSync(program, "utf8").replace(/length: \d+/, `length: ${this.#secretLength}`));
  }

  /** Of three that follow each other, all differ: see SAME_SECRET. */
  get #secretLength(): number {
    return 64 + (this.#release % SAME_SECRET);
  }

  up(options: RunOptions = {}): Promise<CommandResult> {
    return this.make("up", options);
  }

  make(target: string, { onChange = () => undefined, onStart, env: more }: RunOptions = {}): Promise<CommandResult> {
    this.proxy.onChange = onChange;
    const env = { ...more, ...this.reach.project.env, STACK: this.stack, YES: "1", DOCKER_HOST: this.proxy.host };
    return this.copy.make(target, { env, onStart, timeoutMs: 600_000 });
  }

  /**
   * A rollout that is killed, and the run after it: of the same release or of another one. Before it, the rollout can be
   * killed at another point already.
   */
  async killedAt(
    point: string,
    { another = false, before }: { another?: boolean; before?: string } = {},
  ): Promise<void> {
    if (before !== undefined) await this.kill(before);
    const killed = await this.kill(point, { sameRelease: before !== undefined });
    // The run's last steps, which record the release, come when Pulumi has ended.
    const locked = this.#locks().length > 0;
    expect(locked).toBe(!/ release(-writer)?$/.test(point));
    expect(await this.reach.request("/api/status")).toMatchObject({ status: 200 });
    const left = (await this.containers()).length - CONTAINERS.length;
    if (another) this.release();
    const next = await this.up();
    const [seconds, nextSeconds] = [killed, next].map((run) => Math.round(run.seconds * 10) / 10);
    console.log(JSON.stringify({ killedAfter: point, stack: this.stack, another, left, seconds, nextSeconds }));
    if (locked) expect(next.stderr).toContain("releasing its lock");
    await this.mustBeUp(next);
  }

  /** A rollout of a new release, or of the one that was killed last, that is killed at some point. */
  async kill(point: string, { sameRelease = false, releases = 1 } = {}): Promise<CommandResult> {
    if (!sameRelease) this.release(releases);
    let pid: number | undefined;
    let reached = false;
    const kill = () => {
      if (reached) return;
      reached = true;
      killSession(pid!);
    };
    const file =
      point === ROUTE ? /^backend-route\.yml$/ : point === CANDIDATE ? /^backend-route\..*candidate\.yml$/ : undefined;
    const watcher = file && watch(await this.#routes(), (_, written) => file.test(written ?? "") && kill());
    let over = false;
    const waiting = (async () => {
      for (; !over && point === LOCKED && !reached; await delay(10)) if (this.#locks().length > 0) kill();
    })();
    try {
      const result = await this.up({
        onStart: (leader) => (pid = leader),
        onChange: (call) => call === point && kill(),
      });
      if (!reached) throw new Error(`the run did not come to it: ${lastLines(result.stderr + result.stdout, 20)}`);
      return result;
    } finally {
      over = true;
      watcher?.close();
      await waiting;
    }
  }

  /** What the job of a route does that a killed run has made and not started. */
  async switchRoute(): Promise<void> {
    const serving = async () =>
      (JSON.parse((await this.reach.request("/api/status")).text) as { release: string }).release;
    const before = await serving();
    const job = (await this.containers()).find(
      ({ Config, State }) => Config.Labels["bulkhead.name"] === "backend-route-job" && State.Status === "created",
    );
    await engine.post(`/containers/${job!.Id}/start`);
    await expect.poll(serving, { timeout: 20_000 }).not.toBe(before);
  }

  #locks(): string[] {
    const directory = join(this.reach.project.directory, "state/.pulumi/locks/organization/reach", this.stack);
    try {
      return readdirSync(directory).filter((file) => file.endsWith(".json"));
    } catch {
      return [];
    }
  }

  /** Where the edge's route files are. */
  async #routes(): Promise<string> {
    return (await engine.get<{ Mountpoint: string }>(`/volumes/reach-${this.stack}-routes-2`)).Mountpoint;
  }

  containers(): Promise<ContainerInspect[]> {
    return inspectAll(engine, `reach-${this.stack}`);
  }

  /** The run was good, the wanted release serves, and there is nothing but what is wanted. */
  async mustBeUp({ code, stdout, stderr }: CommandResult): Promise<void> {
    expect(code, lastLines(stdout + stderr, 60)).toBe(0);
    const containers = await this.containers();
    const names = containers.map(({ Config }) => Config.Labels["bulkhead.name"]!).sort();
    expect(names).toEqual(CONTAINERS);
    const backend = containers.find(({ Config }) => Config.Labels["bulkhead.name"] === "backend")!;
    expect(backend.Config.Labels["release"]).toBe(String(this.#release));
    expect(readFileSync(`/proc/${backend.State.Pid}/root/run/secrets/reach_api_key`)).toHaveLength(this.#secretLength);
    const status = await this.reach.request("/api/status");
    expect(JSON.parse(status.text)).toMatchObject({ release: backend.Config.Hostname });

    const { volumes, networks } = await snapshot(engine, `reach-${this.stack}`);
    const kept = new RegExp(`^reach-${this.stack}-(kept|release-\\d+)$`);
    expect(volumes.filter((name) => !kept.test(name)).map((name) => name.replace(/-[0-9a-f]{7}$/, "-"))).toEqual(
      [
        "backend-secrets-files-",
        "edge-door-config-files-",
        "edge-plugin-files-",
        "edge-secrets-files-",
        "routes-2",
      ].map((name) => `reach-${this.stack}-${name}`),
    );
    // Four of the stack, and one for each service.
    expect(networks).toHaveLength(6);
    expect(readdirSync(await this.#routes()).filter((file) => /candidate|tmp/.test(file))).toEqual([]);

    const state = this.#state();
    expect(state.pending_operations ?? []).toEqual([]);
    const ids = state.resources.filter(({ type }) => type === "docker:index/container:Container").map(({ id }) => id!);
    expect(ids.sort()).toEqual(containers.map(({ Id }) => Id).sort());
  }

  /** What Pulumi has stored. */
  #state(): State {
    const file = join(this.reach.project.directory, "state/.pulumi/stacks/reach", `${this.stack}.json`);
    return (JSON.parse(readFileSync(file, "utf8")) as { checkpoint: { latest: State } }).checkpoint.latest;
  }
}

interface State {
  resources: { type: string; id?: string }[];
  pending_operations?: object[];
}
