// Two stacks on one engine: neither knows of the other.
import { afterAll, beforeAll, expect, test } from "vitest";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { runProbe } from "../support/probe.ts";
import { refusedUp } from "../support/refused.ts";
import { prepareReach, snapshot, type Reach } from "../support/reach.ts";

let world: OutsideWorld;
let one: Reach;
let two: Reach;

beforeAll(async () => {
  world = await startOutsideWorld();
  const listen = "0.0.0.0";
  one = await prepareReach({ stack: "one", domain: "one.test", httpsPort: 8443, tcpPort: 2222, listen });
  const edge = { requestsPerSecond: 1, burst: 10 };
  two = await prepareReach({ stack: "two", domain: "two.test", httpsPort: 9443, tcpPort: 9222, listen, edge });
  await Promise.all([one.deploy(), two.deploy()]);
});

afterAll(async () => {
  await one?.stop();
  await two?.stop();
  await world?.stop();
});

test("both serve, each its own domain with its own release", async () => {
  const releases = await Promise.all(
    [one, two].map(async (reach) => {
      const status = await reach.request("/api/status");
      expect(status.status).toBe(200);
      expect(await reach.request("/")).toMatchObject({ status: 200 });
      const { release } = JSON.parse(status.text) as { release: string };
      expect(release).toBe((await reach.containers()).get("backend")!.Config.Hostname);
      return release;
    }),
  );
  expect(new Set(releases).size).toBe(2);
  expect(await one.request("/", { headers: { host: "two.test" } })).toMatchObject({ status: 404 });
  await expect(one.request("/", { connection: world.connect(9443) })).rejects.toThrow("self-signed certificate");
});

test("nothing of one is on a network of the other", async () => {
  const [ofOne, ofTwo] = await Promise.all([one, two].map((reach) => reach.containers()));
  const networks = (of: typeof ofOne) =>
    new Set([...of!.values()].flatMap(({ NetworkSettings }) => Object.keys(NetworkSettings.Networks)));
  const own = (stack: string) =>
    ["backend-edge", "door", "frontend-edge", "internal", "proxy"].map((suffix) => `reach-${stack}-${suffix}`);
  expect([...networks(ofOne)].sort()).toEqual(["none", ...own("one")]);
  expect([...networks(ofTwo)].sort()).toEqual(["none", ...own("two")]);
  const backend = ofTwo!.get("backend")!;
  const targets = Object.values(backend.NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
  const look = async (stack: string) => {
    const { result } = await runProbe<string[]>(one.engine, {
      like: backend,
      image: backend.Image,
      networks: ["internal", "backend-edge"].map((suffix) => `reach-${stack}-${suffix}`),
      input: targets,
      program: `
import json, socket, sys
def reached(host):
    try:
        socket.create_connection((host, 8765), 1.5).close()
        return "open"
    except OSError as error:
        return type(error).__name__
print(json.dumps([reached(host) for host in json.loads(sys.argv[1])]))
`,
    });
    return result;
  };
  const [fromTwo, fromOne] = await Promise.all([look("two"), look("one")]);
  expect(fromTwo).toEqual(["open", "open"]);
  expect(fromOne).toEqual(["TimeoutError", "TimeoutError"]);
});

test("a client that asks too much is told so, and nobody else", async () => {
  const ask = async (reach: Reach, count: number, from: string) => {
    const asked = Array.from({ length: count }, () =>
      reach.request("/api/status", { connection: world.connect(reach.httpsPort, from) }),
    );
    return Promise.all(asked);
  };
  const answers = await ask(two, 30, world.address);
  const [served, refused] = [200, 429].map((status) => answers.filter((answer) => answer.status === status));
  expect(served!.length + refused!.length).toBe(30);
  // The burst, and what the seconds of the test itself allow.
  expect(served!.length).toBeGreaterThanOrEqual(10);
  expect(served!.length).toBeLessThan(20);
  expect(refused![0]!.headers).toMatchObject({
    "retry-after": expect.any(String) as string,
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-frame-options": "DENY",
  });
  const others = [...(await ask(two, 5, world.otherAddress)), ...(await ask(one, 30, world.address))];
  expect(others.map(({ status }) => status)).toEqual(Array.from({ length: 35 }, () => 200));
});

test("a third with a port of the first is one clear error, and nothing is made", async () => {
  const before = await snapshot(one.engine);
  const edge = { ...(one.config["reach:edge"] as object), tcp: { clients: 3222 } };
  const diagnostics = await refusedUp({ stack: "three", config: { ...one.config, "reach:edge": edge } });
  expect(diagnostics.match(/error: .*/g)).toEqual([
    expect.stringMatching(
      /^error: edge\.httpsPort: 8443 is held by the container reach-one-edge-door-[0-9a-f]{7}: give another port, or stop it$/,
    ),
  ]);
  expect(await snapshot(one.engine)).toEqual(before);
});

test("one goes on as if nothing had been when two is destroyed", async () => {
  const before = await snapshot(one.engine, "reach-one");
  await two.destroy();
  expect(await snapshot(one.engine, "reach-two")).toEqual({ containers: [], networks: [], volumes: [] });
  expect(await snapshot(one.engine, "reach-one")).toEqual(before);
  expect(await one.request("/api/status")).toMatchObject({ status: 200 });
});
