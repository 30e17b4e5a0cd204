// Builds the package into dist/: JavaScript with types and source maps, and what is no TypeScript at the same relative
// place, where the code looks for it beside itself. `npm pack` runs it.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

/** What a user's machine has no use for: it is for this repository's own tests and images. */
const LEFT_OUT = [/^toolchain\/actionlint\//, /^examples\/[^/]+\/(\.bulkhead|node_modules)\//];
/** Files that init writes: they stay as they are, and are no part of the package's own program. */
const TEMPLATE = /^(cli\/init\/template|examples)\//;

rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
for (const folder of ["components", "cli", "policy", "testing", "toolchain", "examples"]) {
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    const file = relative(root, join(entry.parentPath, entry.name));
    const isBuilt = file.endsWith(".ts") && !TEMPLATE.test(file);
    if (!entry.isFile() || isBuilt || LEFT_OUT.some((pattern) => pattern.test(file))) continue;
    cpSync(join(root, file), join(dist, file), { preserveTimestamps: true });
  }
}
chmodSync(join(dist, "cli/main.js"), 0o755);
