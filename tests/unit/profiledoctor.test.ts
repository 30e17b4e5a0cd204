import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { images } from "../../examples/profiledoctor/images.ts";
import { repository } from "../support/copy.ts";
import { missingTests } from "../support/points.ts";
import { points } from "../support/profiledoctor-points.ts";

const read = (file: string) => readFileSync(join(repository, "examples/profiledoctor", file), "utf8");

test("every image is pinned by tag and digest", () => {
  for (const image of Object.values(images)) expect(image).toMatch(/^[\w./-]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}$/);
  expect(read("backend/Dockerfile")).toContain(`ARG PYTHON_IMAGE=${images.python}\n`);
  expect(read("frontend/Dockerfile")).toContain(`ARG NODE_IMAGE=${images.node}\n`);
});

test(".dockerignore has every entry of the document", () => {
  const both = [".git", ".gitignore", ".dockerignore", "docker-compose.yml", ".env", ".env.local", "README.md"];
  const python = ["__pycache__", "*.pyc", "*.pyo", "*.pyd", ".Python", "env/", "venv/", ".venv/"];
  const node = ["node_modules", "npm-debug.log", "yarn-error.log", "dist", "build"];
  expect(read("backend/.dockerignore").split("\n")).toEqual(expect.arrayContaining([...python, ...both]));
  expect(read("frontend/.dockerignore").split("\n")).toEqual(expect.arrayContaining([...node, ...both]));
});

test("dependencies come before sources, in stages, with hashes", () => {
  const [, dependencies, tests, runs] = read("backend/Dockerfile").split(/^FROM .*\n/m);
  expect(dependencies).toContain("--require-hashes");
  expect(dependencies).not.toContain("COPY src");
  expect(tests).toContain("pytest");
  expect(runs).not.toMatch(/pip /);
  // It would be a second copy of all packages, in a layer of its own.
  expect(runs).toMatch(/chmod -R \S+ alembic\.ini health\.sh migrations src\n/);
  const [, packages, site] = read("frontend/Dockerfile").split(/^FROM .*\n/m);
  expect(packages).toContain("npm ci --ignore-scripts");
  expect(packages).not.toContain("COPY src");
  expect(site).toContain("npm test && npm run build");
  const lock = JSON.parse(read("frontend/package-lock.json")) as { packages: Record<string, { integrity?: string }> };
  const unlocked = Object.entries(lock.packages).filter(
    ([name, { integrity }]) => name !== "" && integrity === undefined,
  );
  expect(unlocked).toEqual([]);
});

test("every dependency is one that the sources use", () => {
  const sources = (folder: string) =>
    readdirSync(join(repository, "examples/profiledoctor", folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(py|jsx?)$/.test(entry.name))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
      .join("\n");
  const python = sources("backend/src") + sources("backend/migrations");
  const [, list] = /^dependencies = \[\n(.*?)^\]/ms.exec(read("backend/pyproject.toml"))!;
  const packages = [...list!.matchAll(/"(\w+)/g)].map(([, name]) => name!);
  // The driver is named in the URL alone, and the migrations' command by the program.
  const named = python + read("index.ts");
  expect(packages.filter((name) => !new RegExp(`\\b${name}\\b`).test(named))).toEqual([]);
  const page = sources("frontend/src");
  const { dependencies } = JSON.parse(read("frontend/package.json")) as { dependencies: Record<string, string> };
  expect(Object.keys(dependencies).filter((name) => !new RegExp(`from "${name}(/.*)?"`).test(page))).toEqual([]);
  // Of Pydantic 1; its successor warns of each, and a warning fails the tests of the image.
  expect(python).not.toMatch(/@validator|class Config|\.dict\(\)|\.parse_obj|orm_mode/);
  expect(read("backend/pyproject.toml")).toContain('filterwarnings = ["error::DeprecationWarning:profiledoctor"]');
});

test("what has to be healthy asks as the document has it, without curl", () => {
  expect(read("backend/Dockerfile")).toMatch(/HEALTHCHECK --interval=30s .*--retries=3 CMD/);
  expect(read("backend/health.sh")).toContain("/health");
  expect(read("backend/Dockerfile") + read("backend/health.sh")).not.toMatch(/^[^#]*curl/m);
});

test("the API has a rate limit", () => {
  expect(read("index.ts")).toMatch(/routes: \{ paths: \["\/api", "\/health"\],.*rateLimit: \{/);
});

test("every point of the document names tests that there are", () => {
  expect(points.length).toBeGreaterThan(90);
  expect(missingTests(points)).toEqual([]);
});
