import { readFileSync } from "node:fs";
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

test("the API has a rate limit", () => {
  expect(read("index.ts")).toMatch(/routes: \{ paths: \["\/api", "\/health"\],.*rateLimit: \{/);
});

test("every point of the document names tests that there are", () => {
  expect(points.length).toBeGreaterThan(40);
  expect(missingTests(points)).toEqual([]);
});
