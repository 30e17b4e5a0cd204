import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { runCommand, type CommandResult } from "./command.ts";

/** What GitHub has for the expressions of a job: `secrets`, `vars`, `github`, `matrix`, `runner`. */
export type Contexts = Record<string, unknown>;

interface Step {
  name?: string;
  if?: string;
  uses?: string;
  run?: string;
  shell?: string;
  with?: Record<string, unknown>;
  env?: Record<string, unknown>;
}

export interface StepResult extends CommandResult {
  name: string;
}

/** What a job needs of the machine that it runs on. */
export interface Runner {
  /** Where the commit is checked out. */
  workspace: string;
  /** The environment of every step. */
  env: Record<string, string | undefined>;
}

/**
 * Runs the steps of a job as they stand in the file, as a runner of GitHub does: each in a bash of its own with the
 * environment that it says, those of a composite action in their place. A step after one that failed runs only if it
 * says so. The checkout, the cache and Node are GitHub's: they are left out.
 */
export async function runJob(runner: Runner, file: string, job: string, contexts: Contexts): Promise<StepResult[]> {
  const workflow = parse(readFileSync(join(runner.workspace, ".github/workflows", file), "utf8")) as {
    jobs: Record<string, { steps: Step[] }>;
  };
  const results: StepResult[] = [];
  for (const step of stepsOf(runner, workflow.jobs[job]!.steps, contexts)) {
    const failed = results.some(({ code }) => code !== 0);
    if (failed && step.if !== "${{ !cancelled() }}") continue;
    const options = { cwd: runner.workspace, env: { ...runner.env, ...step.env }, timeoutMs: 300_000 };
    // As GitHub starts the shell that is asked for, and the one that nobody has asked for.
    const how = step.shell === "bash" ? ["--noprofile", "--norc", "-eo", "pipefail"] : ["-e"];
    results.push({ name: step.name, ...(await runCommand("bash", [...how, "-c", step.run], options)) });
  }
  return results;
}

interface Script {
  name: string;
  if?: string;
  run: string;
  shell?: string;
  env: Record<string, string>;
}

function stepsOf(runner: Runner, steps: readonly Step[], contexts: Contexts): Script[] {
  return steps.flatMap((step): Script[] => {
    const { name = "", run, shell, uses = "" } = step;
    if (run !== undefined) return [{ name, if: step.if, run, shell, env: evaluated(step.env, contexts) }];
    if (!uses.startsWith("./")) {
      if (!/^actions\/(checkout|cache|setup-node)@/.test(uses)) throw new Error(`what ${uses} does is not known here`);
      return [];
    }
    const action = join(runner.workspace, uses, "action.yml");
    if (!existsSync(action)) throw new Error(`${uses}: no such action`);
    const { runs } = parse(readFileSync(action, "utf8")) as { runs: { steps: Step[] } };
    return stepsOf(runner, runs.steps, { ...contexts, inputs: evaluated(step.with, contexts) });
  });
}

function evaluated(values: Record<string, unknown> = {}, contexts: Contexts): Record<string, string> {
  const entries = Object.entries(values).map(([key, value]) => [key, evaluate(String(value), contexts)]);
  return Object.fromEntries(entries) as Record<string, string>;
}

/** Only `${{ github.event.number }}` and the like; a secret that is not set is empty, as GitHub has it. */
function evaluate(text: string, contexts: Contexts): string {
  return text.replaceAll(/\$\{\{ ([^}]*) \}\}/g, (_, expression: string) => {
    if (!/^[\w.-]+$/.test(expression)) throw new Error(`what ${expression} is worth is not known here`);
    const keys = expression.split(".");
    if (!(keys[0]! in contexts)) throw new Error(`no ${keys[0]} here, for ${expression}`);
    const value = keys.reduce<unknown>((from, key) => (from as Contexts | undefined)?.[key], contexts);
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  });
}
