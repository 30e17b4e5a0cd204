import bcrypt from "bcryptjs";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import {
  authProblems,
  identityHeaders,
  isSameAuth,
  spellingsOfHeaders,
  type RouteAuth,
} from "../../components/edge/route-auth.ts";
import { isGuarded, pathsIn, routeRule } from "../../components/edge/request-paths.ts";
import type { Route } from "../../components/edge/route.ts";
import { routeProblems } from "../../components/edge/route-problems.ts";
import { Networks } from "../../components/host/networks.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { GeneratedSecret } from "../../components/host/secret.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService } from "../../components/edge/web-service.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, label, ofType, record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const PASSWORD = "correct horse battery";
const service = { name: "gate" } as never;

describe("what says who may pass is refused:", () => {
  const generated = 'give another, such as `new GeneratedSecret("NAME").value`';
  const bad: [RouteAuth, string][] = [
    [
      { basicAuth: { users: {} } },
      "basicAuth.users: is empty, which would let nobody in: name users, or leave basicAuth out",
    ],
    [
      { basicAuth: { users: { "a:b": PASSWORD } } },
      "basicAuth.users: a:b is not the name of a user: give at most 64 letters, digits and any of . _ @ + -",
    ],
    [
      { basicAuth: { users: { ann: "sesame" } } },
      `basicAuth.users.ann: has a password of less than 16 characters, which can be guessed: ${generated}`,
    ],
    [
      { basicAuth: { users: { ann: "x".repeat(72) } } },
      "basicAuth.users.ann: has a password of more than 71 bytes: give a shorter one",
    ],
    [
      { basicAuth: { users: { ann: `${PASSWORD}\n` } } },
      `basicAuth.users.ann: has a password of more than one line: ${generated}`,
    ],
    [
      { basicAuth: { users: { ann: PASSWORD }, realm: 'a"b' } },
      "basicAuth.realm: is not plain text: give at most 100 letters, digits, spaces and any of . , : @ + _ -",
    ],
    [
      { basicAuth: { users: { ann: PASSWORD }, userHeader: "X Y" } },
      "basicAuth.userHeader: X Y is not the name of such a header: give one like X-Forwarded-User",
    ],
    [{ forwardAuth: { to: service, path: "verify" } }, "forwardAuth.path: verify is not a path: give one like /verify"],
    [
      { forwardAuth: { to: service, path: "/verify", responseHeaders: ["X-Forwarded-For"] } },
      "forwardAuth.responseHeaders: X-Forwarded-For says something else already: give one like X-Forwarded-User",
    ],
    [
      { basicAuth: { users: { ann: PASSWORD } }, forwardAuth: { to: service, path: "/verify" } },
      "forwardAuth: stands beside basicAuth: leave one of them out",
    ],
  ];
  test.each(bad)("%j", (auth, problem) => {
    expect(authProblems(auth)).toEqual([problem]);
    expect(routeProblems("app", { paths: ["/"], ...auth })).toEqual([`app: routes.${problem}`]);
    expect(problem).not.toContain("sesame");
  });

  test("not what is sound", () => {
    expect(authProblems({ basicAuth: { users: { "ann@example.com": PASSWORD }, realm: "Back office" } })).toEqual([]);
    const responseHeaders = ["X-Forwarded-User", "Remote-Groups", "Authorization"];
    expect(authProblems({ forwardAuth: { to: service, path: "/api/verify?rd=x", responseHeaders } })).toEqual([]);
  });
});

test("a way round a route that asks who may pass is refused", () => {
  const admin: Route = { paths: ["/admin"], basicAuth: { users: { ann: PASSWORD } } };
  const api: Route = { paths: ["/api"], stripPrefix: true };
  expect(isGuarded(admin)).toBe(true);
  expect(isGuarded({ paths: ["/x"], forwardAuth: { to: service, path: "/" } })).toBe(true);
  const message = (guard: string) =>
    `app: routes[0].stripPrefix: /api/admin leads to /admin of the same service, past ${guard} of app: routes[1]: ` +
    "give it the same, or leave stripPrefix out";
  expect(routeProblems("app", [api, admin])).toEqual([message("basicAuth")]);
  expect(routeProblems("app", [{ ...api, basicAuth: admin.basicAuth! }, admin])).toEqual([]);
  const forward: Route = { paths: ["/admin"], forwardAuth: { to: service, path: "/verify" } };
  expect(routeProblems("app", [{ ...api, basicAuth: admin.basicAuth! }, forward])).toEqual([message("forwardAuth")]);
});

test("two routes let the same people pass only with the same users, or the same service and path", () => {
  const users = { ann: pulumi.output(PASSWORD) };
  const to = { to: service, path: "/verify" };
  expect(isSameAuth({ basicAuth: { users } }, { basicAuth: { users: { ...users }, realm: "x" } })).toBe(true);
  expect(isSameAuth({ basicAuth: { users } }, { basicAuth: { users: { ann: pulumi.output(PASSWORD) } } })).toBe(false);
  expect(isSameAuth({ basicAuth: { users } }, { basicAuth: { users: { ...users, bob: PASSWORD } } })).toBe(false);
  expect(isSameAuth({ basicAuth: { users } }, {})).toBe(false);
  expect(isSameAuth({ forwardAuth: to }, { forwardAuth: { ...to } })).toBe(true);
  expect(isSameAuth({ forwardAuth: to }, { forwardAuth: { ...to, path: "/other" } })).toBe(false);
});

test("a header of the edge's word is found by every name that a service may read it by", () => {
  const routes = [
    { basicAuth: { users: {}, userHeader: "remote-user" } },
    { forwardAuth: { to: service, path: "/", responseHeaders: ["X-Forwarded-User", "Remote-User"] } },
  ];
  expect(identityHeaders(routes)).toEqual(["Remote-User", "X-Forwarded-User"]);
  const pattern = new RegExp(spellingsOfHeaders(identityHeaders(routes)).slice("(?i)".length), "i");
  for (const name of ["X-Forwarded-User", "X_forwarded_user", "X.forwarded-User", "REMOTE_USER", "Remote-User"])
    expect(name).toMatch(pattern);
  for (const name of ["X-Forwarded-Users", "A-Remote-User", "X-Forwarded-Host"]) expect(name).not.toMatch(pattern);
});

const ROUTES: { app: Route[]; gate: Route } = { app: [{ paths: ["/"] }], gate: { paths: ["/login"] } };

/** A service with these routes, and one that can be asked who may pass. */
async function recorded(routesOf: (gate: WebService, password: pulumi.Output<string>) => Route[]): Promise<Recording> {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const networks = new Networks("networks", { host });
    const edge = new Proxy("edge", {
      networks,
      images: { traefik: IMAGE, haproxy: IMAGE },
      domain: "example.com",
      certificates: { kind: "files", certificatePem: "the certificate", privateKeyPem: "the private key" },
      ...{ address: "192.0.2.1", httpsPort: 443, requestsPerSecond: 50, burst: 75 },
    });
    const common = {
      edge,
      image: IMAGE,
      port: 8000,
      health: { test: ["CMD", "true"] },
      healthPath: "/health",
      limits: { memoryMb: 64, cpus: 1, pids: 32 },
      drainSeconds: 1,
    };
    const gate = new WebService("gate", { ...common, routes: ROUTES.gate });
    const password = new GeneratedSecret("ann-password").value;
    new WebService("app", { ...common, routes: routesOf(gate, password) });
    new ServedRoutes("routes", { edge });
  });
}

interface Written {
  http: {
    routers: Record<string, { rule: string; priority?: number; middlewares: string[]; service: string }>;
    middlewares: Record<string, object>;
  };
}

function routeOf(recording: Recording, service: string): Written {
  const env = container(recording, `${service}-route-job`).inputs.envs!;
  return JSON.parse(env.find((entry) => entry.startsWith("ROUTE="))!.slice("ROUTE=".length)) as Written;
}

describe("basicAuth", () => {
  const guarded = (_: WebService, ann: pulumi.Output<string>): Route[] => [
    { paths: ["/"] },
    { paths: ["/admin"], basicAuth: { users: { ann }, userHeader: "x-forwarded-user" } },
  ];
  const hashOf = (recording: Recording) => {
    const { inputs, secretPaths } = container(recording, "app-route-beside-courier");
    const [upload] = inputs.uploads!;
    expect(secretPaths).toContain("uploads.0.content");
    return { ...upload!, line: upload!.content! };
  };

  test("hands the edge a file with a hash of the password, the same in each run", async () => {
    const [one, another] = [await recorded(guarded), await recorded(guarded)];
    const { line, file } = hashOf(one);
    const password = one.secrets.find(
      (secret) => line.startsWith("ann:") && bcrypt.compareSync(secret, line.trim().slice(4)),
    );
    expect(password).toBeDefined();
    expect(file).toBe("/bulkhead/app-route-2");
    expect(hashOf(another).line).toBe(line);
    const job = container(one, "app-route-job").inputs;
    expect(JSON.stringify(job)).not.toContain(line.trim().slice(4));
    const { "app-route-2-auth": auth } = routeOf(one, "app").http.middlewares;
    const fingerprint = job.envs!.find((entry) => entry.startsWith("BESIDE="))!.slice("BESIDE=".length);
    expect(auth).toEqual({
      basicAuth: {
        usersFile: `/routes/app-route.${fingerprint}.beside.app-route-2`,
        ...{ realm: "app", removeHeader: true, headerField: "X-Forwarded-User" },
      },
    });
  });

  test("is asked for after preflights, and the route answers 503 where the edge cannot ask", async () => {
    const { routers, middlewares } = routeOf(await recorded(guarded), "app").http;
    const own = routers["app-route-2"]!;
    expect(own.middlewares).toEqual([
      ...["app-route-2-policy", "app-route-2-requests", "app-route-2-uncached", "app-route-2-auth", "compress"],
    ]);
    const closed = routers["app-route-2-closed"]!;
    expect(closed).toMatchObject({ rule: own.rule, priority: own.priority! - 1, middlewares: ["app-route-2-closed"] });
    expect(closed.priority).toBeGreaterThan(routers["app"]!.rule.length);
    expect(middlewares["app-route-2-closed"]).toEqual({ plugin: { bulkhead: { kind: "answer", status: 503 } } });
    expect(routers["app-closed"]).toBeUndefined();
  });

  test("takes the header with the user's name from clients on every route of the service", async () => {
    const { middlewares } = routeOf(await recorded(guarded), "app").http;
    for (const name of ["app-requests", "app-route-2-requests"])
      expect(middlewares[name]).toMatchObject({
        plugin: { bulkhead: { ownHeaders: "(?i)^(?:X[^A-Za-z0-9]Forwarded[^A-Za-z0-9]User)$" } },
      });
  });

  test("does not wait for a password that is too short when it is known", async () => {
    const short = recorded(() => [{ paths: ["/"], basicAuth: { users: { ann: pulumi.secret("sesame") } } }]);
    await expect(short).rejects.toThrow(
      "app: basicAuth.users.ann: has a password of less than 16 characters, which can be guessed: give another",
    );
  });
});

describe("forwardAuth", () => {
  const guarded = (to: WebService): Route[] => [
    { paths: ["/"], forwardAuth: { to, path: "/verify", responseHeaders: ["X-Forwarded-User"] } },
  ];

  test("asks the service by the edge itself, which nobody else does", async () => {
    const recording = await recorded(guarded);
    expect(routeOf(recording, "app").http.middlewares["app-auth"]).toEqual({
      forwardAuth: {
        address: "http://127.0.0.1:8081/auth/gate/verify",
        ...{ trustForwardHeader: false, preserveLocationHeader: true, maxResponseBodySize: 65536 },
        authResponseHeaders: ["X-Forwarded-User"],
      },
    });
    const { routers, middlewares } = routeOf(recording, "gate").http;
    expect(routers["gate-authenticates"]).toEqual({
      entryPoints: ["services"],
      rule: "PathPrefix(`/auth/gate/`) && ClientIP(`127.0.0.1`)",
      service: "gate",
      middlewares: ["gate-limits", "gate-authenticates", "gate-authenticates-host"],
    });
    expect(middlewares["gate-authenticates"]).toEqual({ stripPrefix: { prefixes: ["/auth/gate"] } });
    expect(routeOf(recording, "app").http.routers["app-authenticates"]).toBeUndefined();
  });

  test("is switched on when the service can be asked", async () => {
    const recording = await recorded(guarded);
    const [route] = ofType(recording, "bulkhead:index:RouteFile").filter(({ name }) => name === "app-route");
    expect(route!.options.dependencies).toContain(container(recording, "gate-route-job").urn);
  });

  test("is not asked for health from outside, where an answer is not the service's own", async () => {
    const services = ofType(await recorded(guarded), "bulkhead:index:WebService");
    const outputs = Object.fromEntries(services.map(({ name, outputs }) => [name, outputs["fromOutside"]]));
    expect(outputs["app"]).toEqual({ path: "/", isHealthPath: false, tcp: [] });
  });

  test("asks no service of another edge", async () => {
    const elsewhere = recorded((to) => [
      { paths: ["/"], forwardAuth: { to: Object.assign(Object.create(to) as WebService, { through: {} }), path: "/" } },
    ]);
    await expect(elsewhere).rejects.toThrow(
      "app: routes[0].forwardAuth.to: gate is not behind the same edge: give a WebService that is",
    );
  });
});

test("a label of the route's job says who gets through, and no secret", async () => {
  const recording = await recorded((to, ann) => [
    { paths: ["/"] },
    { paths: ["/admin", "/ops"], basicAuth: { users: { bob: "a horse with no name", ann } }, allowFrom: ["192.0.2.7"] },
    { paths: ["/member"], forwardAuth: { to, path: "/verify" } },
  ]);
  const admin = { allowFrom: ["192.0.2.7"], basicAuth: ["ann", "bob"] };
  expect(JSON.parse(label(container(recording, "app-route-job"), "bulkhead.guards")!)).toEqual({
    ...{ "example.com/admin": admin, "example.com/ops": admin },
    "example.com/member": { forwardAuth: "gate/verify" },
  });
  expect(label(container(recording, "gate-route-job"), "bulkhead.guards")).toBeUndefined();
});

test("the paths of a guarded route are found in its rule as they were written", () => {
  const paths = ["/admin", "/v1.0/@me", "/a+b/(c)"];
  expect(pathsIn(routeRule("example.com", { paths, allowFrom: ["192.0.2.7"] }))).toEqual(paths);
  expect(pathsIn(routeRule("example.com", { paths }))).toEqual(paths);
});

describe("a program with guarded routes keeps every invariant:", () => {
  let sound: Recording;
  beforeAll(async () => {
    sound = await recorded((to, ann) => [
      { paths: ["/"] },
      { paths: ["/admin"], basicAuth: { users: { ann } } },
      { paths: ["/member"], forwardAuth: { to, path: "/verify" } },
    ]);
  });
  test.each(Object.entries(invariants))("%s", (_, complaints) => expect(complaints(sound)).toEqual([]));

  test("and every property of a route that is broken breaks one", () => {
    const asking = invariants["a route that asks who may pass has no hash in it, and answers 503 where it cannot ask"]!;
    const with_ = (change: (http: Written["http"]) => unknown) => {
      const broken = structuredClone({ ...sound, hooks: new Map() });
      const { inputs } = container(broken, "app-route-job");
      const content = routeOf(broken, "app");
      change(content.http);
      inputs.envs = inputs.envs!.map((entry) =>
        entry.startsWith("ROUTE=") ? `ROUTE=${JSON.stringify(content)}` : entry,
      );
      return asking(broken);
    };
    expect(with_(() => undefined)).toEqual([]);
    expect(with_(({ middlewares }) => (middlewares["app-route-2-auth"] = { basicAuth: { users: ["ann:x"] } }))).toEqual(
      ["app-route-job: has users in app-route-2-auth"],
    );
    expect(
      with_(({ middlewares }) => (middlewares["app-route-3-auth"] = { forwardAuth: { trustForwardHeader: true } })),
    ).toEqual(["app-route-job: believes clients in app-route-3-auth"]);
    expect(with_(({ routers }) => delete routers["app-route-3-closed"])).toEqual([
      "app-route-job: has the router app-route-3, and none that is closed in its place",
      "app-route-job: has the router app-route-3-unsized, and none that is closed in its place",
    ]);
    const uploads = invariants["every uploaded file is for one reader alone"]!;
    const roots = structuredClone({ ...sound, hooks: new Map() });
    container(roots, "app-route-job").inputs.user = "1000:1000";
    expect(uploads(roots)).toEqual(["app-route-beside-courier: /bulkhead/app-route-2 belongs to 0:0"]);
  });
});

test("a job that asks for many routers may have as many processes, and one that asks for few is as it was", async () => {
  const pidsOf = async (routes: Route[]) =>
    Number(label(container(await recorded(() => routes), "app-route-job"), "bulkhead.pids"));
  expect(await pidsOf([{ paths: ["/"] }, { paths: ["/a"] }])).toBe(32);
  expect(await pidsOf(Array.from({ length: 12 }, (_, index) => ({ paths: [`/${index}`] })))).toBe(90);
});
