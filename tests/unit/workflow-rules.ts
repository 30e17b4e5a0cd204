import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { parse } from "yaml";
import { bulkhead } from "../../cli/bulkhead.ts";
import { projectDirectory } from "./source.ts";

/** A workflow, as far as the rules look at it. */
export interface Workflow {
  on: string | Record<string, unknown>;
  permissions?: unknown;
  jobs: Record<string, Job>;
}

interface Job {
  if?: string;
  needs?: string;
  "runs-on"?: string;
  "timeout-minutes"?: number;
  environment?: string;
  permissions?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": boolean };
  env?: object;
  steps: Step[];
}

export interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, unknown>;
}

/** What must be true of every workflow. Each gives its complaints. */
export const rules: Record<string, (workflow: Workflow, text: string) => string[]> = {
  "every action is one commit, with its version beside it": (_, text) => unpinned(text),

  "nothing but these starts a run: what is of a fork has no secret then": ({ on }) =>
    Object.keys(typeof on === "string" ? { [on]: {} } : on)
      .filter((event) => !["pull_request", "push", "schedule", "workflow_dispatch"].includes(event))
      .map((event) => `is started by ${event}`),

  "no permission is given to all jobs": ({ permissions }) =>
    JSON.stringify(permissions) === "{}" ? [] : [`gives every job the permissions ${JSON.stringify(permissions)}`],

  "a job reads the code, and writes comments or issues where that is its work": eachJob(({ permissions, steps }) => {
    if (permissions === undefined) return ["does not say its permissions"];
    const calls = (script: string) => steps.some(({ run }) => run?.includes(script));
    const allowed = [
      ...(steps.some(({ uses }) => uses !== undefined) ? ["contents: read"] : []),
      ...(calls("ci comment") ? ["pull-requests: write"] : []),
      ...(calls("ci drift-issue") ? ["issues: write"] : []),
    ];
    return Object.entries(permissions)
      .map(([scope, access]) => `${scope}: ${access}`)
      .filter((permission) => !allowed.includes(permission))
      .map((permission) => `has the permission ${permission}`);
  }),

  "a fork's pull request starts nothing that has a secret, an environment or a right to write": (workflow) =>
    isStartedBy(workflow, "pull_request")
      ? eachJob((job) => {
          const conditions = job.if?.includes("||") ? [] : (job.if ?? "").split("&&").map((part) => part.trim());
          if (conditions.includes("github.event.pull_request.head.repo.full_name == github.repository")) return [];
          return [
            ...(JSON.stringify(job).includes("secrets.") ? ["gives a fork's code a secret"] : []),
            ...(job.environment ? ["gives a fork's code an environment"] : []),
            ...Object.entries(job.permissions ?? {})
              .filter(([, access]) => access !== "read")
              .map(([scope]) => `lets a fork's code write ${scope}`),
          ];
        })(workflow)
      : [],

  "a secret is of an environment, and known to single steps": eachJob((job) => [
    ...(JSON.stringify(job).includes("secrets.") && !job.environment ? ["has a secret and no environment"] : []),
    ...(JSON.stringify(job.env ?? {}).includes("secrets.") ? ["gives a secret to all of its steps"] : []),
  ]),

  "no expression is part of a script": eachStep(({ run }) => (run?.includes("${{") ? [`runs ${run}`] : [])),

  "what a script calls is there": eachStep(({ run = "" }) =>
    called(run)
      .filter((path) => !existsSync(join(projectDirectory, path)))
      .map((path) => `calls ${path}, which is not there`),
  ),

  "every verb of the command is there": eachStep(({ run = "" }) =>
    [...run.matchAll(/cli\/main\.ts (.*)/g)]
      .filter(([, verb]) => !isVerb(verb!.split(" "), bulkhead))
      .map(([, verb]) => `runs ${verb}, which the command has not`),
  ),

  "every `make` is of a target that is there": eachStep(({ run = "" }) =>
    [...run.matchAll(/\bmake (?:-\S+ )*(\w+)/g)]
      .filter(([, target]) => !new RegExp(`^${target}:`, "m").test(makefile))
      .map(([, target]) => `makes ${target}, which the Makefile has not`),
  ),

  "a checkout leaves no token behind": eachStep(({ uses, with: given }) =>
    uses?.startsWith("actions/checkout@") && given?.["persist-credentials"] !== false
      ? ["leaves the token of the checkout in .git"]
      : [],
  ),

  "a job ends, and runs on a system that stays the same": eachJob((job) => [
    ...(job["timeout-minutes"] ? [] : ["has no timeout-minutes"]),
    ...(/-\d/.test(job["runs-on"] ?? "") ? [] : [`runs on ${job["runs-on"]}`]),
  ]),

  "a deploy is alone on its stack, and none is ended that is under way": eachJob((job) => {
    const stack = job.steps.find(({ run }) => /\b(make|bulkhead) up\b/.test(run ?? ""))?.env?.["STACK"] as
      string | undefined;
    if (stack === undefined) return [];
    return [
      ...(job.concurrency?.group === `deploy-${stack}` ? [] : [`deploys in the group ${job.concurrency?.group}`]),
      ...(job.concurrency?.["cancel-in-progress"] === false ? [] : ["may be ended by the next deploy"]),
      ...(job.environment === stack ? [] : [`deploys ${stack} with the secrets of ${job.environment}`]),
      ...(job.if?.includes(`'${stack}'`) ? [] : ["deploys a stack that nobody has named"]),
    ];
  }),
};

/** Of a composite action: it has neither jobs nor permissions. */
export function actionComplaints(action: { runs: { steps: Step[] } }, text: string): string[] {
  return [
    ...unpinned(text),
    ...action.runs.steps.flatMap(({ run }) => (run?.includes("${{") ? [`runs ${run}`] : [])),
    ...(text.includes("secrets.") ? ["knows a secret by its name"] : []),
  ];
}

const makefile = readFileSync(join(projectDirectory, "Makefile"), "utf8");

function isVerb([name, ...rest]: readonly string[], command: Command): boolean {
  const found = command.commands.find((each) => each.name() === name);
  return found !== undefined && (found.commands.length === 0 || isVerb(rest, found));
}

function unpinned(text: string): string[] {
  return [...text.matchAll(/^ *(?:- )?uses: (.*)$/gm)].flatMap(([, used]) => {
    const [, local] = /^\.\/(\S+)$/.exec(used!) ?? [];
    if (local) return existsSync(join(projectDirectory, local, "action.yml")) ? [] : [`uses ${local}: not there`];
    return /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(used!) ? [] : [`uses ${used}`];
  });
}

/** The scripts of the project that a shell script names. */
export function called(run: string): string[] {
  return [...run.matchAll(/(?:^|\s)((?:\.ci|toolchain|cli|scripts)\/[\w./-]+)/g)].map(([, path]) => path!);
}

function isStartedBy({ on }: Workflow, event: string): boolean {
  return on === event || (typeof on === "object" && event in on);
}

function eachJob(complain: (job: Job) => string[]): (workflow: Workflow) => string[] {
  return ({ jobs }) =>
    Object.entries(jobs).flatMap(([name, job]) => complain(job).map((complaint) => `${name} ${complaint}`));
}

function eachStep(complain: (step: Step) => string[]): (workflow: Workflow) => string[] {
  return eachJob(({ steps }) => steps.flatMap(complain));
}

export function parseWorkflow(text: string): Workflow {
  return parse(text) as Workflow;
}
