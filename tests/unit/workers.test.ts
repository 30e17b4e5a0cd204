import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { ScheduledJob } from "../../components/host/scheduled-job.ts";
import { Worker, type WorkerArgs } from "../../components/host/worker.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, containers, hex, label, record } from "../../testing/recorder.ts";
import { SHELLS } from "../support/shells.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const HEALTH = { test: ["CMD", "true"] };

function workerOf(args: Partial<WorkerArgs>) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const networks = new Networks("networks", { host });
    new Worker("mail", {
      ...{ host, image: IMAGE, networks: [networks.internal], health: HEALTH, drainSeconds: 20 },
      limits: { memoryMb: 64, cpus: 1, pids: 32 },
      ...args,
    });
  });
}

test("a worker is hardened and drains as a service does, without a route", async () => {
  const recording = await workerOf({
    ...{ env: { MODE: "x" }, command: ["work"], secrets: { API_KEY: "hidden" } },
    preDeploy: { command: ["migrate"] },
  });
  const { inputs, options } = container(recording, "mail");
  expect(inputs).toMatchObject({
    ...{ user: "1000:1000", readOnly: true, memory: 64, memorySwap: 64, restart: "always", wait: true, ports: [] },
    ...{ envs: ["MODE=x", "API_KEY_FILE=/run/secrets/api_key", "DRAIN_SECONDS=20"], command: ["work"] },
    ...{ destroyGraceSeconds: 25, networksAdvanced: [{ name: "reach-test-internal" }] },
  });
  expect(options.deleteBeforeReplace).toBe(false);
  expect(inputs.healthcheck?.tests).toEqual(["CMD", "/bin/sh", "-c", expect.any(String), "health", "10", "true"]);
  expect(label(container(recording, "mail"), "bulkhead.role")).toBe("worker");
  expect(containers(recording).map(({ name }) => name)).toEqual(["mail-secrets-courier", "mail-pre-deploy", "mail"]);
  expect(label(container(recording, "mail-pre-deploy"), "bulkhead.for")).toBe("mail");
});

test("a heartbeat is a health check by the age of a file, and hangs as a command does", async () => {
  const recording = await workerOf({ health: undefined, heartbeat: { path: "/tmp/beat", maxAgeSeconds: 15 } });
  const tests = container(recording, "mail").inputs.healthcheck!.tests!;
  expect(tests.slice(4)).toEqual(["health", "10", "/bin/sh", "-c", expect.any(String), "heartbeat", "/tmp/beat", "15"]);
});

/** The shells of Debian's images and of Alpine's. */

test.each(SHELLS)("in %s a heartbeat is well while it is young", async (...shell) => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-heartbeat-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "beat");
  const recording = await workerOf({ health: undefined, heartbeat: { path, maxAgeSeconds: 15 } });
  const [script, ...args] = container(recording, "mail").inputs.healthcheck!.tests!.slice(8);
  const look = () => {
    const began = Date.now();
    const { status, stdout } = spawnSync(shell[0], [...shell.slice(1), "-c", script!, ...args], { encoding: "utf8" });
    return { status, stdout, seconds: (Date.now() - began) / 1000 };
  };
  const written = (secondsAgo: number) => {
    const at = Date.now() / 1000 - secondsAgo;
    writeFileSync(path, "");
    utimesSync(path, at, at);
  };
  expect(look()).toMatchObject({ status: 1, stdout: `there is no heartbeat ${path}\n` });
  written(10);
  expect(look()).toMatchObject({ status: 0, stdout: "" });
  written(40);
  const old = look();
  expect(old).toMatchObject({ status: 1, stdout: expect.stringMatching(/ is 4\d s old, and may be 15\n$/) as string });
  // Which the check around it takes for a hang.
  expect(old.seconds).toBeGreaterThan(1.99);
});

test("replicas have a number after their name, and say whose they are", async () => {
  const recording = await workerOf({ replicas: 3 });
  const roles = containers(recording).filter((each) => label(each, "bulkhead.role") === "worker");
  expect(roles.map((each) => [each.name, label(each, "bulkhead.for")])).toEqual([
    ["mail", undefined],
    ["mail-2", "mail"],
    ["mail-3", "mail"],
  ]);
});

test.each([
  ["start-first", [false, false]],
  ["one-by-one", [true, true]],
] as const)("replicas that start %s wait for each other: %j", async (rollout, waits) => {
  const recording = await workerOf({ replicas: 3, rollout });
  // The component, as what it is made of waits for it.
  const of = (name: string) =>
    recording.resources.find((each) => each.name === name && each.type === "bulkhead:index:Container")!;
  expect([
    of("mail-2").options.dependencies.includes(container(recording, "mail").urn),
    of("mail-3").options.dependencies.includes(container(recording, "mail-2").urn),
  ]).toEqual(waits);
});

test("stop-first is told by a label, and nothing is deleted before it is replaced", async () => {
  const mail = container(await workerOf({ rollout: "stop-first" }), "mail");
  expect(label(mail, "bulkhead.rollout")).toBe("stop-first");
  expect(mail.options.deleteBeforeReplace).toBe(false);
  expect(mail.inputs.networksAdvanced).toEqual([{ name: "reach-test-internal", aliases: ["mail-only"] }]);
});

test("workers, replicas and scheduled jobs keep every invariant; only a scheduled job writes to a schedule", async () => {
  const limits = { memoryMb: 64, cpus: 1, pids: 32 };
  const recording = await record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const { internal } = new Networks("networks", { host });
    const common = { host, image: IMAGE, networks: [internal], limits, secrets: { API_KEY: "hidden" } };
    new Worker("mail", { ...common, health: HEALTH, drainSeconds: 20, replicas: 2 });
    new Worker("once", { ...common, health: HEALTH, drainSeconds: 20, rollout: "stop-first" });
    new ScheduledJob("report", { ...common, schedule: "@daily", command: ["report"] });
  });
  const complaints = () => Object.values(invariants).flatMap((complaintsOf) => complaintsOf(recording));
  expect(complaints()).toEqual([]);
  const role = container(recording, "report").inputs.labels!.find(({ label }) => label === "bulkhead.role")!;
  role.value = "service";
  expect(complaints()).toEqual(["report: may write to reach-test-report-schedule at /run/schedule"]);
});

test.each<[Partial<WorkerArgs>, string]>([
  [
    { health: undefined },
    "mail: has no health check: give health, a command, or heartbeat, a file that it writes while it works",
  ],
  [{ heartbeat: { path: "/tmp/beat", maxAgeSeconds: 15 } }, "mail: has health and heartbeat: give one of them"],
  [
    { health: undefined, heartbeat: { path: "tmp/beat", maxAgeSeconds: 0 } },
    "mail: heartbeat.path: tmp/beat is not the path of a file: give one like /tmp/heartbeat\n" +
      "mail: heartbeat.maxAgeSeconds: 0 is not a whole number from 1: give seconds",
  ],
  [
    { health: undefined, heartbeat: { path: "/tmp/beat", maxAgeSeconds: 5, deadlineSeconds: 0 } },
    "mail: heartbeat.deadlineSeconds: 0 is not a whole number from 1: give seconds",
  ],
  [{ reviveAfterHangs: -1 }, "mail: reviveAfterHangs: -1 is not a whole number from 0: give one, 0 for never"],
  [{ user: "www-data" }, 'mail: user: www-data is no uid:gid: give two numbers like "33:33", as the image has them'],
  [
    { limits: { memoryMb: 5, cpus: 0, pids: 0.5 }, drainSeconds: -1, tmpfsMb: { tmp: 16, "/cache": 0 } },
    "mail: limits.memoryMb: 5 is not a whole number from 6: give MiB\n" +
      "mail: limits.cpus: 0 is not from 0.01: give cores, like 0.5\n" +
      "mail: limits.pids: 0.5 is not a whole number from 1: give the most processes\n" +
      "mail: drainSeconds: -1 is not a whole number from 0 to 86400: give seconds\n" +
      "mail: tmpfsMb: tmp is no folder of the container: give one like /tmp\n" +
      "mail: tmpfsMb./cache: 0 is not a whole number from 1: give MiB",
  ],
  [
    { preDeploy: { command: [], deadlineSeconds: 0, limits: { memoryMb: Number.NaN, cpus: 1, pids: 8 } } },
    "mail: preDeploy.command: is empty: give the program and its arguments\n" +
      "mail: preDeploy.deadlineSeconds: 0 is not a whole number from 1: give seconds\n" +
      "mail: preDeploy.limits.memoryMb: NaN is not a whole number from 6: give MiB",
  ],
  [
    { exceptions: [{ tmpfsExec: "/run", why: "a test" }] },
    "exceptions: tmpfsExec: /run is none of tmpfsMb (/tmp): give one of them",
  ],
  [
    { limits: { memoryMb: 64, cpus: 1, pids: 32, memoryReservationMb: 64 } },
    "limits.memoryReservationMb: 64 is not from 6 to less than memoryMb (64): give such a number",
  ],
  [
    { env: { "A=B": "1", "": "1", DRAIN_SECONDS: "9", KEY_FILE: "/x" }, secrets: { KEY: "1", key: "2", "../x": "3" } },
    'mail: env: "A=B" is no name of a setting: give one like API_URL\n' +
      'mail: env: "" is no name of a setting: give one like API_URL\n' +
      "mail: env.DRAIN_SECONDS: is drainSeconds: give that\n" +
      'mail: secrets: "../x" is no name of a secret: give one like API_KEY\n' +
      "mail: secrets: key and KEY would be one file: give one another name\n" +
      "mail: env.KEY_FILE: is where the file of KEY is: leave it out",
  ],
  [{ command: [] }, "mail: command: is empty: give the program and its arguments, or leave it out"],
  [
    { command: ["mail", ""], preDeploy: { command: ["", "x"] } },
    "mail: command[1]: is empty, which cannot be passed on: leave it out\n" +
      "mail: preDeploy.command[0]: is empty, which cannot be passed on: leave it out",
  ],
  [
    { health: { test: ["NONE"], intervalSeconds: 0, timeoutSeconds: 0.5, retries: 0, deadlineSeconds: Number.NaN } },
    'mail: health.test: is no command: give one like ["CMD", "app", "health"], each of its words with text\n' +
      "mail: health.intervalSeconds: 0 is not a whole number from 1: give seconds\n" +
      "mail: health.timeoutSeconds: 0.5 is not a whole number from 1: give seconds\n" +
      "mail: health.retries: 0 is not a whole number from 1: give one\n" +
      "mail: health.deadlineSeconds: NaN is not a whole number from 1: give seconds",
  ],
  [
    { tmpfsMb: { "/run/secrets": 1, "/tmp/../etc": 1, "/tmp:exec": 1 } },
    "mail: tmpfsMb: /run/secrets is where the secrets are: leave it out\n" +
      "mail: tmpfsMb: /tmp/../etc is no folder of the container: give one like /tmp\n" +
      "mail: tmpfsMb: /tmp:exec is no folder of the container: give one like /tmp",
  ],
  [{ replicas: 0 }, "mail: replicas: 0 is not a whole number from 1 to 50: give one"],
  [
    { replicas: 1.5, rollout: "never" as "stop-first" },
    "mail: replicas: 1.5 is not a whole number from 1 to 50: give one\n" +
      "mail: rollout: never is none: give start-first, one-by-one or stop-first",
  ],
  [
    { replicas: 2, rollout: "stop-first" },
    "mail: replicas: 2 with rollout: stop-first, which is for what may only run once: leave one of them out",
  ],
])("%j is refused", async (args, message) => {
  await expect(workerOf(args)).rejects.toThrow(message);
});
