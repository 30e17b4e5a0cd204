import { describe, expect, test } from "vitest";
import { RouteClaims } from "../../components/edge/route-claims.ts";
import { routeMiddlewares, routeProblems, type Route } from "../../components/edge/route.ts";

describe("routes that cannot be", () => {
  const bad: [Partial<Route>, string][] = [
    [{ allowFrom: [] }, "allowFrom: is empty, which would let nobody in: name addresses, or leave it out"],
    [{ allowFrom: ["evil"] }, "allowFrom: evil is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24"],
    [
      { allowFrom: ["192.0.2.0/33"] },
      "allowFrom: 192.0.2.0/33 is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24",
    ],
    [{ allowFrom: ["::/0"] }, "allowFrom: ::/0 is everybody: leave allowFrom out, or name a smaller range"],
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
    [{ cors: { origins: [] } }, "cors.origins: is empty: name origins, or leave cors out"],
    [
      { cors: { origins: ["https://a.test/"] } },
      "cors.origins: https://a.test/ is not an origin: give one like https://app.example.com",
    ],
    [
      { cors: { origins: ["*"], credentials: true } },
      "cors.credentials: every page could read what is a user's own: name origins",
    ],
    [{ cors: { origins: ["*"], methods: ["*"] } }, "cors.methods: * is not a method: give one like PUT"],
    [
      { cors: { origins: ["*"], maxAgeSeconds: -1 } },
      "cors.maxAgeSeconds: -1 is not a whole number from 0 to 86400: give one",
    ],
    [
      { rateLimit: { requestsPerSecond: 0, burst: 1 } },
      "rateLimit.requestsPerSecond: 0 is not a whole number from 1: give one",
    ],
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

test("an allow list goes by the address that the proxy saw, where there is one", () => {
  const route = { paths: ["/"], allowFrom: ["192.0.2.7"] };
  const allow = (isForwarded: boolean) => routeMiddlewares("api", route, { isForwarded, ofOneClient: {} });
  expect(allow(false)).toEqual({ "api-allow": { ipAllowList: { sourceRange: ["192.0.2.7"] } } });
  expect(allow(true)).toEqual({
    "api-allow": { ipAllowList: { sourceRange: ["192.0.2.7"], ipStrategy: { depth: 1 } } },
  });
});

test("the longest prefix is stripped first", () => {
  const route = { paths: ["/", "/a", "/a/b"], stripPrefix: true };
  const { "api-strip": strip } = routeMiddlewares("api", route, { isForwarded: false, ofOneClient: {} });
  expect(strip).toEqual({ stripPrefix: { prefixes: ["/a/b", "/a"] } });
});
