// What runs otherwise than as one stateless service: replicas, a worker, and what may only run once.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import * as https from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { followLog } from "../support/followed-log.ts";
import { startLoad } from "../support/load.ts";
import { inspectAll, type ContainerInspect } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const STACK = "workers-local";
const copy = new RepositoryCopy();
const program = join(copy.directory, "tests/programs/workers");
const engine = new Engine(process.env["DOCKER_HOST"]!);

beforeAll(async () => {
  const result = await bulkhead("up");
  console.log(JSON.stringify({ firstUpSeconds: result.seconds }));
  expect(result, result.stderr + result.stdout).toMatchObject({ code: 0 });
});

afterAll(async () => {
  const down = await bulkhead("down", "--delete-data", "--yes");
  const left = await inspectAll(engine, STACK);
  engine.close();
  copy.remove();
  expect(down, down.stderr).toMatchObject({ code: 0 });
  expect(left).toEqual([]);
});

test("run: a scheduled job now, with its output and its exit code", async () => {
  const failed = await bulkhead("run", "failing");
  expect(failed).toMatchObject({ code: 3, stdout: expect.stringContaining("\nno such table\n") as string });
  const unknown = await bulkhead("run", "mail");
  expect(unknown.stderr).toContain("mail: no such scheduled job: there are failing, report");
  const metrics = await bulkhead("exec", "failing", "--", "cat", "/run/schedule/metrics.prom");
  expect(metrics.stdout).toMatch(/^bulkhead_job_runs_total 1\nbulkhead_job_failed_runs_total 1\n/);
});

test("a release of all of it loses no request of replicas; worker and job end what they have begun; what runs once is never there twice", async () => {
  const logs = followLog(copy, program, "mail");
  const both = watchFor("once");
  const [ofAll, ofOne] = [load("/"), load("/once", 4)];
  await Promise.all([ofAll.advance(20), ofOne.advance(10)]);
  copy.edit("tests/programs/workers/index.ts", 'RELEASE = "first"', 'RELEASE = "second"');
  copy.edit("tests/programs/workers/index.ts", 'ONCE = "first"', 'ONCE = "second"');
  const [job] = await running("report");
  const jobLog = followLog(copy, program, "report");
  await jobLog.until(/report \S+ \S+ INFO begins/);
  const released = await bulkhead("up");
  expect(released, released.stdout + released.stderr).toMatchObject({ code: 0 });
  await Promise.all([ofAll.advance(20), ofOne.advance(10)]);
  const [ofWeb, ofOnce] = [await ofAll.stop(), await ofOne.stop()];
  const most = await both.stop();
  console.log(
    JSON.stringify({
      ...{ web: ofWeb.requests, failed: ofWeb.failed, once: ofOnce.requests, onceFailed: ofOnce.failed },
      ...{ gapSeenSeconds: ofOnce.longestSilenceSeconds, releaseSeconds: released.seconds, mostAtOnce: most },
    }),
  );
  expect(ofWeb).toMatchObject({ failed: 0, failures: [] });
  // At most what was on its way to the old container when that ended: one on each connection.
  expect(ofOnce.failed, JSON.stringify(ofOnce.failures)).toBeLessThanOrEqual(4);
  expect(Object.keys(ofWeb.byRelease).sort()).toEqual(["first", "second"]);
  expect(Object.keys(ofOnce.byRelease).sort()).toEqual(["first", "second"]);
  expect(most).toBe(1);
  expect(released.stdout).toMatch(/once: nothing of it ran for \d+\.\d s/);
  await vi.waitFor(() => expect(logs.text()).toMatch(/told to end[^]*ended what it had begun/), 10_000);
  await logs.stop();
  expect(await running("web")).toHaveLength(2);
  // The run that had begun has ended, and the next one is the new release's.
  await jobLog.until(new RegExp(`INFO done release=first host=${job!.Config.Hostname}`));
  await jobLog.until(/INFO begins release=second/);
  await jobLog.stop();
});

test("a stop-first release that fails: the old one is started again, and what waited is answered", async () => {
  const [old] = await running("once");
  const clients = load("/once", 4);
  await clients.advance(10);
  copy.edit("tests/programs/workers/index.ts", 'ONCE = "second"', 'ONCE = "broken"');
  const failed = await bulkhead("up");
  await clients.advance(10);
  const { requests, failures, byRelease, longestSilenceSeconds } = await clients.stop();
  console.log(JSON.stringify({ requests, failures: failures.length, byRelease, longestSilenceSeconds }));
  expect(failed.code).toBe(1);
  expect(failed.stdout + failed.stderr).toMatch(/once: the old container runs again; nothing of it ran for \d+\.\d s/);
  expect((await running("once")).map(({ Id }) => Id)).toEqual([old!.Id]);
  // What was on its way to the old container when that ended, and what the release that failed held when it was killed.
  expect(failures.length, JSON.stringify(failures)).toBeLessThanOrEqual(2 * 4);
});

test("a replica that is killed loses what it held and nothing more; a client with the cookie stays with its replica", async () => {
  const first = await answer();
  const cookie = first.setCookie!;
  expect(cookie).toMatch(/^bulkhead-web=\S+; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
  const kept = new Set<string>();
  for (let n = 0; n < 6; n++) kept.add((await answer(cookie.split(";")[0])).host);
  expect([...kept]).toEqual([first.host]);

  const clients = load("/");
  await clients.advance(20);
  const [victim] = await running("web");
  await engine.post(`/containers/${victim!.Id}/kill`);
  await clients.advance(100);
  const { requests, failed, failures } = await clients.stop();
  console.log(JSON.stringify({ killed: victim!.Config.Hostname, requests, failed }));
  // At most one on each of its connections.
  expect(failed, JSON.stringify(failures)).toBeLessThanOrEqual(CONNECTIONS);
  expect((await answer(cookie.split(";")[0])).status).toBe(200);
  await engine.post(`/containers/${victim!.Id}/start`);
  // The next test begins with both.
  await expect
    .poll(async () => (await answer()).host, { timeout: 30_000, interval: 200 })
    .toBe(victim!.Config.Hostname);
});

test.runIf(SOAK)("a replica that stands still gets no more requests, and loses none when it goes on", async () => {
  const clients = load("/");
  await clients.advance(20);
  const [victim] = await running("web");
  // All but Docker's init, which a signal by Docker would reach alone.
  const signal = async (name: "STOP" | "CONT") => {
    const top = await runCommand("docker", ["top", victim!.Id, "-eo", "pid,comm"]);
    expect(top, top.stderr).toMatchObject({ code: 0 });
    const processes = top.stdout.trim().split("\n").slice(1);
    for (const line of processes.filter((each) => !/docker-init|tini/.test(each)))
      process.kill(Number.parseInt(line, 10), `SIG${name}`);
  };
  await signal("STOP");
  // Each connection may be held by it once, until the edge has found it out.
  await delay(10_000);
  const others = load("/");
  await others.advance(100);
  const { latencyMs: ofOthers, ...seen } = await others.stop();
  await signal("CONT");
  await clients.advance(50);
  const { requests, failed, failures, latencyMs, longestSilenceSeconds } = await clients.stop();
  console.log(
    JSON.stringify({ stopped: victim!.Config.Hostname, requests, failed, latencyMs, longestSilenceSeconds, ofOthers }),
  );
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect({ failed: seen.failed, failures: seen.failures }).toEqual({ failed: 0, failures: [] });
  expect(ofOthers.max).toBeLessThan(2_000);
  // It held some, or it did not stand still.
  expect(latencyMs.max).toBeGreaterThan(5_000);
  expect((await running("web")).map(({ RestartCount }) => RestartCount)).toEqual([0, 0]);
});

test.runIf(SOAK)(
  "a replica that runs out of memory is alone in it, and what killed it is sent to no other",
  async () => {
    const clients = load("/");
    await clients.advance(20);
    expect((await answer(undefined, "/eat")).status).toBe(502);
    await clients.advance(100);
    await vi.waitFor(async () => {
      const all = await running("web");
      expect(all.map(({ RestartCount }) => RestartCount).sort()).toEqual([0, 1]);
      for (const { State } of all) expect(State.Health?.Status).toBe("healthy");
    }, 60_000);
    const { requests, failed, failures } = await clients.stop();
    console.log(JSON.stringify({ outOfMemory: "web", requests, failed }));
    expect(failed, JSON.stringify(failures)).toBeLessThanOrEqual(CONNECTIONS);
  },
);

test("status, exec and logs know a worker and a scheduled job; a worker is as hardened as a service", async () => {
  // Docker looks at a job's health each 30 s.
  const health = async () => (await running("failing"))[0]!.State.Health?.Status;
  await vi.waitFor(async () => expect(await health()).toBe("unhealthy"), 35_000);
  const status = await bulkhead("status");
  expect(status.stdout).toMatch(
    /^failing: the run of now, \S+Z ended with exit code 3 after \d s\n.*`bulkhead run failing/m,
  );
  expect(status.stdout).toMatch(/^report +\S+ +healthy /m);
  expect(status.stdout).toMatch(/^mail +\S+ +healthy /m);
  const ran = await bulkhead("exec", "mail", "--", "cat", "/run/secrets/api_key");
  expect(ran.stdout).toMatch(/^\w{64}$/);
  expect((await bulkhead("logs", "mail")).stdout).toContain("working");
  const [mail] = await running("mail");
  expect(Object.keys(mail!.NetworkSettings.Networks)).toEqual([`${STACK}-internal`]);
});

const CONNECTIONS = 8;

function load(path: string, connections = CONNECTIONS) {
  const ca = readFileSync(join(program, ".bulkhead/certificates/ca.pem"), "utf8");
  return startLoad({
    ...{ url: `https://localhost:8443${path}`, address: "127.0.0.1", ca, seconds: 300, timeoutMs: 40_000 },
    ...{ connections, requestsPerSecond: 40, release: { field: "release" } },
  });
}

/** One request of a client's own. */
async function answer(cookie?: string, path = "/") {
  const ca = readFileSync(join(program, ".bulkhead/certificates/ca.pem"), "utf8");
  const headers = cookie === undefined ? {} : { cookie };
  const request = https.get(`https://localhost:8443${path}`, { ca, headers, agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const body = await text(response);
  const { host = "" } = (response.statusCode === 200 ? JSON.parse(body) : {}) as { host?: string };
  return { status: response.statusCode, setCookie: response.headers["set-cookie"]?.[0], host };
}

/** How many containers of that name run at once, at most. */
function watchFor(name: string) {
  let [most, over] = [0, false];
  const watching = (async () => {
    const filters = { label: [`bulkhead.stack=${STACK}`, `bulkhead.name=${name}`, "bulkhead.role=service"] };
    const query = `filters=${encodeURIComponent(JSON.stringify(filters))}`;
    while (!over) {
      most = Math.max(most, (await engine.get<object[]>(`/containers/json?${query}`)).length);
      await delay(50);
    }
  })();
  return {
    stop: async () => {
      over = true;
      await watching;
      return most;
    },
  };
}

/** The containers of a service that run, with its replicas. */
async function running(name: string): Promise<ContainerInspect[]> {
  const found = await inspectAll(engine, STACK);
  return found.filter(
    ({ Config: { Labels }, State }) =>
      State.Running &&
      ["service", "worker", "scheduled-job"].includes(Labels["bulkhead.role"]!) &&
      (Labels["bulkhead.name"] === name || Labels["bulkhead.for"] === name),
  );
}

function bulkhead(...args: string[]): Promise<CommandResult> {
  return copy.bulkhead(args, { cwd: program, env: { STACK: "local" } });
}
