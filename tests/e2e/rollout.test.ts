// Releases that come and releases that fail, with clients asking all the time: none of their requests may be lost.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCertificates } from "../support/certificates.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { startLoad, type LoadOptions, type LoadResult } from "../support/load.ts";
import { prepareReach, type ContainerInspect, type Reach } from "../support/reach.ts";

const DOMAIN = "reach.test";

let reach: Reach;
/** The images that the program built at first, by service. */
const built: Record<string, string> = {};
const variants: string[] = [];

beforeAll(async () => {
  reach = await prepareReach({ stack: "rolled", domain: DOMAIN, httpsPort: 8443, tunnelPort: 2222 });
  await reach.deploy();
  serves = (await serving("backend")).Config.Hostname;
  for (const service of ["backend", "frontend"]) {
    const { Image } = (await reach.containers()).get(service)!;
    const { RepoTags } = await reach.engine.get<{ RepoTags: string[] }>(`/images/${Image}/json`);
    // A name that the program does not take away when it has another image.
    built[service] = `bulkhead-test/${service}:built`;
    await docker("tag", RepoTags[0]!, built[service]);
    variants.push(built[service]);
  }
});

afterAll(async () => {
  await reach?.stop();
  if (variants.length > 0) await docker("rmi", "--force", ...variants);
});

describe("a release", () => {
  test("of the backend takes over", async () => {
    const old = await serving("backend");
    const two = await variant("backend", "ENV RELEASE=two");
    const { loads } = await underLoad("backend", () => release({ backend: two }, "two"));
    expect(loads["GET of the API over HTTP/1.1"]!.byRelease).toEqual({
      [old.Config.Hostname]: expect.any(Number) as number,
      two: expect.any(Number) as number,
    });
    await expectOnlyWhatIsWanted();
    expect((await serving("backend")).Id).not.toBe(old.Id);
  });

  test("of backend and frontend together takes over", async () => {
    const images = {
      backend: await variant("backend", "ENV RELEASE=three"),
      frontend: await variant("frontend", "ENV RELEASE=three"),
    };
    const old = serves;
    const { loads } = await underLoad("backend and frontend", () => release(images, "three"));
    expect(Object.keys(loads["GET of the API over HTTP/1.1"]!.byRelease).sort()).toEqual([old, "three"].sort());
    expect((await reach.request("/")).text).toContain('made by release <b id="release">three</b>');
    await expectOnlyWhatIsWanted();
  });

  test("of the edge takes over: a certificate is renewed", async () => {
    const { certificate, privateKey } = reach.config["reach:certificates"] as Record<string, string>;
    const renewed = await makeCertificates(DOMAIN);
    writeFileSync(certificate!, renewed.certificate);
    writeFileSync(privateKey!, renewed.privateKey);
    const old = await serving("edge");
    await underLoad("edge", () => reach.deploy(), `${reach.ca}${renewed.ca}`);
    expect((await serving("edge")).Id).not.toBe(old.Id);
    await expect(reach.request("/")).rejects.toThrow("self-signed certificate in certificate chain");
    reach.ca = renewed.ca;
    expect(await reach.request("/")).toMatchObject({ status: 200 });
    await expectOnlyWhatIsWanted();
  });
});

describe("a release that fails", () => {
  const triedWith = (loads: Record<string, LoadResult>) => loads["GET of the API over HTTP/1.1"]!.byRelease;

  test("its health check, or its first real request, never gets one of a client", async () => {
    // Both in one update: the time is that of the slower one, which is waited for until it ought to be healthy.
    const images = {
      frontend: await variant("frontend", 'CMD ["node", "-e", "setTimeout(() => {}, 3600000)"]'),
      backend: await brokenBackend(),
    };
    const { loads, result } = await underLoad("frontend never healthy, backend broken", () => attempt(images));
    expect(result.code).not.toBe(0);
    const printed = result.stdout + result.stderr;
    expect(printed).toMatch(/frontend: the container \S+ did not become healthy/);
    expect(printed).toMatch(/backend-route-job: .*not serving reach-rolled-backend-[0-9a-f]{7}, it got no request/s);
    expect(Object.keys(triedWith(loads))).toEqual([serves]);
    expect((await reach.request("/")).text).toContain(`made by release <b id="release">${serves}</b>`);
  });

  test("is tried again, and fails again", async () => {
    const images = { backend: await brokenBackend() };
    const again = await underLoad("backend broken, again", () => attempt(images));
    // A refresh makes Pulumi forget that something failed.
    await reach.refresh();
    const refreshed = await underLoad("backend broken, after a refresh", () => attempt(images));
    for (const { loads, result } of [again, refreshed]) {
      expect(result.code).not.toBe(0);
      expect(Object.keys(triedWith(loads))).toEqual([serves]);
    }
  });

  const brokenBackend = () =>
    variant(
      "backend",
      'RUN rm -rf reach/__pycache__/health.* && echo "raise SystemExit(0)" > reach/health.py',
      `CMD ["python", "-c", ${JSON.stringify(BROKEN)}]`,
    );

  test("leaves nothing behind once the next one is good", async () => {
    const four = await variant("backend", "ENV RELEASE=four");
    const old = serves;
    const { loads } = await underLoad("backend, after failures", () => release({ backend: four }, "four"));
    expect(Object.keys(triedWith(loads)).sort()).toEqual([old, "four"].sort());
    await expectOnlyWhatIsWanted();
  });

  /** An update that may fail. If it does, the old container must be the one that serves, untouched. */
  async function attempt(images: Record<string, string>): Promise<CommandResult> {
    const old = await serving("backend");
    configure(images);
    const result = await reach.up();
    const still = await reach.engine.get<ContainerInspect>(`/containers/${old.Id}/json`);
    expect(still.State).toEqual({ ...old.State, Health: expect.anything() as object });
    expect(JSON.parse((await reach.request("/api/status")).text)).toMatchObject({ release: serves });
    return result;
  }
});

/** Says that it is well, and cannot answer anything. */
const BROKEN = `
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)
    do_POST = do_GET
HTTPServer(("", 8765), Handler).serve_forever()
`.trim();

const LOADS: Record<string, Omit<LoadOptions, "url" | "seconds"> & { path: string }> = {
  "GET of the API over HTTP/1.1": {
    path: "/api/status",
    connections: 8,
    requestsPerSecond: 120,
    release: { field: "release" },
  },
  "POST to the API over HTTP/2": {
    path: "/api/echo",
    connections: 4,
    requestsPerSecond: 80,
    method: "POST",
    protocol: "http/2",
  },
  "POST to the API over HTTP/1.1": { path: "/api/echo", connections: 4, requestsPerSecond: 80, method: "POST" },
  "GET of the page over HTTP/2": { path: "/", connections: 4, requestsPerSecond: 40, protocol: "http/2" },
};

/** Does something while clients ask without a pause, and expects that no request of theirs fails. */
async function underLoad(what: string, act: () => Promise<CommandResult>, ca = reach.ca) {
  const { address } = reach;
  const running = Object.entries(LOADS).map(([name, { path, ...options }]) => {
    const load = startLoad({ url: reach.url + path, address, ca, seconds: 300, ...options });
    return { name, load };
  });
  const results: [string, LoadResult][] = [];
  let result: CommandResult;
  try {
    await Promise.all(running.map(({ load }) => load.advance(50)));
    result = await act();
    await Promise.all(running.map(({ load }) => load.advance(50)));
  } finally {
    for (const { name, load } of running) results.push([name, await load.stop()]);
  }
  const requests = results.reduce((sum, [, load]) => sum + load.requests, 0);
  const failed = results.reduce((sum, [, load]) => sum + load.failed, 0);
  const worstMs = Math.round(Math.max(...results.map(([, load]) => load.latencyMs.max)));
  const seconds = Math.round(result.seconds * 10) / 10;
  console.log(JSON.stringify({ rollout: what, requests, failed, worstMs, seconds }));
  for (const [name, load] of results) {
    expect(load, name).toMatchObject({ failed: 0, failures: [], unacknowledgedIds: [] });
    expect(load.acknowledgedIds.length, name).toBe(LOADS[name]!.method === "POST" ? load.requests : 0);
  }
  return { result, loads: Object.fromEntries(results) };
}

function configure(images: Record<string, string>): void {
  reach.configure({ "reach:images": { ...(reach.config["reach:images"] as object), ...current, ...images } });
}

/** The images of the last good release, and what the backend calls it. */
let current: Record<string, string> = {};
let serves: string;

async function release(images: Record<string, string>, name: string): Promise<CommandResult> {
  configure(images);
  const result = await reach.deploy();
  current = { ...current, ...images };
  serves = name;
  return result;
}

/** Another image of a service, made from the one that the program built. */
async function variant(service: string, ...lines: string[]): Promise<string> {
  const dockerfile = [`FROM ${built[service]}`, "USER 0:0", ...lines, "USER 1000:1000", ""].join("\n");
  const name = `bulkhead.local/${service}:${createHash("sha256").update(dockerfile).digest("hex").slice(0, 16)}`;
  const { code, stderr } = await runCommand("docker", ["build", "--tag", name, "-"], { input: dockerfile });
  if (code !== 0) throw new Error(`docker build: ${stderr}`);
  variants.push(name);
  return name;
}

async function serving(name: string): Promise<ContainerInspect> {
  const { services } = await reach.outputs();
  return reach.engine.get<ContainerInspect>(`/containers/${services[name as "backend"].container}/json`);
}

async function expectOnlyWhatIsWanted(): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: ["bulkhead.stack=reach-rolled"] }));
  const list = await reach.engine.get<{ Labels: Record<string, string> }[]>(
    `/containers/json?all=1&filters=${filters}`,
  );
  expect(list.map(({ Labels }) => Labels["bulkhead.name"]).sort()).toEqual([
    "backend",
    "backend-route-job",
    "backend-secrets-courier",
    "edge",
    "edge-door",
    "edge-door-config-courier",
    "edge-secrets-courier",
    "edge-settings-job",
    "frontend",
    "frontend-route-job",
    "routes-job",
  ]);
}

async function docker(...args: string[]): Promise<void> {
  const { code, stderr } = await runCommand("docker", args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
}
