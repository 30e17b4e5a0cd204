import { beforeAll, describe, expect, test } from "vitest";
import { DockerHost } from "../../components/host/docker-host.ts";
import { edgeSettings } from "../../components/edge/edge-settings.ts";
import { traefikArguments } from "../../components/edge/traefik-arguments.ts";
import { LAST_PRIORITY } from "../../components/edge/hosts.ts";
import { Networks } from "../../components/host/networks.ts";
import { configuration } from "../../components/edge/front-door.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import type { ProxyArgs } from "../../components/edge/proxy-args.ts";
import { reviving } from "../../components/host/revive.ts";
import { RouteFile } from "../../components/edge/route-file.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService, type WebServiceArgs } from "../../components/edge/web-service.ts";
import type { Certificates } from "../../components/settings/certificates.ts";
import { container, containers, hex, label, ofType, record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const FILES: Certificates = { kind: "files", certificatePem: "the certificate", privateKeyPem: "the private key" };
const ACME: Certificates = {
  ...{ kind: "acme", email: "ops@example.com", caServer: "https://ca.example.com/dir", validityHours: 2160 },
};
const LIMITS = { memoryMb: 64, cpus: 1, pids: 32 };

interface System {
  recording: Recording;
  service: WebService;
}

/** Records an edge with a service behind it. */
async function system(
  ofEdge: Partial<ProxyArgs> = {},
  ofService: Partial<WebServiceArgs> = {},
  ofNetworks: { tunnel?: boolean } = {},
): Promise<System> {
  let service!: WebService;
  const recording = await record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const networks = new Networks("networks", { host, ...ofNetworks });
    const edge = new Proxy("edge", {
      networks,
      images: { traefik: IMAGE, haproxy: IMAGE },
      domain: "example.com",
      certificates: FILES,
      address: "192.0.2.1",
      httpsPort: 443,
      tcp: { clients: 2222 },
      requestsPerSecond: 50,
      burst: 75,
      maxBodyMb: 5,
      ...ofEdge,
    });
    service = new WebService("api", {
      edge,
      image: IMAGE,
      port: 8765,
      health: { test: ["CMD", "true"] },
      healthPath: "/health",
      limits: LIMITS,
      drainSeconds: 30,
      routes: { paths: ["/api", "/sse"] },
      networks: [networks.web],
      ...ofService,
    });
    new ServedRoutes("routes", { edge });
  });
  return { recording, service };
}

/** The one that nothing is changed in, made once. */
let unchanged: Promise<System> | undefined;
function plainSystem(): Promise<System> {
  return (unchanged ??= system());
}

interface Router {
  entryPoints: string[];
  rule: string;
  service: string;
  middlewares?: string[];
}

interface RouteContent {
  http: {
    routers: Record<string, Router>;
    middlewares: Record<string, Record<string, unknown>>;
    services: Record<string, { loadBalancer: { servers: { url: string }[] } }>;
    serversTransports?: Record<string, unknown>;
  };
  tcp?: { routers: Record<string, Router>; services: Record<string, unknown> };
  tls?: { options: { default: Record<string, unknown> }; stores?: unknown };
}

function setting(recording: Recording, job: string, name: string): string {
  const env = container(recording, job).inputs.envs!.find((entry) => entry.startsWith(`${name}=`));
  return env!.slice(name.length + 1);
}

function routeOf({ recording }: System): RouteContent {
  return JSON.parse(setting(recording, "api-route-job", "ROUTE")) as RouteContent;
}

/** What Traefik's rules say of paths: `Path` is the path itself, `PathPrefix` all that begins so. */
function takes({ rule }: Router, path: string): boolean {
  const whole = [...rule.matchAll(/\bPath\(`([^`]*)`\)/g)].some(([, exact]) => path === exact);
  return whole || [...rule.matchAll(/\bPathPrefix\(`([^`]*)`\)/g)].some(([, prefix]) => path.startsWith(prefix!));
}

const EDGE = `reach-test-edge-${hex("edge", 7)}`;
const API = `reach-test-api-${hex("api", 7)}`;

/** For a framework that takes its own domain alone, and redirects what was not HTTPS. */
const AS_CLIENT = {
  headers: {
    customRequestHeaders: { Host: "example.com", "X-Forwarded-Host": "example.com", "X-Forwarded-Proto": "https" },
  },
};

describe("a service's routes", () => {
  let route: RouteContent;
  let sound: System;
  beforeAll(async () => {
    sound = await plainSystem();
    route = routeOf(sound);
  });

  test.each([
    ["/api", true],
    ["/api/", true],
    ["/api/users/1", true],
    ["/apix", false],
    ["/apix/users", false],
    ["/", false],
    ["/sse", true],
    ["/sse/1", true],
    ["/ssex", false],
  ])("take %s: %s", (path, taken) => {
    expect(takes(route.http.routers["api"]!, path)).toBe(taken);
    expect(takes(route.http.routers["api-unsized"]!, path)).toBe(taken);
  });

  test("are of one domain, and over TLS", () => {
    for (const name of ["api", "api-unsized"]) {
      const router = route.http.routers[name]!;
      expect(router.entryPoints).toEqual(["websecure"]);
      expect(router.rule).toMatch(/^Host\(`example\.com`\) && \(.*\)/);
      expect(router.rule.slice("Host(`example.com`) && ".length)).not.toMatch(/^\(.*\) \|\| \(.*\)$/);
    }
  });

  test("hold requests to the service's limits, and collect no body anywhere", () => {
    expect(route.http.routers["api"]!.middlewares).toEqual(["api-policy", "api-requests", "compress"]);
    expect(route.http.middlewares["api-limits"]).toEqual({
      plugin: {
        bulkhead: {
          ...{ kind: "limits", service: "api", maxBodyBytes: 5 * 1024 * 1024, bodyGapSeconds: 60 },
          responseTimeoutSeconds: 60,
        },
      },
    });
    expect(JSON.stringify(route)).not.toContain("buffering");
  });

  test("answer 413 also to a body that did not say how long it is", () => {
    const { rule, middlewares } = route.http.routers["api-unsized"]!;
    const sized = route.http.routers["api"]!;
    expect(rule).toBe(
      `${sized.rule} && !Method(\`GET\`) && !Method(\`HEAD\`) && !HeaderRegexp(\`Content-Length\`, \`.\`)`,
    );
    expect(middlewares).toEqual(["linger", "api-policy", "too-large", "api-requests", "compress"]);
  });

  test("have limits of their own where the service says them", async () => {
    const { http } = routeOf(await system({}, { maxBodyMb: 2048, responseTimeoutSeconds: 90 }));
    expect(http.middlewares["api-limits"]).toMatchObject({
      plugin: { bulkhead: { maxBodyBytes: 2 ** 31, responseTimeoutSeconds: 90 } },
    });
    expect(http.serversTransports).toEqual({
      api: { forwardingTimeouts: { dialTimeout: "15s", responseHeaderTimeout: "90s" } },
    });
  });

  test("lead to this release and no other", () => {
    expect(route.http.services).toEqual({
      api: { loadBalancer: { serversTransport: "api", servers: [{ url: `http://${API}:8765` }] } },
    });
    for (const router of Object.values(route.http.routers)) expect(router.service).toBe("api");
  });

  test("lead those that use it here, without the path that they call it by, and nobody else", () => {
    // Who uses it is told in compartments.test.ts.
    expect(route.http.routers["api-services"]).toBeUndefined();
    expect(route.http.middlewares["api-as-client"]).toEqual(AS_CLIENT);
    expect(route.http.middlewares["api-services"]).toEqual({ stripPrefix: { prefixes: ["/services/api"] } });
    expect(sound.service.internalUrl).toBe("http://edge-2:8081/services/api");
  });

  test("have one for the cutover, which only this release has", () => {
    expect(route.http.routers["api-release"]).toEqual({
      entryPoints: ["release"],
      rule: `PathPrefix(\`/release/${API}/\`)`,
      service: "api",
      middlewares: ["door-network-only", "api-limits", "api-release", "api-as-client"],
    });
    expect(route.http.middlewares["api-release"]).toEqual({ stripPrefix: { prefixes: [`/release/${API}`] } });
    const inside = Object.values(route.http.routers).filter(({ rule }) => rule.includes(API));
    expect(inside.map(({ entryPoints }) => entryPoints)).toEqual([["release"]]);
  });

  test("are tried beside them first, where no client is", () => {
    const tried = JSON.parse(setting(sound.recording, "api-route-job", "CANDIDATE")) as RouteContent;
    const name = `${API}-candidate`;
    expect(tried).toEqual({
      http: {
        routers: {
          [name]: {
            entryPoints: ["release"],
            rule: expect.stringMatching(/^PathPrefix\(`\/candidate\/reach-test-api-\w{7}\/`\) \|\| \(.*\)$/) as string,
            service: name,
            middlewares: ["door-network-only", name, `${name}-as-client`],
          },
        },
        middlewares: {
          [name]: { stripPrefix: { prefixes: [`/candidate/${API}`] } },
          [`${name}-as-client`]: AS_CLIENT,
        },
        services: { [name]: { loadBalancer: { servers: [{ url: `http://${API}:8765` }] } } },
      },
    });
    // A rule that Traefik refuses is then refused here.
    const paths = route.http.routers["api"]!.rule.slice("Host(`example.com`) && (".length, -1);
    expect(tried.http.routers[name]!.rule).toContain(paths);
    expect(takes(tried.http.routers[name]!, "/api")).toBe(true);
    // Two files that say one name contradict each other, and Traefik would take neither.
    const names = ({ http }: RouteContent) => Object.values(http).flatMap((kind) => Object.keys(kind as object));
    expect(names(route).filter((other) => names(tried).includes(other))).toEqual([]);
  });

  test("allow a page nothing unless they say what", async () => {
    const policy = (content: RouteContent) => content.http.middlewares["api-policy"];
    expect(policy(route)).toEqual({
      headers: { contentSecurityPolicy: "default-src 'none'; frame-ancestors 'none'" },
    });
    const routes = { paths: ["/"], contentSecurityPolicy: "default-src 'self'" };
    expect(policy(routeOf(await system({}, { routes })))).toEqual({
      headers: { contentSecurityPolicy: "default-src 'self'" },
    });
  });

  test("compress answers unless one says that it does not", async () => {
    const { routers } = routeOf(
      await system({}, { routes: [{ paths: ["/"] }, { paths: ["/raw"], compression: false }] }),
    ).http;
    expect(routers["api"]!.middlewares).toContain("compress");
    expect(routers["api-route-2"]!.middlewares).toContain("api-route-2-requests");
    expect(routers["api-route-2"]!.middlewares).not.toContain("compress");
  });

  test("of / take everything", async () => {
    const { http } = routeOf(await system({}, { routes: { paths: ["/"] } }));
    expect(["/", "/api", "/x/y"].filter((path) => takes(http.routers["api"]!, path))).toEqual(["/", "/api", "/x/y"]);
    expect(Object.keys(http.routers)).toEqual(["api", "api-unsized", "api-release"]);
  });

  test.each(["api", "/api/", "//api", "/a`b", "/a b", ""])("of %j are refused, as it is no path", async (path) => {
    await expect(system({}, { routes: { paths: [path] } })).rejects.toThrow(
      `api: the path ${path} is not one that a route can have: give one like /api`,
    );
  });

  test("are tried for as long as one answer of the service may take", async () => {
    const { recording } = await system({}, { healthTimeoutSeconds: 8 });
    expect(setting(recording, "api-route-job", "CHECK_SECONDS")).toBe("8");
    expect(container(recording, "api-route-job").inputs.waitTimeout).toBe(157);
    await expect(system({}, { healthTimeoutSeconds: 11 })).rejects.toThrow(
      "api: healthTimeoutSeconds: 11 is not from 1 to 10: give the seconds of one answer",
    );
  });

  test("take TCP only where there is a port for them, and from clients alone", async () => {
    expect(route.tcp).toBeUndefined();
    expect(routeOf(await system({}, { tcp: { clients: 2200 } })).tcp).toEqual({
      routers: {
        "api-tcp-clients": { entryPoints: ["tcp-clients"], rule: FROM_CLIENTS, service: "api-tcp-clients" },
      },
      services: { "api-tcp-clients": { loadBalancer: { servers: [{ address: `${API}:2200` }] } } },
    });
  });
  const FROM_CLIENTS = expect.stringMatching(/^HostSNI\(`\*`\) && !\(ClientIP\(`[\d.]+\/16`\)\)$/) as string;

  test("take each of two TCP ports to the port of the container that is said for it", async () => {
    const two = { tcp: { clients: 2222, mail: 25 } };
    const { routers, services } = routeOf(await system(two, { tcp: { mail: 2500, clients: 2200 } })).tcp as {
      routers: Record<string, { entryPoints: string[]; service: string }>;
      services: Record<string, { loadBalancer: { servers: { address: string }[] } }>;
    };
    const ways = Object.values(routers).map(({ entryPoints, service }) => [
      ...entryPoints,
      ...services[service]!.loadBalancer.servers.map(({ address }) => address),
    ]);
    expect(ways).toEqual([
      ["tcp-mail", `${API}:2500`],
      ["tcp-clients", `${API}:2200`],
    ]);
  });
});

describe("WebService", () => {
  test("is hardened, drains, and is on no network but its own and the edge's", async () => {
    const { recording } = await system({}, { env: { MODE: "x" }, command: ["serve"] });
    const { inputs } = container(recording, "api");
    expect(inputs).toMatchObject({
      ...{ user: "1000:1000", readOnly: true, memory: 64, memorySwap: 64, restart: "always", wait: true },
      ...{ envs: ["MODE=x", "DRAIN_SECONDS=30"], command: ["serve"], destroyGraceSeconds: 35, volumes: [], ports: [] },
    });
    expect(inputs.networksAdvanced).toEqual([{ name: "reach-test-api-edge" }, { name: "reach-test-web-2" }]);
  });

  test("that hangs is ended from within, so that Docker starts it again, unless it is not to be", async () => {
    const testsOf = async (ofService: Partial<WebServiceArgs>) => {
      const { recording } = await system({}, ofService);
      return container(recording, "api").inputs.healthcheck!.tests!;
    };
    const tests = await testsOf({});
    expect(tests).toEqual(["CMD", "/bin/sh", "-c", expect.any(String), "health", "10", "true"]);
    expect(tests[3]).toMatch(/^most=\$1\n/);
    expect((await testsOf({ reviveAfterHangs: 2 })).slice(4)).toEqual(["health", "2", "true"]);
    expect(await testsOf({ reviveAfterHangs: 0 })).toEqual(["CMD", "true"]);
    for (const hangs of [-1, 1.5, Number.NaN])
      expect(() => reviving("api", { test: ["CMD", "true"] }, hangs)).toThrow(
        `api: reviveAfterHangs: ${hangs} is not a whole number from 0: give one, 0 for never`,
      );
  });

  test("is all that is ended when it hangs", async () => {
    const { recording } = await plainSystem();
    const reviving = containers(recording).filter(({ inputs }) => inputs.healthcheck?.tests?.includes("health"));
    expect(reviving.map(({ name }) => name)).toEqual(["api"]);
  });

  test("is root where an exception says why, and then reads its secrets as root", async () => {
    const exceptions = [{ rootUser: true as const, why: "its image knows no other user" }];
    const { recording } = await system({}, { exceptions, secrets: { API_KEY: "hidden" } });
    expect(container(recording, "api").inputs.user).toBe("0:0");
    expect(container(recording, "api-secrets-courier").inputs.uploads).toMatchObject([{ owner: "0", group: "0" }]);
  });

  const TCP = { isHealthPath: false, tcp: ["clients"] };
  test.each<[Partial<WebServiceArgs>, object]>([
    [{ routes: { paths: ["/api"] } }, { path: "/api", isHealthPath: false, tcp: [] }],
    [{ routes: { paths: ["/"] } }, { path: "/health", isHealthPath: true, tcp: [] }],
    [{ healthPath: "/api/health" }, { path: "/api/health", isHealthPath: true, tcp: [] }],
    [{ healthPath: "/apical" }, { path: "/api", isHealthPath: false, tcp: [] }],
    [{ routes: { paths: [] }, tcp: { clients: 2222 } }, TCP],
  ])("%j says in the state how it is asked from outside", async (args, fromOutside) => {
    const { recording } = await system({}, args);
    expect(ofType(recording, "WebService")[0]!.outputs["fromOutside"]).toEqual(fromOutside);
  });

  test.each<[string, Partial<WebServiceArgs>]>([
    ["another health path", { healthPath: "/api/ready" }],
    ["more time for it", { healthTimeoutSeconds: 9 }],
    ["other paths", { routes: { paths: ["/guide"] } }],
    ["a TCP port", { tcp: { clients: 2222 } }],
  ])("with %s, gets its route's job anew, and nothing else", async (_, args) => {
    const [before, after] = [(await plainSystem()).recording, (await system({}, args)).recording];
    const changed = containers(after).filter(({ name, inputs }) => {
      const was = container(before, name).inputs;
      return JSON.stringify(inputs) !== JSON.stringify(was);
    });
    expect(changed.map(({ name }) => name)).toEqual(["api-route-job"]);
  });

  test("gets its secrets as files, and not in its environment", async () => {
    const { recording } = await system({}, { secrets: { API_KEY: "hidden" } });
    const { inputs } = container(recording, "api");
    expect(inputs.envs).toEqual(["API_KEY_FILE=/run/secrets/api_key", "DRAIN_SECONDS=30"]);
    expect(inputs.volumes).toEqual([
      {
        volumeName: `reach-test-api-secrets-files-${hex("api-secrets-files", 7)}`,
        containerPath: "/run/secrets",
        readOnly: true,
      },
    ]);
    expect(container(recording, "api-secrets-courier").inputs.uploads).toMatchObject([
      { owner: "1000", content: "hidden" },
    ]);
  });

  test("passes exceptions, limits and tmpfs on", async () => {
    const exceptions = [{ writableRoot: true as const, why: "it writes" }];
    const { recording } = await system({}, { exceptions, tmpfsMb: { "/cache": 8 }, limits: { ...LIMITS, pids: 99 } });
    const api = container(recording, "api");
    expect(api.inputs).toMatchObject({
      readOnly: false,
      tmpfs: { "/cache": expect.stringContaining("size=8m") as string },
    });
    expect([label(api, "bulkhead.exceptions"), label(api, "bulkhead.pids")]).toEqual([
      JSON.stringify(exceptions),
      "99",
    ]);
  });

  test("is cut over when it is there, and when the edge is", async () => {
    const { recording } = await plainSystem();
    expect(setting(recording, "api-route-job", "RELEASE")).toBe(API);
    expect(setting(recording, "api-route-job", "CHECK_PATH")).toBe("/health");
    expect(setting(recording, "api-route-job", "ROUTE_FILE")).toBe("api-route");
    expect(container(recording, "api-route-job").options.dependencies).toContain(container(recording, "api").urn);
    const [route] = ofType(recording, "bulkhead:index:RouteFile").filter(({ name }) => name === "api-route");
    expect(route!.options.dependencies).toContain(container(recording, "edge-settings-job").urn);
    expect(route!.options.dependencies).not.toContain(container(recording, "edge-door").urn);
  });

  test.each([
    [443, "https://example.com/api"],
    [8443, "https://example.com:8443/api"],
  ])("is found at the edge's port %d", async (httpsPort, url) => {
    expect((await system({ httpsPort })).service.url).toBe(url);
  });
});

test("a service for a host that is an alias is refused, though a wildcard of the edge stands for it", async () => {
  const names = { domains: [{ name: "*.example.org" }], aliases: [{ name: "www.example.org", to: "example.com" }] };
  const refused = system(names, { routes: { host: "www.example.org", paths: ["/"] } });
  await expect(refused).rejects.toThrow(
    "api: routes.host: www.example.org redirects to example.com: give another, or take it out of aliases in the stack file",
  );
});

test.each<[Partial<WebServiceArgs>, string]>([
  [
    { port: 70_000, healthPath: "health", healthTimeoutSeconds: 0, maxBodyMb: 0.5, responseTimeoutSeconds: 0 },
    "api: port: 70000 is not a whole number from 1 to 65535: give the one that it listens on\n" +
      "api: healthPath: health is not a path: give one like /health\n" +
      "api: healthTimeoutSeconds: 0 is not from 1 to 10: give the seconds of one answer\n" +
      "api: maxBodyMb: 0.5 is not a whole number from 1: give MiB\n" +
      "api: responseTimeoutSeconds: 0 is not a whole number from 1: give seconds",
  ],
  [
    { sticky: { cookie: "a b", sameSite: "maybe" as "lax" } },
    'api: sticky.cookie: a b is no name of a cookie: give letters, digits, "-", "_" and "."\n' +
      "api: sticky.sameSite: maybe is none: give strict, lax or none",
  ],
  [
    { udp: { game: 27_015 } } as never,
    "api: udp: is not published: the door hands on TCP alone, could not tell who sends a datagram, and would lose them in " +
      "every rollout: run what speaks UDP on a host of its own, or use its TCP",
  ],
  [
    { routes: [{ paths: ["/"] }, { paths: ["/"], host: "example.org" }] },
    "api: routes[1].host: example.org is not served by the edge (example.com): add it to domains in the stack file",
  ],
  [
    { routes: { paths: ["/"], host: "example.org" } },
    "api: routes.host: example.org is not served by the edge (example.com): add it to domains in the stack file",
  ],
])("a service with %j is refused", async (args, message) => {
  const refused = await system({}, args).then(() => "", String);
  expect(refused.replace(/^Error: /, "")).toBe(message);
});

describe("RouteFile", () => {
  test("writes what Traefik reads as it is, also what looks like a template", async () => {
    const content = { http: { rule: "{{ env `SECRET` }} {{{", deep: ["{{"] } };
    const recording = await record(() => {
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
      const common = { host, worksFor: "x", doorNetwork: "door", routesVolume: "routes", release: "r-1" };
      new RouteFile("x", { ...common, content });
    });
    const route = setting(recording, "x-job", "ROUTE");
    expect(route).not.toContain("{{");
    expect(JSON.parse(route)).toEqual(content);
    const { inputs } = container(recording, "x-job");
    expect(inputs.networksAdvanced).toEqual([{ name: "door" }]);
    expect(inputs.volumes).toEqual([{ volumeName: "routes", containerPath: "/routes", readOnly: false }]);
    // The job tries for a minute for each of two routes, and has to be able to say that it failed.
    expect(inputs.waitTimeout).toBeGreaterThan(120);
  });
});

describe("a job before a release", () => {
  const preDeploy = { command: ["migrate", "--all"] };
  const secrets = { TOKEN: "value" };

  test("is the service's own image, settings, secrets and networks, and comes before its container", async () => {
    const { recording } = await system({}, { preDeploy, secrets, env: { MODE: "test" } });
    const [job, api] = [container(recording, "api-pre-deploy"), container(recording, "api")];
    for (const key of ["image", "user", "networksAdvanced", "volumes", "memory", "cpus", "readOnly"] as const)
      expect(job.inputs[key], key).toEqual(api.inputs[key]);
    expect(job.inputs).toMatchObject({
      ...{ restart: "no", mustRun: false, wait: true, waitTimeout: 300, command: ["migrate", "--all"] },
      // Another time to drain is no reason to run it again.
      envs: ["MODE=test", "TOKEN_FILE=/run/secrets/token"],
    });
    expect(job.inputs.entrypoints![2]).toMatch(/\n"\$@" \|\| exit\nfinish$/);
    const component = ofType(recording, "bulkhead:index:Container").find(({ name }) => name === "api");
    expect(component!.options.dependencies).toContain(job.urn);
  });

  test("has limits and a deadline of its own where it needs them", async () => {
    const limits = { memoryMb: 512, cpus: 2, pids: 16 };
    const { recording } = await system({}, { preDeploy: { ...preDeploy, limits, deadlineSeconds: 900 } });
    expect(container(recording, "api-pre-deploy").inputs).toMatchObject({ memory: 512, cpus: "2.0", waitTimeout: 900 });
  });

  test("has settings and secrets of its own, which the service does not get", async () => {
    const own = { env: { DB_USER: "owner" }, secrets: { DB_PASSWORD: "the-owners" } };
    const env = { DB_USER: "reader", MODE: "test" };
    const { recording } = await system({}, { preDeploy: { ...preDeploy, ...own }, secrets, env });
    const [job, api] = [container(recording, "api-pre-deploy"), container(recording, "api")];
    expect(job.inputs.envs).toEqual(["DB_USER=owner", "MODE=test", "DB_PASSWORD_FILE=/run/secrets/db_password"]);
    expect(api.inputs.envs).toEqual(expect.arrayContaining(["DB_USER=reader", "TOKEN_FILE=/run/secrets/token"]));
    expect(job.inputs.volumes).toHaveLength(1);
    expect(job.inputs.volumes).not.toEqual(api.inputs.volumes);
  });

  test("is none unless there is one to run", async () => {
    const { recording } = await plainSystem();
    expect(containers(recording).map(({ name }) => name)).not.toContain("api-pre-deploy");
  });
});

describe("routes", () => {
  test.each(["api", "/api/", "/a b", "/a`) || Path(`/b", "/{id}", "//", ""])("are not at %j", async (path) => {
    await expect(system({}, { routes: { paths: ["/", path] } })).rejects.toThrow(
      `api: the path ${path} is not one that a route can have: give one like /api`,
    );
  });

  test("that no service has are taken away when all others are in place", async () => {
    const { recording } = await plainSystem();
    const job = container(recording, "routes-job");
    expect(setting(recording, "routes-job", "SERVED")).toBe("edge-settings api-route");
    const [component] = ofType(recording, "bulkhead:index:Job").filter(({ name }) => name === "routes-job");
    expect(component!.options.dependencies).toContain(container(recording, "api-route-job").urn);
    expect(job.inputs).toMatchObject({ networkMode: "none", volumes: [{ volumeName: "reach-test-routes-2" }] });
  });
});

describe("a service that comes after stackOutputs()", () => {
  test("is refused, as its route would be taken away", async () => {
    const late = record(() => {
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
      const networks = new Networks("networks", { host });
      const edge = new Proxy("edge", {
        ...{ networks, images: { traefik: IMAGE, haproxy: IMAGE }, domain: "example.com", certificates: FILES },
        ...{ address: "192.0.2.1", httpsPort: 443, tcp: { clients: 2222 }, requestsPerSecond: 50, burst: 75 },
      });
      new ServedRoutes("routes", { edge });
      new WebService("late", {
        ...{ edge, image: IMAGE, port: 80, health: { test: ["CMD", "true"] }, healthPath: "/", limits: LIMITS },
        ...{ drainSeconds: 1, routes: { paths: ["/"] } },
      });
    });
    await expect(late).rejects.toThrow(
      "late: comes after stackOutputs(), which would take its route away: put it before that",
    );
  });
});

describe("the edge's TCP ports", () => {
  const records = (tcp: Record<string, number>, services: Record<string, WebServiceArgs["tcp"]>, refuse = false) =>
    record(() => {
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
      const networks = new Networks("networks", { host });
      const edge = new Proxy("edge", {
        ...{ networks, images: { traefik: IMAGE, haproxy: IMAGE }, domain: "example.com", certificates: FILES },
        ...{ address: "192.0.2.1", httpsPort: 443, tcp, requestsPerSecond: 50, burst: 75 },
      });
      for (const [name, ports] of Object.entries(services))
        new WebService(name, {
          ...{ edge, image: IMAGE, port: 80, health: { test: ["CMD", "true"] }, healthPath: "/", limits: LIMITS },
          ...{ drainSeconds: 1, routes: { paths: [`/${name}`] }, tcp: ports },
        });
      if (refuse) edge.claims.refuseIdleTcp();
      // The door waits for it.
      edge.endOfServices();
    });

  test("lead to one service each", async () => {
    const recording = await records({ a: 2222, b: 2300 }, { one: { b: 1 }, two: { a: 2 } }, true);
    const tcpOf = (name: string) =>
      Object.values(
        (JSON.parse(setting(recording, `${name}-route-job`, "ROUTE")) as { tcp: { routers: Record<string, object> } })
          .tcp.routers,
      );
    expect(tcpOf("one")).toMatchObject([{ entryPoints: ["tcp-b"] }]);
    expect(tcpOf("two")).toMatchObject([{ entryPoints: ["tcp-a"] }]);
  });

  test.each([
    [{ clients: 2222 }, { one: { client: 1 } }, "one: tcp.client: is no TCP port of the edge: did you mean clients?"],
    [
      {},
      { one: { mail: 25 } },
      "one: tcp.mail: is no TCP port of the edge: declare it in settings.ts, `tcp: { mail: 2222 }`",
    ],
    [
      { clients: 2222 },
      { one: { clients: 1 }, two: { clients: 2, mail: 25 } },
      "two: tcp.clients: leads to one already: leave it out of one of them, or declare another in tcp of settings.ts, " +
        "or give each a host, by which TLS clients tell them apart\n" +
        "two: tcp.mail: is no TCP port of the edge: give clients, or declare it in settings.ts, `tcp: { mail: 2222 }`",
    ],
    [
      { clients: 2222, mail: 25 },
      { one: { clients: 0, mail: { port: 70_000, tls: "both" as "edge" } } },
      "one: tcp.clients.port: 0 is not a whole number from 1 to 65535: give the one in the container\n" +
        "one: tcp.mail.port: 70000 is not a whole number from 1 to 65535: give the one in the container\n" +
        "one: tcp.mail.tls: both is none: give edge or service, or leave it out",
    ],
    [
      { clients: 2222 },
      {
        one: { clients: { port: 1, host: "db.example.com", tls: "service" } },
        two: { clients: { port: 2, host: "db.example.com", tls: "service" } },
      },
      "two: tcp.clients: leads to one already for db.example.com: leave it out of one of them, or declare another in tcp " +
        "of settings.ts",
    ],
    [
      { clients: 2222 },
      { one: { clients: { port: 1, host: "a b" } } },
      "one: tcp.clients.host: a b is not a host name: give one like db.example.com",
    ],
    [
      { clients: 2222 },
      { one: { clients: { port: 1, host: "db.example.org" } } },
      "one: tcp.clients.host: db.example.org is not served by the edge, which has no certificate for it: " +
        'add it to domains in the stack file, or give tls: "service"',
    ],
    [
      { a: 2222, b: 2300, c: 2400 },
      { one: { b: 1 } },
      "edge.tcp.a: leads to no service: say in a service's arguments where it leads, like `tcp: { a: 2222 }`, or take it " +
        "out of settings.ts\n" +
        "edge.tcp.c: leads to no service: say in a service's arguments where it leads, like `tcp: { c: 2222 }`, or take it " +
        "out of settings.ts",
    ],
  ] as [Record<string, number>, Record<string, WebServiceArgs["tcp"]>, string][])(
    "%j and services %j are refused, all problems at once",
    async (tcp, services, message) => {
      const refused = await records(tcp, services, true).then(() => "", String);
      expect(refused.replace(/^Error: /, "")).toBe(message);
    },
  );
});

describe("the edge", () => {
  const subnets = ["172.21.0.0/16", "fd00::/64"];
  const settings = Object.fromEntries(
    traefikArguments(subnets, {
      ...{
        domain: "example.com",
        certificates: FILES,
        keepAliveSeconds: 60,
        maxHeaderKb: 32,
        tcp: ["clients", "mail"],
      },
    }).map((argument) => argument.replace(/^--/, "").split(/=(.*)/s).slice(0, 2)),
  ) as Record<string, string>;
  const of = (change: object = {}) =>
    edgeSettings(
      {
        ...{ domain: "example.com", certificates: FILES, requestsPerSecond: 50, burst: 75, connectionsPerClient: 9 },
        ...{ sharedAddresses: [], keepAliveSeconds: 60, maxHeaderKb: 32, tcp: [], requests: 99 },
        ...change,
      },
      EDGE,
      subnets,
      [],
      undefined,
    ) as RouteContent;

  test("opens these ports and no other", () => {
    const addresses = Object.entries(settings).filter(([key]) => /^entrypoints\.[a-z-]+\.address$/.test(key));
    expect(Object.fromEntries(addresses)).toEqual({
      "entrypoints.websecure.address": ":8443",
      "entrypoints.tcp-clients.address": ":2222",
      "entrypoints.tcp-mail.address": ":2223",
      "entrypoints.services.address": ":8081",
      "entrypoints.release.address": ":8082",
    });
    expect(settings["entrypoints.websecure.http.tls"]).toBe("true");
  });

  test("takes no more of a request's headers than it says, wherever HTTP comes in", () => {
    const given = { domain: "example.com", certificates: FILES, keepAliveSeconds: 60, maxHeaderKb: 48, tcp: [] };
    const limits = traefikArguments(subnets, { ...given, httpRedirect: true }).filter((each) =>
      /headerbytes/.test(each),
    );
    expect(limits).toEqual(
      ["websecure", "http", "services"].map((point) => `--entrypoints.${point}.http.maxheaderbytes=49152`),
    );
  });

  test("believes only the door of whom a connection is", () => {
    const proxyProtocol = Object.entries(settings).filter(([key]) => /proxyprotocol|forwardedheaders/.test(key));
    expect(proxyProtocol).toEqual([
      ["entrypoints.websecure.proxyprotocol.trustedips", "172.21.0.0/16,fd00::/64"],
      ["entrypoints.tcp-clients.proxyprotocol.trustedips", "172.21.0.0/16,fd00::/64"],
      ["entrypoints.tcp-mail.proxyprotocol.trustedips", "172.21.0.0/16,fd00::/64"],
      // Of a request it believes itself, when it asks a service who may pass.
      ["entrypoints.services.forwardedheaders.trustedips", "127.0.0.1/32"],
    ]);
  });

  test("behind a proxy believes that proxy of whom a request is, and counts the requests of each client", () => {
    const clientsThrough = ["192.0.2.0/24", "2001:db8::/32"];
    const given = {
      ...{ domain: "example.com", certificates: FILES, keepAliveSeconds: 60 },
      maxHeaderKb: 32,
      tcp: [],
      clientsThrough,
    };
    expect(traefikArguments(subnets, given)).toContain(
      "--entrypoints.websecure.forwardedheaders.trustedips=192.0.2.0/24,2001:db8::/32",
    );
    // The last one, which the proxy has added; what came before it anybody can write.
    expect(sourceOf({ clientsThrough })).toEqual({ ipStrategy: { ipv6Subnet: 64, depth: 1 } });
    expect(clientOf({ clientsThrough })).toMatchObject({ forwarded: true });
  });

  /** By what the limit of one client's rate tells clients apart. */
  const sourceOf = (change: object) =>
    (of(change).http.middlewares["rate-limit"]!["rateLimit"] as { sourceCriterion: object }).sourceCriterion;
  const clientOf = (change: object) =>
    (of(change).http.middlewares["client"] as { plugin: { bulkhead: object } }).plugin.bulkhead;

  test("takes all addresses of a /64 for one client, as who has one of them has all", () => {
    expect(sourceOf({})).toEqual({ ipStrategy: { ipv6Subnet: 64 } });
  });

  test("takes shared addresses for as many clients as it is told, and believes no request of whom it is", () => {
    const sharedAddresses = [{ range: "203.0.113.7/32", clients: 40 }];
    expect(sourceOf({ sharedAddresses })).toEqual({ requestHeaderName: "Bulkhead-Client" });
    expect(clientOf({ sharedAddresses })).toMatchObject({ kind: "client", forwarded: false, shared: sharedAddresses });
    expect(clientOf({ sharedAddresses, clientsThrough: ["192.0.2.0/24"] })).toMatchObject({ forwarded: true });
    expect(clientOf({})).toMatchObject({ shared: [] });
  });

  test("takes so many requests at once, of one client and of all", () => {
    expect(clientOf({})).toMatchObject({ requestsPerClient: 9, requests: 99 });
  });

  test("answers by itself what no service has, with the headers and limits of all else", () => {
    expect(of().http.routers["nothing"]).toEqual({
      entryPoints: ["websecure"],
      rule: "PathPrefix(`/`)",
      priority: LAST_PRIORITY,
      service: "noop@internal",
      middlewares: ["not-found"],
    });
  });

  test("knows routes from files alone: no Docker socket, no dashboard", () => {
    expect(Object.keys(settings).filter((key) => key.startsWith("providers."))).toEqual([
      "providers.file.directory",
      "providers.file.watch",
      "providers.providersthrottleduration",
    ]);
    expect(Object.keys(settings).filter((key) => /^(metrics|tracing|experimental)/.test(key))).toEqual([
      "experimental.localplugins.bulkhead.modulename",
    ]);
    expect(settings).toMatchObject({ api: "true", "api.dashboard": "false" });
    expect(settings).not.toHaveProperty("api.insecure");
  });

  test("says what became of its routes to the jobs in the door's network alone", () => {
    const { routers, middlewares } = of().http as unknown as Record<string, Record<string, object>>;
    const ofApi = Object.values(routers!).filter(
      (router) => (router as { service: string }).service === "api@internal",
    );
    expect(ofApi).toEqual([
      {
        entryPoints: ["release"],
        rule: "PathPrefix(`/api/`)",
        service: "api@internal",
        middlewares: ["door-network-only"],
      },
    ]);
    expect(middlewares!["door-network-only"]).toEqual({ ipAllowList: { sourceRange: subnets } });
    expect(settings["ping.entrypoint"]).toBe("release");
  });

  test("puts headers and the rate limit on every route from outside", () => {
    expect(settings["entrypoints.websecure.http.middlewares"]).toBe(
      "security-headers@file,client@file,rate-limit@file,maintenance@file",
    );
  });

  test("logs requests as JSON, without checks, query strings and headers", () => {
    expect(settings).toMatchObject({
      accesslog: "true",
      "accesslog.format": "json",
      "accesslog.fields.queryparameters.defaultmode": "drop",
      "accesslog.fields.headers.defaultmode": "drop",
      "accesslog.fields.names.ClientUsername": "drop",
      "entrypoints.release.observability.accesslogs": "false",
    });
    const kept = Object.entries(settings).filter(
      ([key, value]) => key.startsWith("accesslog.fields") && value === "keep",
    );
    expect(kept.map(([key]) => key)).toEqual(["accesslog.fields.headers.names.User-Agent"]);
  });

  test("ends what is slow", () => {
    expect(settings).toMatchObject({
      "entrypoints.websecure.transport.respondingtimeouts.readtimeout": "10s",
      "entrypoints.services.transport.respondingtimeouts.readtimeout": "10s",
      "entrypoints.websecure.http2.maxconcurrentstreams": "32",
      "entrypoints.websecure.transport.respondingtimeouts.idletimeout": "90s",
      "serverstransport.forwardingtimeouts.dialtimeout": "2s",
      "serverstransport.forwardingtimeouts.responseheadertimeout": "60s",
    });
  });

  test("leaves the door before it stops, and ends kept-alive connections before that", () => {
    const seconds = (key: string) => parseInt(settings[`entrypoints.${key}`]!, 10);
    const stopsServing = seconds("websecure.transport.lifecycle.requestacceptgracetimeout");
    expect(seconds("release.transport.lifecycle.requestacceptgracetimeout")).toBe(0);
    expect(seconds("websecure.transport.keepalivemaxtime")).toBeLessThan(stopsServing);
    expect(seconds("services.transport.lifecycle.requestacceptgracetimeout")).toBe(stopsServing);
  });

  test("is given the time that it takes to stop", async () => {
    const { recording } = await plainSystem();
    const seconds = ["requestacceptgracetimeout", "gracetimeout"].map((key) =>
      parseInt(settings[`entrypoints.websecure.transport.lifecycle.${key}`]!, 10),
    );
    const { inputs } = container(recording, "edge");
    expect(inputs.destroyGraceSeconds).toBeGreaterThan(seconds[0]! + seconds[1]!);
    // But not where all containers stop at once, and nobody is left to be served.
    expect(inputs.stopTimeout).toBe(1);
  });

  test("calls nobody", () => {
    expect(settings).toMatchObject({ "global.checknewversion": "false", "global.sendanonymoususage": "false" });
  });

  test("takes certificates from files as secrets, or from the CA", () => {
    expect(of().tls!.stores).toEqual({
      default: { defaultCertificate: { certFile: "/run/secrets/certificate", keyFile: "/run/secrets/private_key" } },
    });
    expect(Object.keys(settings).filter((key) => /acme|certresolver/.test(key))).toEqual([]);
    const acme = (certificates: Certificates) =>
      traefikArguments(subnets, {
        domain: "example.com",
        certificates,
        keepAliveSeconds: 60,
        maxHeaderKb: 32,
        tcp: [],
      }).filter((argument) => /acme|certresolver|tls\.domains/.test(argument));
    const usual = [
      "--entrypoints.websecure.http.tls.certresolver=acme",
      "--entrypoints.websecure.http.tls.domains[0].main=example.com",
      "--entrypoints.websecure.http.tls.domains[0].sans=*.example.com",
      "--certificatesresolvers.acme.acme.email=ops@example.com",
      "--certificatesresolvers.acme.acme.caserver=https://ca.example.com/dir",
      "--certificatesresolvers.acme.acme.certificatesduration=2160",
      "--certificatesresolvers.acme.acme.storage=/acme/acme.json",
      "--certificatesresolvers.acme.acme.dnschallenge.provider=cloudflare",
    ];
    expect(acme(ACME)).toEqual(usual);
    expect(acme({ ...ACME, resolvers: ["192.0.2.1:53", "192.0.2.2:53"], caCertificatePem: "the CA" })).toEqual([
      ...usual,
      "--certificatesresolvers.acme.acme.dnschallenge.resolvers=192.0.2.1:53,192.0.2.2:53",
      "--certificatesresolvers.acme.acme.dnschallenge.propagation.requireallrns=true",
      "--certificatesresolvers.acme.acme.dnschallenge.propagation.disableanschecks=true",
      "--certificatesresolvers.acme.acme.cacertificates=/run/secrets/ca_certificate",
    ]);
    expect(of({ certificates: ACME }).tls!.stores).toBeUndefined();
  });

  test("speaks TLS 1.2 with forward secrecy and authenticated encryption, and better", () => {
    const { minVersion, cipherSuites, curvePreferences } = of().tls!.options.default;
    expect(minVersion).toBe("VersionTLS12");
    expect(cipherSuites).toHaveLength(6);
    for (const suite of cipherSuites as string[])
      expect(suite).toMatch(/^TLS_ECDHE_(ECDSA|RSA)_WITH_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA(256|384)$/);
    expect(curvePreferences).toEqual(["X25519MLKEM768", "X25519", "CurveP256"]);
  });

  test("sends security headers, and none that tells what runs", () => {
    expect(of().http.middlewares["security-headers"]).toEqual({
      headers: {
        stsSeconds: 63072000,
        stsIncludeSubdomains: true,
        frameDeny: true,
        contentTypeNosniff: true,
        referrerPolicy: "strict-origin-when-cross-origin",
        permissionsPolicy: "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        customResponseHeaders: { Server: "", "X-Powered-By": "" },
      },
    });
  });

  test("holds no browser to HTTPS on localhost", () => {
    const { headers } = of({ domain: "localhost" }).http.middlewares["security-headers"] as { headers: object };
    expect(Object.keys(headers).filter((key) => key.startsWith("sts"))).toEqual([]);
    expect(headers).toHaveProperty("frameDeny", true);
  });

  test("limits the rate as told, and compresses only what is the same for everybody", () => {
    const { "rate-limit": rate, compress } = of().http.middlewares;
    expect(rate).toMatchObject({ rateLimit: { average: 50, burst: 75, period: "1s" } });
    const { includedContentTypes } = (compress as { compress: { includedContentTypes: string[] } }).compress;
    expect(includedContentTypes).toEqual(expect.arrayContaining(["text/css", "text/javascript", "image/svg+xml"]));
    expect(includedContentTypes.filter((type) => /html|json|xml$|plain|event-stream/.test(type))).toEqual([
      "image/svg+xml",
    ]);
  });

  test("says that it serves only to the door and the cutover, and to the latter by its name", () => {
    expect(of().http.routers).toMatchObject({
      "release-edge": {
        entryPoints: ["release"],
        rule: `Path(\`/release/edge\`) || Path(\`/release/${EDGE}\`)`,
        service: "ping@internal",
      },
    });
  });

  test("runs without root, with routes and secrets read-only, behind the door's network", async () => {
    const { recording } = await plainSystem();
    const { inputs } = container(recording, "edge");
    expect(inputs).toMatchObject({
      ...{ user: "65532:65532", readOnly: true, capabilities: { drops: ["ALL"], adds: [] }, ports: [] },
      ...{ memory: 512, envs: ["GOMEMLIMIT=384MiB"], tmpfs: { "/tmp": expect.stringContaining("size=16m") as string } },
      volumes: [
        { volumeName: "reach-test-routes-2", containerPath: "/routes", readOnly: true },
        { containerPath: "/plugins-local/src/bulkhead", readOnly: true },
        { containerPath: "/run/secrets", readOnly: true },
      ],
      networksAdvanced: [
        { name: "reach-test-door", aliases: ["edge-2"] },
        { name: "reach-test-proxy", aliases: ["edge-2"] },
        { name: "reach-test-api-edge", aliases: ["edge-2"] },
      ],
    });
    expect(inputs.command).toContain("--entrypoints.websecure.proxyprotocol.trustedips=172.21.0.0/16");
    expect(container(recording, "edge-secrets-courier").inputs.uploads).toMatchObject([
      { file: "/bulkhead/certificate", owner: "65532", content: "the certificate" },
      { file: "/bulkhead/private_key", owner: "65532", content: "the private key" },
    ]);
  });

  test("keeps the CA's certificates, and gives the token as a file", async () => {
    const { recording } = await system({ certificates: ACME, dnsApiToken: "the token" });
    const { inputs } = container(recording, "edge");
    expect(inputs.envs).toContain("CF_DNS_API_TOKEN_FILE=/run/secrets/cf_dns_api_token");
    expect(inputs.volumes).toContainEqual({ volumeName: "reach-test-acme", containerPath: "/acme", readOnly: false });
    const [volume] = ofType(recording, "docker:index/volume:Volume").filter(({ name }) => name === "edge-acme");
    expect(volume!.options.retainOnDelete).toBe(true);
    expect(volume!.inputs["labels"]).toContainEqual({ label: "bulkhead.data", value: "true" });
    expect(container(recording, "edge").options.dependencies).toContain(container(recording, "edge-acme-file").urn);
  });
});

describe("the front door", () => {
  let recording: Recording;
  let lines: string[];
  beforeAll(async () => {
    ({ recording } = await system({ httpsPort: 8443, tcp: { clients: 2022, mail: 25 } }));
    lines = container(recording, "edge-door-config-courier").inputs.uploads![0]!.content!.split("\n");
  });
  const sections = () => lines.join("\n").split(/\n(?=\w)/);
  const section = (name: string) => sections().find((text) => text.startsWith(name))!;

  test("publishes its ports, at the address that it is given", () => {
    expect(container(recording, "edge-door").inputs.ports).toEqual([
      { ip: "192.0.2.1", external: 2022, internal: 2222, protocol: "tcp" },
      { ip: "192.0.2.1", external: 25, internal: 2223, protocol: "tcp" },
      { ip: "192.0.2.1", external: 8443, internal: 8443, protocol: "tcp" },
    ]);
    // In the order in which they are given; the policies read it.
    expect(label(container(recording, "edge-door"), "bulkhead.publishes")).toBe(
      "192.0.2.1:8443 192.0.2.1:2022 192.0.2.1:25",
    );
  });

  test("listens on these, and for its own health on itself", () => {
    expect(lines.filter((line) => /^\s*bind /.test(line)).map((line) => line.trim())).toEqual([
      "bind :8443 tcp-ut 180s",
      "bind 127.0.0.1:8080",
      "bind :2222 tcp-ut 180s",
      "bind :2223 tcp-ut 180s",
    ]);
  });

  test.each([
    ["https", "https-", "edge-2:8443"],
    ["tcp-clients", "tcp-clients_", "edge-2:2222"],
    ["tcp-mail", "tcp-mail_", "edge-2:2223"],
  ])("hands on to every edge that serves, and says whose connection it is: %s", (name, of, target) => {
    expect(section("defaults")).toContain("http-check send meth GET uri /release/edge ");
    expect(section("defaults")).toContain("http-check expect status 200");
    expect(section(`frontend ${name}`)).toContain(`default_backend ${of}edges`);
    expect(section(`backend ${of}edges`)).toMatch(
      new RegExp(`server-template edge \\d+ ${target} check port 8082 init-state down send-proxy-v2$`, "m"),
    );
    // Where none of them seems to be well, any is better than none.
    expect(section(`frontend ${name}`)).toContain(`use_backend ${of}any if { nbsrv(${of}edges) lt 1 }`);
    expect(section(`backend ${of}any`)).toMatch(new RegExp(`server-template edge \\d+ ${target} send-proxy-v2$`, "m"));
  });

  test("gives no two of its parts the same name, which HAProxy 3.3 and newer refuse", () => {
    const names = lines.flatMap((line) => /^(?:front|back)end (\S+)/.exec(line)?.[1] ?? []);
    expect(names.length).toBe(12);
    expect(new Set(names).size).toBe(names.length);
    const alike = [...configuration(["x", "x-edges", "x-any"]).matchAll(/^(?:front|back)end (\S+)/gm)].map(
      ([, name]) => name,
    );
    expect(new Set(alike).size).toBe(alike.length);
  });

  test("leaves an edge that refuses a check at once, and one that is only slow not", () => {
    expect(section("defaults")).toContain("default-server inter 250ms fall 1 ");
    expect(section("defaults")).toContain("timeout check 5s");
  });

  const files = (of: Recording) =>
    Object.fromEntries(
      container(of, "edge-door-config-courier").inputs.uploads!.map(({ file, content }) => [file, content!]),
    );
  const envs = (of: Recording) => container(of, "edge-door").inputs.envs!;

  test("takes HTTPS from everybody, or from a proxy alone", async () => {
    expect(envs(recording).filter((env) => env.startsWith("HTTPS_FROM"))).toEqual([]);
    const behind = await system({ clientsThrough: ["192.0.2.0/24", "2001:db8::/32"] });
    expect(envs(behind.recording)).toContain("HTTPS_FROM=1");
    expect(files(behind.recording)["/bulkhead/https-from.lst"]).toBe("# one a line\n192.0.2.0/24\n2001:db8::/32\n");
    expect(section("frontend https")).toMatch(
      /\.if defined\(HTTPS_FROM\)\n.*#.*\n {2}tcp-request connection reject unless \{ src -f \S+https-from\.lst \}\n\.else\n/s,
    );
    await expect(system({ clientsThrough: [] })).rejects.toThrow("httpsFrom: is empty: nobody could connect");
  });

  test("takes as many connections as the edge has memory for, and of one client a few of them", async () => {
    expect(envs(recording)).toEqual([
      "CONNECTIONS=1758",
      "HALF_OF_CONNECTIONS=879",
      "CONNECTIONS_PER_CLIENT=100",
      "IDLE_SECONDS=86400",
      // A quarter, in equal parts.
      "TCP_CONNECTIONS=292",
    ]);
    expect(envs((await system({ tcp: {} })).recording)).toEqual([
      ...["CONNECTIONS=2343", "HALF_OF_CONNECTIONS=1171", "CONNECTIONS_PER_CLIENT=100", "IDLE_SECONDS=86400"],
    ]);
    const sharedAddresses = [{ range: "203.0.113.0/24", clients: 40 }];
    const more = await system({ memoryMb: 1024, connectionsPerClient: 7, sharedAddresses, idleSeconds: 600 });
    expect(envs(more.recording)).toEqual([
      "CONNECTIONS=3942",
      "HALF_OF_CONNECTIONS=1971",
      "CONNECTIONS_PER_CLIENT=7",
      "IDLE_SECONDS=600",
      "TCP_CONNECTIONS=1314",
    ]);
    const memoryOf = (of: typeof more) => container(of.recording, "edge-door").inputs["memory"];
    expect([memoryOf(await system({ tcp: {} })), memoryOf(more)]).toEqual([293, 578]);
    expect(files(more.recording)["/bulkhead/shared-addresses.map"]).toBe("# one a line\n203.0.113.0/24 40\n");
  });

  test("of a stack with a tunnel takes HTTPS from the tunnel's network alone, and no port of the host", async () => {
    const { recording } = await system({ clientsThrough: ["192.0.2.0/24"] }, {}, { tunnel: true });
    const { inputs, options } = container(recording, "edge-door");
    expect(inputs.ports).toEqual([]);
    expect(inputs.networksAdvanced).toEqual([
      { name: "reach-test-door" },
      { name: "reach-test-tunnel", aliases: ["door"] },
    ]);
    // The next one can be there beside it.
    expect(options.deleteBeforeReplace).toBe(false);
    const [network] = ofType<{ name: string }>(recording, "Network").filter(({ name }) => name === "networks-tunnel");
    expect(network!.inputs.name).toBe("reach-test-tunnel");
    const [, subnet] = /\n(172\.\d+\.0\.0\/16)\n$/.exec(files(recording)["/bulkhead/https-from.lst"]!)!;
    expect(envs(recording)).toContain("CONNECTIONS=2343");
    expect(envs(recording).filter((env) => env.startsWith("TCP_CONNECTIONS"))).toEqual([]);
    const settings = container(recording, "edge").inputs.command!;
    expect(settings).toContain(`--entrypoints.websecure.forwardedheaders.trustedips=${subnet}`);
    expect(settings.find((setting) => setting.includes("websecure.proxyprotocol"))).not.toContain(subnet);
  });

  test("is healthy when it sees an edge", () => {
    expect(section("frontend health")).toContain("monitor fail if { nbsrv(edges) lt 1 }");
    expect(section("backend edges")).toMatch(/^ {2}server-template edge \d+ edge-2:8082 check init-state down$/m);
    expect(container(recording, "edge-door").inputs.healthcheck?.tests).toContain("http://127.0.0.1:8080/health");
  });

  test("reads its configuration as its own user, who is nobody else", () => {
    const { inputs } = container(recording, "edge-door");
    expect(inputs).toMatchObject({ user: "99:99", readOnly: true });
    expect(inputs.networksAdvanced).toEqual([{ name: "reach-test-door" }]);
    expect(container(recording, "edge-door-config-courier").inputs.uploads).toMatchObject([
      { file: "/bulkhead/haproxy.cfg", owner: "99", permissions: "0400" },
      { file: "/bulkhead/https-from.lst", owner: "99", permissions: "0400" },
      { file: "/bulkhead/shared-addresses.map", owner: "99", permissions: "0400" },
    ]);
    expect(inputs.command).toContain(`${inputs.volumes![0]!.containerPath}/haproxy.cfg`);
  });

  test("comes when the edge serves its settings", () => {
    const [door] = ofType(recording, "bulkhead:index:FrontDoor");
    expect(door!.options.dependencies).toContain(container(recording, "edge-settings-job").urn);
  });
});
