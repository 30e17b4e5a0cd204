// The same program on a remote host, reached over ssh:// alone.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Engine } from "../../engine.ts";
import { currentTestEngine } from "../support/engine.ts";
import { startLoad } from "../support/load.ts";
import { createTestProject } from "../support/pulumi.ts";
import { prepareReach, snapshot, type Reach } from "../support/reach.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";

let host: RemoteHost;
let reach: Reach;

beforeAll(async () => {
  host = await startRemoteHost(currentTestEngine(), "far");
  Object.assign(process.env, host.env);
  const engine = new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]);
  reach = await prepareReach({
    ...{ stack: "far", domain: "far.test", httpsPort: 8443, tunnelPort: 2222, listen: "0.0.0.0" },
    address: host.address,
    engine,
    env: { ...host.env, DOCKER_HOST: "unix:///nowhere/docker.sock" },
    config: { "reach:host": host.url, "reach:knownHosts": host.knownHostsFile },
  });
  await host.loadImages(Object.values(reach.config["reach:images"] as Record<string, string>));
});

afterAll(async () => {
  await reach?.stop();
  await host?.stop();
});

// First of all: a connection that is open already would be used again, and its key not asked for.
test("an unknown host key is one clear error, and nothing is touched", async () => {
  const before = await snapshot(reach.engine);
  const knownHosts = join(tmpdir(), `bulkhead-known-hosts-${process.pid}`);
  writeFileSync(knownHosts, "");
  onTestFinished(() => rmSync(knownHosts));
  const config = { ...reach.config, "reach:knownHosts": knownHosts };
  const project = await createTestProject({ stack: "stranger", config, env: host.env });
  onTestFinished(async () => {
    // Of a stack that was refused there is nothing, but a failed test must not stand in the way of the next.
    await project.destroy();
    project.remove();
  });
  const { code, stdout, stderr } = await project.up();
  expect(code).not.toBe(0);
  const diagnostics = (stdout + stderr).replace(/^[^]*\nDiagnostics:/, "");
  expect(diagnostics.match(/error: /g)).toHaveLength(1);
  expect(diagnostics).toContain(`error: host: ${host.url}: No ED25519 host key is known for ${host.address}`);
  expect(diagnostics).toMatch(/Host key verification failed\.: start Docker there, check that `ssh` reaches the host/);
  expect(await snapshot(reach.engine)).toEqual(before);
});

test("up deploys it there, over a few connections", async () => {
  const connections = watchConnections();
  const { seconds } = await reach.deploy();
  const { peers, most } = await connections.stop();
  console.log(JSON.stringify({ event: "remote up", seconds, sshConnections: peers, sshConnectionsAtOnce: most }));
  // Without a shared connection they are more than a dozen. Those that begin before it stands are on their own.
  expect(peers).toBeGreaterThan(0);
  expect(peers).toBeLessThanOrEqual(6);
  expect((await reach.request("/")).text).toContain('id="server-status" data-state="ok"');
  const { release } = JSON.parse((await reach.request("/api/status")).text) as { release: string };
  expect(release).toBe((await reach.containers()).get("backend")!.Config.Hostname);
  for (const [name, { HostConfig, State }] of await reach.containers()) {
    if (State.Running) expect(HostConfig.PidsLimit, name).toBeGreaterThan(0);
  }
});

test("a rollout loses nothing there either", async () => {
  const load = startLoad({
    ...{ url: `${reach.url}/api/status`, address: reach.address, ca: reach.ca, connections: 8, seconds: 300 },
    ...{ requestsPerSecond: 150, release: { field: "release" } },
  });
  await load.advance(50);
  reach.configure({ "reach:backend": { drainSeconds: 6 } });
  const { seconds } = await reach.deploy();
  await load.advance(50);
  const { requests, failed, failures, byRelease } = await load.stop();
  console.log(JSON.stringify({ rollout: "backend, remote", requests, failed, seconds }));
  expect(failures).toEqual([]);
  expect(failed).toBe(0);
  expect(Object.keys(byRelease)).toHaveLength(2);
});

test("a refresh and another up see nothing to do", async () => {
  const before = await snapshot(reach.engine);
  expect((await reach.refresh()).stdout).toMatch(/^Resources:\n {4}\d+ unchanged\n/m);
  expect((await reach.deploy()).stdout).toMatch(/^Resources:\n {4}\d+ unchanged\n/m);
  expect(await snapshot(reach.engine)).toEqual(before);
});

test("destroy leaves nothing there", async () => {
  await reach.destroy();
  expect(await snapshot(reach.engine, "reach-far")).toEqual({ containers: [], networks: [], volumes: [] });
  const all = await snapshot(reach.engine);
  expect([all.containers, all.volumes]).toEqual([[], []]);
});

/** The ssh connections that the host has while something goes on: how many different ones, and how many at once. */
function watchConnections() {
  const peers = new Set<string>();
  let most = 0;
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const { stdout } = await host.exec("ss", ["-H", "-t", "-n", "state", "established", "sport = :22"]);
      const now = stdout.trim().split("\n").filter(Boolean);
      for (const line of now) peers.add(line.trim().split(/\s+/).at(-1)!);
      most = Math.max(most, now.length);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await watching;
      return { peers: peers.size, most };
    },
  };
}
