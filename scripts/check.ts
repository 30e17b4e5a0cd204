// `make check`: what to run before a commit. With --no-tests: for a run that goes on with all tests.
import { join } from "node:path";
import { formatSeconds } from "../toolchain/steps.ts";
import { captured, fastSuites, runSuites, tellCounts } from "./suites.ts";
import { packageDirectory } from "../cli/stack/program.ts";

/** The longest first. */
const checks: Record<string, string[]> = {
  lint: ["eslint/bin/eslint.js", "."],
  format: ["prettier/bin/prettier.cjs", "--check", "--log-level=warn", "."],
  types: ["typescript/bin/tsc", "--noEmit"],
  "generated files": ["../scripts/generate.ts", "--check"],
  "types of the frontend": ["typescript/bin/tsc", "--noEmit", "--project", "apps/frontend"],
};

/** Each uses one processor alone. */
const AT_ONCE = 2;

const queue = Object.entries(checks);
const failed: string[] = [];
const work = async () => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const [name, [program, ...args]] = next;
    const start = Date.now();
    const file = join(packageDirectory, "node_modules", program!);
    const { code, text } = await captured(process.execPath, [...process.execArgv, file, ...args]);
    if (code !== 0) failed.push(name);
    // In one piece, as two go on at once.
    process.stdout.write(text);
    console.log(`${name}: ${code === 0 ? "ok" : "FAILED"} after ${formatSeconds((Date.now() - start) / 1000)}`);
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, work));
if (failed.length > 0) process.exit(1);
if (!process.argv.includes("--no-tests")) {
  const counts = await runSuites(fastSuites);
  tellCounts(counts);
  process.exit(counts.failed > 0 ? 1 : 0);
}
