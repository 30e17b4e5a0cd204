import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pythonPackages } from "../toolchain/python.ts";
import { provideToolchain } from "../toolchain/pulumi.ts";
import { formatSeconds } from "../toolchain/steps.ts";
import { packageDirectory } from "../cli/stack/program.ts";

/** How many tests of a suite ended how. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  /** Each failed test's name and message, to be said again at the end: what came before may scroll away. */
  failures?: readonly string[];
}

export interface Suite {
  name: string;
  run: () => Promise<Counts>;
}

/** What needs no engine. Those of the applications wait more than they work. */
export const fastSuites: readonly Suite[] = [
  sideBySide("unit, policy, backend and frontend", [
    () =>
      vitest((args) =>
        captured(process.execPath, [VITEST, "run", "--project", "unit", "--project", "policy", ...args], {
          prints: true,
        }),
      ),
    async () => {
      const backend = join(packageDirectory, "apps/backend");
      const env = { PYTHONPATH: await pythonPackages(join(backend, "requirements.txt")) };
      const { code, text } = await captured("python3", ["-m", "unittest"], { cwd: backend, env });
      console.log(`--- backend\n${text}`);
      return atLeastOneFailure(code, unittestCounts(text));
    },
    async () => {
      const args = ["--test", "--test-reporter=spec"];
      const { code, text } = await captured(process.execPath, args, { cwd: join(packageDirectory, "apps/frontend") });
      console.log(`--- frontend\n${text}`);
      return atLeastOneFailure(code, nodeTestCounts(text));
    },
  ]),
];

/** What runs on a real engine of its own, with the real tools. */
export const slowSuites: readonly Suite[] = [
  {
    name: "e2e",
    run: async () => {
      // Its plugin takes minutes to build the first time, and beside tests longer than one of them may wait for it.
      await provideToolchain({ cloudflare: true });
      Object.assign(process.env, (await provideToolchain()).env);
      const { runEndToEndFiles } = await import("../tests/support/run-e2e.ts");
      return sum(await runEndToEndFiles(ENGINES, vitest));
    },
  },
];

/** As many as CI's machine has processors. */
const ENGINES = 2;

/** One suite of several, which run at once. */
function sideBySide(name: string, all: readonly Suite["run"][]): Suite {
  return { name, run: async () => sum(await Promise.all(all.map((run) => run()))) };
}

function sum(counts: readonly Counts[]): Counts {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const each of counts) for (const key of ["passed", "failed", "skipped"] as const) total[key] += each[key];
  const failures = counts.flatMap((each) => each.failures ?? []);
  return failures.length > 0 ? { ...total, failures } : total;
}

/** Runs suites one after the other up to the first with a failure; the counts of all that ran. */
export async function runSuites(suites: readonly Suite[]): Promise<Counts> {
  const all: Counts[] = [];
  for (const { name, run } of suites) {
    console.log(`\n=== ${name}`);
    const start = Date.now();
    const counts = await run().catch((error: Error) => {
      console.error(error.message);
      return { passed: 0, failed: 1, skipped: 0, failures: [`${name}: ${error.message}`] };
    });
    console.log(`=== ${name}: ${closingLine(counts)}, ${formatSeconds((Date.now() - start) / 1000)}`);
    all.push(counts);
    if (counts.failed > 0) break;
  }
  return sum(all);
}

/** What a run of tests ends with: each failure again, and the line that counts. */
export function tellCounts(counts: Counts): void {
  for (const failure of counts.failures ?? []) console.log(`\nFAILED ${failure}`);
  console.log(`\n${closingLine(counts)}`);
}

/** How many ended how. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** A run that ended with an error without naming a test has failed all the same. */
export function atLeastOneFailure(code: number, counts: Counts): Counts {
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** What vitest's JSON reporter says. */
export interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string; failureMessages: string[] | null }[];
  }[];
}

export function vitestCounts(report: VitestReport): Counts {
  // A file that cannot be loaded has no test that failed.
  const broken = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((assertion) => assertion.status === "failed"),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
    failures: [
      ...broken.map(({ name, message }) => `${name}\n${message}`),
      ...report.testResults.flatMap(({ name, assertionResults }) =>
        assertionResults
          .filter(({ status }) => status === "failed")
          .map(({ fullName, failureMessages }) => `${name}: ${fullName}\n${(failureMessages ?? []).join("\n")}`),
      ),
    ],
  };
}

/** `Ran 67 tests in 22.9s` and `OK (skipped=1)` or `FAILED (failures=1, errors=2, skipped=1)`. */
export function unittestCounts(text: string): Counts {
  const ran = Number(/^Ran (\d+) tests? in/m.exec(text)?.[1] ?? 0);
  const verdict = /^(?:OK|FAILED)(?: \((.*)\))?$/m.exec(text)?.[1] ?? "";
  const count = (word: string) => Number(new RegExp(`(?:^|, )${word}=(\\d+)`).exec(verdict)?.[1] ?? 0);
  const failed = count("failures") + count("errors") + count("unexpected successes");
  const skipped = count("skipped");
  return { passed: Math.max(0, ran - failed - skipped), failed, skipped };
}

/** The summary of Node's own test runner. */
export function nodeTestCounts(text: string): Counts {
  const count = (word: string) => Number(new RegExp(`^. ${word} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return {
    passed: count("pass"),
    failed: count("fail") + count("cancelled"),
    skipped: count("skipped") + count("todo"),
  };
}

const VITEST = join(packageDirectory, "node_modules/vitest/vitest.mjs");

async function vitest(run: (args: string[]) => Promise<{ code: number }>): Promise<Counts> {
  const directory = await mkdtemp(join(tmpdir(), "bulkhead-tests-"));
  const file = join(directory, "report.json");
  try {
    const { code } = await run(["--reporter=default", "--reporter=json", `--outputFile.json=${file}`]);
    const report = await readFile(file, "utf8").catch(() => undefined);
    if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
    return atLeastOneFailure(code, vitestCounts(JSON.parse(report) as VitestReport));
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Printed {
  code: number;
  text: string;
}

interface RunOptions {
  cwd?: string | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** Whether what it says is printed as it comes. @default false */
  prints?: boolean;
}

/** Runs a program, and gives what it printed. */
export function captured(
  command: string,
  args: readonly string[],
  { cwd = packageDirectory, env = {}, prints = false }: RunOptions = {},
): Promise<Printed> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    let text = "";
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (prints) to.write(chunk);
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, text }));
  });
}
