// The package as its users have it: packed, installed into an empty folder outside of this repository, and nothing but it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand, type CommandResult } from "../support/command.ts";
import { inSoak } from "../support/soak.ts";
import { npm, packageEnv as env, packPackage, succeed, writeSmallApp } from "../support/packed-package.ts";

const directory = mkdtempSync(join(tmpdir(), "bulkhead-package-"));
/** What a user makes before there is anything else. */
const program = join(directory, "shop");
/** Of the examples. */
const folders: string[] = [];
const npx = join(dirname(process.execPath), "npx");
let tarball: string;

beforeAll(async () => {
  tarball = await packPackage(directory);
  await writeSmallApp(join(program, "app"), "first\n");
});

afterAll(async () => {
  for (const folder of [program, ...folders])
    await bulkheadIn(folder, "down", "--delete-data", "--yes").catch(() => undefined);
  rmSync(directory, { recursive: true, force: true });
});

test("from an empty folder to an answer: install, init, up", async () => {
  const start = performance.now();
  await succeed(
    await runCommand(npm, ["install", "--loglevel=error", tarball], { cwd: program, env, timeoutMs: 300_000 }),
  );
  const installed = performance.now();
  await succeed(await bulkhead("init", "--dockerfile", "./app", "--port", "8000"));
  const up = await succeed(await bulkhead("up"));
  expect(await get("/")).toEqual({ status: 200, text: "first\n" });
  const seconds = (from: number) => ((performance.now() - from) / 1000).toFixed(0);
  const lines = readFileSync(join(program, "index.ts"), "utf8").trim().split("\n").length;
  console.log(
    `From an empty folder to an answer: ${seconds(start)} s, ${seconds(installed)} s of them after npm install.`,
  );
  console.log(`index.ts: ${lines} lines.`);
  // As the README shows it.
  console.log(up.stdout.slice(up.stdout.indexOf("SERVICE")));
  expect(lines).toBeLessThanOrEqual(40);
  expect(up.stdout).toContain("Open https://localhost:8443");
  expect(up.stdout).toMatch(/^app +https:\/\/localhost:8443\/ +healthy/m);
});

test("the policies of the package judge the program", async () => {
  const file = join(program, "index.ts");
  const text = readFileSync(file, "utf8");
  const weak = 'exceptions: [{ writableRoot: true, why: "a test", until: "2020-01-01" }],\n  drainSeconds: 10,';
  writeFileSync(file, text.replace("drainSeconds: 10,", weak));
  const refused = await bulkhead("up");
  writeFileSync(file, text);
  expect(refused.code).toBe(1);
  expect(refused.stdout).toMatch(/\[mandatory\] +container-read-only-root/);
  expect(refused.stdout).toContain("has a writable root (its exception ended on 2020-01-01)");
});

test("a program that never calls stackOutputs() is told to, and what runs stays", async () => {
  const file = join(program, "index.ts");
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace(/^export const \{ url.*\n/m, ""));
  const refused = await bulkhead("up");
  writeFileSync(file, text);
  expect(refused.code).toBe(1);
  const said = refused.stdout + refused.stderr;
  expect(said).toContain("index.ts: never calls stackOutputs(), without which the edge gets no door: end it with");
  expect(said).not.toMatch(/promise/i);
  expect(await get("/")).toEqual({ status: 200, text: "first\n" });
});

test("its types are right, and its own test passes, and fails for what is not so", async () => {
  await succeed(await runCommand(npm, ["install", "--loglevel=error"], { cwd: program, env, timeoutMs: 300_000 }));
  await succeed(await runCommand(npm, ["run", "check"], { cwd: program, env }));
  const passed = await succeed(await runCommand(npm, ["test"], { cwd: program, env }));
  expect(passed.stdout).toMatch(/^. fail 0$/m);
  const file = join(program, "index.ts");
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace("memoryMb: 256", "memoryMb: 512"));
  const failed = await runCommand(npm, ["test"], { cwd: program, env });
  writeFileSync(file, text);
  expect(failed.code).not.toBe(0);
  expect(failed.stdout).toMatch(/^. fail 1$/m);
});

test("an edit and an update later it answers anew", async () => {
  writeFileSync(join(program, "app", "www", "index.html"), "second\n");
  await succeed(await bulkhead("up"));
  expect(await get("/")).toEqual({ status: 200, text: "second\n" });
});

test("a second service is one edit", async () => {
  const file = join(program, "index.ts");
  const text = readFileSync(file, "utf8");
  const block = /^new WebService\("app", \{\n.*?^\}\);\n/ms.exec(text)![0];
  const second = block.replace('WebService("app"', 'WebService("api"').replace('paths: ["/"]', 'paths: ["/api"]');
  writeFileSync(file, text.replace(block, `${block}${second.replace('BuiltImage("app"', 'BuiltImage("api"')}`));
  mkdirSync(join(program, "app", "www", "api"));
  writeFileSync(join(program, "app", "www", "api", "index.html"), "api\n");
  const up = await succeed(await bulkhead("up"));
  expect(await get("/api/")).toEqual({ status: 200, text: "api\n" });
  expect(await get("/")).toEqual({ status: 200, text: "second\n" });
  expect(up.stdout).toMatch(/^api +https:\/\/localhost:8443\/api +healthy/m);
});

test("down leaves nothing", async () => {
  await succeed(await bulkhead("down", "--delete-data", "--yes"));
  const left = await runCommand("docker", ["ps", "--all", "--quiet", "--filter", "label=bulkhead.stack=shop-local"]);
  expect(left).toMatchObject({ code: 0, stdout: "" });
});

test.each(
  inSoak<[string, string, RegExp]>(
    ["hello", "/", /^Hello$/m],
    ["statsboard", "/api/matches", /^\[\]$/],
    ["profiledoctor", "/api/checks", /^\[\]$/],
  ),
)("init --from %s: what it writes passes its own test, and answers", async (example, path, answers) => {
  const folder = join(directory, `of-${example}`);
  folders.push(folder);
  mkdirSync(folder);
  symlinkSync(join(program, "node_modules"), join(folder, "node_modules"));
  await succeed(await bulkheadIn(folder, "init", "--from", example));
  await succeed(await runCommand(npm, ["run", "check"], { cwd: folder, env }));
  await succeed(await runCommand(npm, ["test"], { cwd: folder, env }));
  const start = performance.now();
  const up = await succeed(await bulkheadIn(folder, "up"));
  const [, url] = /^Open (https:.*)$/m.exec(up.stdout)!;
  const { status, text } = await get(path, folder, url);
  expect({ status, text }).toEqual({ status: 200, text: expect.stringMatching(answers) as string });
  console.log(
    `init --from ${example}: ${((performance.now() - start) / 1000).toFixed(0)} s from \`up\` to the answer.`,
  );
  await succeed(await bulkheadIn(folder, "down", "--delete-data", "--yes"));
});

function bulkhead(...args: string[]): Promise<CommandResult> {
  return bulkheadIn(program, ...args);
}

function bulkheadIn(cwd: string, ...args: string[]): Promise<CommandResult> {
  return runCommand(npx, ["--no-install", "bulkhead", ...args], { cwd, env, timeoutMs: 600_000 });
}

function get(
  path: string,
  from = program,
  url = "https://localhost:8443",
): Promise<{ status: number | undefined; text: string }> {
  const ca = readFileSync(join(from, ".bulkhead/certificates/ca.pem"));
  return new Promise((resolve, reject) => {
    const { port, host } = new URL(url);
    const options = {
      host: "127.0.0.1",
      port,
      path,
      headers: { host },
      servername: host.replace(/:.*/, ""),
      ca,
    } as const;
    const request = https.get({ ...options, agent: false, timeout: 10_000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("timeout", () => request.destroy(new Error("no answer in 10 s")));
    request.on("error", reject);
  });
}
