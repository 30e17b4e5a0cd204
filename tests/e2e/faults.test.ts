// A host that fails and neighbours that go mad, with clients asking all the time. What it costs them is counted and
// printed (docs/reference/faults.md has the figures), and all of it has to come back by itself.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import type { CommandResult } from "../support/command.ts";
import { currentTestEngine } from "../support/engine.ts";
import { loadDuring, runLoad, type LoadOptions } from "../support/load.ts";
import { startProbe } from "../support/probe.ts";
import { prepareReach, snapshot, type ContainerInspect, type Reach } from "../support/reach.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";
import { inSoak, SOAK } from "../support/soak.ts";
import { exchangeOverTcp } from "../support/streams.ts";

const STACK = "faulty";
const TUNNEL_PORT = 2222;

/** What runs. The door and the edge are for everybody, the other two for their own paths. */
const RUNNING = ["backend", "frontend", "edge", "edge-door"];

let host: RemoteHost;
let reach: Reach;
/** The names of the stack's containers, as they have to be after every update. */
let wanted: string[];

beforeAll(async () => {
  host = await startRemoteHost(currentTestEngine(), STACK);
  Object.assign(process.env, host.env);
  reach = await prepareReach({
    ...{ stack: STACK, domain: "faulty.test", httpsPort: 8443, tcpPort: TUNNEL_PORT, listen: "0.0.0.0" },
    address: host.address,
    engine: new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]),
    env: { ...host.env, DOCKER_HOST: "unix:///nowhere/docker.sock" },
    config: { "reach:host": host.url, "reach:knownHosts": host.knownHostsFile },
  });
  await host.loadImages(Object.values(reach.config["reach:images"] as Record<string, string>));
  await reach.deploy();
  wanted = [...(await reach.containers()).keys()].sort();
});

afterAll(async () => {
  await reach?.stop();
  await host?.stop();
});

describe("kill -9", () => {
  test.each<[name: string, hit: string[]]>([
    ["backend", ["backend"]],
    ["edge", ["backend", "frontend"]],
    ...inSoak<[string, string[]]>(["frontend", ["frontend"]], ["edge-door", ["backend", "frontend"]]),
  ])("of the %s costs requests of %j alone, and it comes back by itself", async (name, hit) => {
    const { Id, State } = await container(name);
    const { lost } = await underLoad(`kill -9 of the ${name}`, async () => {
      await inHost(`kill -9 ${State.Pid}`);
      await expect.poll(async () => (await container(name)).State.Pid, PATIENCE).not.toBe(State.Pid);
      await everythingAnswers();
    });
    for (const service of ["backend", "frontend"]) if (!hit.includes(service)) expect(lost[service], service).toBe(0);
    expect((await container(name)).Id).toBe(Id);
  });
});

describe("a neighbour", () => {
  test("that takes all its memory is killed, and nobody else loses anything", async () => {
    const { lost } = await underLoad("a neighbour out of memory", async () => {
      const id = await neighbour("taken = []\nwhile True: taken.append(b'x' * 2**20)");
      const stateOf = async () => (await reach.engine.get<ContainerInspect>(`/containers/${id}/json`)).State;
      await expect.poll(stateOf, PATIENCE).toMatchObject({ Running: false, OOMKilled: true, ExitCode: 137 });
    });
    expect(lost).toEqual(NOTHING);
  });

  test("that forks without end comes to its limit, and nobody else loses anything", async () => {
    const limit = (await container("backend")).HostConfig.PidsLimit;
    const { lost } = await underLoad("a neighbour that forks", async () => {
      const id = await neighbour("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass");
      const path = `/containers/${id}/stats?stream=false&one-shot=true`;
      const processes = async () => (await reach.engine.get<{ pids_stats: object }>(path)).pids_stats;
      await expect.poll(processes, PATIENCE).toEqual({ current: limit, limit });
      await everythingAnswers();
    });
    expect(lost).toEqual(NOTHING);
  });

  /** With the posture of the backend, beside it, until the test ends. */
  async function neighbour(program: string): Promise<string> {
    const like = await container("backend");
    const networks = [`reach-${STACK}-internal`];
    const { id, remove } = await startProbe(reach.engine, { like, image: like.Image, networks, program });
    onTestFinished(remove);
    return id;
  }
});

test("an edge that stands still for a second, as on a busy host, costs nothing", async () => {
  const { Id } = await container("edge");
  const { lost } = await underLoad("an edge that stands still for a second", () =>
    inHost(`docker pause ${Id} && sleep 1 && docker unpause ${Id}`),
  );
  expect(lost).toEqual(NOTHING);
});

describe("in the middle of an update,", () => {
  test("ssh sessions that break off end it with a clear error at worst", async () => {
    const { update, lost } = await rollThrough("ssh sessions break off", () => inHost(BREAK_SESSIONS_OFF));
    if (update.code !== 0) expectOneClearError(update, "the connection broke off");
    expect(lost).toEqual(NOTHING);
  });

  // The one of these in which the next run cannot begin either.
  test.runIf(SOAK)(
    "sshd at MaxStartups ends it with a clear error, and keeps the next one from its start with another",
    async () => {
      const settings = "/etc/ssh/sshd_config.d/max-startups.conf";
      const strike = async () => {
        // The update stands still meanwhile: it could be through before all is in place.
        await inHost("pkill -STOP -f '^sshd-session: deploy'");
        await inHost(`echo 'MaxStartups 1:100:1' >${settings}; pkill -HUP -x sshd`);
        await holdLogins();
        await inHost(BREAK_SESSIONS_OFF);
      };
      let refused: CommandResult;
      const heal = async () => {
        refused = await reach.up();
        await inHost(`rm ${settings}; pkill -HUP -x sshd`);
        await expect.poll(async () => (await host.ssh("true")).code, PATIENCE).toBe(0);
      };
      const { update, lost } = await rollThrough("sshd at MaxStartups", strike, heal);
      const hungUp = `the sshd of ${host.address} hung up before it said anything`;
      expectOneClearError(update, hungUp);
      expect(refused!.code).not.toBe(0);
      expect(diagnostics(refused!).match(/error: .*/g)).toEqual([`error: host: ${host.url}: ${hungUp}`]);
      expect(lost).toEqual(NOTHING);
    },
  );

  test.runIf(SOAK)("a host that cannot be reached ends it with a clear error", async () => {
    const rule = "INPUT --protocol tcp --dport 22 --jump DROP";
    const { update, lost } = await rollThrough(
      "the host cannot be reached",
      () => inHost(`iptables --insert ${rule}`),
      () => inHost(`iptables --delete ${rule}`),
    );
    expectOneClearError(update, `nothing answers at ${host.address}, port 22`);
    expect(lost).toEqual(NOTHING);
  });

  test("a full disk ends it with a clear error", async () => {
    const { update, lost } = await rollThrough("the disk is full", host.fillDisk, host.freeDisk);
    expectOneClearError(update, "its disk is full");
    expect(lost).toEqual(NOTHING);
  });

  test.each(["KILL", ...inSoak("TERM" as const)] as const)(
    "a daemon that gets SIG%s ends it with a clear error; it restarts all containers, which is counted",
    async (signal) => {
      const { update } = await rollThrough(`the daemon gets SIG${signal}`, () => host.signalDaemon(signal));
      expectOneClearError(update, "Docker does not run there", "the connection broke off");
    },
  );

  const BREAK_SESSIONS_OFF = "pkill -KILL -f '^sshd-session: deploy'";

  /** Clients that connect and say nothing, and so take the places of those that log in, until one is turned away. */
  async function holdLogins(): Promise<void> {
    const answer = (): Promise<string> => {
      const login = connect(22, host.address);
      onTestFinished(() => void login.destroy());
      return new Promise((resolve) => {
        // Who is turned away is told so.
        login.once("data", (words: Buffer) => resolve(words.toString().startsWith("SSH-") ? "greeted" : "turned away"));
        login.once("close", () => resolve("turned away"));
        // A sshd that reads its settings anew listens to nobody for a moment, and knows nothing of those from before.
        login.once("error", ({ code }: NodeJS.ErrnoException) =>
          resolve(code === "ECONNREFUSED" ? "nobody" : "turned away"),
        );
      });
    };
    await expect.poll(answer, PATIENCE).toBe("turned away");
  }

  /**
   * Begins to roll the backend, and strikes when its new container runs. When that is over and the host is well, clients
   * have to be answered again, and the same update has to come to its end.
   */
  async function rollThrough(
    fault: string,
    strike: () => Promise<unknown>,
    heal: () => Promise<unknown> = () => Promise.resolve(),
  ) {
    const { result, lost } = await underLoad(`${fault}, in mid-update`, async () => {
      rollBackend();
      const [update] = await Promise.all([reach.up(), inHost(NEW_BACKEND_RUNS).then(strike)]).finally(heal);
      await host.daemonReady();
      await everythingAnswers();
      await reach.deploy();
      return update;
    });
    await expectExactlyWhatIsWanted();
    return { update: result, lost };
  }

  const NEW_BACKEND_RUNS = `
    backends() { docker ps --quiet --filter label=bulkhead.name=backend | wc --lines; }
    for attempt in $(seq 2000); do [ "$(backends)" = 2 ] && exit; sleep 0.05; done
    echo no new backend came; exit 1
  `;

  let drainSeconds = 2;
  /** Another setting, and so another release. */
  function rollBackend(): void {
    drainSeconds = drainSeconds === 2 ? 3 : 2;
    reach.configure({ "reach:backend": { drainSeconds } });
  }

  /** However much the provider says, it is told once what is wrong with which host, and what to do. */
  function expectOneClearError(update: CommandResult, ...reasons: string[]): void {
    expect(update.code).not.toBe(0);
    const text = diagnostics(update);
    const errors = text.match(/error: host: .*/g) ?? [];
    expect(errors, text).toHaveLength(1);
    expect(
      reasons.filter((reason) => errors[0]!.startsWith(`error: host: ${host.url}: ${reason}`)),
      text,
    ).toHaveLength(1);
    expect(text.match(/When it is cured, run this again: it goes on from here\.$/gm), text).toHaveLength(1);
    expect(text).not.toMatch(/unhandled|\n +at /);
  }
});

describe("a reboot", () => {
  test("brings everything back by itself, and starts no job again", async () => {
    const before = await reach.containers();
    await underLoad("a reboot", async () => {
      await host.reboot();
      await everythingAnswers();
    });
    await expectAllHealthy();
    const after = await reach.containers();
    for (const [name, { Id, HostConfig, State }] of before) {
      const { PidsLimit, Memory } = HostConfig;
      expect(after.get(name), name).toMatchObject({ Id, HostConfig: { PidsLimit, Memory } });
      if (RUNNING.includes(name)) continue;
      // A job stays some seconds when it is done; the reboot ends it, and nothing starts it again.
      expect(after.get(name)!.State, name).toMatchObject({ Running: false, StartedAt: State.StartedAt });
    }
  });

  test.each<[order: string, names: string[]]>([
    ["from the outside in", ["edge-door", "edge", "frontend", "backend"]],
    ...inSoak<[string, string[]]>(["with the edge last of all", ["frontend", "backend", "edge-door", "edge"]]),
  ])("brings everything back %s", async (order, names) => {
    const ids = new Map(await Promise.all(names.map(async (name) => [name, (await container(name)).Id] as const)));
    const restart = (policy: string) => inHost(`docker update --restart ${policy} ${[...ids.values()].join(" ")}`);
    await restart("no");
    onTestFinished(async () => void (await restart("always")));
    await underLoad(`a reboot, ${order}`, async () => {
      await host.reboot();
      await host.daemonReady();
      for (const name of names) {
        await inHost(`docker start ${ids.get(name)}`);
        // So long that it is at work before the next one is there.
        await sleep(1000);
      }
      await everythingAnswers();
    });
    await expectAllHealthy();
    for (const name of names) expect((await container(name)).RestartCount, name).toBe(0);
  });
});

test("with live-restore, a restart of the daemon stops no container", async () => {
  const settings = "/etc/docker/daemon.json";
  // As the page has it. The host has no systemd, whose service of Docker reloads by this signal.
  const page = readFileSync(join(import.meta.dirname, "../../docs/reference/faults.md"), "utf8");
  const block = /^```sh\n(echo .*?)^```$/ms.exec(page)![1]!;
  expect(block).toContain(settings);
  const systemctl = 'systemctl() { [ "$*" = "reload docker" ] && pkill -HUP -x dockerd; }';
  await inHost(`mkdir --parents /etc/docker\n${systemctl}\n${block}`);
  onTestFinished(async () => void (await inHost(`rm ${settings}; pkill -HUP -x dockerd`)));
  await expect.poll(() => inHost("docker info --format '{{.LiveRestoreEnabled}}'"), PATIENCE).toBe("true");
  const started = async () => (await Promise.all(RUNNING.map(container))).map(({ Id, State }) => [Id, State.StartedAt]);
  const before = await started();
  await underLoad("the daemon gets SIGTERM, with live-restore", async () => {
    await host.signalDaemon("TERM");
    await expect.poll(() => inHost("pgrep -x dockerd || echo gone"), PATIENCE).toBe("gone");
    await host.daemonReady();
    await everythingAnswers();
  });
  expect(await started()).toEqual(before);
});

const PATIENCE = { timeout: 180_000, interval: 100 };

const NOTHING = { backend: 0, frontend: 0 };

const LOADS: Record<string, { service: keyof typeof NOTHING } & Omit<LoadOptions, "url" | "seconds">> = {
  "/api/status": { service: "backend", connections: 4, requestsPerSecond: 40 },
  "/api/echo": { service: "backend", connections: 4, requestsPerSecond: 20, method: "POST", protocol: "http/2" },
  "/": { service: "frontend", connections: 4, requestsPerSecond: 40, protocol: "http/2" },
};

const target = (path: string) => ({ url: reach.url + path, address: reach.address, ca: reach.ca });

/** Does something while clients of both services ask without a pause, and counts what they lose. */
async function underLoad<T>(fault: string, act: () => Promise<T>) {
  const options = Object.entries(LOADS).map(
    ([path, load]) => [path, { ...target(path), seconds: 600, ...load }] as const,
  );
  const { result, loads } = await loadDuring(Object.fromEntries(options), act);
  const lost: Record<string, number> = { ...NOTHING };
  for (const [path, { failed }] of Object.entries(loads)) lost[LOADS[path]!.service]! += failed;
  const all = Object.values(loads);
  const requests = all.reduce((sum, load) => sum + load.requests, 0);
  const silentSeconds = Math.max(...all.map((load) => load.longestSilenceSeconds));
  console.log(JSON.stringify({ fault, requests, lost, longestSilenceSeconds: Math.round(silentSeconds * 10) / 10 }));
  return { result, lost };
}

/** Waits until both services, over both protocols, and the tunnel answer. */
async function everythingAnswers(): Promise<void> {
  const answer = async (path: string) => (await reach.request(path)).status;
  const tunnel = async () => (await exchangeOverTcp(reach.address, TUNNEL_PORT, "hello?\n")).includes('"servic');
  const all = () => Promise.all([answer("/api/status"), answer("/"), tunnel()]).catch((error: Error) => error.message);
  await expect.poll(all, PATIENCE).toEqual([200, 200, true]);
  const protocols = ["http/1.1", "http/2"] as const;
  const one = { ...target("/"), connections: 1, seconds: 60, maxRequests: 5 };
  const loads = await Promise.all(protocols.map((protocol) => runLoad({ ...one, protocol })));
  expect(loads.map(({ failures }) => failures)).toEqual([[], []]);
}

async function expectAllHealthy(): Promise<void> {
  const health = async () => {
    const found = await reach.containers();
    return RUNNING.map((name) => found.get(name)!.State.Health!.Status);
  };
  await expect.poll(health, PATIENCE).toEqual(RUNNING.map(() => "healthy"));
}

/** One container of each name, and nothing that the state does not know. */
async function expectExactlyWhatIsWanted(): Promise<void> {
  const { containers, networks, volumes } = await snapshot(reach.engine, `reach-${STACK}`);
  interface State {
    deployment: { resources: { type: string; id?: string }[]; pending_operations?: object[] };
  }
  const { deployment } = await reach.project.exportState<State>();
  const recorded = (type: string) => deployment.resources.flatMap(({ type: t, id }) => (t === type ? id! : [])).sort();
  expect(containers.map(({ Id }) => Id).sort()).toEqual(recorded("docker:index/container:Container"));
  expect(networks).toEqual(recorded("docker:index/network:Network"));
  expect(volumes).toEqual(recorded("docker:index/volume:Volume"));
  expect(deployment.pending_operations ?? []).toEqual([]);
  expect([...(await reach.containers()).keys()].sort()).toEqual(wanted);
  expect(containers).toHaveLength(wanted.length);
  await expectAllHealthy();
}

async function container(name: string): Promise<ContainerInspect> {
  return (await reach.containers()).get(name)!;
}

/** Runs a shell script as root in the host, not over ssh, and gives what it printed. */
async function inHost(script: string): Promise<string> {
  const { code, stdout, stderr } = await host.exec("sh", ["-c", script], { timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`in the host, ${script}: exit ${code}\n${stdout}${stderr}`);
  return stdout.trim();
}

function diagnostics({ stdout, stderr }: CommandResult): string {
  return (stdout + stderr).replace(/^[^]*\nDiagnostics:/, "").replace(/\nOutputs:[^]*/, "");
}
