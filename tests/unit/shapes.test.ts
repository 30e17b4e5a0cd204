// A program with every shape of app holds what must hold of every stack.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { invariants } from "../../testing/invariants.ts";
import { containers, record, type Recording } from "../../testing/recorder.ts";
import { makeCertificates } from "../support/certificates.ts";
import { shapesSettings } from "../support/shapes.ts";
import { projectDirectory } from "./source.ts";

let recording: Recording;

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-shapes-"));
  const here = process.cwd();
  try {
    const secrets: string[] = [];
    const settings = await shapesSettings(async (name) => {
      const { certificate, privateKey } = await makeCertificates(name);
      const files = { certificate: join(directory, `${name}.pem`), privateKey: join(directory, `${name}.key`) };
      writeFileSync(files.certificate, certificate);
      writeFileSync(files.privateKey, privateKey);
      secrets.push(privateKey);
      return files;
    });
    process.chdir(join(projectDirectory, "tests/programs/shapes"));
    vi.resetModules();
    recording = await record(() => import("../programs/shapes/index.ts"), { project: "shapes", settings, secrets });
  } finally {
    process.chdir(here);
    rmSync(directory, { recursive: true });
  }
  // All of a program is loaded, beside whatever else runs.
}, 60_000);

test("it has every kind of container", () => {
  const roles = containers(recording).map(
    ({ inputs }) => inputs.labels?.find(({ label }) => label === "bulkhead.role")?.value,
  );
  expect([...new Set(roles)].sort()).toEqual(
    ["door", "edge", "file-volume", "job", "route", "scheduled-job", "service", "worker"].sort(),
  );
});

describe("of a program with every shape", () => {
  test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
    expect(complaintsOf(recording)).toEqual([]);
  });
});
