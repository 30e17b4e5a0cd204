import { describe, expect, test } from "vitest";
import { RouteClaims } from "../../components/edge/route-claims.ts";
import { refusedPaths, routeRule } from "../../components/edge/request-paths.ts";
import { entryMiddlewares, stripMiddleware, type Route } from "../../components/edge/route.ts";
import { routeProblems } from "../../components/edge/route-problems.ts";

describe("routes that cannot be", () => {
  const bad: [Partial<Route>, string][] = [
    [{ allowFrom: [] }, "allowFrom: is empty, which would let nobody in: name addresses, or leave it out"],
    [{ allowFrom: ["evil"] }, "allowFrom: evil is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24"],
    [
      { allowFrom: ["192.0.2.0/33"] },
      "allowFrom: 192.0.2.0/33 is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24",
    ],
    [{ allowFrom: ["::/0"] }, "allowFrom: ::/0 is everybody: leave allowFrom out, or name a smaller range"],
    [
      { allowFrom: ["0.0.0.0/00"] },
      "allowFrom: 0.0.0.0/00 is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24",
    ],
    [
      { allowFrom: ["::ffff:0:0/96"] },
      "allowFrom: ::ffff:0:0/96 is of IPv4, which no client has in this form: give it like 192.0.2.7 or 192.0.2.0/24",
    ],
    [{ headers: { "X Y": "1" } }, "headers.X Y: is not the name of a header: give one like X-Robots-Tag"],
    [{ headers: { "X-A": "1\r\nX-B: 2" } }, "headers.X-A: has to be printable ASCII, and not empty"],
    [{ headers: { "X-Frame-Options": "SAMEORIGIN" } }, "headers.X-Frame-Options: is set by the edge: leave it out"],
    [
      { headers: { "Content-security-policy": "x" } },
      "headers.Content-security-policy: has a key of its own: give contentSecurityPolicy",
    ],
    [
      { headers: { "Access-Control-Allow-Origin": "*" } },
      "headers.Access-Control-Allow-Origin: has a key of its own: give cors",
    ],
    [{ contentSecurityPolicy: " " }, "contentSecurityPolicy: has to be printable ASCII, and not empty"],
    [
      { contentSecurityPolicy: "default-src\n'self'" },
      "contentSecurityPolicy: has to be printable ASCII, and not empty",
    ],
    [{ cors: { origins: [] } }, "cors.origins: is empty: name origins, or leave cors out"],
    [
      { cors: { origins: ["https://a.test/"] } },
      "cors.origins: https://a.test/ is not an origin: give one like https://app.example.com",
    ],
    [
      { cors: { origins: ["*"], credentials: true } },
      "cors.credentials: every page could read what is a user's own: name origins",
    ],
    [
      { cors: { origins: ["*", "https://a.test"] } },
      "cors.origins: * stands for all others: give it alone, or leave it out",
    ],
    [
      { cors: { origins: ["*"], headers: ["a b"] } },
      "cors.headers: a b is not the name of a header: give one like Authorization",
    ],
    [{ cors: { origins: ["*"], methods: ["*"] } }, "cors.methods: * is not a method: give one like PUT"],
    [
      { cors: { origins: ["*"], maxAgeSeconds: -1 } },
      "cors.maxAgeSeconds: -1 is not a whole number from 0 to 86400: give one",
    ],
    [
      { rateLimit: { requestsPerSecond: 1, burst: 0.5 } },
      "rateLimit.burst: 0.5 is not a whole number from 1: give one",
    ],
    [
      { rateLimit: { requestsPerSecond: 0, burst: 1 } },
      "rateLimit.requestsPerSecond: 0 is not a whole number from 1: give one",
    ],
    [{ maxBodyMb: 0 }, "maxBodyMb: 0 is not a whole number from 1: give one"],
    [{ responseTimeoutSeconds: 1.5 }, "responseTimeoutSeconds: 1.5 is not a whole number from 1: give one"],
    [{ exceptions: [{ encodedSlashes: true, why: " npm " }] }, "exceptions: encodedSlashes: has no reason: say why"],
  ];
  test.each(bad)("%j: %s", (route, problem) => {
    expect(routeProblems("api", { paths: ["/"], ...route })).toEqual([`api: routes.${problem}`]);
    expect(routeProblems("api", [{ paths: ["/x"] }, { paths: ["/"], ...route }])).toEqual([
      `api: routes[1].${problem}`,
    ]);
  });

  test("sound ones have no problem", () => {
    const cors = { origins: ["https://a.test", "http://localhost:3000"], credentials: true, maxAgeSeconds: 0 };
    const rateLimit = { requestsPerSecond: 1, burst: 1 };
    const allowFrom = ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32"];
    expect(routeProblems("api", { paths: ["/"], cors, rateLimit, allowFrom, headers: { "X-A": "b" } })).toEqual([]);
  });
});

describe("a path", () => {
  const taken = (...services: [string, Route | Route[]][]) => {
    const claims = new RouteClaims();
    for (const [service, routes] of services) claims.take(service, "example.com", routes);
  };

  test("of two services, or twice of one, is refused by name", () => {
    const twice = "routes: example.com/a leads to one already: leave it out of one of them";
    expect(() => taken(["one", { paths: ["/a"] }], ["two", { paths: ["/b", "/a"] }])).toThrow(`two: ${twice}`);
    expect(() => taken(["one", [{ paths: ["/a"] }, { host: "example.com", paths: ["/a"] }]])).toThrow(`one: ${twice}`);
    expect(() => taken(["one", { paths: ["/a"] }], ["two", { host: "b.test", paths: ["/a"] }])).not.toThrow();
  });

  test("that a longer list of paths would take is refused, as what protects it would never be asked", () => {
    const open = { paths: ["/", "/assets", "/images"] };
    const message =
      "routes: example.com/admin of app would get no request, as the longer list of paths with / of app comes first: " +
      "give / a route of its own";
    const admin = { paths: ["/admin"], allowFrom: ["192.0.2.7"] };
    expect(() => taken(["app", [open, admin]])).toThrow(`app: ${message}`);
    expect(() => taken(["app", [admin, open]])).toThrow(`app: ${message}`);
    expect(() => taken(["app", [{ paths: ["/"] }, { paths: ["/assets"] }, admin]])).not.toThrow();
  });
});

describe("a way round what guards another route of the service is refused:", () => {
  const admin: Route = { paths: ["/admin"], allowFrom: ["192.0.2.7"] };
  const exceptions = [{ encodedSlashes: true, why: "npm asks for @scope%2fname" }] as const;

  test("a stripped path", () => {
    const api: Route = { paths: ["/api"], stripPrefix: true };
    expect(routeProblems("app", [api, admin])).toEqual([
      "app: routes[0].stripPrefix: /api/admin leads to /admin of the same service, past allowFrom of app: routes[1]: " +
        "give it the same, or leave stripPrefix out",
    ]);
    expect(routeProblems("app", [{ ...api, allowFrom: ["192.0.2.7"] }, admin])).toEqual([]);
  });

  test("encoded slashes above it", () => {
    expect(routeProblems("app", [{ paths: ["/"], exceptions }, admin])).toEqual([
      "app: routes[0].exceptions: encodedSlashes: a service that decodes them finds /admin in it, past allowFrom of " +
        "app: routes[1]: give the exception to a route of fewer paths",
    ]);
    expect(routeProblems("app", [{ paths: ["/packages"], exceptions }, admin])).toEqual([]);
  });
});

describe("a guarded path is asked for", () => {
  const pathOf = (route: Route) => {
    const [, text] = /PathRegexp\(`\(\?i\)(.*)`\)/.exec(routeRule("example.com", route))!;
    return new RegExp(text!, "i");
  };

  test("by each of its spellings, and not by another name", () => {
    const pattern = pathOf({ paths: ["/v1.0/@me"], allowFrom: ["192.0.2.7"] });
    for (const path of ["/v1.0/@me", "/V1.0/@ME", "/v1.0/%40me", "/v1.0/@me/x", "/v1.0;a=b/@me;x", "/v1.0/@me.json"])
      expect(path).toMatch(pattern);
    for (const path of ["/v1.0/@me%2Fx", "/v1.0/@me ", "/v1.0/@me%00"]) expect(path).toMatch(pattern);
    for (const path of ["/v1.0/@men", "/v1.0/@me-too", "/v1x0/@me", "/x/v1.0/@me", "/v1.0"])
      expect(path).not.toMatch(pattern);
  });

  test("only by itself where nothing guards it", () => {
    expect(routeRule("example.com", { paths: ["/a"] })).toBe(
      "Host(`example.com`) && (Path(`/a`) || PathPrefix(`/a/`))",
    );
  });
});

describe("a path that could mean another to the service", () => {
  const [refused, beside] = [
    new RegExp(refusedPaths({ paths: [] }, false)),
    new RegExp(refusedPaths({ paths: [] }, true)),
  ];
  const exceptions = [{ encodedSlashes: true, why: "npm asks for @scope%2fname" }] as const;
  const slashes = new RegExp(refusedPaths({ paths: [], exceptions }, false));

  test.each([
    "/x%2F..%2Fa",
    "/x%5C..%5Ca",
    "/%252e%252e",
    "/..;/a",
    "/x/;/a",
    "/x/..%3B/a",
    "/a%00",
    "/a%0D",
    "/%C0%AEa",
  ])("is refused: %s", (path) => {
    expect(path).toMatch(refused);
    if (!path.includes("%2F") || path.includes("..")) expect(path).toMatch(slashes);
  });

  test.each([
    "/100%25",
    "/c%23",
    "/what%3F",
    "/a;v=1/b",
    "/caf%C3%A9",
    "/%E8%A8%98",
    "/a%20b",
    "/.well-known/x",
    "/...",
    "/%E9",
  ])("is not refused: %s", (path) => expect(path).not.toMatch(beside));

  test("wide letters and slashes only beside a guarded route", () => {
    for (const path of ["/%EF%BC%8Fadmin", "/%EF%BD%81dmin", "/x%E2%88%95admin"]) {
      expect(path).toMatch(beside);
      expect(path).not.toMatch(refused);
    }
  });

  test("an encoded slash passes by an exception, and none that leads out", () => {
    for (const path of ["/@scope%2Fname", "/projects/a%2Fb%2Fc/x", "/files/a%2F"]) expect(path).not.toMatch(slashes);
    for (const path of ["/%2Fadmin", "/x%2F..%2Fa", "/x%2F%2Fa", "/x%2F../a", "/x%2F.", "/x%2F/a", "/x%2F..;/a"])
      expect(path).toMatch(slashes);
  });
});

test("an allow list goes by the address that the proxy saw, where there is one", () => {
  const route = { paths: ["/"], allowFrom: ["192.0.2.7"] };
  const allow = (isForwarded: boolean) => entryMiddlewares("api", route, { isForwarded, ofOneClient: {} });
  expect(allow(false)).toEqual({ "api-allow": { ipAllowList: { sourceRange: ["192.0.2.7"] } } });
  expect(allow(true)).toEqual({
    "api-allow": { ipAllowList: { sourceRange: ["192.0.2.7"], ipStrategy: { depth: 1 } } },
  });
});

test("the longest prefix is stripped first", () => {
  const route = { paths: ["/", "/a", "/a/b"], stripPrefix: true };
  expect(stripMiddleware("api", route)).toEqual({ "api-strip": { stripPrefix: { prefixes: ["/a/b", "/a"] } } });
});
