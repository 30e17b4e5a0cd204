import { createHash, createHmac } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Volume } from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { BuiltImage, type BuiltImageArgs } from "../../components/host/built-image.ts";
import { Container, type ContainerArgs } from "../../components/host/container.ts";
import { Courier } from "../../components/host/file-volume.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { hardened, type Exception, type Posture } from "../../components/host/hardening.ts";
import { Job } from "../../components/host/job.ts";
import { Networks } from "../../components/host/networks.ts";
import type { NetworkSettings } from "../../components/host/subnets.ts";
import { GeneratedSecret, SecretFiles } from "../../components/host/secret.ts";
import { sshOptions } from "../../components/docker-engine/ssh.ts";
import { startFakeEngine } from "./fake-engine.ts";
import { container, containers, hex, label, ofType, record, type RecordOptions } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const LIMITS = { memoryMb: 64, cpus: 1, pids: 32 };
const HEALTH = { test: ["CMD", "true"] };
const ROOT: Exception = { rootUser: true, why: "w" };

/** Records what is built on a host. */
function onHost(build: (host: DockerHost) => void, options?: RecordOptions) {
  return record(() => {
    build(new DockerHost("host", { host: "local", jobImage: IMAGE }));
  }, options);
}

async function containerOf(args: Partial<ContainerArgs>) {
  const recording = await onHost((host) => {
    new Container("it", {
      host,
      role: "service",
      image: IMAGE,
      run: "always",
      health: HEALTH,
      limits: LIMITS,
      ...args,
    });
  });
  return container(recording, "it");
}

describe("the posture", () => {
  const posture: Posture = { limits: LIMITS };
  const standard = hardened(posture);

  test("of every container", () => {
    expect(standard).toEqual({
      readOnly: true,
      capabilities: { drops: ["ALL"], adds: [] },
      securityOpts: ["no-new-privileges:true"],
      privileged: false,
      user: "1000:1000",
      tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777" },
      memory: 64,
      memorySwap: 64,
      cpus: "1.0",
      init: true,
      ipcMode: "private",
      logDriver: "json-file",
      logOpts: { "max-size": "10m", "max-file": "3" },
      destroyGraceSeconds: 30,
    });
  });

  test.each<[string, Partial<Posture>, object]>([
    [
      "a capability",
      { user: "0:0", exceptions: [ROOT, { capability: "CHOWN", why: "w" }] },
      { user: "0:0", capabilities: { drops: ["ALL"], adds: ["CHOWN"] } },
    ],
    [
      "two capabilities, in the order that Docker reads back",
      {
        user: "0:0",
        exceptions: [ROOT, { capability: "SETUID", why: "w" }, { capability: "CHOWN", why: "w" }],
      },
      { user: "0:0", capabilities: { drops: ["ALL"], adds: ["CHOWN", "SETUID"] } },
    ],
    ["a writable root", { exceptions: [{ writableRoot: true, why: "w" }] }, { readOnly: false }],
    ["an init of its own", { exceptions: [{ noInit: true, why: "w" }] }, { init: false }],
    [
      "programs in /tmp",
      { tmpfsMb: { "/tmp": 16, "/var/cache": 8 }, exceptions: [{ tmpfsExec: "/tmp", why: "w" }] },
      {
        tmpfs: {
          "/tmp": "rw,exec,nosuid,nodev,size=16m,mode=1777",
          "/var/cache": "rw,noexec,nosuid,nodev,size=8m,mode=1777",
        },
      },
    ],
    ["leave to run as root", { exceptions: [{ rootUser: true, why: "w" }] }, {}],
    ["root", { user: "0:0", exceptions: [{ rootUser: true, why: "w" }] }, { user: "0:0" }],
    ["another user", { user: "99:99" }, { user: "99:99" }],
    ["no tmpfs", { tmpfsMb: {} }, { tmpfs: {} }],
    [
      "tmpfs of other sizes",
      { tmpfsMb: { "/tmp": 64, "/var/cache": 8 } },
      {
        tmpfs: {
          "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777",
          "/var/cache": "rw,noexec,nosuid,nodev,size=8m,mode=1777",
        },
      },
    ],
    ["more grace", { graceSeconds: 60 }, { destroyGraceSeconds: 60 }],
    [
      "other limits",
      { limits: { ...LIMITS, memoryMb: 128, cpus: 0.5 } },
      { memory: 128, memorySwap: 128, cpus: "0.5" },
    ],
  ])("with %s changes in that and in nothing else", (_, change, difference) => {
    expect(hardened({ ...posture, ...change })).toEqual({ ...standard, ...difference });
  });

  test.each(["0", "0:0", "0:1000", "00", "root", "root:root", ""])(
    'refuses the user "%s" without an exception',
    (user) => {
      const others: Exception[] = [
        { writableRoot: true, why: "w" },
        { capability: "SETUID", why: "w" },
      ];
      const message = `user ${user} is root: give another, or an exception with its reason`;
      expect(() => hardened({ ...posture, user })).toThrow(message);
      expect(() => hardened({ ...posture, user, exceptions: others })).toThrow(message);
    },
  );

  test.each(["1000:1000", "99", undefined])(
    "refuses a capability for the user %s, for whom it does nothing",
    (user) => {
      const exceptions: Exception[] = [
        { capability: "SETUID", why: "w" },
        { capability: "CHOWN", why: "w" },
      ];
      expect(() => hardened({ ...posture, user, exceptions: [ROOT, ...exceptions] })).toThrow(
        `exceptions: capability: CHOWN, SETUID has no effect for the user ${user ?? "1000:1000"}, as Docker gives ` +
          "capabilities to root alone: leave it out (a port below 1024 needs none), or run it as root, with the exception " +
          "{ rootUser: true }",
      );
    },
  );

  test("refuses an exception that ends on no date", () => {
    const exceptions: Exception[] = [{ writableRoot: true, why: "w", until: "2027-02-29" }];
    expect(() => hardened({ ...posture, exceptions })).toThrow(
      "exceptions: until: 2027-02-29 is not a date: give one like 2027-01-31",
    );
    expect(hardened({ ...posture, exceptions: [{ ...exceptions[0]!, until: "2028-02-29" }] }).readOnly).toBe(false);
  });

  test("cannot be undone by what stands beside it", () => {
    const undoing = {
      privileged: true,
      readOnly: false,
      memorySwap: -1,
      securityOpts: [],
      capabilities: {},
      init: false,
    };
    expect(hardened({ ...posture, ...undoing })).toEqual(standard);
  });
});

describe("Container", () => {
  test("is asked for as what it is", async () => {
    const { inputs, options } = await containerOf({});
    expect(inputs).toEqual({
      ...hardened({ limits: LIMITS }),
      image: IMAGE,
      envs: [],
      labels: [
        { label: "bulkhead.name", value: "it" },
        { label: "bulkhead.pids", value: "32" },
        { label: "bulkhead.role", value: "service" },
        { label: "bulkhead.stack", value: "reach-test" },
      ],
      networkMode: "none",
      networksAdvanced: [],
      ports: [],
      volumes: [],
      uploads: [],
      restart: "always",
      start: true,
      mustRun: true,
      healthcheck: {
        ...{ tests: ["CMD", "true"], interval: "10s", timeout: "3s", retries: 3 },
        ...{ startPeriod: "1m0s", startInterval: "500ms" },
      },
      wait: true,
      waitTimeout: 60,
    });
    expect(options).toMatchObject({
      deleteBeforeReplace: false,
      hooks: {
        beforeCreate: ["host-image-volumes", "host-watch"],
        afterCreate: ["host-watched"],
        onError: ["host-faults", "host-explain"],
      },
    });
  });

  test("cannot be weakened by what stands beside its arguments", async () => {
    const undoing: object = {
      ...{ privileged: true, networkMode: "host", pidMode: "host", publishAllPorts: true, wait: false, restart: "no" },
      ...{ mounts: [{ type: "bind", source: "/", target: "/host" }], devices: [{ hostPath: "/dev/mem" }] },
    };
    expect((await containerOf(undoing)).inputs).toEqual((await containerOf({})).inputs);
  });

  test.each<[ContainerArgs["run"], object]>([
    ["always", { restart: "always", start: true, mustRun: true, wait: true }],
    ["once", { restart: "no", start: true, mustRun: false, wait: true }],
  ])("that runs %s", async (run, inputs) => {
    expect((await containerOf({ run })).inputs).toMatchObject(inputs);
    await expect(containerOf({ run, health: undefined })).rejects.toThrow("it: has no health check: give it one");
  });

  test("that never runs needs no health, and explains nothing of itself", async () => {
    const { inputs, options } = await containerOf({ run: "never", health: undefined });
    expect(inputs).toMatchObject({ restart: "no", start: false, mustRun: false });
    expect(inputs).not.toHaveProperty("wait");
    expect(options.hooks).toEqual({ beforeCreate: [], afterCreate: [], onError: ["host-faults"] });
  });

  test.each([
    "nginx",
    "nginx:1.27",
    "nginx:latest@sha256:abc",
    `nginx:1@sha256:${"A".repeat(64)}`,
    "bulkhead.local/nginx:latest",
    "bulkhead.local/nginx:0123456789abcdef0",
    `sha512:${"0".repeat(64)}`,
    "",
  ])('refuses the image "%s"', async (image) => {
    await expect(containerOf({ image })).rejects.toThrow(
      `image ${image} is not pinned: give name:tag@sha256:<64 hex digits>`,
    );
  });

  test("refuses an image that turns out not to be pinned", async () => {
    await expect(containerOf({ image: pulumi.output("nginx:1.27") })).rejects.toThrow("image nginx:1.27 is not pinned");
  });

  test.each([IMAGE, `sha256:${hex("id", 64)}`, "bulkhead.local/nginx:0123456789abcdef"])(
    'takes the image "%s"',
    async (image) => {
      expect((await containerOf({ image })).inputs.image).toBe(image);
    },
  );

  test("shows its exceptions, with their reasons", async () => {
    const exceptions: Exception[] = [
      { rootUser: true, why: "it is so" },
      { capability: "KILL", why: "to end others" },
    ];
    const it = await containerOf({ user: "0", exceptions });
    expect(JSON.parse(label(it, "bulkhead.exceptions")!)).toEqual(exceptions);
    expect(label(await containerOf({ exceptions: [] }), "bulkhead.exceptions")).toBeUndefined();
  });

  test("says what it publishes if it may, and nothing else", async () => {
    const ports = [
      { address: "192.0.2.1", external: 443, internal: 8443 },
      { address: "2001:db8::1", external: 443, internal: 8443 },
    ];
    const published = async (args: object) => label(await containerOf(args), "bulkhead.publishes");
    expect(await published({ ports, role: "door" })).toBe("192.0.2.1:443 [2001:db8::1]:443");
    expect(await published({ ports })).toBeUndefined();
    expect(await published({})).toBeUndefined();
  });

  test("mounts volumes read-only unless it says otherwise", async () => {
    const { inputs } = await containerOf({
      volumes: [
        { name: "one", path: "/one" },
        { name: "two", path: "/two", writable: true },
      ],
    });
    expect(inputs.volumes).toEqual([
      { volumeName: "one", containerPath: "/one", readOnly: true },
      { volumeName: "two", containerPath: "/two", readOnly: false },
    ]);
  });

  test("binds ports to their addresses, and then goes before the next one comes", async () => {
    const { inputs, options } = await containerOf({
      ports: [
        { address: "127.0.0.1", external: 8443, internal: 443 },
        { address: "10.0.0.1", external: 2222, internal: 22 },
      ],
    });
    expect(inputs.ports).toEqual([
      { ip: "10.0.0.1", external: 2222, internal: 22, protocol: "tcp" },
      { ip: "127.0.0.1", external: 8443, internal: 443, protocol: "tcp" },
    ]);
    expect(options.deleteBeforeReplace).toBe(true);
  });

  test("stays off the default bridge", async () => {
    const mode = async (networks: ContainerArgs["networks"]) => (await containerOf({ networks })).inputs.networkMode;
    expect(await mode([])).toBe("none");
    expect(await mode([{ name: "web" }, { name: "internal" }])).toBe("web");
    // Docker would drop the aliases in the network that is the mode.
    expect(await mode([{ name: "door", aliases: ["edge"] }, { name: "web" }])).toBe("web");
    expect(await mode([{ name: "door", aliases: ["edge"] }])).toBeUndefined();
  });

  test.each([
    [0, "0s"],
    [0.3, "300ms"],
    [1.5, "1.5s"],
    [59, "59s"],
    [60, "1m0s"],
    [90, "1m30s"],
    [3600, "1h0m0s"],
    [3725, "1h2m5s"],
  ])("spells %d seconds as Docker does", async (intervalSeconds, spelled) => {
    const { inputs } = await containerOf({ health: { ...HEALTH, intervalSeconds } });
    expect(inputs.healthcheck?.interval).toBe(spelled);
  });

  test("is waited for as long as it says", async () => {
    const { inputs } = await containerOf({
      health: { ...HEALTH, intervalSeconds: 1, timeoutSeconds: 5, retries: 9, deadlineSeconds: 120 },
    });
    expect(inputs).toMatchObject({
      healthcheck: { interval: "1s", timeout: "5s", retries: 9 },
      wait: true,
      waitTimeout: 120,
    });
  });
});

describe("the pids limit", () => {
  const id = hex("it", 64);
  /** An engine with one container. What it is told about its limit goes through `take`. */
  async function update(limit: number | null, take: (told: number) => number | null = (told) => told) {
    const told: number[] = [];
    const engine = await startFakeEngine((request, body) => {
      if (request === `GET /containers/${id}/json`) return { HostConfig: { PidsLimit: limit } };
      if (request !== `POST /containers/${id}/update`) return undefined;
      told.push((body as { PidsLimit: number }).PidsLimit);
      limit = take(told.at(-1)!);
      return { Warnings: null };
    });
    const made = onHost(
      (host) =>
        void new Container("it", {
          host,
          role: "service",
          image: IMAGE,
          run: "always",
          health: HEALTH,
          limits: LIMITS,
        }),
      { preview: false },
    );
    return { engine, told, made };
  }

  test.each([null, 0, -1, 31])("is set where it is %s", async (before) => {
    const { told, made } = await update(before);
    await made;
    expect(told).toEqual([32]);
  });

  test("is left alone where it is right", async () => {
    const { told, made, engine } = await update(32);
    await made;
    expect({ told, requests: engine.requests }).toEqual({ told: [], requests: [`GET /containers/${id}/json`] });
  });

  test("that does not take fails the update", async () => {
    const { made } = await update(null, () => null);
    await expect(made).rejects.toThrow(
      "it: Docker set a pids limit of null instead of 32: it needs the pids cgroup; see `docker info` for its warnings",
    );
  });

  test.each<[string, (request: string) => object | undefined, string]>([
    ["is gone", () => undefined, "it: its container is gone from the host: run `pulumi refresh`, then this again"],
    ["cannot be looked at", () => Buffer.from("no JSON"), "is not valid JSON"],
  ])("fails the update when the container %s", async (_, answer, message) => {
    await startFakeEngine(answer);
    const made = onHost(
      (host) =>
        void new Container("it", {
          host,
          role: "service",
          image: IMAGE,
          run: "always",
          health: HEALTH,
          limits: LIMITS,
        }),
      { preview: false },
    );
    await expect(made).rejects.toThrow(message);
  });

  test("of a job is not looked for again: somebody may have cleaned it away", async () => {
    const { requests } = await startFakeEngine(() => undefined);
    await onHost((host) => void new Job("it", { host, script: "finish", user: "1000:1000" }), { preview: false });
    expect(requests).toEqual([]);
  });

  test("comes before anything that needs the container", async () => {
    let asked = 0;
    await startFakeEngine(() => ({ HostConfig: { PidsLimit: asked++ === 0 ? null : 32 } }));
    let seen: number | undefined;
    await onHost(
      (host) => {
        const it = new Container("it", {
          host,
          role: "service",
          image: IMAGE,
          run: "always",
          health: HEALTH,
          limits: LIMITS,
        });
        it.name.apply(() => (seen = asked));
      },
      { preview: false },
    );
    expect(seen).toBe(3);
  });

  test("asks Docker nothing in a preview, nor for what never runs", async () => {
    const engine = await startFakeEngine(() => ({}));
    await containerOf({});
    await onHost((host) => void new Courier("files", { host, files: { a: "b" }, readerUid: "1000" }), {
      preview: false,
    });
    expect(engine.requests).toEqual([]);
  });
});

describe("a container that fails", () => {
  /** An engine with the old container and the new one, which no list has. */
  function engineWith(
    states: object[],
    log = "",
    RestartCounts: number[] = [0],
    Env: string[] | null = null,
    before = [{ Id: "old" }],
  ) {
    let looked = 0;
    const at = <T>(list: T[]) => list[Math.min(looked, list.length - 1)];
    return (request: string) => {
      if (request === `GET /containers/json?all=1&filters=${filters}`) return before;
      if (request === "GET /containers/reach-test-it-1/json" && states.length > 0) {
        const answer = {
          ...{ Id: "new", Name: "/reach-test-it-1", State: at(states), RestartCount: at(RestartCounts) },
          Config: { Env },
        };
        looked++;
        return answer;
      }
      if (["GET /_ping", "DELETE /containers/new?force=1", "POST /containers/new/update"].includes(request)) return {};
      if (request === `GET /images/${IMAGE}/json`) return {};
      if (request.startsWith("GET /containers/tried/logs?")) return framed("no such table\n");
      return request.startsWith("GET /containers/new/logs?") ? framed(log) : undefined;
    };
  }
  const filters = encodeURIComponent('{"label":["bulkhead.stack=reach-test","bulkhead.name=it"]}');
  const framed = (text: string) =>
    Buffer.concat(
      text.split(/(?<=\n)/).map((line) => {
        const head = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]);
        head.writeUInt32BE(Buffer.byteLength(line), 4);
        return Buffer.concat([head, Buffer.from(line)]);
      }),
    );
  const STARTING = { Status: "running", ExitCode: 0, OOMKilled: false, Health: { Status: "starting", Log: null } };
  const UNHEALTHY = {
    ...STARTING,
    Health: { Status: "unhealthy", Log: [{ Output: "first" }, { Output: "no database\n" }] },
  };
  const ENDED = { ...STARTING, Status: "exited", ExitCode: 3 };
  const HEALTHY = { ...STARTING, Health: { Status: "healthy", Log: [] } };

  /** The hooks as Pulumi calls them for a container that is made. */
  async function creation(answer: (request: string) => object | undefined, args: Partial<ContainerArgs> = {}) {
    const { requests, stop } = await startFakeEngine(answer);
    const recording = await onHost((host) => {
      new Container("it", {
        host,
        role: "service",
        image: IMAGE,
        run: "always",
        health: HEALTH,
        limits: LIMITS,
        ...args,
      });
    });
    const said: string[] = [];
    for (const level of ["error", "warn"] as const) {
      const log = vi.spyOn(pulumi.log, level).mockImplementation((message) => {
        said.push(message);
        return Promise.resolve();
      });
      onTestFinished(() => log.mockRestore());
    }
    const resource = container(recording, "it");
    const call = async (names: string[], errors: string[] = []) => {
      const answers = [];
      const args = { name: "it", newInputs: { ...resource.inputs, name: "reach-test-it-1" }, errors } as never;
      for (const name of names) answers.push(await recording.hooks.get(name)!.callback(args));
      return answers;
    };
    const { beforeCreate, afterCreate, onError } = resource.options.hooks;
    await call(beforeCreate);
    return {
      ...{ said, requests, stop, created: () => call(afterCreate) },
      failed: (errors?: string[]) => call(onError, errors),
      told: () => vi.waitFor(() => expect(said).not.toEqual([]), { timeout: 10_000 }),
      removed: () => requests.filter((request) => request.startsWith("DELETE ")),
    };
  }

  test("in time says its state, its last health check and its last lines, and is removed", async () => {
    const { said, failed, removed } = await creation(engineWith([UNHEALTHY], "starting\ngave up: größer\n"));
    // Pulumi would try again for ever if it were told to.
    expect(await failed()).toEqual([false, false]);
    expect(said).toEqual([
      "it: the container reach-test-it-1 did not become healthy in time: it is running\n" +
        "Its last health check said: no database\nIts last lines:\nstarting\ngave up: größer",
    ]);
    expect(removed()).toEqual(["DELETE /containers/new?force=1"]);
  });

  test("on a busy host, where no health check got an answer, is tried once more, and then told", async () => {
    const late = { Output: "Health check exceeded timeout (3s)" };
    const state = { ...STARTING, Health: { Status: "starting", Log: [late, late] } };
    const { said, failed, removed, stop } = await creation(engineWith([state]));
    expect(await failed()).toEqual([false, true]);
    expect(said).toEqual([
      "it: no health check of it got an answer in time: the host may be busy; it is tried once more",
    ]);
    expect(removed()).toEqual(["DELETE /containers/new?force=1"]);
    await stop();
  });

  test("on a busy host is tried once more also where there may be only one, if there was none before", async () => {
    // The hook of a stop-first container asks first.
    let asked = 0;
    const engine = engineWith([STARTING], "", [0], null, []);
    const { failed, said, stop } = await creation(
      (request) => (request.startsWith("GET /containers/json") && asked++ === 0 ? [] : engine(request)),
      { rollout: "stop-first" },
    );
    expect(await failed()).toContain(true);
    expect(said.join("\n")).toContain("it is tried once more");
    await stop();
  });

  test.each<[string, object, Partial<ContainerArgs>]>([
    ["got a bad answer", { ...STARTING, Health: { Status: "starting", Log: [{ Output: "no database" }] } }, {}],
    ["ended", { ...ENDED, Health: { Status: "unhealthy", Log: [] } }, {}],
    ["nobody else stands in for", STARTING, { rollout: "stop-first" }],
    ["is a job", STARTING, { run: "once" }],
  ])("which %s is not tried once more", async (_, state, args) => {
    const { failed, said } = await creation(engineWith([state]), args);
    expect(await failed()).not.toContain(true);
    expect(said.join("\n")).not.toContain("once more");
  });

  test("by crashing again and again is not waited for", async () => {
    const answer = engineWith([STARTING, { ...ENDED, Status: "restarting", OOMKilled: true }], "eating\n", [4, 5]);
    const { said, told, failed, removed } = await creation(answer);
    await told();
    expect(said).toEqual([
      "it: the container reach-test-it-1 crashed 5 times: it is restarting, exit code 3, out of memory\n" +
        "Its last lines:\neating",
    ]);
    await vi.waitFor(() => expect(removed()).toEqual(["DELETE /containers/new?force=1"]));
    await failed();
    expect(said).toHaveLength(1);
  });

  test("for want of a shell says what to do", async () => {
    const message =
      'OCI runtime exec failed: exec failed: unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown';
    const state = { Status: "running", Health: { Status: "unhealthy", Log: [{ Output: message }] } };
    const { said, failed } = await creation(engineWith([state]));
    await failed();
    expect(said[0]).toContain(
      "Its image has no /bin/sh, by which a service that hangs is ended: give reviveAfterHangs: 0",
    );
  });

  test("at a port that nobody listens on says so, and that it wrote nothing", async () => {
    const message = "GET http://127.0.0.1:8001/\nconnect ECONNREFUSED 127.0.0.1:8001\n";
    const state = { ...STARTING, Health: { Status: "unhealthy", Log: [{ Output: message }] } };
    const { said, failed } = await creation(engineWith([state], "\n"));
    await failed();
    expect(said).toEqual([
      `it: the container reach-test-it-1 did not become healthy in time: it is running\n` +
        `Its last health check said: ${message.trim()}\n` +
        "Nothing listens there: give the port that the service listens on, and let it listen on 0.0.0.0.\n" +
        "It wrote nothing.",
    ]);
  });

  test("and has just ended is asked once more for its last lines, which Docker may not have yet", async () => {
    const answer = engineWith([ENDED], "no such table\n");
    let asked = 0;
    const { said, failed } = await creation((request) =>
      request.startsWith("GET /containers/new/logs?") && asked++ === 0 ? Buffer.alloc(0) : answer(request),
    );
    await failed();
    expect(said).toEqual([expect.stringMatching(/exit code 3\nIts last lines:\nno such table$/)]);
  });

  test.each<[why: string, lines: string, cure: string]>([
    ["writes to its root", "Error: EROFS: read-only file system, open '/app.log'", "`tmpfsMb` makes another path so"],
    ["writes to its root", "[Errno 30] Read-only file system: '/app/x'", "a DataVolume keeps"],
    ["may not read a file", "PermissionError: [Errno 13] Permission denied: '/app/key'", "COPY --chown"],
    ["changes an owner", "chown: /data: Operation not permitted", "change no owner when it starts"],
    ["starts no thread", "RuntimeError: can't start new thread", "give it more pids"],
    [
      "is a job without a shell",
      "[FATAL tini (7)] exec /bin/sh failed: No such file or directory",
      "give it an image that has",
    ],
    [
      "listens on 127.0.0.1",
      "Asked for /, the edge 172.18.0.2 answered 502 Bad Gateway: Bad Gateway",
      "listen on 0.0.0.0",
    ],
  ])("of one that %s says what to do: %s", async (_, lines, cure) => {
    const { said, failed } = await creation(engineWith([ENDED], `${lines}\n`));
    await failed();
    expect(said).toEqual([expect.stringContaining(`\nIts last lines:\n${lines}\n`)]);
    expect(said[0]).toContain(cure);
  });

  test.each<[why: string, health: string, cure: string]>([
    [
      "asks for a login",
      "GET http://127.0.0.1:80/\nanswered 401",
      "Give healthPath one that the service answers with 200",
    ],
    ["has no such path", "GET http://127.0.0.1:80/\nHTTP Error 404: Not Found", "Give healthPath one"],
    ["has no such path", "curl: (22) The requested URL returned error: 404", "Give healthPath one"],
    ["redirects for ever", "GET http://127.0.0.1:80/\nredirect count exceeded", "It redirects for ever"],
    ["has too little memory", "GET http://127.0.0.1:80/\nKilled", "give it more memoryMb"],
    [
      "starts no process",
      "OCI runtime exec failed: read init-p: connection reset by peer: unknown",
      "give it more pids",
    ],
  ])("of one whose health check %s says what to do: %s", async (_, health, cure) => {
    const state = { ...STARTING, Health: { Status: "unhealthy", Log: [{ Output: `${health}\n` }] } };
    const { said, failed } = await creation(engineWith([state]));
    await failed();
    expect(said).toEqual([expect.stringContaining(`\nIts last health check said: ${health}\n`)]);
    expect(said[0]).toContain(cure);
  });

  test("by ending is not waited for", async () => {
    const { said, told, removed } = await creation(engineWith([ENDED], "no such table\n"), { run: "once" });
    await told();
    expect(said[0]).toBe(
      "it: the container reach-test-it-1 failed: it is exited, exit code 3\nIts last lines:\nno such table",
    );
    await vi.waitFor(() => expect(removed()).toHaveLength(1));
  });

  test("as a cutover shows also the last lines of the release that it tried", async () => {
    const env = (...entries: string[]) => ["PATH=/bin", "RELEASE=tried", ...entries];
    for (const [entries, shown] of [
      [env("CANDIDATE={}"), "\nThe last lines of tried:\nno such table"],
      // The edge's own settings: it has nothing to say of them but whom it served.
      [env(), ""],
    ] as const) {
      const { said, failed } = await creation(engineWith([ENDED], "not serving\n", [0], entries), { run: "once" });
      await failed();
      expect(said[0]).toBe(
        "it: the container reach-test-it-1 did not become healthy in time: it is exited, exit code 3\n" +
          `Its last lines:\nnot serving${shown}`,
      );
    }
  });

  test.each<[string, object, string]>([
    [
      "refused",
      Buffer.from('{"status":"Pulling"}\n{"error":"manifest verification failed"}\n'),
      "manifest verification failed",
    ],
    ["there again", Buffer.from('{"status":"Pulled"}\n'), "it could not be pulled, but can be now: run this again"],
  ])("for want of an image says why: %s", async (_, pulled, reason) => {
    const there = engineWith([]);
    const [name, digest] = IMAGE.split(/:1@/);
    const { said, failed } = await creation((request) => {
      if (request === `POST /images/create?fromImage=${name}&tag=${digest}`) return pulled;
      return request.startsWith("GET /images/") ? undefined : there(request);
    });
    await failed();
    expect(said).toEqual([expect.stringMatching(new RegExp(`^it: there is no image ${IMAGE}: .*${reason}$`))]);
  });

  test("but holds a port stays, because nothing else holds it", async () => {
    const ports = [{ address: "127.0.0.1", external: 443, internal: 8443 }];
    const { said, failed, removed } = await creation(engineWith([UNHEALTHY]), { ports });
    await failed();
    expect(said.at(-1)).toContain("did not become healthy in time");
    expect(removed()).toEqual([]);
  });

  test("has its limit on processes from when it is first seen", async () => {
    const { requests, created } = await creation(engineWith([STARTING]));
    await vi.waitFor(() => expect(requests).toContain("POST /containers/new/update"), { timeout: 5000 });
    await created();
  });

  test.each<[string, object[]]>([
    ["was never made", []],
    ["was made and never started", [{ ...STARTING, Status: "created" }]],
  ])("says nothing, and is left alone, when it %s", async (_, states) => {
    const { said, failed, removed } = await creation(engineWith(states));
    await failed();
    expect({ said, removed: removed() }).toEqual({ said: [], removed: [] });
  });

  test("is not one that came up", async () => {
    const { said, created, removed } = await creation(engineWith([HEALTHY, { ...ENDED, Health: HEALTHY.Health }]));
    await created();
    expect({ said, removed: removed() }).toEqual({ said: [], removed: [] });
  });

  test("with its host says once what its owner can do", async () => {
    const { said, stop, failed } = await creation(engineWith([STARTING]));
    await stop();
    for (let resource = 0; resource < 2; resource++) expect(await failed(["whatever"])).toEqual([false, false]);
    expect(said).toEqual([
      expect.stringMatching(
        /^host: unix:\S+: no Docker engine answers there \(ENOENT .*\)\n {2}Start Docker .*\nThat was in/,
      ),
    ]);
  });

  test("with a daemon that is back already says so too", async () => {
    const { said, failed } = await creation(engineWith([]));
    await failed(["error inspecting: Cannot connect to the Docker daemon at http://docker.example.com."]);
    expect(said).toEqual([expect.stringMatching(/^host: unix:\S+: the connection broke off\nThat was in the middle/)]);
  });

  test("for want of room says so", async () => {
    const { said, failed } = await creation(engineWith([]));
    await failed(["Unable to create container: write /var/lib/docker/x: no space left on device"]);
    expect(said).toEqual([
      expect.stringMatching(/^host: unix:\S+: its disk is full\n.*\n.* run this again: it goes on/),
    ]);
  });

  test("for want of addresses says so, and how to get more", async () => {
    const { said, failed } = await creation(engineWith([]));
    await failed([
      "Unable to create network: Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
    ]);
    expect(said).toEqual([
      expect.stringMatching(/^host: unix:\S+: Docker has no addresses left for another network\n[^]*networks\.subnets/),
    ]);
  });

  test("as a build on the containerd image store, which Docker could not before 28, says so", async () => {
    const { said, failed } = await creation(engineWith([]));
    await failed([
      'Error running legacy build: failed to read downloaded context: failed to load cache key: Get "http://build-context-gsowi7": dial tcp: lookup build-context-gsowi7 on 127.0.0.11:53: no such host',
    ]);
    expect(said).toEqual([
      expect.stringMatching(
        /^host: unix:\S+: this Docker cannot build on the containerd image store: update it to 28 or/,
      ),
    ]);
  });

  test("says why nobody can tell", async () => {
    const answer = engineWith([STARTING]);
    const { said, failed } = await creation((request) =>
      request.includes("/reach-test-it-1/") ? undefined : answer(request),
    );
    await failed();
    expect(said).toEqual([]);
  });
});

describe("Courier", () => {
  test("carries files that only their reader can read", async () => {
    const recording = await onHost((host) => {
      new Courier("files", { host, files: { "a.cfg": "plain", token: pulumi.secret("hidden") }, readerUid: "99" });
    });
    const { inputs, secretPaths } = container(recording, "files-courier");
    const file = { permissions: "0400", owner: "99", group: "99" };
    expect(inputs.uploads).toEqual([
      { ...file, file: "/bulkhead/a.cfg", content: "plain" },
      { ...file, file: "/bulkhead/token", content: "hidden" },
    ]);
    expect(secretPaths).toEqual(["uploads.1.content"]);
    const volumeName = `reach-test-files-files-${hex("files-files", 7)}`;
    expect(inputs.volumes).toEqual([{ volumeName, containerPath: "/bulkhead", readOnly: false }]);
    expect(inputs).toMatchObject({ start: false, networkMode: "none", image: IMAGE, memory: 16 });
  });

  test("takes a new volume for other content", async () => {
    const trigger = async (files: Record<string, string>) => {
      const recording = await onHost((host) => void new Courier("files", { host, files, readerUid: "99" }));
      const [volume] = ofType(recording, "docker:index/volume:Volume");
      expect(volume!.inputs).not.toHaveProperty("name");
      expect(volume!.options.deleteBeforeReplace).toBe(false);
      return volume!.options.replacementTrigger;
    };
    const [one, two] = [await trigger({ a: "one" }), await trigger({ a: "two" })];
    expect(one).toEqual({ value: expect.stringMatching(/^[0-9a-f]{16}$/) as string, isSecret: false });
    expect(two).not.toEqual(one);
    expect(await trigger({ a: "one" })).toEqual(one);
    expect(await trigger({ b: "one" })).not.toEqual(one);
  });

  test("tells nothing of the content by that, without the stack's own key", async () => {
    const digests = ["sha256", "sha1", "md5"].map((kind) =>
      createHash(kind).update('{"a":"one"}').digest("hex").slice(0, 16),
    );
    const recording = await onHost((host) => void new Courier("files", { host, files: { a: "one" }, readerUid: "99" }));
    const [volume] = ofType(recording, "docker:index/volume:Volume");
    expect(digests).not.toContain(volume!.options.replacementTrigger?.value);
    const key = hex("generated host-fingerprint-key", 32);
    expect(volume!.options.replacementTrigger?.value).toBe(
      createHmac("sha256", key).update('{"a":"one"}').digest("hex").slice(0, 16),
    );
  });

  test("gives the volume's name only when the files are in it", async () => {
    const recording = await onHost((host) => {
      const { volumeName } = new Courier("files", { host, files: { a: "b" }, readerUid: "99" });
      const volumes = [{ name: volumeName, path: "/files" }];
      new Container("reader", {
        host,
        role: "service",
        image: IMAGE,
        run: "always",
        health: HEALTH,
        limits: LIMITS,
        volumes,
      });
    });
    expect(container(recording, "reader").options.dependencies).toContain(container(recording, "files-courier").urn);
  });
});

describe("secrets", () => {
  test("are generated long, of letters and digits, and known to nobody", async () => {
    let value!: pulumi.Output<string>;
    const recording = await onHost(() => {
      ({ value } = new GeneratedSecret("key"));
      new GeneratedSecret("short", { length: 32 });
    });
    expect(await pulumi.isSecret(value)).toBe(true);
    const passwords = ofType(recording, "random:index/randomPassword:RandomPassword").filter(
      ({ name }) => !name.startsWith("host-"),
    );
    expect(passwords.map(({ name, inputs }) => [name, inputs])).toEqual([
      ["key-value", { length: 64, special: false }],
      ["short-value", { length: 32, special: false }],
    ]);
    expect(ofType(recording, "bulkhead:index:GeneratedSecret").map(({ outputs }) => outputs)).toEqual([{}, {}]);
  });

  test("are files of one reader, which is told where they are", async () => {
    let files!: SecretFiles;
    const recording = await onHost((host) => {
      const secrets = { API_KEY: new GeneratedSecret("key").value, DB_PASSWORD: "in clear by mistake" };
      files = new SecretFiles("mine", { host, readerUid: "1000", secrets });
    });
    expect(files.env).toEqual({
      API_KEY_FILE: "/run/secrets/api_key",
      DB_PASSWORD_FILE: "/run/secrets/db_password",
    });
    expect(files.volume.path).toBe("/run/secrets");
    const { inputs, secretPaths } = container(recording, "mine-courier");
    expect(inputs.uploads?.map(({ file, content, permissions, owner }) => [file, content, permissions, owner])).toEqual(
      [
        ["/bulkhead/api_key", hex("generated key-value", 64), "0400", "1000"],
        ["/bulkhead/db_password", "in clear by mistake", "0400", "1000"],
      ],
    );
    expect(secretPaths).toEqual(["uploads.0.content", "uploads.1.content"]);
  });

  test("of two readers are in two volumes", async () => {
    const recording = await onHost((host) => {
      new SecretFiles("one", { host, readerUid: "1000", secrets: { A: "a" } });
      new SecretFiles("two", { host, readerUid: "2000", secrets: { A: "a" } });
    });
    expect(new Set(containers(recording).map(({ inputs }) => inputs.volumes![0]!.volumeName)).size).toBe(2);
  });
});

describe("Job", () => {
  test("runs a script to its end, as root without capabilities, and says by its health that it is done", async () => {
    const recording = await onHost((host) => {
      new Job("do", {
        ...{ host, script: 'echo "$1"; finish', scriptArguments: ["done"], user: "0:0" },
        exceptions: [{ rootUser: true, why: "it has to" }],
      });
    });
    const job = container(recording, "do");
    expect(job.inputs).toMatchObject({
      ...{ restart: "no", mustRun: false, start: true, wait: true, user: "0:0", image: IMAGE, readOnly: true },
      ...{ capabilities: { drops: ["ALL"], adds: [] }, networkMode: "none", waitTimeout: 60, envs: [] },
    });
    expect(job.inputs.entrypoints).toEqual([
      "/bin/sh",
      "-c",
      expect.stringMatching(/finish\(\)[^]*echo "\$1"; finish$/),
      "do",
    ]);
    expect(job.inputs.command).toEqual(["done"]);
    expect(JSON.parse(label(job, "bulkhead.exceptions")!)).toEqual([{ rootUser: true, why: "it has to" }]);
    // Looked at often while it works, and hardly any more when it is done.
    expect(job.inputs.healthcheck).toMatchObject({ startInterval: "500ms", interval: "30s" });
  });

  test("is told to go when it was seen to be done, and may have gone by itself", async () => {
    const requests: string[] = [];
    const recording = await onHost((host) => {
      vi.spyOn(host.engine, "post").mockImplementation((path) => {
        requests.push(path);
        return Promise.reject(new Error("it is not running"));
      });
      new Job("do", { host, script: "finish", user: "1000:1000" });
    });
    const { afterCreate } = container(recording, "do").options.hooks;
    expect(afterCreate).toEqual(["host-watched", "host-job-done"]);
    await recording.hooks.get("host-job-done")!.callback({
      ...{ name: "do", id: "a1" },
      newInputs: { labels: [{ label: "bulkhead.pids", value: "32" }] },
    } as never);
    // The limit first, that a job which was quicker than the watch has it too.
    expect(requests.filter((path) => path.startsWith("/containers/a1/"))).toEqual([
      "/containers/a1/update",
      "/containers/a1/kill?signal=TERM",
    ]);
    expect(container(recording, "do").inputs.entrypoints![2]).toContain("trap 'exit 0' TERM");
  });
});

describe("Networks", () => {
  const CLOSED = { "com.docker.network.bridge.inhibit_ipv4": "true" };
  const MTU = "com.docker.network.driver.mtu";

  test("has four, of which web and internal have no way out", async () => {
    const recording = await onHost((host) => void new Networks("networks", { host }));
    const stack = { label: "bulkhead.stack", value: "reach-test" };
    expect(ofType(recording, "docker:index/network:Network").map(({ inputs }) => inputs)).toEqual(
      ["door", "proxy", "web-2", "internal"].map((name) => ({
        name: `reach-test-${name}`,
        driver: "bridge",
        ...(name === "internal" || name === "web-2" ? { internal: true, options: CLOSED } : { internal: false }),
        labels: [stack],
      })),
    );
  });

  test.each<[string, NetworkSettings, object, open: string[]]>([
    ["as it was made before", {}, {}, ["internal"]],
    ["as this version makes it", {}, { Options: CLOSED }, []],
    ["of an MTU by the daemon", {}, { Options: { [MTU]: "1450" } }, ["internal"]],
    ["of a size by the daemon", {}, { IPAM: { Config: [{ Subnet: "10.9.0.0/25" }] } }, ["internal"]],
    ["to be made anew with another MTU", { mtu: 1400 }, {}, []],
    ["with that MTU", { mtu: 1400 }, { Labels: { "bulkhead.mtu": "1400" } }, ["internal"]],
    ["to be made anew in other subnets", { subnets: "10.9.0.0/16" }, {}, []],
    ["in those subnets", { subnets: "10.9.0.0/16" }, { Labels: { "bulkhead.subnets": "10.9.0.0/16" } }, ["internal"]],
  ])("the host has an address only on a network that stays so: one %s", async (_, networks, there, open) => {
    const subnet = { IPAM: { Config: [{ Subnet: "172.18.0.0/16" }] } };
    const found = [{ Name: "reach-test-internal", ...subnet, ...there }];
    await startFakeEngine((request) => (/^GET .networks\?/.test(request) ? found : undefined));
    const recording = await record(
      async () => {
        const host = new DockerHost("host", { host: "local", jobImage: IMAGE, networks });
        await host.check({});
        new Networks("networks", { host });
      },
      { preview: true },
    );
    const made = ofType<{ name: string; internal: boolean; options?: object }>(
      recording,
      "docker:index/network:Network",
    ).filter(({ inputs }) => inputs.internal);
    const isOpen = ({ inputs }: (typeof made)[number]) =>
      !JSON.stringify(inputs.options ?? {}).includes("inhibit_ipv4");
    expect(made.filter(isOpen).map(({ inputs }) => inputs.name.replace("reach-test-", ""))).toEqual(open);
  });
});

describe("an image with a VOLUME", () => {
  const tell = async (args: Partial<ContainerArgs>, answer: (request: string) => object | undefined) => {
    const { requests } = await startFakeEngine(answer);
    const recording = await onHost((host) => {
      const common = { host, role: "service", image: IMAGE, run: "always", health: HEALTH, limits: LIMITS } as const;
      new Container("it", { ...common, ...args });
    });
    const { inputs } = container(recording, "it");
    const hook = recording.hooks.get("host-image-volumes") as pulumi.ResourceHook;
    const call = hook.callback({ name: "it", newInputs: inputs } as unknown as pulumi.ResourceHookArgs);
    return { requests, call };
  };
  const image = { Config: { Volumes: { "/data/": {}, "/cache": {} } } };
  const there = (request: string) => (request === `GET /images/${IMAGE}/json` ? image : undefined);

  test("is refused for what nothing is mounted at", async () => {
    const told = (path: string) =>
      `it: its image declares a volume at ${path}, which Docker would put on the host's disk without a limit: ` +
      `give tmpfsMb: { "${path}": 64 } for what may be lost, or a DataVolume at ${path}`;
    const { call } = await tell({}, there);
    await expect(call).rejects.toThrow(`${told("/cache")}\n${told("/data/")}`);
    const parent = await tell({ tmpfsMb: { "/cache": 1 }, volumes: [{ name: "v", path: "/data/deeper" }] }, there);
    await expect(parent.call).rejects.toThrow(told("/data/"));
  });

  test("is taken with a file system in memory or a volume there", async () => {
    for (const noCopy of [true, false]) {
      const { call } = await tell({ tmpfsMb: { "/cache": 1 }, volumes: [{ name: "v", path: "/data", noCopy }] }, there);
      await expect(call).resolves.toBeUndefined();
    }
  });

  test("is pulled to be looked at, and what cannot be had is told by what makes the container", async () => {
    let pulled = false;
    const { call } = await tell({}, (request) => {
      if (request.startsWith("POST /images/create?")) pulled = true;
      return pulled && request.startsWith("GET /images/") ? image : pulled ? {} : undefined;
    });
    await expect(call).rejects.toThrow("its image declares a volume at /cache");
    const missing = await tell({}, () => undefined);
    await expect(missing.call).resolves.toBeUndefined();
  });
});

test("a service without a health command is an exception, and nothing waits for its health", async () => {
  const exceptions: Exception[] = [{ noHealthCommand: true, why: "it has no program to ask with" }];
  const { inputs } = await containerOf({ health: undefined, exceptions });
  expect(inputs.healthcheck).toBeUndefined();
  expect(inputs.wait ?? false).toBe(false);
  await expect(containerOf({ health: undefined })).rejects.toThrow("it: has no health check: give it one");
  await expect(containerOf({ exceptions })).rejects.toThrow(
    "it: exceptions: noHealthCommand: it has a health check: leave one of them out",
  );
});

describe("BuiltImage", () => {
  function folder(files: Record<string, string>): string {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-context-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    mkdirSync(join(directory, "deep/er"), { recursive: true });
    for (const [path, content] of Object.entries(files)) writeFileSync(join(directory, path), content, { mode: 0o644 });
    return directory;
  }
  type Built = { name: string; build: { context: string; dockerfile: string; secrets: { id: string; src: string }[] } };
  async function imageOf(context: string, given: Partial<BuiltImageArgs> = {}) {
    const recording = await onHost((host) => void new BuiltImage("app", { host, context, ...given }));
    const [image] = ofType<Built>(recording, "docker:index/remoteImage:RemoteImage");
    return image!;
  }
  async function nameOf(context: string, buildArgs?: Record<string, string>): Promise<string> {
    return (await imageOf(context, { buildArgs })).inputs.name;
  }
  const files = { Dockerfile: "FROM x", ".dockerignore": "*.md\nDockerfile\n", "deep/er/a.txt": "a", "notes.md": "1" };

  test("is another one when anything that goes into it is", async () => {
    const names = [
      await nameOf(folder(files)),
      await nameOf(folder({ ...files, "deep/er/a.txt": "b" })),
      await nameOf(folder({ ...files, "deep/b.txt": "" })),
      await nameOf(folder({ ...files, Dockerfile: "FROM y" })),
      await nameOf(folder(files), { BASE: "1" }),
      await nameOf(folder(files), { BASE: "2" }),
    ];
    expect(new Set(names).size).toBe(6);
    for (const name of names) expect(name).toMatch(/^reach-test-app:[0-9a-f]{16}$/);
  });

  test("is the same wherever it is built, and whatever is ignored", async () => {
    const name = await nameOf(folder(files), { A: "1", B: "2" });
    expect(await nameOf(folder({ ...files, "notes.md": "2" }), { B: "2", A: "1" })).toBe(name);
  });

  test("is another one for another mode, link, target or Dockerfile, and not for the rights of a group", async () => {
    const context = folder({ ...files, "other.Dockerfile": "FROM x", "run.sh": "" });
    symlinkSync("notes.md", join(context, "link"));
    const before = (await imageOf(context)).inputs.name;
    const changed = async (change: () => void, undo: () => void) => {
      change();
      const name = (await imageOf(context)).inputs.name;
      undo();
      expect((await imageOf(context)).inputs.name).toBe(before);
      return name;
    };
    const mode = (octal: number) => () => chmodSync(join(context, "run.sh"), octal);
    const link = (to: string) => () => {
      unlinkSync(join(context, "link"));
      symlinkSync(to, join(context, "link"));
    };
    const names = [
      before,
      await changed(mode(0o755), mode(0o644)),
      await changed(mode(0o600), mode(0o644)),
      await changed(mode(0o4755), mode(0o644)),
      await changed(link("Dockerfile"), link("notes.md")),
      (await imageOf(context, { target: "web" })).inputs.name,
    ];
    expect(new Set(names).size).toBe(names.length);
    expect(await changed(mode(0o664), mode(0o644))).toBe(before);
    // Ignored, but for the one that is built from.
    writeFileSync(join(context, ".dockerignore"), "*Dockerfile");
    const ofMain = (await imageOf(context)).inputs.name;
    const ofOther = (await imageOf(context, { dockerfile: "other.Dockerfile" })).inputs.name;
    writeFileSync(join(context, "other.Dockerfile"), "FROM y");
    expect((await imageOf(context)).inputs.name).toBe(ofMain);
    expect((await imageOf(context, { dockerfile: "other.Dockerfile" })).inputs.name).not.toBe(ofOther);
  });

  test("is built of what the Dockerfile's own ignore file leaves, in place of .dockerignore", async () => {
    const own = { ...files, "web.Dockerfile": "FROM x", "web.Dockerfile.dockerignore": "deep\nDockerfile\n" };
    const context = folder(own);
    const web = { dockerfile: "web.Dockerfile" };
    const { name, build } = (await imageOf(context, web)).inputs;
    expect(readdirSync(build.context, { recursive: true }).sort()).toEqual([
      ...["notes.md", "web.Dockerfile", "web.Dockerfile.dockerignore"],
    ]);
    expect(build.dockerfile).toBe("web.Dockerfile");
    writeFileSync(join(context, "deep/er/a.txt"), "b");
    expect((await imageOf(context, web)).inputs.name).toBe(name);
    writeFileSync(join(context, "notes.md"), "2");
    expect((await imageOf(context, web)).inputs.name).not.toBe(name);
    expect((await imageOf(context)).inputs.build.context).toBe(context);
  });

  test("says what is not there, and which secrets it does not take", async () => {
    const context = folder({ "a.txt": "" });
    const refused = async (of: string, given: Partial<BuiltImageArgs>, message: string) =>
      expect(imageOf(of, given)).rejects.toThrow(message);
    await refused("/nowhere", {}, "app: context: there is no folder /nowhere: give one, from the project's folder");
    await refused(
      context,
      { dockerfile: "x/Dockerfile" },
      `app: dockerfile: there is no ${context}/x/Dockerfile: give its path from the context, ${context}`,
    );
    await refused(
      folder(files),
      { secrets: { npmrc: "a", "a/b": "c" } },
      "app: secrets: npmrc is given by Bulkhead to every build: give another id\n" +
        'app: secrets: a/b is no id of a secret: give letters, digits, "-", "_" and "."',
    );
    await refused(
      folder(files),
      { secrets: { token: "x".repeat(512_001) } },
      "app: secrets: token is larger than 500 KiB, and BuildKit takes no larger one: give less",
    );
  });

  test("gets its secrets in files, which are in no input", async () => {
    const secrets = { token: pulumi.secret("hunter2-of-a-registry") };
    const image = await imageOf(folder(files), { secrets });
    const { id, src } = image.inputs.build.secrets.at(-1)!;
    expect(id).toBe("token");
    expect(readFileSync(src, "utf8")).toBe("hunter2-of-a-registry");
    expect(statSync(src).mode & 0o777).toBe(0o600);
    expect(JSON.stringify(image)).not.toContain("hunter2");
    expect(image.secretPaths).toEqual([]);
    const other = await imageOf(folder(files), { secrets: { token: pulumi.secret("another") } });
    expect(other.inputs.name).toBe(image.inputs.name);
  });

  test("is refused by what has no BuildKit, before anything is sent there", async () => {
    const version = { Version: "4.3.1", Components: [{ Name: "Podman Engine" }] };
    const podman = await startFakeEngine(() => undefined, { ApiVersion: "1.41", version });
    const { hooks } = await onHost((host) => void new BuiltImage("app", { host, context: folder(files) }));
    const hook = hooks.get("host-buildkit") as pulumi.ResourceHook;
    const tell = () => hook.callback({ name: "app-image" } as pulumi.ResourceHookArgs);
    await expect(tell()).rejects.toThrow(
      `app-image: ${podman.host} has no BuildKit (Podman Engine 4.3.1, API 1.41): ` +
        "give a host with Docker 18.09 or newer, or an image from a registry in place of the build",
    );
    expect(podman.requests).toEqual(["POST /session", "GET /version"]);
  });

  test("is not another one where packages come from elsewhere, which no state and no argument tells", async () => {
    const settings = folder({ "pip.conf": "[global]\nindex-url = https://user:hunter2@packages.test/simple\n" });
    const environment = {
      PIP_CONFIG_FILE: join(settings, "pip.conf"),
      HTTPS_PROXY: "http://user:hunter2@proxy.test",
    };
    const context = folder(files);
    const before = await nameOf(context);
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    const recording = await onHost((host) => void new BuiltImage("app", { host, context }));
    const [image] = ofType<{ name: string; build: object }>(recording, "docker:index/remoteImage:RemoteImage");
    expect(image!.inputs.name).toBe(before);
    expect(image!.options.ignoreChanges).toEqual(["build"]);
    expect(image!.inputs.build).not.toHaveProperty("buildArgs.HTTPS_PROXY");
    expect(JSON.stringify(image)).not.toMatch(/hunter2|packages\.test|proxy\.test/);
  });
});

describe("DockerHost", () => {
  test("tells of faults of its own resources, and leaves those of another host to that one", async () => {
    const recording = await record(() => {
      for (const name of ["one", "two"]) {
        const host = new DockerHost(name, { host: "local", jobImage: IMAGE });
        new Courier(`${name}-files`, { host, files: { a: "b" }, readerUid: "1000" });
        new Volume(`${name}-given`, {}, { provider: host.provider });
      }
      new Volume("of-nobody", {});
    });
    const made = recording.resources.filter(({ type }) => type.startsWith("docker:"));
    const hooksOf = (name: string) => made.find((resource) => resource.name === name)!.options.hooks.onError;
    for (const name of ["one", "two"])
      for (const part of ["files-files", "files-courier", "given"])
        expect(hooksOf(`${name}-${part}`), part).toEqual([`${name}-faults`]);
    expect(hooksOf("of-nobody")).toEqual([]);
  });

  test("names and labels what belongs to the stack", async () => {
    let host!: DockerHost;
    await onHost((made) => (host = made), { stack: "blue" });
    expect(host.named("routes")).toBe("reach-blue-routes");
    expect(host.labels({ zone: "1", "bulkhead.stack": "another" })).toEqual([
      { label: "bulkhead.stack", value: "reach-blue" },
      { label: "zone", value: "1" },
    ]);
  });

  async function providerOf(host: string, knownHosts?: string) {
    const recording = await record(() => void new DockerHost("host", { host, knownHosts, jobImage: IMAGE }));
    const [provider] = ofType<{ host: string; sshOpts: string }>(recording, "pulumi:providers:docker");
    return { host: provider!.inputs.host, sshOpts: JSON.parse(provider!.inputs.sshOpts) as string[] };
  }

  test("takes the host of DOCKER_HOST, or the usual socket", async () => {
    vi.stubEnv("DOCKER_HOST", "unix:///somewhere/docker.sock");
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await providerOf("local")).toEqual({ host: "unix:///somewhere/docker.sock", sshOpts: [] });
    expect((await providerOf("ssh://a@b")).host).toBe("ssh://a@b");
    vi.stubEnv("DOCKER_HOST", undefined);
    expect((await providerOf("local")).host).toBe("unix:///var/run/docker.sock");
  });

  test("tells the provider how it is reached", async () => {
    const { sshOpts } = await providerOf("ssh://a@b", "known/hosts");
    expect(sshOpts).toEqual(sshOptions("ssh://a@b", "known/hosts"));
    expect(sshOpts).toContain("UserKnownHostsFile=known/hosts");
  });

  describe("check", () => {
    const ports = {
      "edge.httpsPort": { address: "127.0.0.1", port: 8443 },
      "edge.tcp.clients": { address: "127.0.0.1", port: 2222 },
    };
    const published = (Names: string, IP: string, PublicPort?: number, stack?: string) => ({
      Names: [`/${Names}`],
      Labels: stack === undefined ? {} : { "bulkhead.stack": stack },
      Ports: [{ PublicPort, IP, PrivatePort: 80, Type: "tcp" }],
    });

    async function check(running: object[], preview = false) {
      const engine = await startFakeEngine((request) => (request === "GET /containers/json" ? running : undefined));
      await record(() => new DockerHost("host", { host: "local", jobImage: IMAGE }).check(ports), { preview });
      return engine.requests;
    }

    test.each<[string, object]>([
      ["the same address", published("other", "127.0.0.1", 8443)],
      ["every address", published("other", "0.0.0.0", 8443)],
      ["every address of IPv6", published("other", "::", 8443)],
      ["an address that is not told", { ...published("other", ""), Ports: [{ PublicPort: 8443, Type: "tcp" }] }],
    ])("names who holds a port on %s", async (_, other) => {
      await expect(check([published("free", "0.0.0.0"), other])).rejects.toThrow(
        /^edge\.httpsPort: 8443 is held by the container other: give another port, or stop it$/,
      );
    });

    test("names the holders of all ports, also those of another stack", async () => {
      const running = [published("a", "127.0.0.1", 2222, "reach-blue"), published("b", "0.0.0.0", 8443, "other")];
      await expect(check(running)).rejects.toThrow(
        "edge.httpsPort: 8443 is held by the container b: give another port, or stop it\n" +
          "edge.tcp.clients: 2222 is held by the container a: give another port, or stop it",
      );
    });

    test.each<[string, object]>([
      ["the stack's own", published("door", "127.0.0.1", 8443, "reach-test")],
      ["another port", published("other", "127.0.0.1", 8444)],
      [
        "the same port of UDP",
        { ...published("other", ""), Ports: [{ PublicPort: 8443, IP: "0.0.0.0", Type: "udp" }] },
      ],
      ["another address", published("other", "10.0.0.1", 8443)],
      ["a port that is not published", published("other", "127.0.0.1")],
    ])("lets be what is %s", async (_, other) => {
      const networks = encodeURIComponent('{"label":["bulkhead.stack=reach-test"]}');
      const look = `GET /networks?filters=${networks}`;
      expect(await check([other])).toEqual(["GET /_ping", "GET /version", look, "GET /containers/json"]);
    });

    test("says how a host that is away comes back", async () => {
      vi.stubEnv("DOCKER_HOST", "unix:///nowhere/docker.sock");
      onTestFinished(() => void vi.unstubAllEnvs());
      const checked = record(() => new DockerHost("host", { host: "local", jobImage: IMAGE }).check(ports), {
        preview: false,
      });
      await expect(checked).rejects.toThrow(
        "host: unix:///nowhere/docker.sock: no Docker engine answers there (ENOENT /nowhere/docker.sock)\n" +
          "  Start Docker (https://docs.docker.com/get-docker/), or set DOCKER_HOST to where it is.",
      );
    });

    test("keeps in the state what Docker's settings are, but for a preview", async () => {
      const outputs = async (preview: boolean) => {
        await startFakeEngine((request) => (request === "GET /containers/json" ? [] : undefined));
        const host = () => new DockerHost("host", { host: "local", jobImage: IMAGE }).check({});
        return ofType(await record(host, { preview }), "bulkhead:index:DockerHost")[0]!.outputs;
      };
      expect((await outputs(false))["daemon"]).toMatchObject({ "live-restore": "off", seccomp: "Docker's profile" });
      expect(await outputs(true)).not.toHaveProperty("daemon");
    });

    test("asks a preview's host only what it can do, and does without an answer", async () => {
      const asked = await check([published("other", "0.0.0.0", 8443)], true);
      expect(asked).toEqual(["GET /_ping", "GET /version", expect.stringMatching(/^GET \/networks\?/)]);
      vi.stubEnv("DOCKER_HOST", "unix:///nowhere/docker.sock");
      await record(() => new DockerHost("host", { host: "local", jobImage: IMAGE }).check(ports), { preview: true });
    });

    test.each([
      ["1.43", { interval: "2s", startPeriod: "1ms", startInterval: undefined }],
      ["1.44", { interval: "10s", startPeriod: "1m0s", startInterval: "500ms" }],
    ])(
      "has an engine of API %s look at health as often as it can while a container starts",
      async (version, wanted) => {
        await startFakeEngine(() => undefined, { ApiVersion: version });
        const recording = await record(async () => {
          const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
          await host.check({});
          new Container("it", { host, role: "service", image: IMAGE, run: "always", health: HEALTH, limits: LIMITS });
        });
        const { interval, startPeriod, startInterval } = container(recording, "it").inputs.healthcheck!;
        expect({ interval, startPeriod, startInterval }).toEqual(wanted);
      },
    );
  });
});
