// `bulkhead init`: what it refuses, and what it writes. That it runs is shown by tests/e2e/package.test.ts.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { runCommand } from "../support/command.ts";
import { atTerminal } from "../support/terminal.ts";
import { projectDirectory } from "./source.ts";
import { answered, problemsOf, suggestedName, type InitOptions } from "../../cli/init/answers.ts";
import { exampleFiles, exampleNames, exampleOf } from "../../cli/init/example-files.ts";
import { packageFile } from "../../cli/init/package-file.ts";
import { programFiles } from "../../cli/init/program-files.ts";
import { images } from "../../images.ts";
import { basesOf } from "../../testing/dockerfile.ts";

const IMAGE = `ghcr.io/me/my_shop:1.4@sha256:${"0".repeat(64)}`;

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bulkhead-init-"));
  mkdirSync(join(directory, "web"));
  writeFileSync(join(directory, "web/Dockerfile"), "FROM scratch\n");
});

afterEach(() => rmSync(directory, { recursive: true }));

async function problems(given: InitOptions): Promise<string[]> {
  return problemsOf(await answered(given, "shop"), directory);
}

test("all that is wrong is said at once, each with what to give instead", async () => {
  expect(await problems({})).toEqual([
    "--dockerfile: missing: give the folder of a Dockerfile, or an image by --image name:tag@sha256:…",
    "--port: missing: give the port in the container that speaks HTTP",
  ]);
  const wrong = { name: "a b", service: "edge", image: "nginx:1.29", port: "0", healthPath: "up", domain: "a_b" };
  expect((await problems(wrong)).map((problem) => problem.split(":")[0])).toEqual([
    ...["--name", "--service", "--image", "--port", "--health-path", "--domain"],
  ]);
});

test.each<[of: string, given: InitOptions, problem: RegExp | undefined]>([
  ["an image by tag and digest", { image: IMAGE }, undefined],
  ["an image by tag alone", { image: "nginx:1.29" }, /^--image: nginx:1.29 is not pinned: give name:tag@sha256/],
  ["an image by digest alone", { image: IMAGE.replace(":1.4", "") }, /^--image: .* is not pinned/],
  ["a folder with a Dockerfile", { dockerfile: "web" }, undefined],
  ["a folder without one", { dockerfile: "./api" }, /^--dockerfile: api\/Dockerfile is not there/],
  ["this folder, which holds keys", { dockerfile: "." }, /^--dockerfile: \. holds the program itself/],
  ["a folder above", { dockerfile: "../.." }, /^--dockerfile: \.\.\/\.\. holds the program itself/],
  ["a name that begins with a hyphen", { image: IMAGE, name: "-shop" }, /^--name: "-shop" is no name of a project/],
  ["a name that is too long", { image: IMAGE, name: "a".repeat(101) }, /^--name: /],
  ["a name that Pulumi takes", { image: IMAGE, name: "Shop_2.0-a" }, undefined],
  ["a service like a key of the platform", { image: IMAGE, service: "domain" }, /^--service: domain is a name that/],
  ["a port that is none", { image: IMAGE, port: "65536" }, /^--port: 65536 is no port: give a number from 1 to 65535/],
  ["a path that would end a string", { image: IMAGE, healthPath: '/"' }, /^--health-path: /],
])("%s", async (_, given, problem) => {
  const found = await problems({ port: "8080", ...given });
  expect(found).toEqual(problem === undefined ? [] : [expect.stringMatching(problem)]);
});

test("a folder that has a program keeps it", async () => {
  writeFileSync(join(directory, "index.ts"), "");
  expect(await problems({ image: IMAGE, port: "80" })).toEqual([
    `${directory}: has a program already (index.ts): begin in an empty folder`,
  ]);
});

test("names are made of what is there", () => {
  expect(["/srv/My Shop", IMAGE, "/srv/2024-shop", "/"].map(suggestedName)).toEqual([
    ...["my-shop", "my-shop", "shop", ""],
  ]);
});

test("a program of an image has no image that is built, and nothing of the template's names", async () => {
  const given = { image: IMAGE, port: "8080", healthPath: "/up", domain: "shop.test", workflows: true };
  const files = await programFiles(await answered(given, "shop"));
  expect(Object.values(files).join("\n")).not.toMatch(/template|65001|BuiltImage/);
  expect(files["settings.ts"]).toContain(`images: { "my-shop": "${IMAGE}" }`);
  expect(files["index.ts"]).toContain('image: images["my-shop"],');
  expect(files["index.ts"]!.trim().split("\n").length).toBeLessThanOrEqual(40);
  const { config } = parse(files["Pulumi.local.yaml"]!) as { config: Record<string, unknown> };
  expect(config).toMatchObject({ "shop:domain": "shop.test", "shop:host": "local" });
});

test("a program of a folder builds it", async () => {
  const files = await programFiles(await answered({ dockerfile: "web", port: "80" }, "shop"));
  expect(files["index.ts"]).toContain(
    'image: images.web ?? new BuiltImage("web", { host, context: "web" }).reference,',
  );
  expect(Object.keys(files)).not.toContain(".github/workflows/deploy.yml");
});

test("at a terminal it asks for what is not given, and takes what it offers for an empty answer", async () => {
  const folder = join(directory, "My Shop");
  mkdirSync(join(folder, "api"), { recursive: true });
  writeFileSync(join(folder, "api/Dockerfile"), "FROM scratch\n");
  const command = [process.execPath, "--conditions=bulkhead-source", join(projectDirectory, "cli/main.ts"), "init"];
  const asked = await atTerminal(command, { cwd: folder, answers: ASKED });
  expect(asked.code, asked.text).toBe(0);
  expect(asked.text).toContain("Next:");
  expect(readFileSync(join(folder, "Pulumi.yaml"), "utf8")).toMatch(/^name: my-shop$/m);
  const program = readFileSync(join(folder, "index.ts"), "utf8");
  expect(program).toContain('new BuiltImage("api", { host, context: "api" })');
  expect(program).toContain("port: 8080,");
  expect(program).toContain('healthPath: "/",');
}, 60_000);

const ASKED = [
  ["A folder with a Dockerfile, or an image as name:tag@sha256:…: ", "./api"],
  ["The project's name [my-shop]: ", ""],
  ["The port in the container that speaks HTTP: ", "8080"],
  ["A path that answers 2xx when the service can serve [/]: ", ""],
] as const;

test("an example is written under the name of the project", async () => {
  expect(["hello", "examples/hello", "examples/hello/"].map(exampleOf)).toEqual(["hello", "hello", "hello"]);
  expect(() => exampleOf("helo")).toThrow("--from: there is no example helo: did you mean hello? there are hello");
  const files = await exampleFiles("hello", "shop");
  expect(Object.keys(files).sort()).toEqual([
    ...["Pulumi.local.yaml", "Pulumi.yaml", "app/Dockerfile", "app/server.js"],
    ...["index.ts", "program.test.ts", "settings.ts"],
  ]);
  expect(parse(files["Pulumi.yaml"]!)).toMatchObject({ name: "shop" });
  const { config } = parse(files["Pulumi.local.yaml"]!) as { config: Record<string, unknown> };
  expect(Object.keys(config).filter((key) => !key.startsWith("shop:"))).toEqual([]);
  // The service keeps its name.
  expect(files["index.ts"]).toContain('new WebService("hello"');
});

test.each(["statsboard", "profiledoctor"])(
  "init --from %s writes all of it, and workflows that deploy it",
  async (name) => {
    const folder = join(directory, "my-app");
    mkdirSync(folder);
    const command = ["--conditions=bulkhead-source", join(projectDirectory, "cli/main.ts"), "init"];
    const made = await runCommand(process.execPath, [...command, "--from", name, "--workflows"], { cwd: folder });
    expect(made, made.stderr).toMatchObject({ code: 0 });
    const read = (file: string) => readFileSync(join(folder, file), "utf8");
    for (const file of ["index.ts", "backend/.dockerignore", "backend/requirements.txt", "backend/tests/test_app.py"])
      expect(read(file), file).toBe(readFileSync(join(projectDirectory, "examples", name, file), "utf8"));
    expect(read("Pulumi.prod.yaml")).toContain("\n  my-app:host: ssh://");
    expect(read(".github/workflows/deploy.yml")).toMatch(/STACK: prod$/m);
  },
);

test.each(exampleNames())("the example %s is short, and builds from what this repository pins", async (name) => {
  const files = await exampleFiles(name, name);
  expect(files["index.ts"]!.trim().split("\n").length).toBeLessThanOrEqual(60);
  const pinned = Object.values(files).flatMap((text) => text.match(/\b(node|python):\S+@sha256:[0-9a-f]{64}/g) ?? []);
  expect(pinned.length).toBeGreaterThan(0);
  expect(pinned.filter((image) => image !== images.node && image !== images.python)).toEqual([]);
  // A program outside of the repository has the package and not its sources.
  expect(Object.values(files).filter((text) => text.includes("bulkhead-source"))).toEqual([]);
});

test("what stands in a package.json stays", async () => {
  const program = await answered({ image: IMAGE, port: "80" }, "Shop");
  const found = { name: "mine", dependencies: { bulkhead: "file:../bulkhead.tgz" }, scripts: { test: "vitest" } };
  writeFileSync(join(directory, "package.json"), JSON.stringify(found));
  expect(JSON.parse(await packageFile(program, directory))).toMatchObject({ ...found, type: "module", private: true });
  rmSync(join(directory, "package.json"));
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  expect(JSON.parse(await packageFile(program, directory))).toMatchObject({
    name: "shop",
    dependencies: { bulkhead: version },
  });
});

test("what a Dockerfile builds from is read with its arguments, without its own stages", () => {
  const lines = [
    "ARG NODE=node:24",
    "ARG OTHER",
    "FROM --platform=linux/amd64 ${NODE} AS build",
    "from build as checked",
    "FROM $OTHER",
    "FROM scratch",
  ];
  writeFileSync(join(directory, "web/Dockerfile"), lines.join("\n"));
  expect(basesOf(join(directory, "web"))).toEqual(["node:24", "$OTHER"]);
  expect(basesOf(join(directory, "web"), { NODE: "node:26", OTHER: "alpine:3" })).toEqual(["node:26", "alpine:3"]);
});
