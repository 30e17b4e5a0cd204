// A bucket of R2 in use: by browsers, with the URLs that the backend signs, and by Pulumi, which keeps its state there.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { Page } from "playwright-core";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { startBrowser } from "../support/browser.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import { startS3, type S3 } from "../support/cloudflare/s3.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startLoad } from "../support/load.ts";
import { createTestProject } from "../support/pulumi.ts";
import { prepareReach, type Reach } from "../support/reach.ts";

const DOMAIN = "reach.example.com";
const PERMISSIONS = [...BOOTSTRAP, "Workers R2 Storage Write", "Account API Tokens Write"];

let emulator: CloudflareEmulator;
let s3: S3;
let reach: Reach;
let bootstrap: string;
let apiKey: string;

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  emulator = await CloudflareEmulator.start();
  emulator.zones.add("example.com");
  s3 = await startS3(emulator, "eu");
  reach = await prepareReach({
    ...{ stack: "r2", domain: DOMAIN, httpsPort: 8443, tcpPort: 2222 },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  bootstrap = emulator.addToken({ name: "bootstrap", permissions: PERMISSIONS }).value;
  await deploy();
  apiKey = await keyOfApi();
});

async function deploy(changes: object = {}): Promise<void> {
  reach.configure({
    "reach:cloudflare": {
      ...{ accountId: emulator.account.id, zone: "example.com", addresses: ["203.0.113.10"] },
      onlyThroughCloudflare: false,
      files: { bucket: "reach-files", jurisdiction: "eu", maxMb: 1, expireAfterDays: 7 },
      ...changes,
    },
  });
  await reach.project.setSecret("cloudflareApiToken", bootstrap);
  await reach.deploy();
}

afterAll(async () => {
  await reach?.project.unprotect();
  await reach?.stop();
  await s3?.stop();
  await emulator?.close();
});

/** What the owner of a stack sees with `pulumi stack export --show-secrets`. */
async function keyOfApi(): Promise<string> {
  interface State {
    deployment: { resources: { urn: string; outputs?: { result?: { plaintext: string } } }[] };
  }
  const { deployment } = await reach.project.exportState<State>({ showSecrets: true });
  const { outputs } = deployment.resources.find(({ urn }) => urn.endsWith("::api-key-value"))!;
  return JSON.parse(outputs!.result!.plaintext) as string;
}

interface Offer {
  upload: { url: string; headers: Record<string, string> };
  download: { url: string };
}

async function offer(file: object): Promise<{ status: number; offer: Offer }> {
  const headers = { authorization: `Bearer ${apiKey}` };
  const { status, text } = await reach.request("/api/files", { method: "POST", headers, body: JSON.stringify(file) });
  return { status, offer: JSON.parse(text) as Offer };
}

/** A request of S3 by its presigned URL, as any client sends it. */
async function ask(url: string, options: { method?: string; headers?: object; body?: string } = {}) {
  const { hostname, pathname, search } = new URL(url);
  expect(hostname).toBe(s3.host);
  const [host, port] = s3.address.split(":");
  const { method = "GET", headers, body = "" } = options;
  const call = request({
    ...{ host, port, method, path: pathname + search, ca: s3.ca, servername: s3.host },
    headers: { host: s3.host, "content-length": Buffer.byteLength(body), ...headers },
  });
  call.end(body);
  const [response] = (await once(call, "response")) as [IncomingMessage];
  const text = (await response.setEncoding("utf8").toArray()).join("");
  return { status: response.statusCode, headers: response.headers, text };
}

test("a page sends a file to the bucket and gets it again, and the server never sees it", async () => {
  // A job that ends takes its interface with it, and Chromium gives up what it asks when the network changes.
  const jobsRunning = async () =>
    [...(await reach.containers())].filter(([name, { State }]) => name.endsWith("-job") && State.Running).length;
  await expect.poll(jobsRunning, { timeout: 30_000, interval: 500 }).toBe(0);
  const browser = await startBrowser({
    ca: reach.ca + s3.ca,
    hosts: { [DOMAIN]: reach.address, [s3.host]: s3.address },
  });
  onTestFinished(() => browser.stop());
  const { page } = browser;
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  const content = randomBytes(300_000);
  await page.goto(reach.url);
  await send(page, { name: "Bär 1.bin", mimeType: "application/x-reach", buffer: content });
  await page.waitForSelector('#files-state[data-state="ok"]');
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#sent a")]);
  expect(download.suggestedFilename()).toBe("Bär 1.bin");
  expect(Buffer.concat(await (await download.createReadStream()).toArray()).equals(content)).toBe(true);
  expect(complaints).toEqual([]);
  const sent = s3.requests.map(({ method, status }) => `${method} ${status}`);
  expect(sent).toEqual(["OPTIONS 204", "PUT 200", "GET 200"]);

  // What is too large is refused before a byte of it is sent.
  s3.requests.length = 0;
  await send(page, { name: "large.bin", mimeType: "", buffer: Buffer.alloc(1024 * 1024 + 1) });
  await page.waitForSelector('#files-state[data-state="failed"]');
  expect(await page.textContent("#files-state")).toBe("It was not sent: the file is larger than 1 MiB");
  expect(s3.requests).toEqual([]);
});

async function send(page: Page, file: { name: string; mimeType: string; buffer: Buffer }): Promise<void> {
  await page.fill('#files [name="key"]', apiKey);
  await page.setInputFiles('#files [name="file"]', file);
  await page.click("#files button");
}

test("a URL is for one file, one way and one time", async () => {
  const { upload, download } = (await offer({ name: "a.txt", type: "text/plain", size: 5 })).offer;
  const put = (url: string, body: string, headers: object = upload.headers) =>
    ask(url, { method: "PUT", headers, body });
  // Nothing is stored by what is refused.
  expect(await put(upload.url, "longer")).toMatchObject({ status: 403, text: /SignatureDoesNotMatch/ });
  expect(await put(upload.url, "hello", { "content-type": "text/html" })).toMatchObject({ status: 403 });
  expect(await put(upload.url.replace("/files/", "/others/"), "hello")).toMatchObject({ status: 403 });
  expect(await put(download.url, "hello")).toMatchObject({ status: 403 });
  expect(await put(upload.url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000"), "hello")).toMatchObject({
    status: 403,
  });
  expect(await ask(download.url)).toMatchObject({ status: 404 });
  expect(await put(upload.url, "hello")).toMatchObject({ status: 200 });
  expect(await ask(upload.url)).toMatchObject({ status: 403 });
  expect(await ask(download.url)).toMatchObject({
    ...{ status: 200, text: "hello" },
    headers: { "content-disposition": "attachment; filename*=UTF-8''a.txt" },
  });
});

test("its credentials open this bucket alone, and only for as long as their token is there", async () => {
  const { offer: made } = await offer({ name: "a.txt", type: "text/plain", size: 5 });
  const [token] = [...emulator.access.tokens.values()].filter(({ name }) => name === "reach-r2-files-backend");
  expect(new URL(made.upload.url).searchParams.get("X-Amz-Credential")).toMatch(new RegExp(`^${token!.id}/`));
  const [policy] = token!.policies;
  const { resources } = policy!;
  policy!.resources = { [`com.cloudflare.edge.r2.bucket.${emulator.account.id}_eu_other`]: "*" };
  expect(await ask(made.download.url)).toMatchObject({ status: 403, text: /AccessDenied/ });
  policy!.resources = resources;
  token!.status = "disabled";
  expect(await ask(made.download.url)).toMatchObject({ status: 403, text: /InvalidAccessKeyId/ });
  token!.status = "active";
});

test("a token that is replaced costs no request: its reader is rolled to the new one, and the old one goes last", async () => {
  const key = async () => {
    const { url } = (await offer({ name: "a.txt", type: "text/plain", size: 5 })).offer.upload;
    return new URL(url).searchParams.get("X-Amz-Credential")!.split("/")[0]!;
  };
  const before = await key();
  const load = startLoad({
    ...{ url: `${reach.url}/api/status`, address: reach.address, ca: reach.ca, seconds: 300 },
    ...{ connections: 4, requestsPerSecond: 100 },
  });
  onTestFinished(() => void load.stop());
  emulator.requests.length = 0;
  await deploy({ rotateTokensAfterDays: 30 });
  const { requests, failed, failures } = await load.stop();
  console.log(JSON.stringify({ rollout: "the token of a bucket", requests, failed }));
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  const after = await key();
  expect(after).not.toBe(before);
  expect(emulator.access.tokens.has(before)).toBe(false);
  const tokens = emulator.requests.filter(({ method, path }) => method !== "GET" && path.includes("/tokens"));
  expect(tokens.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
});

test("Pulumi keeps a state in a bucket: one update at a time, secrets unreadable", async () => {
  emulator.buckets.all.set("eu_reach-state", { ...emulator.buckets.all.get("eu_reach-files")!, name: "reach-state" });
  const token = emulator.addToken({
    ...{ name: "state", permissions: ["Workers R2 Storage Bucket Item Write"] },
    resources: { [`com.cloudflare.edge.r2.bucket.${emulator.account.id}_eu_reach-state`]: "*" },
  });
  const copy = new RepositoryCopy();
  onTestFinished(() => copy.remove());
  // Goes on when the test says so.
  const gate = createServer().listen(0, "127.0.0.1");
  await once(gate, "listening");
  onTestFinished(() => void gate.close());
  const program = `
    import { RandomPassword } from "@pulumi/random";
    new RandomPassword("password", { length: 32 });
    if (process.env.GATE) await fetch(process.env.GATE);
  `;
  writeFileSync(join(copy.directory, "index.ts"), program);
  const ca = join(copy.directory, "ca.pem");
  writeFileSync(ca, s3.ca);
  const port = s3.address.split(":")[1]!;
  const project = await createTestProject({
    ...{ stack: "stored", config: {}, program: copy.directory },
    env: {
      PULUMI_BACKEND_URL: `s3://reach-state?endpoint=localhost:${port}&region=auto&s3ForcePathStyle=true`,
      AWS_ACCESS_KEY_ID: token.id,
      AWS_SECRET_ACCESS_KEY: s3.secretAccessKey(token),
      AWS_REQUEST_CHECKSUM_CALCULATION: "when_required",
      AWS_RESPONSE_CHECKSUM_VALIDATION: "when_required",
      AWS_CA_BUNDLE: ca,
      GATE: `http://127.0.0.1:${(gate.address() as AddressInfo).port}`,
    },
  });
  onTestFinished(() => project.remove());
  const first = project.up();
  const [, answer] = (await once(gate, "request")) as [unknown, ServerResponse];
  const second = await project.up();
  expect(second.code).not.toBe(0);
  expect(second.stderr).toContain("the stack is currently locked by 1 lock(s)");
  answer.end();
  expect(await first).toMatchObject({ code: 0 });
  const state = JSON.stringify(await project.exportState());
  expect(state).toContain("v1:");
  expect(s3.requests.some(({ path }) => path.startsWith("/reach-state/.pulumi/locks/"))).toBe(true);
});
