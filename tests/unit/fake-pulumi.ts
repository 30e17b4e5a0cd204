import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export interface FakePulumi {
  /** The program. */
  path: string;
  /** To put in front of others. */
  PATH: string;
  /** The arguments that it was called with. */
  asked: () => string[];
}

/** A program of the name `pulumi`, for the test that makes it: a shell script. */
export function fakePulumi(script: string): FakePulumi {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-fake-pulumi-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [path, log] = [join(directory, "pulumi"), join(directory, "asked")];
  writeFileSync(path, `#!/bin/sh\necho "$*" >> '${log}'\n${script}\n`);
  chmodSync(path, 0o755);
  return {
    path,
    PATH: `${directory}:${process.env["PATH"]}`,
    asked: () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []),
  };
}
