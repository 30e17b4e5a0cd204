// `make check`: what to run before a commit. With --no-tests: for a run that goes on with all tests.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { formatSeconds } from "../toolchain/steps.ts";

import { fastSuites, runSuites, tellCounts } from "./suites.ts";
import { packageDirectory } from "../cli/stack/program.ts";

const checks: Record<string, string[]> = {
  types: ["typescript/bin/tsc", "--noEmit"],
  "types of the frontend": ["typescript/bin/tsc", "--noEmit", "--project", "apps/frontend"],
  lint: ["eslint/bin/eslint.js", "."],
  "generated files": ["../scripts/generate.ts", "--check"],
  format: ["prettier/bin/prettier.cjs", "--check", "--log-level=warn", "."],
};

const failed = Object.entries(checks).filter(([name, [program, ...args]]) => {
  const start = Date.now();
  const file = join(packageDirectory, "node_modules", program!);
  const { status } = spawnSync(process.execPath, [...process.execArgv, file, ...args], {
    cwd: packageDirectory,
    stdio: "inherit",
  });
  console.log(`${name}: ${status === 0 ? "ok" : "FAILED"} after ${formatSeconds((Date.now() - start) / 1000)}`);
  return status !== 0;
});
if (failed.length > 0) process.exit(1);
if (!process.argv.includes("--no-tests")) {
  const counts = await runSuites(fastSuites);
  tellCounts(counts);
  process.exit(counts.failed > 0 ? 1 : 0);
}
