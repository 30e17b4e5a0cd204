// Releases that come and releases that fail, with clients asking all the time: none of their requests may be lost, and
// none of their POSTs may reach the application twice.
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { images as pinned } from "../support/images.ts";
import { startClients, type Clients } from "../support/clients.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { imageVariants } from "../support/image-variants.ts";
import { CONTAINERS, prepareReach, type ContainerInspect, type Reach } from "../support/reach.ts";
import { startBadRegistry } from "../support/registry.ts";
import { SOAK } from "../support/soak.ts";
import { openEvents, openTunnel } from "../support/streams.ts";

type Service = "backend" | "frontend";

/** The program; one release is made by another one. */
const program = new RepositoryCopy();
let reach: Reach;
let clients: Clients;
const variants = imageVariants();
/** What the variants are made from. */
let base: Record<Service, string>;
/** The containers of the last good release that run for ever, by name. */
let running = new Map<string, ContainerInspect>();
/** The releases of each service that served, in their order, by the name that they answer with. */
const served: Record<Service, string[]> = { backend: [], frontend: [] };
/** The logs of all backends that served, open: a file that is open can be read when its container is gone. */
const logs = new Map<string, number>();

beforeAll(async () => {
  const place = { stack: "rolled", domain: "reach.test", httpsPort: 8443, tcpPort: 2222 };
  reach = await prepareReach({ ...place, program: program.directory });
  const { python, node } = { ...pinned, ...(reach.config["reach:images"] as object) };
  base = {
    // It logs the id of every POST, and nothing else that costs time.
    backend: await variants.of(
      await variants.build(join(program.directory, "apps/backend"), { PYTHON_IMAGE: python }),
      "USER 0:0",
      "RUN sed -i 's/^        # Bytes that nobody.*/        print((await request.body()).decode())/' reach/app.py" +
        " && grep -q request.body reach/app.py && rm reach/__pycache__/app.*",
      "USER 1000:1000",
      "ENV LOG_LEVEL=warning",
    ),
    frontend: await variants.build(join(program.directory, "apps/frontend"), { NODE_IMAGE: node }),
  };
  configure({ images: base });
  await reach.deploy();
  settings.images = base;
  await noteWhatServes();
  clients = await startClients(reach);
});

afterAll(async () => {
  await clients?.stop();
  await reach?.stop();
  await variants.remove();
  program.remove();
});

describe("a release", () => {
  test.runIf(SOAK)("of one image", async () => {
    expect(await release("an image", { images: { backend: await image("backend", 2) } })).toEqual(["backend"]);
  });

  test("of two services at once", async () => {
    const images = {
      backend: await image("backend", 3, "ENV LOG_LEVEL=info"),
      frontend: await image("frontend", 3),
    };
    expect(await release("two images", { images })).toEqual(["backend", "frontend"]);
  });

  test("of the stack file alone", async () => {
    expect(await release("a setting", { backend: { drainSeconds: 6 } })).toEqual(["backend"]);
  });

  test("leaves open streams and tunnels their time, while new ones come to it at once", async () => {
    const { address, tcpPort, ca } = reach;
    const events = { url: `${reach.url}/sse`, address, ca };
    const open = async () => ({
      streams: [await openEvents(events), await openEvents({ ...events, protocol: "http/2" })],
      tunnels: [openTunnel(address, tcpPort), openTunnel(address, tcpPort)],
    });
    const releaseOf = (text: string | undefined) => (JSON.parse(text!) as { release: string }).release;
    const answering = async () => releaseOf((await reach.request("/api/status")).text);

    const old = served.backend.at(-1)!;
    const ofOld = await open();
    onTestFinished(() => [...ofOld.streams, ...ofOld.tunnels].forEach(({ close }) => close()));
    const rolled = release("an image, with streams and tunnels open", {
      images: { backend: await image("backend", 4) },
      backend: { drainSeconds: 1 },
    });
    await expect.poll(answering, { timeout: 120_000, interval: 200 }).not.toBe(old);
    const whenSwitched = ofOld.streams.map(({ received }) => received.length);

    const ofNew = await open();
    onTestFinished(() => [...ofNew.streams, ...ofNew.tunnels].forEach(({ close }) => close()));
    await expect.poll(() => ofNew.tunnels.every(({ received }) => received.length > 0), PATIENCE).toBe(true);
    await expect.poll(() => ofNew.streams.every(({ received }) => received.length > 0), PATIENCE).toBe(true);
    const next = await answering();
    for (const { received } of ofNew.tunnels) expect(releaseOf(received[0])).toBe(next);
    for (const { received } of ofNew.streams) expect(releaseOf(received[0]!.data)).toBe(next);

    for (const { say } of ofOld.tunnels) say("still there?");
    const echoed = () => ofOld.tunnels.every(({ received }) => received.includes("still there?"));
    await expect.poll(echoed, PATIENCE).toBe(true);
    expect(await rolled).toEqual(["backend"]);

    for (const { received, ended } of ofOld.tunnels) {
      expect(await ended).toBe("cleanly");
      expect(received.at(-1)).toBe('{"event": "bye", "reason": "draining"}');
      expect(releaseOf(received[0])).toBe(old);
    }
    for (const [index, { received, ended }] of ofOld.streams.entries()) {
      expect(await ended).toBe("cleanly");
      expect(received.at(-1)).toMatchObject({ event: "bye", data: `{"release": "${old}"}` });
      expect(received.map(({ data }) => releaseOf(data))).toEqual(received.map(() => old));
      expect(received.slice(0, -1).map(({ id }) => Number(id))).toEqual(
        received.slice(1).map((_, number) => number + 1),
      );
      console.log(
        JSON.stringify({ event: "stream drained", eventsAfterTheSwitch: received.length - whenSwitched[index]! }),
      );
      expect(received.length).toBeGreaterThan(whenSwitched[index]! + 1);
    }
    // The old one says itself how long it drained, and that it had to cut nobody off.
    const stopped = logLines(logs.get(old)!).find((line) => line.includes('"stopped"'));
    const { seconds, connections_cut } = JSON.parse(stopped!) as { seconds: number; connections_cut: number };
    console.log(JSON.stringify({ event: "drained", drainSeconds: 6, seconds }));
    expect(connections_cut).toBe(0);
    expect(seconds).toBeGreaterThan(4);
    // And those of the new one go on.
    for (const { say } of ofNew.tunnels) say("and you?");
    await expect.poll(() => ofNew.tunnels.every(({ received }) => received.includes("and you?")), PATIENCE).toBe(true);
  });

  test.runIf(SOAK)("of limits", async () => {
    const backend = { memoryMb: 640, cpus: 1.5, pids: 160 };
    expect(await release("limits", { backend })).toEqual(["backend"]);
    const { HostConfig } = running.get("backend")!;
    expect(HostConfig).toMatchObject({ Memory: 640 * 1024 ** 2, NanoCpus: 1.5e9, PidsLimit: 160 });
  });

  test("of a rotated secret", async () => {
    const key = () => {
      const { Mounts } = running.get("backend")!;
      return readFileSync(
        join(Mounts.find(({ Destination }) => Destination === "/run/secrets")!.Source, "reach_api_key"),
      );
    };
    const ask = async (secret: Buffer) => {
      const headers = { authorization: `Bearer ${secret.toString()}` };
      return (await reach.request("/api/clients", { headers })).status;
    };
    const old = key();
    const urn = `urn:pulumi:rolled::reach::bulkhead:index:GeneratedSecret$random:index/randomPassword:RandomPassword::api-key-value`;
    expect(await release("a rotated secret", {}, ["--replace", urn])).toEqual(["backend"]);
    const rotated = key();
    expect(rotated.equals(old)).toBe(false);
    expect([await ask(old), await ask(rotated)]).toEqual([401, 200]);
  });

  test("of the edge's limits writes a file and restarts nothing", async () => {
    expect(await release("the edge's limits", { edge: { maxBodyMb: 1 } })).toEqual([]);
    const headers = { "content-length": String(1024 ** 2 + 1) };
    expect(await reach.request("/api/echo", { method: "POST", headers })).toMatchObject({ status: 413 });
  });

  test.runIf(SOAK)("of settings and limits of both", async () => {
    const both = { backend: { drainSeconds: 2, pids: 128 }, frontend: { drainSeconds: 2, memoryMb: 320 } };
    expect(await release("settings and limits of both", both)).toEqual(["backend", "frontend"]);
  });

  test.runIf(SOAK)("of the frontend", async () => {
    expect(await release("the frontend", { images: { frontend: await image("frontend", 9) } })).toEqual(["frontend"]);
  });

  test.runIf(SOAK)("of what was before", async () => {
    const images = { backend: await image("backend", 3), frontend: await image("frontend", 3) };
    const both = { images, backend: { drainSeconds: 1 }, frontend: { drainSeconds: 1 } };
    expect(await release("back to images of before", both)).toEqual(["backend", "frontend"]);
  });
});

describe("a release that fails", () => {
  test("as its images cannot be had says which and why", async () => {
    const registry = await startBadRegistry();
    onTestFinished(() => registry.close());
    const missing = await attempt("an image that is missing", { images: { backend: registry.missing } });
    expect(missing).toMatch(new RegExp(`${registry.missing}.*manifest unknown`));
    const wrong = await attempt("an image of another digest", { images: { backend: registry.wrong } });
    expect(wrong).toMatch(new RegExp(`${registry.wrong}.*manifest verification failed`));
    registry.close();
    const unreachable = await attempt("no registry", { images: { backend: registry.missing } });
    expect(unreachable).toMatch(new RegExp(`${registry.missing}.*connection refused`));
  });

  test("as it crashes, or never becomes healthy, shows its last lines", async () => {
    // Not the minute that a release has: this one ends as it began.
    const health = 'port: 3000,\n  health: { test: ["CMD", "bash", "health.sh"]';
    const undo = program.edit("index.ts", health, `${health}, deadlineSeconds: 20`);
    onTestFinished(undo);
    const said = await attempt("a crash loop, and one that is never healthy", {
      images: {
        backend: await image("backend", 0, 'CMD ["sh", "-c", "echo no database; exit 3"]'),
        frontend: await image("frontend", 0, 'CMD ["sh", "-c", "echo waiting for the moon; sleep 3600"]'),
      },
    });
    expect(said).toMatch(
      /backend: the container reach-rolled-backend-\w{7} crashed \d+ times: it is restarting, exit code 3\n(.*\n)?.*Its last lines:\n( *no database\n)+/,
    );
    expect(said).toMatch(
      /frontend: the container reach-rolled-frontend-\w{7} did not become healthy in time: it is running\n.*Its last health check said: no answer\n.*Its last lines:\n *waiting for the moon\n/,
    );
  });

  test("as it fails the first real request, or as the edge rejects its route, got no client's request", async () => {
    const undo = program.edit("components/edge/request-paths.ts", '? "PathPrefix(`/`)"', '? "PathPrfix(`/`)"');
    onTestFinished(undo);
    const said = await attempt("well until asked, and a rule that Traefik does not know", {
      // Both are new, so that neither has failed before the other was tried.
      images: { backend: await brokenBackend(), frontend: await image("frontend", 11) },
    });
    expect(said).toMatch(
      /backend-route-job: .* failed: it is exited, exit code 1[^]*?Its last lines:\n *not serving reach-rolled-backend-\w{7}, it got no request\. Asked for \/health, the edge [\d.]+ answered 500/,
    );
    expect(said).toMatch(
      /frontend-route-job: .* failed: it is exited, exit code 1[^]*?Its last lines:\n *not serving reach-rolled-frontend-\w{7}, it got no request\. The edge [\d.]+ rejects the route: .*PathPrfix/,
    );
  });

  test.runIf(SOAK)("is tried again, and fails again, also after a refresh", async () => {
    // A refresh makes Pulumi forget that something failed.
    await reach.refresh();
    const said = await attempt("well until asked, after a refresh", { images: { backend: await brokenBackend() } });
    expect(said).toMatch(/not serving reach-rolled-backend-\w{7}, it got no request/);
  });

  test("leaves nothing behind once the next one is good", async () => {
    // Also of what failed and is to be as it was: its old container can only be replaced by a new one.
    expect(await release("the next good one", { images: { backend: await image("backend", 12) } })).toEqual([
      "backend",
      "frontend",
    ]);
  });

  /** Says that it is well, and can answer nothing. */
  const brokenBackend = () =>
    image("backend", 0, 'RUN echo "exit 0" > health.sh', `CMD ["python", "-c", ${JSON.stringify(BROKEN)}]`);
  const BROKEN = `
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        print("no such table", flush=True)
        self.send_error(500)
    do_POST = do_GET
HTTPServer(("", 8765), Handler).serve_forever()
`.trim();
});

test("of all requests none failed, and every POST was seen once", async () => {
  const { requests, failed, releases, tunnelReleases, acknowledgedIds, unacknowledgedIds } =
    await clients.finish(REQUESTS);
  const seen = new Map<string, number>();
  for (const log of logs.values())
    for (const line of logLines(log)) {
      const id = /^\{"id":"(.*)"\}/.exec(line)?.[1];
      if (id !== undefined) seen.set(id, (seen.get(id) ?? 0) + 1);
    }
  const twice = [...seen].filter(([, times]) => times > 1).map(([id]) => id);
  const missed = acknowledgedIds.filter((id) => !seen.has(id));
  console.log(
    JSON.stringify({ requests, failed, posts: acknowledgedIds.length, twice: twice.length, missed: missed.length }),
  );
  expect(requests).toBeGreaterThanOrEqual(REQUESTS);
  expect({ failed, twice, missed, unacknowledgedIds }).toEqual({
    failed: 0,
    twice: [],
    missed: [],
    unacknowledgedIds: [],
  });
  expect(seen.size).toBe(acknowledgedIds.length);
  // Every good release served, and no other; and once one did, no tunnel came to another before it.
  expect(releases.api.sort()).toEqual([...served.backend].sort());
  expect(releases.frontend.sort()).toEqual([...served.frontend].sort());
  expect(tunnelReleases).toEqual(served.backend);
  // On a busy machine so many take long, and that is no failure.
}, 1_800_000);

/** By all clients, at least. */
const REQUESTS = SOAK ? 100_000 : 15_000;

/** Long enough for a slow machine: a hang is what fails. */
const PATIENCE = { timeout: 30_000 };

interface Changes {
  images?: Partial<Record<Service, string>>;
  backend?: Record<string, number>;
  frontend?: Record<string, number>;
  edge?: Record<string, number>;
}

/** What the last good release differs in from the first configuration. */
const settings = { images: {}, backend: { drainSeconds: 1 }, frontend: { drainSeconds: 1 }, edge: {} };

function merged(changes: Changes) {
  const keys = Object.keys(settings) as (keyof Changes & keyof typeof settings)[];
  return Object.fromEntries(keys.map((key) => [key, { ...settings[key], ...changes[key] }])) as typeof settings;
}

function configure(changes: Changes): void {
  const entries = Object.entries(merged(changes)).map(([key, value]) => {
    const full = `reach:${key}`;
    return [full, { ...(reach.config[full] as object), ...value }];
  });
  reach.configure(Object.fromEntries(entries) as Record<string, unknown>);
}

/** A good update. Gives which of the long-running containers were replaced; none but the wanted ones may be there then. */
async function release(what: string, changes: Changes, args: string[] = []): Promise<string[]> {
  const before = running;
  configure(changes);
  await clients.during(what, () => reach.deploy(args));
  Object.assign(settings, merged(changes));
  expect(await reach.containerNames()).toEqual(CONTAINERS);
  await noteWhatServes();
  return [...running.keys()].filter((name) => running.get(name)!.Id !== before.get(name)?.Id).sort();
}

/** An update that has to fail and to touch nothing that runs. Gives the errors as they are told in the end. */
async function attempt(what: string, changes: Changes): Promise<string> {
  configure(changes);
  onTestFinished(() => configure({}));
  const { code, stdout, stderr } = await clients.during(what, () => reach.up());
  expect(code).not.toBe(0);
  for (const { Id, Name, State, RestartCount } of running.values()) {
    const after = await reach.engine.get<ContainerInspect>(`/containers/${Id}/json`);
    expect(after, Name).toMatchObject({ RestartCount, State: { Running: true, StartedAt: State.StartedAt } });
  }
  return (stdout + stderr).replace(/^[^]*\nDiagnostics:/, "");
}

async function noteWhatServes(): Promise<void> {
  const restart = ({ HostConfig }: ContainerInspect) => (HostConfig["RestartPolicy"] as { Name: string }).Name;
  running = new Map([...(await reach.containers())].filter(([, container]) => restart(container) === "always"));
  for (const service of ["backend", "frontend"] as const) {
    const { Config, LogPath } = running.get(service)!;
    if (served[service].at(-1) === Config.Hostname) continue;
    served[service].push(Config.Hostname);
    if (service === "backend") logs.set(Config.Hostname, openSync(LogPath, "r"));
  }
}

function logLines(file: number): string[] {
  // From its beginning, each time.
  const entries = readFileSync(`/proc/self/fd/${file}`, "utf8").trim().split("\n").filter(Boolean);
  return entries.map((entry) => (JSON.parse(entry) as { log: string }).log);
}

/** Another image of a service. */
function image(service: Service, number: number, ...lines: string[]): Promise<string> {
  return variants.of(base[service], "USER 0:0", ...lines, "USER 1000:1000", `LABEL release=${number}`);
}
