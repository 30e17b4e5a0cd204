import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { formatSeconds } from "../../toolchain/steps.ts";
import type { CommandOptions } from "./command.ts";
import { withTestEngine, type DockerRelease, type TestEngine } from "./engine.ts";

const root = join(import.meta.dirname, "..", "..");

type RunVitest = (args: string[]) => Promise<{ code: number }>;

/**
 * Runs every end-to-end file in a vitest of its own, on several test engines side by side: a test waits for containers
 * more than it works. What a file prints comes in one piece, when it has ended.
 */
export async function runEndToEndFiles<T>(engines: number, run: (vitest: RunVitest) => Promise<T>): Promise<T[]> {
  const [ofMachine, ofDebian13] = [testFiles("machine"), testFiles("debian-13")];
  const results: T[] = [];
  const work = (id: string, files: string[], release: DockerRelease) =>
    withTestEngine(
      async (engine) => {
        for (let file = files.shift(); file !== undefined; file = files.shift()) {
          const path = file;
          const runFile: RunVitest = async (args) => {
            const { code, stdout, stderr, seconds } = await runVitest(engine, [path, ...args]);
            process.stdout.write(
              `\n--- ${path}, ${formatSeconds(seconds)}${overBudget(path, seconds)}\n${stdout}${stderr}`,
            );
            return { code };
          };
          results.push(await run(runFile));
        }
      },
      id,
      release,
    );
  const lane = async (index: number) => {
    const id = index === 0 ? "e2e" : `e2e-${index + 1}`;
    if (index === 0) await work(id, ofMachine, "machine");
    await work(id, ofDebian13, "debian-13");
  };
  await Promise.all(Array.from({ length: engines }, (_, index) => lane(index)));
  return results;
}

/** The longest first, so that no engine waits for another's last one. */
function testFiles(release: DockerRelease): string[] {
  const all = readdirSync(join(root, "tests", "e2e")).filter((file) => file.endsWith(".test.ts"));
  const files = all.filter((file) => releaseFor([file]) === release);
  return files.sort((a, b) => budgetSeconds(b) - budgetSeconds(a)).map((file) => `tests/e2e/${file}`);
}

/**
 * On an old Docker: a first deployment, an update, a service that hangs, and two stacks side by side. All else on a newer
 * one, which looks at a container's health less often, and so leaves the tests more of the processor.
 */
const ON_THE_MACHINES_DOCKER = [
  ...["revive", "two-stacks"],
  // What cleaning up takes differs from one to the other.
  ...(process.env["BULKHEAD_SOAK"] === "1" ? ["prune"] : []),
];

function releaseFor(files: readonly string[]): DockerRelease {
  const isOne = (file: string) => ON_THE_MACHINES_DOCKER.includes(basename(file, ".test.ts"));
  return files.length > 0 && files.every(isOne) ? "machine" : "debian-13";
}

/** Says which files took longer than they may, and fails nobody for it: the machine may have been busy. */
function overBudget(file: string, seconds: number): string {
  const budget = budgetSeconds(basename(file));
  return seconds > budget ? ` (over its budget of ${budget} s: see tests/e2e/budgets.json)` : "";
}

/** One that has none yet is taken for a long one. */
function budgetSeconds(file: string): number {
  return budgets[file.replace(".test.ts", "")] ?? 600;
}

const budgets = JSON.parse(readFileSync(join(root, "tests/e2e/budgets.json"), "utf8")) as Record<string, number>;

/**
 * Runs vitest's project e2e inside a test engine, where published ports are on 127.0.0.1 and DOCKER_HOST is the engine.
 * Arguments go to vitest: file names, -t.
 */
function runVitest(engine: TestEngine, args: string[], options: CommandOptions = {}) {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const command = [vitest, "run", "--project", "e2e", ...args];
  return engine.exec(process.execPath, command, { cwd: root, timeoutMs: Infinity, ...options });
}

// By hand: `TEST_ENGINE=id node tests/support/run-e2e.ts [VITEST-ARGUMENT...]`; engines of different ids run side by side.
if (import.meta.main) {
  const run = (engine: TestEngine) => runVitest(engine, process.argv.slice(2), { inheritStdio: true });
  const files = process.argv.slice(2).filter((argument) => argument.endsWith(".test.ts"));
  process.exitCode = (await withTestEngine(run, process.env["TEST_ENGINE"], releaseFor(files))).code;
}
