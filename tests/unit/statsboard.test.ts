import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { images as platform } from "../../components/images.ts";
import { images } from "../../examples/statsboard/images.ts";
import { repository } from "../support/copy.ts";
import { missingTests } from "../support/points.ts";
import { points } from "../support/statsboard-points.ts";

const backend = join(repository, "examples/statsboard/backend");
const read = (file: string) => readFileSync(join(backend, file), "utf8");

test("every image is pinned by tag and digest", () => {
  for (const image of Object.values({ ...platform, ...images }))
    expect(image).toMatch(/^[\w./-]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}$/);
  expect(read("Dockerfile")).toContain(`ARG PYTHON_IMAGE=${images.python}\n`);
  expect(read("Dockerfile").match(/^FROM .*/gm)).toEqual([
    "FROM ${PYTHON_IMAGE} AS dependencies",
    "FROM dependencies AS test",
    "FROM ${PYTHON_IMAGE}",
  ]);
});

test(".dockerignore has every entry of the document", () => {
  const entries = read(".dockerignore").split("\n");
  expect(entries).toEqual(
    expect.arrayContaining([
      ...[".git", ".gitignore", "**/__pycache__", "**/*.pyc", ".pytest_cache", ".ruff_cache", ".env*", "!.env.example"],
      ...["*.md", "docs", ".coverage", "coverage", ".vscode", ".idea", ".DS_Store", "*.log", "dist", "build"],
      "*.egg-info",
    ]),
  );
});

test("what is installed is what Poetry locked", () => {
  const lock = new Map(
    [
      ...read("poetry.lock").matchAll(
        /^\[\[package\]\]\nname = "(.*)"\nversion = "(.*)"\n[^]*?^files = \[\n([^]*?)^\]/gm,
      ),
    ].map(([, name, version, files]) => [name!, { version, hashes: hashesOf(files!) }]),
  );
  for (const [file, least] of [["requirements.txt", 15] as const, ["requirements-test.txt", 25] as const]) {
    const requirements = read(file)
      .split(/\n(?=\S)/)
      .map((text) => /^(\S+)==(\S+) ([^]*)/.exec(text)!);
    expect(requirements.length).toBeGreaterThanOrEqual(least);
    for (const [, name, version, rest] of requirements)
      expect({ version, hashes: hashesOf(rest!) }, name).toEqual(lock.get(name!));
  }
});

function hashesOf(text: string): string[] {
  return (text.match(/sha256:[0-9a-f]{64}/g) ?? []).sort();
}

test("dependencies come before sources, in stages", () => {
  const [, dependencies, tests, runs] = read("Dockerfile").split(/^FROM .*\n/m) as [string, string, string, string];
  expect(dependencies.indexOf("COPY requirements.txt")).toBeLessThan(dependencies.indexOf("--require-hashes"));
  expect(dependencies).not.toMatch(/COPY src/);
  // It would be a second copy of all packages, in a layer of its own.
  expect(runs).toMatch(/chmod -R \S+ alembic\.ini health\.sh migrations src\n/);
  expect(tests.indexOf("--require-hashes")).toBeLessThan(tests.indexOf("COPY src"));
  expect(runs).not.toMatch(/pip|poetry/);
  expect(runs.indexOf("COPY --from=dependencies")).toBeLessThan(runs.indexOf("/app/src src"));
});

test("the image asks for its health as the document has it, without curl", () => {
  expect(read("Dockerfile")).toContain("HEALTHCHECK --interval=30s --timeout=3s --start-period=30s --retries=3 CMD");
  expect(read("health.sh")).toContain("/health");
  expect(read("Dockerfile") + read("health.sh")).not.toMatch(/^[^#]*curl/m);
});

test("every point of the document names tests that there are", () => {
  expect(points.length).toBeGreaterThan(70);
  expect(missingTests(points)).toEqual([]);
});
