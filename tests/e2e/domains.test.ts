// Several domains behind one edge: each with its certificate, limit and policy; aliases, wildcards, http://, TLS by SNI.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates, type TestCertificates } from "../support/certificates.ts";
import { startLoad } from "../support/load.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { inspectAll, removeStack } from "../support/reach.ts";

const [MAIN, SHOP, TENANTS] = ["main.test", "shop.test", "tenants.main.test"];
const POLICY = "default-src 'self'";
const engine = new Engine(process.env["DOCKER_HOST"]!);
const directory = mkdtempSync(join(tmpdir(), "bulkhead-domains-"));
const certificates: Record<string, TestCertificates> = {};
let project: TestProject;
let config: Record<string, unknown>;

const files = (name: string) => ({
  certificate: join(directory, `${name}.pem`),
  privateKey: join(directory, `${name}.key`),
});

beforeAll(async () => {
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  for (const name of [MAIN, SHOP, TENANTS]) {
    certificates[name] = await makeCertificates(name);
    writeFileSync(files(name).certificate, certificates[name].certificate);
    writeFileSync(files(name).privateKey, certificates[name].privateKey, { mode: 0o600 });
  }
  config = {
    "domains:host": "local",
    "domains:domain": MAIN,
    "domains:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
    "domains:edge": {
      ...{ address: "127.0.0.1", httpsPort: 8443, httpRedirect: true, httpPort: 8080, tcp: { wire: 2300 } },
      ...{ requestsPerSecond: 100_000, burst: 200_000, keepAliveSeconds: 4 },
    },
    "domains:certificates": { kind: "files", ...files(MAIN) },
  };
  const program = new URL("../programs/domains", import.meta.url).pathname;
  project = await createTestProject({ stack: "names", config, program });
  await deploy();
});

afterAll(async () => {
  await removeStack(engine, "domains-names");
  project?.remove();
  engine.close();
  rmSync(directory, { recursive: true, force: true });
});

async function deploy(): Promise<void> {
  const result = await project.up();
  expect(result, result.stdout + result.stderr).toMatchObject({ code: 0 });
}

test("two domains, a wildcard and an alias are added without a lost request, and the door is left alone", async () => {
  const before = await started("edge-door");
  const load = startLoad({
    ...{ url: `https://${MAIN}:8443/`, address: "127.0.0.1", ca: certificates[MAIN]!.ca },
    ...{ connections: 4, requestsPerSecond: 100, seconds: 300 },
  });
  await load.advance(50);
  project.setConfig({
    ...config,
    "domains:domains": [
      { name: SHOP, ...files(SHOP), requestsPerSecond: 1, burst: 10, contentSecurityPolicy: POLICY },
      { name: `*.${TENANTS}`, ...files(TENANTS) },
    ],
    "domains:aliases": [{ name: `www.${SHOP}`, to: SHOP }],
  });
  await deploy();
  await load.advance(50);
  const { requests, failed, failures } = await load.stop();
  console.log(JSON.stringify({ event: "domains added", requests, failed }));
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect(await started("edge-door")).toBe(before);
});

test("each name is served by its own certificate, service and policy", async () => {
  const main = await ask(MAIN, MAIN);
  expect(main).toMatchObject({ status: 200, text: `${MAIN} for ${MAIN}:8443` });
  expect(main.headers["content-security-policy"]).toBe("default-src 'none'; frame-ancestors 'none'");
  const shop = await ask(SHOP, SHOP);
  expect(shop).toMatchObject({ status: 200, text: `${SHOP} for ${SHOP}:8443` });
  expect(shop.headers["content-security-policy"]).toBe(POLICY);
  // The certificate of another name is by another authority.
  await expect(ask(SHOP, MAIN)).rejects.toThrow(/certificate/);
});

test("a wildcard is one label, whatever it is, and no more", async () => {
  for (const tenant of ["one", "two"])
    expect(await ask(`${tenant}.${TENANTS}`, TENANTS)).toMatchObject({
      ...{ status: 200, text: `*.${TENANTS} for ${tenant}.${TENANTS}:8443` },
    });
  for (const other of [`a.b.${TENANTS}`, TENANTS, `evil${TENANTS}`, `a.${TENANTS}.evil.test`])
    expect(await ask(`x.${TENANTS}`, TENANTS, { host: other }), other).toMatchObject({ status: 404 });
});

test("an alias redirects with path and query, to its target alone", async () => {
  const alias = `www.${SHOP}`;
  const there = await ask(alias, SHOP, { path: "/a%2Fb?c=d&e=%0d%0aX:1" });
  expect(there).toMatchObject({ status: 308 });
  expect(there.headers.location).toBe(`https://${SHOP}:8443/a%2Fb?c=d&e=%0d%0aX:1`);
  // Traefik takes double slashes for one.
  expect((await ask(alias, SHOP, { path: "//evil.test/" })).headers.location).toBe(`https://${SHOP}:8443/evil.test/`);
  expect(await ask(alias, SHOP, { method: "POST" })).toMatchObject({ status: 308 });
});

test("http:// answers known hosts with redirects, and everybody else with 404", async () => {
  const asked = await plain(MAIN, "/a?b=c");
  expect(asked).toMatchObject({ status: 308, location: `https://${MAIN}:8443/a?b=c` });
  expect(await plain(MAIN, "/", "HEAD")).toMatchObject({ status: 308 });
  expect(await plain(`one.${TENANTS}`, "/")).toMatchObject({ status: 308, location: `https://one.${TENANTS}:8443/` });
  expect(await plain(`www.${SHOP}`, "/x")).toMatchObject({ status: 308, location: `https://${SHOP}:8443/x` });
  expect(await plain(MAIN, "/", "POST")).toMatchObject({ status: 404, location: undefined });
  for (const host of ["evil.test", `${MAIN}.evil.test`, `evil.test/${MAIN}`, `a.b.${TENANTS}`, `${MAIN}@evil.test`, ""])
    expect([400, 404], host).toContain((await plain(host, "/")).status);
});

test("a domain with a limit of its own holds to it, and the others to the edge's", async () => {
  const statuses = async (name: string) =>
    (await Promise.all(Array.from({ length: 30 }, () => ask(name, name)))).map(({ status }) => status);
  expect(await statuses(SHOP)).toContain(429);
  expect(new Set(await statuses(MAIN))).toEqual(new Set([200]));
});

test("services share a TCP port by the name that clients ask for in TLS", async () => {
  expect(await wire(MAIN)).toBe(`${MAIN} by TCP`);
  expect(await wire(SHOP)).toBe(`${SHOP} by TCP`);
  await expect(wire("other.test", MAIN)).rejects.toThrow();
});

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** @param name what is asked for in TLS. @param by whose authority is trusted */
function ask(
  name: string,
  by: string,
  options: { host?: string; path?: string; method?: string } = {},
): Promise<Answer> {
  const { host = name, path = "/", method = "GET" } = options;
  return new Promise((resolve, reject) => {
    const call = https.request(
      {
        ...{ host: "127.0.0.1", port: 8443, servername: name, ca: certificates[by]!.ca, agent: false },
        ...{ path, method, headers: { host: `${host}:8443` } },
      },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
      },
    );
    call.on("error", reject);
    call.end();
  });
}

function plain(host: string, path: string, method = "GET"): Promise<{ status: number; location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const where = { host: "127.0.0.1", port: 8080, agent: false, path, method, headers: { host } };
    const call = http.request(where, (response) => {
      response.resume();
      resolve({ status: response.statusCode!, location: response.headers.location });
    });
    call.on("error", reject);
    call.end();
  });
}

function wire(name: string, by = name): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port: 2300, servername: name, ca: certificates[by]!.ca });
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("error", reject);
    socket.on("end", () => resolve(text));
  });
}

async function started(name: string): Promise<string> {
  const all = await inspectAll(engine, "domains-names");
  return all.find(({ Config }) => Config.Labels["bulkhead.name"] === name)!.Id;
}
