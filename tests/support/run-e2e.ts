import { fileURLToPath } from "node:url";
import { withTestEngine } from "./engine.ts";

/**
 * Runs vitest's project e2e inside a test engine of its own, where published ports are on 127.0.0.1 and DOCKER_HOST is
 * the engine. Arguments go to vitest: file names, -t. Gives vitest's exit code.
 */
export function runEndToEndTests(args: string[] = [], id?: string): Promise<number> {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
  return withTestEngine(async (engine) => {
    const command = [vitest, "run", "--project", "e2e", ...args];
    const { code } = await engine.exec(process.execPath, command, {
      cwd: root,
      inheritStdio: true,
      timeoutMs: Infinity,
    });
    return code;
  }, id);
}

// By hand: `TEST_ENGINE=id node tests/support/run-e2e.ts [VITEST-ARGUMENT...]`; engines of different ids run side by side.
if (import.meta.main) process.exitCode = await runEndToEndTests(process.argv.slice(2), process.env["TEST_ENGINE"]);
