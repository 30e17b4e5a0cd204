// What a route says of its requests: who may come and how often, what they are told, and what the service gets of it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http2 from "node:http2";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates, type TestCertificates } from "../support/certificates.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";

const DOMAIN = "routes.test";
const engine = new Engine(process.env["DOCKER_HOST"]!);
const directory = mkdtempSync(join(tmpdir(), "bulkhead-routes-"));
let certificates: TestCertificates;
let project: TestProject;

beforeAll(async () => {
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  certificates = await makeCertificates(DOMAIN);
  const files = { certificate: join(directory, "c.pem"), privateKey: join(directory, "c.key") };
  writeFileSync(files.certificate, certificates.certificate);
  writeFileSync(files.privateKey, certificates.privateKey, { mode: 0o600 });
  const config = {
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
  project = await createTestProject({ stack: "all", config, program });
  const result = await project.up();
  expect(result, result.stdout + result.stderr).toMatchObject({ code: 0 });
});

afterAll(async () => {
  await removeStack(engine, "routes-all");
  project?.remove();
  engine.close();
  rmSync(directory, { recursive: true, force: true });
});

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
    ...[
      "/admin%00",
      "/admin%00.png",
      "/admin%0a",
      "/admin%09",
      "/x%00/../admin",
      "/admin%2f",
      "/admin%5c",
      "/admin%3bx",
    ],
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

test("a service that speaks HTTP/2 alone answers", async () => {
  expect(await ask("/calls/x")).toMatchObject({ status: 200, text: "calls /calls/x " });
});

/** What comes back for these bytes, until the edge hangs up. */
async function wire(text: string): Promise<string> {
  const socket = tls.connect({ host: "127.0.0.1", port: 8443, servername: DOMAIN, ca: certificates.ca });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  socket.write(text);
  let answer = "";
  for await (const part of socket.setEncoding("utf8")) answer += part as string;
  return answer;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  const { method = "GET", headers = {} } = options;
  return new Promise((resolve, reject) => {
    const to = { host: "127.0.0.1", port: 8443, servername: DOMAIN, ca: certificates.ca, agent: false };
    const request = https.request({ ...to, path, method, headers: { host: DOMAIN, ...headers } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    request.setTimeout(10_000, () => request.destroy(new Error(`${path}: no answer`))).on("error", reject);
    request.end();
  });
}
