// What services reach: networks of their own, and the edge's inner entry point by who asks.
import { describe, expect, test } from "vitest";
import { DockerHost } from "../../components/host/docker-host.ts";
import { RunningEdges } from "../../components/edge/running-edges.ts";
import { egressNetwork, Networks } from "../../components/host/networks.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { ScheduledJob } from "../../components/host/scheduled-job.ts";
import { Subnets } from "../../components/host/subnets.ts";
import { Worker } from "../../components/host/worker.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService, type WebServiceArgs } from "../../components/edge/web-service.ts";
import { record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `image:1@sha256:${"a".repeat(64)}`;
type Connections = Partial<Pick<WebServiceArgs, "uses" | "egress" | "networks" | "env">>;

function program(declare: (service: (name: string, connections?: Connections) => WebService, edge: Proxy) => void) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const edge = new Proxy("edge", {
      ...{ networks: new Networks("networks", { host }), images: { traefik: IMAGE, haproxy: IMAGE } },
      ...{
        domain: "example.com",
        certificates: { kind: "files", certificatePem: "the certificate", privateKeyPem: "k" },
      },
      ...{ address: "192.0.2.1", httpsPort: 443, requestsPerSecond: 50, burst: 75 },
    });
    const service = (name: string, connections: Connections = {}) =>
      new WebService(name, {
        ...{ edge, image: IMAGE, port: 80, health: { test: ["CMD", "true"] }, healthPath: "/", drainSeconds: 1 },
        ...{ limits: { memoryMb: 64, cpus: 1, pids: 32 }, routes: { paths: [`/${name}`] } },
        ...connections,
      });
    declare(service, edge);
    new ServedRoutes("routes", { edge });
  });
}

function inputsOf<T>(recording: Recording, name: string, type: string): T {
  return recording.resources.find((each) => each.name === name && each.type.endsWith(type))!.inputs as T;
}
const networksOf = (recording: Recording, name: string) =>
  inputsOf<{ networksAdvanced: { name: string }[] }>(recording, name, "container:Container").networksAdvanced.map(
    ({ name }) => name.replace("reach-test-", ""),
  );
interface Routers {
  http: { routers: Record<string, { rule: string }> };
}
function routersOf(recording: Recording, name: string): Routers["http"]["routers"] {
  const { envs } = inputsOf<{ envs: string[] }>(recording, `${name}-route-job`, "container:Container");
  return (JSON.parse(envs.find((env) => env.startsWith("ROUTE="))!.slice(6)) as Routers).http.routers;
}

test("every edge of this generation that runs joins, and no other; Docker is asked once for all networks", async () => {
  const posted: [string, unknown][] = [];
  const asked: string[] = [];
  const on = (networks: Record<string, unknown>) => ({
    State: { Running: true },
    NetworkSettings: { Networks: networks },
  });
  const inspected: Record<string, object> = {
    "/containers/new/json": on({ door: { NetworkID: "d", Aliases: ["edge-2"] } }),
    "/containers/there/json": on({ a: { NetworkID: "n", Aliases: ["edge-2"] } }),
    "/containers/before/json": on({ door: { NetworkID: "d", Aliases: ["edge"] } }),
  };
  const engine = {
    get: () => (asked.push("list"), Promise.resolve([{ Id: "new" }, { Id: "there" }, { Id: "before" }])),
    find: (path: string) => (asked.push(path), Promise.resolve(inspected[path])),
    post: (path: string, body: unknown) => Promise.resolve(posted.push([path, body])),
  };
  const host = { engine, stackName: "reach-test" } as unknown as DockerHost;
  const edges = new RunningEdges(host, "edge-2");
  await record(() => Promise.all([edges.join("n"), edges.join("o")]), { preview: false });
  const connected = (network: string, Container: string) => [
    ...[`/networks/${network}/connect`, { Container, EndpointConfig: { Aliases: ["edge-2"] } }],
  ];
  expect(posted).toHaveLength(3);
  expect(posted).toEqual(
    expect.arrayContaining([connected("n", "new"), connected("o", "new"), connected("o", "there")]),
  );
  expect(asked).toEqual(["list", ...Object.keys(inspected)]);
});

test("a route depends on the networks of those that use its service, and on no other: on all, for a TCP port", async () => {
  const networks: Record<string, string[]> = {};
  await program((service, edge) => {
    const used = service("used");
    service("user", { uses: [used] });
    service("other");
    for (const [name, tcp] of [["used", false] as const, ["other", false] as const, ["other", true] as const]) {
      // Internal to Pulumi: what a resource is registered with as its dependencies.
      const subnets = edge.programSubnets(name, { tcp }) as unknown as {
        allResources: () => Promise<Set<{ __name: string }>>;
      };
      void subnets.allResources().then((all) => {
        networks[`${name}${tcp ? " over TCP" : ""}`] = [...all].map(({ __name }) => __name).sort();
      });
    }
  });
  expect(networks).toEqual({
    used: ["networks-proxy", "networks-user-edge"],
    other: [],
    "other over TCP": ["networks-other-edge", "networks-used-edge", "networks-user-edge"],
  });
});

describe("a service", () => {
  test("is on a network of its own with the edge, and has a way out only if it says so", async () => {
    const recording = await program((service) => [service("one"), service("two", { egress: true })]);
    expect(networksOf(recording, "one")).toEqual(["one-edge"]);
    expect(networksOf(recording, "two")).toEqual(["two-edge", "two-egress"]);
    expect(networksOf(recording, "edge")).toEqual(["door", "proxy", "one-edge", "two-edge"]);
    expect(inputsOf(recording, "networks-one-edge", "network:Network")).toMatchObject({
      internal: true,
      options: { "com.docker.network.bridge.inhibit_ipv4": "true" },
    });
    expect(inputsOf(recording, "two-egress", "network:Network")).toMatchObject({ internal: false });
  });

  test("is asked for at the edge by those that use it, and by nobody else", async () => {
    const recording = await program((service) => {
      const used = service("used");
      service("user", { uses: [used], env: { URL: used.internalUrl } });
      service("other");
    });
    expect(routersOf(recording, "used")["used-services"]!.rule).toMatch(
      /^PathPrefix\(`\/services\/used\/`\) && \(ClientIP\(`[\d.]+\/16`\) \|\| ClientIP\(`[\d.]+\/16`\)\)$/,
    );
    expect(Object.keys(routersOf(recording, "user"))).not.toContain("user-services");
    expect(networksOf(recording, "user")).toEqual(["user-edge"]);
  });

  test("joins the network of what it uses, if that has one", async () => {
    const recording = await program((service, edge) => {
      service("one", { uses: [{ name: "database", network: edge.networks.internal }] });
    });
    expect(networksOf(recording, "one")).toEqual(["one-edge", "internal"]);
  });

  test("of two edges is used with those of one alone", async () => {
    const of = (name: string) => ({ name, through: {} as unknown as Proxy });
    const made = program((service) => service("one", { uses: [of("a"), of("b")] }));
    await expect(made).rejects.toThrow("one: uses: has services of two edges: give it those of one");
  });

  test.each([
    [
      "a URL of what it does not use",
      { env: { URL: "http://edge-2:8081/services/api/x" } },
      "one: env.URL: leads to api, which uses does not name: add `uses: [api]`",
    ],
    ["itself", { uses: [{ name: "one" }] }, "one: uses: one: is itself: leave it out"],
  ])("is refused with %s", async (_, connections, message) => {
    await expect(program((service) => service("one", connections))).rejects.toThrow(message);
  });

  test("is refused on a network of the edge's", async () => {
    const made = program((service, edge) => service("one", { networks: [edge.networks.proxy] }));
    await expect(made).rejects.toThrow(
      "one: networks: has one of the edge's: leave it out, the edge comes to the service's own",
    );
  });
});

describe.each(["worker", "job"])("a %s", (kind) => {
  const release = { image: IMAGE, limits: { memoryMb: 64, cpus: 1, pids: 32 } };
  const make = ({ host }: Proxy, connections: Connections) =>
    kind === "worker"
      ? new Worker("own", { ...release, host, drainSeconds: 1, health: { test: ["CMD", "true"] }, ...connections })
      : new ScheduledJob("own", { ...release, host, schedule: "@daily", command: ["true"], ...connections });

  test("reaches nothing unless it says so", async () => {
    const recording = await program((_, edge) => make(edge, {}));
    expect(inputsOf<object>(recording, "own", "container:Container")).toMatchObject({ networkMode: "none" });
    expect(networksOf(recording, "own")).toEqual([]);
    expect(networksOf(recording, "edge")).toEqual(["door", "proxy"]);
  });

  test("has the edge on a network of its own if it uses a service, and else none", async () => {
    const recording = await program((service, edge) => {
      const api = service("api");
      make(edge, { uses: [api], egress: true, env: { URL: api.internalUrl } });
    });
    expect(networksOf(recording, "own")).toEqual(["own-edge", "own-egress"]);
    expect(networksOf(recording, "edge")).toEqual(["door", "proxy", "api-edge", "own-edge"]);
    expect(Object.keys(routersOf(recording, "api"))).toContain("api-services");
    const refused = program((service, edge) => make(edge, { env: { URL: service("api").internalUrl } }));
    await expect(refused).rejects.toThrow("own: env.URL: leads to api, which uses does not name");
  });

  test("is refused when it comes after the end of all services", async () => {
    const late = program((service, edge) => {
      const api = service("api");
      edge.endOfServices();
      make(edge, { uses: [api] });
    });
    await expect(late).rejects.toThrow("own: comes after stackOutputs(), which would take its route away");
  });
});

describe("subnets of a range", () => {
  const all = (range: string, names: string[]) => {
    const subnets = new Subnets(range, "reach-test");
    return names.map((name) => subnets.of(name).subnet);
  };
  const names = Array.from({ length: 32 }, (_, at) => `service-${at}`);

  test("are each network's own, and stay where they are when another one comes", () => {
    const found = all("10.89.0.0/16", names);
    expect(new Set(found).size).toBe(32);
    for (const subnet of found) expect(subnet).toMatch(/^10\.89\.\d+\.(0|128)\/25$/);
    const more = all("10.89.0.0/16", [...names, "another"]);
    expect(more.slice(0, 32)).toEqual(found);
    expect(all("10.89.0.0/16", ["service-7"])).toEqual([found[7]]);
  });

  test("have their gateway, and begin where the range does, whatever its address", () => {
    const { subnet, gateway } = new Subnets("192.168.17.9/16", "reach-test").of("door");
    expect(subnet).toMatch(/^192\.168\./);
    const [, start, last] = /^(.*)\.(\d+)\/25$/.exec(subnet)!;
    expect(gateway).toBe(`${start}.${Number(last) + 1}`);
  });

  test("end with a word on it", () => {
    expect(new Set(all("10.89.0.0/20", names)).size).toBe(32);
    expect(() => all("10.89.0.0/20", [...names, "another"])).toThrow(
      "networks.subnets: 10.89.0.0/20 has room for 32 networks, and the program has more: give a larger range",
    );
  });

  test("and the MTU are those of every network", async () => {
    const recording = await record(() => {
      const networks = { mtu: 1400, subnets: "10.89.0.0/16" };
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE, networks });
      new Networks("networks", { host }).ofService("api");
      egressNetwork(host, "api", host);
    });
    const made = recording.resources.filter(({ type }) => type === "docker:index/network:Network");
    expect(made).toHaveLength(6);
    for (const { inputs } of made)
      expect(inputs).toMatchObject({
        options: { "com.docker.network.driver.mtu": "1400" },
        ipamConfigs: [{ subnet: expect.stringMatching(/^10\.89\./) as string }],
      });
  });
});
