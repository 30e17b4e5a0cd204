// What `npm pack` would publish, without publishing it.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { beforeAll, expect, test } from "vitest";
import { projectDirectory, type Source } from "./source.ts";

const MOST_BYTES = 3_000_000;
const BUILD_MS = 300_000;

/** What init writes into a folder, as it is. */
const WRITTEN = /^(cli\/init\/template|examples)\//;

interface Manifest {
  bin: Record<string, string>;
  exports: Record<string, Record<string, string>>;
  dependencies: Record<string, string>;
}

const manifest = JSON.parse(readFileSync(join(projectDirectory, "package.json"), "utf8")) as Manifest;
/** JavaScript of the package, by path from the project's folder. */
let scripts: Source;
let packed: { size: number; files: { path: string }[] };

beforeAll(() => {
  const inProject = { cwd: projectDirectory, encoding: "utf8" } as const;
  execFileSync(process.execPath, ["scripts/build.ts"], inProject);
  const npm = join(dirname(process.execPath), "npm");
  const said = execFileSync(npm, ["pack", "--dry-run", "--json", "--ignore-scripts"], inProject);
  packed = (JSON.parse(said) as [typeof packed])[0];
  scripts = Object.fromEntries(
    paths()
      .filter((path) => /\.c?js$/.test(path))
      .map((path) => [path, readFileSync(join(projectDirectory, path), "utf8")]),
  );
}, BUILD_MS);

test("it is small, and has no file but the built ones, the pages that messages name, and those that npm asks for", () => {
  expect(packed.size).toBeLessThan(MOST_BYTES);
  expect(paths()).toContain("docs/how-to/backup.md");
  expect(paths().filter((path) => path.startsWith("docs/contributing/"))).toEqual([]);
  const others = paths().filter((path) => !/^(dist|docs)\//.test(path));
  expect(others.sort()).toEqual(["LICENSE", "README.md", "package.json"]);
  const sources = paths().filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
  expect(sources.filter((path) => !WRITTEN.test(path.replace("dist/", "")))).toEqual([]);
});

test("every file of the product is in it: scripts with types and source maps, all others as they are", () => {
  const missing = productFiles()
    .flatMap(builtFrom)
    .filter((path) => !paths().includes(path));
  expect(missing).toEqual([]);
  expect(builtFrom("cli/up.ts")).toEqual(["dist/cli/up.js", "dist/cli/up.d.ts", "dist/cli/up.js.map"]);
});

test("what package.json leads to is in it", () => {
  const targets = [...Object.values(manifest.bin), ...Object.values(manifest.exports).flatMap(builtTargets)];
  expect(targets.length).toBeGreaterThan(4);
  expect(targets.map((target) => target.replace("./", "")).filter((target) => !paths().includes(target))).toEqual([]);
  const sources = Object.values(manifest.exports).map((conditions) => conditions["bulkhead-source"]!);
  expect(sources.filter((source) => !existsSync(join(projectDirectory, source)))).toEqual([]);
  // The first that fits is taken.
  expect(Object.values(manifest.exports).map((conditions) => Object.keys(conditions)[0])).toEqual(
    Object.keys(manifest.exports).map(() => "bulkhead-source"),
  );
});

test("it imports nothing but itself, Node and its dependencies, and has no dependency that nothing imports", () => {
  expect(importComplaints(scripts)).toEqual([]);
  const imported = new Set(Object.values(scripts).flatMap(importedBy).map(packageOf));
  expect(Object.keys(manifest.dependencies).filter((name) => !imported.has(name))).toEqual([]);
  const broken = {
    ...scripts,
    "dist/cli/broken.js": 'import "../../index.js";\nimport "vitest";\nawait import("fs");\nimport "../stack/none.js";',
  };
  expect(importComplaints(broken)).toEqual([
    "dist/cli/broken.js imports ../../index.js",
    "dist/cli/broken.js imports vitest",
    "dist/cli/broken.js imports fs",
    "dist/cli/broken.js imports ../stack/none.js",
  ]);
});

test("a script of it is JavaScript, and the command says what runs it", () => {
  expect(Object.keys(scripts).length).toBeGreaterThan(100);
  expect(scripts["dist/cli/main.js"]).toMatch(/^#!\/usr\/bin\/env node\n/);
});

function paths(): string[] {
  return packed.files.map(({ path }) => path);
}

function productFiles(): string[] {
  return ["components", "cli", "policy", "testing", "toolchain", "examples"].flatMap((folder) =>
    readdirSync(join(projectDirectory, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(projectDirectory, join(entry.parentPath, entry.name)))
      // It is for the tests of this repository's workflows.
      .filter((file) => !file.startsWith("toolchain/actionlint/")),
  );
}

function builtFrom(file: string): string[] {
  if (!file.endsWith(".ts") || WRITTEN.test(file)) return [`dist/${file}`];
  return ["js", "d.ts", "js.map"].map((extension) => `dist/${file.replace(/ts$/, extension)}`);
}

function builtTargets(conditions: Record<string, string>): string[] {
  return Object.entries(conditions).flatMap(([condition, target]) => (condition === "bulkhead-source" ? [] : [target]));
}

function importComplaints(files: Source): string[] {
  return Object.entries(files).flatMap(([file, text]) =>
    importedBy(text)
      .filter((name) => {
        if (name.startsWith(".")) return !(join(dirname(file), name) in files) && !isOtherOf(file, name);
        return isBuiltin(name)
          ? !name.startsWith("node:") && !file.endsWith(".cjs")
          : !(packageOf(name) in manifest.dependencies);
      })
      .map((name) => `${file} imports ${name}`),
  );
}

/** The policy pack's main looks for either of two. */
function isOtherOf(file: string, name: string): boolean {
  return file === "dist/policy/main.cjs" && name === "./index.ts";
}

function importedBy(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

function packageOf(name: string): string {
  return name.split("/", name.startsWith("@") ? 2 : 1).join("/");
}
