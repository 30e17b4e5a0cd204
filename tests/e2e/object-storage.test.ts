// A bucket and a token that opens it alone, by the real engine and the real resource code, on an emulator of the API.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import type { CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";

const PERMISSIONS = ["Workers R2 Storage Write", "Account API Tokens Write"];

let emulator: CloudflareEmulator;
let copy: RepositoryCopy;
let project: TestProject;
const printed: string[] = [];

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  emulator = await CloudflareEmulator.start();
  copy = new RepositoryCopy();
  write({ location: "weur" });
  project = await createTestProject({
    ...{ stack: "files", config: {}, program: copy.directory },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  await project.setSecret("token", emulator.addToken({ name: "bootstrap", permissions: PERMISSIONS }).value);
});

afterAll(async () => {
  project?.remove();
  copy?.remove();
  await emulator?.close();
});

/** A program with a bucket, and a reader of it. */
function write(args: object, rotateAfterDays = 30): void {
  const program = `
    import * as pulumi from "@pulumi/pulumi";
    import { CloudflareAccount } from "./components/cloudflare/cloudflare-account.ts";
    import { ObjectStorage } from "./components/cloudflare/object-storage.ts";
    const apiToken = new pulumi.Config().requireSecret("token");
    const account = new CloudflareAccount("cloudflare", { id: "${emulator.account.id}", apiToken });
    const storage = new ObjectStorage("files", {
      account,
      bucket: "reach-files",
      jurisdiction: "eu",
      origin: "https://reach.example.com",
      expireAfterDays: { "tmp/": 1 },
      lockDays: { "backups/": 30 },
      ...${JSON.stringify(args)},
    });
    export const { endpoint } = storage;
    export const { accessKeyId, secretAccessKey } = storage.token("files-backend", "read", ${rotateAfterDays}).s3;
  `;
  writeFileSync(join(copy.directory, "index.ts"), program);
}

async function recorded(run: Promise<CommandResult>): Promise<CommandResult> {
  const result = await run;
  printed.push(result.stdout + result.stderr);
  return result;
}

async function succeeds(run: Promise<CommandResult>): Promise<string> {
  const result = await recorded(run);
  expect(result, result.stderr + result.stdout).toMatchObject({ code: 0 });
  return result.stdout;
}

const bucket = () => emulator.buckets.all.get("eu_reach-files");
const tokens = () => [...emulator.access.tokens.values()].filter(({ name }) => name.startsWith("reach-files-"));
const writes = () => emulator.requests.filter(({ method }) => method !== "GET");

test("an update makes the bucket as it is to be", async () => {
  await succeeds(project.up());
  expect(bucket()).toMatchObject({ location: "WEUR", jurisdiction: "eu", storage_class: "Standard" });
  expect(bucket()!.lifecycle).toMatchObject([
    { abortMultipartUploadsTransition: { condition: { type: "Age", maxAge: 604_800 } } },
    { conditions: { prefix: "tmp/" }, deleteObjectsTransition: { condition: { type: "Age", maxAge: 86_400 } } },
  ]);
  expect(bucket()!.cors).toMatchObject([
    { allowed: { methods: ["GET", "PUT"], origins: ["https://reach.example.com"], headers: ["content-type"] } },
  ]);
  expect(bucket()!.locks).toMatchObject([{ prefix: "backups/", condition: { type: "Age", maxAgeSeconds: 2_592_000 } }]);
  expect(await project.outputs()).toMatchObject({
    endpoint: `https://${emulator.account.id}.eu.r2.cloudflarestorage.com`,
  });
});

test("its reader's credentials are those of a token for this bucket alone", async () => {
  const [token, ...others] = tokens();
  expect(others).toEqual([]);
  expect(token!.policies).toMatchObject([
    { resources: { [`com.cloudflare.edge.r2.bucket.${emulator.account.id}_eu_reach-files`]: "*" } },
  ]);
  const { deployment } = await project.exportState<{ deployment: { resources: { outputs: object }[] } }>({
    showSecrets: true,
  });
  const secretAccessKey = createHash("sha256").update(token!.value).digest("hex");
  expect(JSON.stringify(deployment.resources[0]!.outputs)).toContain(secretAccessKey);
  expect(await project.outputs()).toMatchObject({ accessKeyId: token!.id, secretAccessKey: "[secret]" });
});

test("a second update, and a refresh, change nothing", async () => {
  emulator.requests.length = 0;
  expect(await succeeds(project.up())).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
  expect(await succeeds(project.refresh())).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
  expect(await succeeds(project.up())).toMatch(/^Resources:\n\s+\d+ unchanged\n/m);
  expect(writes()).toEqual([]);
});

test("a token whose time is over is replaced, and deleted last", async () => {
  const [before] = tokens();
  emulator.requests.length = 0;
  // Periods of both lengths never begin on the same day, but on the first day of 1970 and each 870th after it.
  write({ location: "weur" }, Math.floor(Date.now() / 86_400_000) % 870 < 30 ? 31 : 29);
  await succeeds(project.up());
  const [after, ...others] = tokens();
  expect(others).toEqual([]);
  expect(after!.id).not.toBe(before!.id);
  expect(writes().map(({ method, path }) => `${method} ${path.replace(before!.id, "OLD")}`)).toEqual([
    `POST /accounts/${emulator.account.id}/tokens`,
    `DELETE /accounts/${emulator.account.id}/tokens/OLD`,
  ]);
});

test("what somebody changed by hand is seen, and put right", async () => {
  bucket()!.cors = [{ allowed: { methods: ["GET"], origins: ["*"] } }];
  expect(await succeeds(project.refresh(["--diff"]))).toContain("*");
  await succeeds(project.up());
  expect(bucket()!.cors).toMatchObject([{ allowed: { origins: ["https://reach.example.com"] } }]);
});

test("no mistake deletes the bucket: not another name, not another jurisdiction, not a destroy", async () => {
  bucket()!.objects = 1;
  for (const mistake of [{ bucket: "reach-documents" }, { jurisdiction: "default" }]) {
    write({ location: "weur", ...mistake });
    const refused = await recorded(project.up());
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain("protect");
    expect(bucket()).toBeDefined();
  }
  write({ location: "weur" });
  const refused = await recorded(project.destroy());
  expect(refused.code).not.toBe(0);
  expect(refused.stdout + refused.stderr).toContain("protect");
  expect(bucket()).toBeDefined();
});

test("a destroy of all but what is protected leaves it, and the next update finds it again", async () => {
  await succeeds(project.destroy(["--exclude-protected"]));
  expect(bucket()).toMatchObject({ objects: 1 });
  expect(tokens()).toEqual([]);
  await succeeds(project.up());
  expect(bucket()).toMatchObject({ objects: 1 });
  expect(tokens()).toHaveLength(1);
});

test("no token and no key stands in the state or in what was printed", async () => {
  const state = JSON.stringify(await project.exportState());
  for (const { value } of emulator.access.tokens.values())
    for (const secret of [value, createHash("sha256").update(value).digest("hex")]) {
      expect(state).not.toContain(secret);
      expect(printed.join("\n")).not.toContain(secret);
    }
});
