// What a route says of its requests: who may come and how often, what they are told, and what the service gets of it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
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

test("who is not on the list of a path gets 403, however the path is written and whoever they say they are", async () => {
  expect(await ask("/inside/x")).toMatchObject({ status: 200, text: "app /inside/x " });
  const forged: Record<string, string>[] = [
    {},
    { "x-forwarded-for": "192.0.2.7" },
    { "x-real-ip": "192.0.2.7" },
    { forwarded: "for=192.0.2.7" },
    { "cf-connecting-ip": "192.0.2.7" },
    { host: `${DOMAIN}:8443` },
    { host: DOMAIN.toUpperCase() },
  ];
  for (const headers of forged) expect((await ask("/admin", { headers })).status, JSON.stringify(headers)).toBe(403);
  for (const method of ["HEAD", "OPTIONS", "POST", "DELETE"])
    expect((await ask("/admin", { method })).status, method).toBe(403);
  for (const path of [
    "/admin/",
    "//admin",
    "/./admin",
    "/x/../admin",
    "/%61dmin",
    "/x/%2e%2e/admin",
    "/admin/../admin/x",
  ])
    expect((await ask(path)).status, path).toBe(403);
  // An encoded slash is no slash to the edge: the service gets it as it came, by the route of /, and must not decode it.
  expect((await ask("/x%2f..%2fadmin")).text).toBe("app /x%2F..%2Fadmin ");
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
