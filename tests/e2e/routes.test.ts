// What a route says of its requests: who may come and how often, what they are told, and what the service gets of it.
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http2 from "node:http2";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates, type TestCertificates } from "../support/certificates.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { runCommand } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startLoad } from "../support/load.ts";
import { inspectAll, removeStack } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const DOMAIN = "routes.test";
const engine = new Engine(process.env["DOCKER_HOST"]!);
const directory = mkdtempSync(join(tmpdir(), "bulkhead-routes-"));
let certificates: TestCertificates;
let project: TestProject;
let config: Record<string, unknown>;

beforeAll(async () => {
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  certificates = await makeCertificates(DOMAIN);
  const files = { certificate: join(directory, "c.pem"), privateKey: join(directory, "c.key") };
  writeFileSync(files.certificate, certificates.certificate);
  writeFileSync(files.privateKey, certificates.privateKey, { mode: 0o600 });
  config = {
    "routes:host": "local",
    "routes:domain": DOMAIN,
    "routes:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
    "routes:edge": {
      ...{ address: "127.0.0.1", httpsPort: 8443, keepAliveSeconds: 4 },
      ...{ requestsPerSecond: 1000, burst: 2000 },
    },
    "routes:certificates": { kind: "files", ...files },
  };
  const program = new URL("../programs/routes", import.meta.url).pathname;
  const sealed = await makeCertificates("sealed.test");
  writeFileSync(join(directory, "ca.pem"), sealed.ca);
  writeFileSync(join(directory, "certificate.pem"), sealed.certificate);
  writeFileSync(join(directory, "private.key"), sealed.privateKey, { mode: 0o600 });
  project = await createTestProject({ stack: "all", config, program, env: { SEALED: directory } });
  const result = await project.up();
  expect(result, result.stdout + result.stderr).toMatchObject({ code: 0 });
});

afterAll(async () => {
  await removeStack(engine, "routes-all");
  project?.remove();
  engine.close();
  rmSync(directory, { recursive: true, force: true });
});

// By whatever spelling a service could take for it, as sent on the wire.
const targets = [
  ...["/admin", "/admin/", "//admin", "/./admin", "/x/../admin", "/%61dmin", "/x/%2e%2e/admin", "/%2e/admin"],
  ...["/x%2f..%2fadmin", "/%2fadmin", "/x%2F%2E%2E%2Fadmin", "/..%2fadmin", "/%2e%2e%2fadmin", "/.%2fadmin"],
  ...["/\\admin", "/x\\..\\admin", "/x%5c..%5cadmin", "/x%5C%2e%2e%5Cadmin", "/%5cadmin"],
  ...["/%2561dmin", "/x%252f..%252fadmin", "/x/%252e%252e/admin", "/%25%36%31dmin"],
  ...[
    "/..;/admin",
    "/x/..;/admin",
    "/x/..;a=b/admin",
    "/;/admin",
    "/.;/admin",
    "/admin;x",
    "/admin;x=1/",
    "/x/..%3b/admin",
  ],
  ...[
    "/ADMIN",
    "/Admin/",
    "/aDMIN;x",
    "/admin.json",
    "/admin.",
    "/admin..",
    "/admin%20",
    "/admin%2e",
    "/admin%3f",
    "/admin%23",
  ],
  ...["/admin%00", "/admin%00.png", "/admin%0a", "/admin%09", "/x%00/../admin", "/admin%2f", "/admin%5c", "/admin%3bx"],
  ...["/%c0%afadmin", "/x%c0%af..%c0%afadmin", "/x/%c0%ae%c0%ae/admin", "/%e0%80%afadmin"],
  ...["/%ef%bc%8fadmin", "/%ef%bd%81dmin", "/x%e2%88%95..%e2%88%95admin", "/\u2044admin", "/x/\uff0e\uff0e/admin"],
  ...[
    `https://${DOMAIN}/admin`,
    `https://other.test/admin`,
    `http://${DOMAIN}/x%2f..%2fadmin`,
    `https://${DOMAIN}//admin`,
  ],
  ...[
    `https:${DOMAIN}/admin`,
    "admin",
    "*",
    "?/admin",
    "/admin?x",
    "/?/../admin",
    "/admin#x",
    "/x#/../admin",
    "https:///admin",
  ],
];

/** As in the program. */
const ANN = "a horse with no name";
const CHANGED = "another horse with none";

test("a stripped path is the service's root, and the service can ask what it was", async () => {
  expect((await ask("/api/users?a=b")).text).toBe("api /users?a=b /api");
  expect((await ask("/api")).text).toBe("api / /api");
  expect((await ask("/apix")).text).toBe("app /apix ");
});

describe("who is not on the list of /admin", () => {
  test("gets 403 there, whoever they say they are", async () => {
    expect(await ask("/inside/x")).toMatchObject({ status: 200, text: "app /inside/x " });
    const forged: Record<string, string>[] = [
      {},
      { "x-forwarded-for": "192.0.2.7" },
      { "x-real-ip": "192.0.2.7" },
      { forwarded: "for=192.0.2.7" },
      { "cf-connecting-ip": "192.0.2.7" },
      { host: `${DOMAIN}:8443` },
      { host: DOMAIN.toUpperCase() },
      { host: `${DOMAIN}.` },
    ];
    for (const headers of forged) expect((await ask("/admin", { headers })).status, JSON.stringify(headers)).toBe(403);
    for (const method of ["HEAD", "OPTIONS", "POST", "DELETE"])
      expect((await ask("/admin", { method })).status, method).toBe(403);
  });

  test("is let through by none", async () => {
    const passed: string[] = [];
    for (const target of targets)
      for (const lines of [`Host: ${DOMAIN}`, `Host: ${DOMAIN.toUpperCase()}.`]) {
        const answer = await wire(`GET ${target} HTTP/1.1\r\n${lines}\r\nConnection: close\r\n\r\n`);
        expect(answer, target).toMatch(/^HTTP\/1\.1 [1-5]\d\d /);
        if (answer.includes("SECRET")) passed.push(`${target} (${lines})`);
      }
    for (const header of ["x-original-url", "x-rewrite-url", "x-forwarded-prefix"])
      if ((await ask("/x", { headers: { [header]: "/admin" } })).text.includes("SECRET")) passed.push(header);
    expect(passed).toEqual([]);
  });

  test("is let through by none of HTTP/2, nor by a Host beside its :authority", async () => {
    const session = http2.connect("https://127.0.0.1:8443", { ca: certificates.ca, servername: DOMAIN });
    const passed: string[] = [];
    try {
      for (const path of targets.filter((target) => target.startsWith("/") && !target.includes("#")))
        for (const headers of [
          { ":authority": DOMAIN },
          { ":authority": DOMAIN, host: "other.test" },
          { ":authority": "other.test", host: DOMAIN },
          { host: DOMAIN },
        ]) {
          const request = session.request({ ":path": Buffer.from(path).toString("latin1"), ...headers });
          let text = "";
          for await (const part of request.setEncoding("utf8").on("error", () => undefined)) text += part as string;
          if (text.includes("SECRET")) passed.push(`${path} ${JSON.stringify(headers)}`);
        }
    } finally {
      session.destroy();
    }
    expect(passed).toEqual([]);
  });
});

test("an encoded slash is refused, and passes where an exception of the route says why", async () => {
  expect(await ask("/@scope%2fname")).toMatchObject({ status: 400, text: "Bad Request\n" });
  expect((await ask("/registry/@scope%2fname")).text).toBe("registry /registry/@scope%2Fname ");
  for (const path of ["/registry/x%2f..%2fadmin", "/registry/%2fadmin", "/registry/x%5cy"])
    expect((await ask(path)).status, path).toBe(400);
  // What other characters mean is the service's alone.
  for (const path of ["/c%23", "/what%3F", "/100%25", "/a;v=1/b", "/caf%C3%A9"])
    expect((await ask(path)).text, path).toBe(`app ${path} `);
});

test("a header of the route replaces the service's, and the edge's own stay", async () => {
  const { headers } = await ask("/");
  expect(headers["x-robots-tag"]).toBe("noindex");
  expect(headers["x-frame-options"]).toBe("DENY");
  expect(headers["content-security-policy"]).toBe("default-src 'none'; frame-ancestors 'none'");
});

test("another origin's page may read answers where the route says so, and nowhere else", async () => {
  const origin = "https://app.example.com";
  const preflight = {
    origin,
    "access-control-request-method": "PUT",
    "access-control-request-headers": "Authorization",
  };
  const allowed = await ask("/api/x", { method: "OPTIONS", headers: preflight });
  expect(allowed).toMatchObject({ status: 200, text: "" });
  expect(allowed.headers).toMatchObject({
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET,PUT",
    "access-control-allow-headers": "Authorization",
    "access-control-allow-credentials": "true",
    "access-control-max-age": "600",
  });
  expect((await ask("/api/x", { headers: { origin } })).headers).toMatchObject({
    "access-control-allow-origin": origin,
    vary: expect.stringContaining("Origin") as string,
  });
  for (const evil of ["https://evil.test", "null", `${origin}.evil.test`, "http://app.example.com", `${origin}:444`])
    for (const method of ["GET", "OPTIONS"]) {
      const { headers } = await ask("/api/x", { method, headers: { ...preflight, origin: evil } });
      expect(headers["access-control-allow-origin"], `${method} ${evil}`).toBeUndefined();
    }
  expect((await ask("/", { headers: { origin } })).headers["access-control-allow-origin"]).toBeUndefined();
});

test("a route's rate limit is its own", async () => {
  const statuses = async (path: string) =>
    (await Promise.all(Array.from({ length: 20 }, () => ask(path)))).map(({ status }) => status);
  const few = await statuses("/few");
  const passed = few.filter((status) => status === 200).length;
  expect(passed).toBeGreaterThanOrEqual(5);
  expect(passed).toBeLessThanOrEqual(9);
  expect(few.filter((status) => status === 429)).toHaveLength(20 - passed);
  expect(new Set(await statuses("/"))).toEqual(new Set([200]));
});

test("a service that speaks TLS, by an authority of its own, answers, and opens a WebSocket", async () => {
  expect(await ask("/sealed/x")).toMatchObject({ status: 200, text: "sealed /sealed/x " });
  const lines = `Host: ${DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
  expect(await wire(`GET /sealed/socket HTTP/1.1\r\n${lines}`)).toMatch(/^HTTP\/1\.1 101 /);
});

test("a service that speaks HTTP/2 alone answers", async () => {
  expect(await ask("/calls/x")).toMatchObject({ status: 200, text: "calls /calls/x " });
});

describe("who does not say who they are", () => {
  const of = (name: string) =>
    targets.map((target) => {
      const first = name.charCodeAt(0);
      const cased = target
        .replaceAll("admin", name)
        .replaceAll("ADMIN", name.toUpperCase())
        .replaceAll("Admin", name[0]!.toUpperCase() + name.slice(1))
        .replaceAll("aDMIN", name[0]! + name.slice(1).toUpperCase());
      const hex = first.toString(16);
      return cased
        .replaceAll("%61dmin", `%${hex}${name.slice(1)}`)
        .replaceAll("%2561dmin", `%25${hex}${name.slice(1)}`)
        .replaceAll("%25%36%31dmin", `%25%3${hex[0]}%3${hex[1]}${name.slice(1)}`)
        .replaceAll("%ef%bd%81dmin", `${encodeURIComponent(String.fromCharCode(first + 0xfee0))}${name.slice(1)}`);
    });

  test("gets 401 with what to ask for, over HTTP/2 too, and preflights no question", async () => {
    const asked = await ask("/private");
    expect(asked).toMatchObject({ status: 401, headers: { "www-authenticate": 'Basic realm="app"' } });
    expect(asked.headers["content-security-policy"]).toBe("default-src 'none'; frame-ancestors 'none'");
    expect((await ask("/passed")).headers["www-authenticate"]).toBe('Basic realm="Passed on"');
    for (const method of ["HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"])
      expect((await ask("/private", { method })).status, method).toBe(401);
    const preflight = { origin: "https://a.test", "access-control-request-method": "GET" };
    expect(await ask("/private", { method: "OPTIONS", headers: preflight })).toMatchObject({ status: 200, text: "" });
    expect(await ask("/member?a=b")).toMatchObject({ status: 302, headers: { location: "/login?to=/member?a=b" } });
  });

  test.each(["private", "member"])("is let through by no spelling of /%s", async (name) => {
    const passed: string[] = [];
    for (const target of of(name)) {
      const answer = await wire(`GET ${target} HTTP/1.1\r\nHost: ${DOMAIN}\r\nConnection: close\r\n\r\n`);
      expect(answer, target).toMatch(/^HTTP\/1\.1 [1-5]\d\d /);
      if (answer.includes("SECRET")) passed.push(target);
    }
    expect(passed).toEqual([]);
  });

  test("has no name for the service, however it is sent", async () => {
    const names = ["X-Forwarded-User", "x-forwarded-user", "X_Forwarded_User", "X-Forwarded_User", "X.Forwarded.User"];
    for (const path of ["/", "/inside/x", "/private", "/member"])
      for (const name of names) {
        const authorization = `Authorization: ${basic("ann", ANN)}\r\nCookie: member=eve\r\n`;
        const lines = [`Host: ${DOMAIN}`, `${name}: root`, `${name}: root`, "Connection: close, X-Forwarded-User"];
        const answer = await wire(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n${authorization}\r\n`);
        const user = { "/private": "ann", "/member": "eve" }[path];
        const [, seen] = /^x-seen: (.*)$/im.exec(answer) ?? [];
        const { authorization: passed, ...identity } = JSON.parse(seen!) as Record<string, string>;
        expect(identity, `${path} ${name}`).toEqual(user === undefined ? {} : { "x-forwarded-user": user });
        expect(passed !== undefined, path).toBe(path !== "/private");
      }
  });

  test("stays out with a wrong password, a long one, or none that is one", async () => {
    const bad = [
      ...[basic("ann", `${ANN}x`), basic("ann", ""), basic("", ""), basic("eve", ANN), basic("ANN", ANN)],
      ...[
        "Basic",
        "Basic =",
        "Basic !!",
        `Bearer ${ANN}`,
        `Basic ${ANN}`,
        basic("ann", "\0"),
        `Basic ${"A".repeat(30_000)}`,
      ],
    ];
    for (const authorization of bad)
      expect((await ask("/private", { headers: { authorization } })).status, authorization.slice(0, 40)).toBe(401);
    // More than the edge takes of a request's headers.
    const large = { authorization: `Basic ${"A".repeat(60_000)}` };
    expect((await ask("/private", { headers: large })).status).toBe(431);
    expect((await ask("/private", { headers: { cookie: "member=eve" } })).status).toBe(401);
    // A long answer of the service that is asked is not handed on.
    expect((await ask("/member", { headers: { cookie: "big" } })).status).toBe(401);
    expect((await ask("/member", { headers: { authorization: basic("ann", ANN) } })).status).toBe(302);
    // Nor what only the edge may ask: on its own port, and by another service's name.
    for (const path of ["/auth/gate/verify", "/verify"])
      expect((await ask(path, { headers: { cookie: "member=eve" } })).headers["x-asked"], path).toBeUndefined();
  });
});

test("who gives a password or is known to the service passes, and the service gets the name alone", async () => {
  const bob = await passwordOfBob();
  for (const [user, password] of [
    ["ann", ANN],
    ["bob", bob],
  ] as const) {
    const answer = await ask("/private/x", { headers: { authorization: basic(user, password) } });
    expect(answer).toMatchObject({ status: 200, text: "app /private/x " });
    expect(JSON.parse(answer.headers["x-seen"] as string)).toEqual({ "x-forwarded-user": user });
    expect(answer.headers["cdn-cache-control"]).toBe("no-store");
  }
  const passed = await ask("/passed", { headers: { authorization: basic("ann", ANN) } });
  expect(JSON.parse(passed.headers["x-seen"] as string)).toEqual({ authorization: basic("ann", ANN) });
  const member = await ask("/member/x?a=b", {
    method: "PUT",
    headers: { cookie: "member=eve" },
    body: Buffer.from("x"),
  });
  expect(member).toMatchObject({ status: 200, text: "app /member/x?a=b " });
  expect(JSON.parse(member.headers["x-seen"] as string)).toEqual({ "x-forwarded-user": "eve" });

  // In clear nowhere: not the password, nor the hash but in the edge's file.
  const state = JSON.stringify(await project.exportState());
  const all = await engine.get<{ Id: string }[]>("/containers/json?all=1");
  const inspected = await Promise.all(all.map(({ Id }) => engine.get<object>(`/containers/${Id}/json`)));
  for (const text of [state, JSON.stringify(inspected)])
    for (const secret of [ANN, bob, "$2b$04$"]) expect(text.includes(secret)).toBe(false);
  const edge = all.length > 0 ? await logOfEdge() : "";
  for (const secret of [ANN, bob]) expect(edge.includes(secret)).toBe(false);
});

test("the same program again changes nothing, hashes too", async () => {
  const { stdout } = await project.preview();
  expect(stdout).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
});

async function passwordOfBob(): Promise<string> {
  const { deployment } = await project.exportState<{
    deployment: { resources: { urn: string; outputs?: { result?: { plaintext?: string } | string } }[] };
  }>({ showSecrets: true });
  const { outputs } = deployment.resources.find(({ urn }) => urn.endsWith("::bob-password-value"))!;
  return JSON.parse((outputs!.result as { plaintext: string }).plaintext) as string;
}

/** What an update may roll. */
async function rolled(): Promise<string[]> {
  return (await inspectAll(engine, "routes-all"))
    .filter(
      ({ Config, State }) => State.Running && ["service", "edge", "door"].includes(Config.Labels["bulkhead.role"]!),
    )
    .map(({ Id }) => Id)
    .sort();
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

async function logOfEdge(): Promise<string> {
  const filters = encodeURIComponent(JSON.stringify({ label: ["bulkhead.role=edge"] }));
  const [edge] = await engine.get<{ Id: string }[]>(`/containers/json?filters=${filters}`);
  return (await runCommand("docker", ["logs", edge!.Id])).stdout;
}

/** What comes back for these bytes, until the edge hangs up. */
async function wire(text: string): Promise<string> {
  const socket = tls.connect({ host: "127.0.0.1", port: 8443, servername: DOMAIN, ca: certificates.ca });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  socket.write(text);
  let answer = "";
  for await (const part of socket.setEncoding("utf8")) answer += part as string;
  return answer;
}

test("gRPC passes in both directions at once, with its trailers", async () => {
  const session = http2.connect("https://127.0.0.1:8443", { ca: certificates.ca, servername: DOMAIN });
  try {
    const call = session.request({
      ...{ ":method": "POST", ":path": "/calls/x", ":authority": DOMAIN },
      ...{ "content-type": "application/grpc", te: "trailers" },
    });
    const trailers = new Promise((resolve) => call.once("trailers", resolve));
    const messages: string[] = [];
    call.write("one");
    // The second is sent when the first has come back.
    for await (const message of call.setEncoding("utf8")) {
      messages.push(message as string);
      if (messages.length === 1) call.end("two");
    }
    expect(messages).toEqual(["one", "two"]);
    expect(await trailers).toMatchObject({ "grpc-status": "0" });
    // A client takes a status that ends no stream for the begin of an answer.
    const refused = session.request({
      ...{ ":method": "POST", ":path": "/calls/unknown", ":authority": DOMAIN },
      ...{ "content-type": "application/grpc", te: "trailers" },
    });
    refused.end("one");
    const [head, flags] = (await once(refused, "response")) as [http2.IncomingHttpHeaders, number];
    expect(head).toMatchObject({ "grpc-status": "12" });
    expect(flags & http2.constants.NGHTTP2_FLAG_END_STREAM).toBeGreaterThan(0);
  } finally {
    session.destroy();
  }
}, 15_000);

test("a WebSocket opens on a route with limits of its own, and not past a list", async () => {
  const upgrade = (path: string) =>
    `GET ${path} HTTP/1.1\r\nHost: ${DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
  for (const path of ["/inside/socket", "/small/socket"]) {
    const answer = await wire(upgrade(path));
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer).toContain(`opened ${path}`);
  }
  const withName = { "/private/socket": `Authorization: ${basic("ann", ANN)}`, "/member/socket": "Cookie: member=eve" };
  for (const [path, line] of Object.entries(withName))
    expect(await wire(upgrade(path).replace("\r\n\r\n", `\r\n${line}\r\n\r\n`))).toMatch(/^HTTP\/1\.1 101 /);
  for (const [path, status] of Object.entries({ "/admin": 403, "/private/socket": 401, "/member/socket": 302 })) {
    const socket = tls.connect({ host: "127.0.0.1", port: 8443, servername: DOMAIN, ca: certificates.ca });
    socket.write(upgrade(path));
    const first = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    socket.destroy();
    expect(first.toString().slice(0, 13), path).toBe(`HTTP/1.1 ${status} `);
  }
}, 15_000);

test("a route has a body limit and a time for answers of its own", async () => {
  const body = Buffer.alloc(2 * 1024 * 1024);
  expect((await ask("/small", { method: "POST", body })).status).toBe(413);
  expect((await ask("/x", { method: "POST", body })).status).toBe(200);
  expect((await ask("/slow")).status).toBe(504);
});

test("a program's own pages answer browsers, where the edge or a service cannot", async () => {
  const accept = "text/html,application/xhtml+xml,*/*;q=0.8";
  const elsewhere = { host: "nobody.test" };
  expect(await ask("/x", { headers: { ...elsewhere, accept } })).toMatchObject({
    status: 404,
    text: expect.stringContaining("The page 404 of the program") as string,
    headers: { "x-frame-options": "DENY", "cache-control": "no-store" },
  });
  expect(await ask("/x", { headers: elsewhere })).toMatchObject({ status: 404, text: "Not Found\n" });
  const slow = await ask("/slow", { headers: { accept } });
  expect(slow).toMatchObject({ status: 504, headers: { "content-type": "text/html; charset=utf-8" } });
  expect(slow.text).toContain("The page 504 of the program");
  expect(slow.headers["content-security-policy"]).toContain("style-src 'unsafe-inline'");
  expect(await ask("/slow", { method: "HEAD", headers: { accept } })).toMatchObject({ status: 504, text: "" });
  expect(await ask("/slow")).toMatchObject({ status: 504, text: "Gateway Timeout\n" });
  const busy = await ask("/busy", { headers: { accept } });
  expect(busy).toMatchObject({ status: 503, text: expect.stringContaining("The page 503 of the program") as string });
  expect(await ask("/busy")).toMatchObject({ status: 503, text: "Service Unavailable\n" });
  // A service that is not there takes no connection.
  const [api] = (await inspectAll(engine, "routes-all")).filter(
    ({ Config }) => Config.Labels["bulkhead.name"] === "api",
  );
  await engine.post(`/containers/${api!.Id}/stop`);
  const gone = await ask("/api", { headers: { accept } });
  const word = await ask("/api");
  await engine.post(`/containers/${api!.Id}/start`);
  expect(gone).toMatchObject({ status: 502, text: expect.stringContaining("The page 502 of the program") as string });
  expect(word).toMatchObject({ status: 502, text: "Bad Gateway\n" });
  // What the service says of itself stays where its route asks for that.
  expect(await ask("/down", { headers: { accept } })).toMatchObject({ status: 503, text: '{"down":true}' });
  // No client asks the edge for them.
  expect((await ask("/pages/404", { headers: { accept } })).text).toBe("app /pages/404 ");
}, 20_000);

test("a style is compressed as well as its client can take it", async () => {
  const encoded = async (accepted: string) =>
    (await ask("/style.css", { headers: { "accept-encoding": accepted } })).headers["content-encoding"];
  expect(await encoded("gzip, deflate, br, zstd")).toBe("zstd");
  expect(await encoded("gzip, deflate, br")).toBe("br");
  expect(await encoded("gzip")).toBe("gzip");
  expect(await encoded("identity")).toBeUndefined();
});

test("in maintenance clients get 503 and its page, health and who is on the list pass, and nothing is rolled", async () => {
  const before = await rolled();
  const load = startLoad({
    ...{ url: `https://${DOMAIN}:8443/login/up`, address: "127.0.0.1", ca: certificates.ca },
    ...{ connections: 4, seconds: 200, pauseMs: 20 },
  });
  const up = async (maintenance?: object) => {
    if (maintenance) project.setConfig({ ...config, "routes:maintenance": maintenance });
    const result = await project.up();
    expect(result, result.stdout + result.stderr).toMatchObject({ code: 0 });
  };
  const configured = ["--stack", project.stack, "--config-file", project.configFile];
  const given = { cwd: project.program, env: project.env };
  await runCommand("pulumi", ["config", "set", "maintenance", "true", ...configured], given);
  await up();
  const word = { status: 503, headers: { "retry-after": "300" }, text: "Service Unavailable\n" };
  expect(await ask("/x")).toMatchObject(word);
  expect((await ask("/", { headers: { accept: "text/html" } })).text).toContain("The page maintenance of the program");
  for (const [path, options] of [
    ...[["/login/up", { method: "POST" }] as const, ["/login", {}] as const, ["/login/up/x", {}] as const],
    ...[["/LOGIN/UP", {}] as const, ["/login/up", { headers: { host: "nobody.test" } }] as const],
  ])
    expect((await ask(path, options)).status, path).toBe(503);
  expect((await ask("/login/up?x")).status).toBe(200);

  await up({ allowFrom: ["192.0.2.7", "2001:db8::/32"], retryAfterSeconds: 60 });
  const forged = { "x-forwarded-for": "192.0.2.7", "x-real-ip": "192.0.2.7", "cf-connecting-ip": "192.0.2.7" };
  expect(await ask("/x", { headers: forged })).toMatchObject({ status: 503, headers: { "retry-after": "60" } });
  await up({ allowFrom: ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] });
  expect(await ask("/x")).toMatchObject({ status: 200, text: "app /x " });
  await runCommand("pulumi", ["config", "rm", "maintenance", ...configured], given);
  // Another password switches a route as well.
  project.env["ANN"] = CHANGED;
  await up();
  for (const [password, status] of Object.entries({ [ANN]: 401, [CHANGED]: 200 }))
    expect((await ask("/private/x", { headers: { authorization: basic("ann", password) } })).status).toBe(status);
  expect(await ask("/x")).toMatchObject({ status: 200, text: "app /x " });
  const { failed, failures, requests } = await load.stop();
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect(requests).toBeGreaterThan(100);
  expect(await rolled()).toEqual(before);
}, 180_000);

test.runIf(SOAK)(
  "a password that is rotated and one that is changed switch the route, under load, and roll nothing",
  async () => {
    const copy = new RepositoryCopy();
    onTestFinished(() => copy.remove());
    const program = join(copy.directory, "tests/programs/routes");
    cpSync(project.configFile, join(program, "Pulumi.all.yaml"));
    const before = { services: await rolled(), bob: await passwordOfBob() };
    const changed = "a third horse with none";
    const load = startLoad({
      ...{ url: `https://${DOMAIN}:8443/member`, address: "127.0.0.1", ca: certificates.ca },
      ...{ connections: 4, seconds: 200, pauseMs: 20, headers: { cookie: "member=eve" } },
    });
    const bulkhead = (...args: string[]) =>
      copy.bulkhead(args, { cwd: program, env: { ...project.env, ANN: changed, STACK: "all" } });
    const rotated = await bulkhead("rotate", "bob-password", "--yes");
    expect(rotated, rotated.stdout + rotated.stderr).toMatchObject({ code: 0 });
    const { requests, failed, failures } = await load.stop();
    console.log(JSON.stringify({ rotateSeconds: rotated.seconds, requests, failed }));
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(50);
    expect(await rolled()).toEqual(before.services);
    const bob = await passwordOfBob();
    expect(bob).not.toBe(before.bob);
    for (const [user, password, status] of [
      ...[["ann", CHANGED, 401] as const, ["ann", changed, 200] as const],
      ...[["bob", before.bob, 401] as const, ["bob", bob, 200] as const],
    ])
      for (const path of ["/private/x", "/passed"])
        expect((await ask(path, { headers: { authorization: basic(user, password) } })).status, user).toBe(status);
    for (const secret of [CHANGED, changed, before.bob, bob])
      expect((rotated.stdout + rotated.stderr).includes(secret)).toBe(false);
    project.env["ANN"] = changed;
  },
  180_000,
);

test.runIf(SOAK)(
  "a service whose certificate is for another name gets no request, and the one of before goes on",
  async () => {
    const before = await rolled();
    const load = startLoad({
      ...{ url: `https://${DOMAIN}:8443/sealed/x`, address: "127.0.0.1", ca: certificates.ca },
      ...{ connections: 4, seconds: 200, pauseMs: 20 },
    });
    project.env["SEALED_AS"] = "other.test";
    const refused = await project.up();
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toMatch(
      /sealed-route-job: [^]* not serving routes-all-sealed-\w+, it got no request\. [^]*answered 500 /,
    );
    const { requests, failed, failures } = await load.stop();
    console.log(JSON.stringify({ wrongServerNameSeconds: refused.seconds, requests, failed }));
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    delete project.env["SEALED_AS"];
    const again = await project.up();
    expect(again, again.stdout + again.stderr).toMatchObject({ code: 0 });
    expect(await rolled()).toEqual(before);
    expect(await ask("/sealed/x")).toMatchObject({ status: 200, text: "sealed /sealed/x " });
  },
  180_000,
);

test.runIf(SOAK)(
  "a service that says who may pass lets nobody through while it is away or hangs, and is asked again when it is back",
  async () => {
    const known = { headers: { cookie: "member=eve" }, timeoutMs: 90_000 };
    const [gate] = (await inspectAll(engine, "routes-all")).filter(
      ({ Config: { Labels }, State }) => Labels["bulkhead.name"] === "gate" && State.Running,
    );
    const answers: [string, number, string][] = [];
    for (const [away, back] of [
      ["stop?t=0", "start"],
      ["pause", "unpause"],
    ] as const) {
      expect((await ask("/member", known)).status).toBe(200);
      await engine.post(`/containers/${gate!.Id}/${away}`);
      for (const path of ["/member", "/member/x"]) {
        const { status, text } = await ask(path, known);
        answers.push([away, status, text.slice(0, 40)]);
      }
      await engine.post(`/containers/${gate!.Id}/${back}`);
      await expect.poll(async () => (await ask("/member", known)).status, { timeout: 30_000 }).toBe(200);
    }
    console.log(JSON.stringify({ answers }));
    for (const [away, status, text] of answers) {
      expect(status, away).toBeGreaterThanOrEqual(500);
      expect(text, away).not.toContain("app");
    }
  },
  300_000,
);

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

function ask(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: Buffer; timeoutMs?: number } = {},
): Promise<Answer> {
  const { method = "GET", headers = {}, body, timeoutMs = 10_000 } = options;
  return new Promise((resolve, reject) => {
    const to = { host: "127.0.0.1", port: 8443, servername: DOMAIN, ca: certificates.ca, agent: false };
    const request = https.request({ ...to, path, method, headers: { host: DOMAIN, ...headers } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`${path}: no answer`))).on("error", reject);
    request.end(body);
  });
}
