import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { projectDirectory } from "./source.ts";
import { actionComplaints, called, parseWorkflow, rules, type Step } from "./workflow-rules.ts";

const read = (path: string) => readFileSync(join(projectDirectory, ".github", path), "utf8");
const workflows = readdirSync(join(projectDirectory, ".github/workflows"));
const actions = readdirSync(join(projectDirectory, ".github/actions")).map((name) => `actions/${name}/action.yml`);

const TEMPLATES = "cli/init/template/workflows";

function complaints(text: string): string[] {
  const workflow = parseWorkflow(text);
  return Object.values(rules).flatMap((rule) => rule(workflow, text));
}

describe.each(workflows)("%s", (file) => {
  const text = read(`workflows/${file}`);
  test.each(Object.entries(rules))("%s", (_, rule) => expect(rule(parseWorkflow(text), text)).toEqual([]));
});

/** What init writes for a program. */
const written = readdirSync(join(projectDirectory, TEMPLATES)).filter((file) => file !== "stack-action.yml");

describe.each(written)("%s of init", (file) => {
  const text = readFileSync(join(projectDirectory, TEMPLATES, file), "utf8");
  test.each(Object.entries(rules))("%s", (_, rule) => expect(rule(parseWorkflow(text), text)).toEqual([]));
  test("it needs nothing of this repository", () => {
    expect(parseWorkflow(text).jobs).not.toEqual({});
    expect(text).not.toMatch(/toolchain\/|cli\/|\bmake\b|reach/);
  });
});

test.each(actions)("%s is pinned, and runs no text that it was given", (file) => {
  const text = read(file);
  const action = parse(text) as { runs: { steps: Step[] } };
  expect(actionComplaints(action, text)).toEqual([]);
  const tag = text.replace(/@[0-9a-f]{40} # v/, "@v");
  expect(actionComplaints(parse(tag) as typeof action, tag)).toEqual([expect.stringMatching(/^uses actions\/cache@v/)]);
  const given = text.replace("ssh-agent -a", "ssh-agent -a ${{ inputs.ssh-key }}");
  expect(actionComplaints(parse(given) as typeof action, given)).toEqual([expect.stringMatching(/^runs /)]);
});

test("an action is the same commit wherever it is used", () => {
  const uses = [...workflows.map((file) => `workflows/${file}`), ...actions].flatMap((file) =>
    [...read(file).matchAll(/uses: ([\w-]+\/[\w-]+)@(.*)$/gm)].map(([, action, commit]) => [action!, commit!] as const),
  );
  const commits = new Map(uses);
  expect(commits.size).toBeGreaterThan(0);
  expect(uses.filter(([action, commit]) => commits.get(action) !== commit)).toEqual([]);
});

test("prod is deployed after staging", () => {
  const { jobs } = parseWorkflow(read("workflows/deploy.yml"));
  expect(jobs["prod"]).toMatchObject({ needs: "staging", if: expect.stringContaining("!failure()") as string });
});

test("the scripts that are called are known by their names", () => {
  expect(called("sudo bash .ci/run\nbash toolchain/run cli/main.ts ci drift-issue\n")).toEqual([
    ".ci/run",
    "toolchain/run",
    "cli/main.ts",
  ]);
});

const checkout = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";

/** Each breaks one property of a workflow. */
test.each<[file: string, from: string, to: string, complaint: string]>([
  ["checks", checkout, "actions/checkout@v7", "uses actions/checkout@v7"],
  ["checks", checkout, checkout.replace(/ #.*/, ""), `uses ${checkout.replace(/ #.*/, "")}`],
  ["checks", "run: sudo", "uses: ./.github/actions/none\n        run: sudo", "uses .github/actions/none: not there"],
  ["checks", "pull_request:", "pull_request_target:", "is started by pull_request_target"],
  ["images", "workflow_dispatch:", "issue_comment:", "is started by issue_comment"],
  ["deploy", "permissions: {}", "permissions: write-all", 'gives every job the permissions "write-all"'],
  ["checks", "    permissions:\n      contents: read\n", "", "checks does not say its permissions"],
  ["deploy", "contents: read", "contents: write", "staging has the permission contents: write"],
  ["drift", "issues: write", "pull-requests: write", "drift has the permission pull-requests: write"],
  ["checks", "run: sudo", "env: { A: '${{ secrets.A }}' }\n        run: sudo", "checks gives a fork's code a secret"],
  [
    "preview",
    "!= '' && github.event.pull_request.head.repo.full_name == github.repository",
    "!= ''",
    "preview gives a fork's code a secret",
  ],
  [
    "preview",
    "!= '' && github.event.pull_request.head.repo.full_name == github.repository",
    "!= ''",
    "preview lets a fork's code write pull-requests",
  ],
  ["preview", "STACKS != '' && github", "STACKS != '' || github", "preview gives a fork's code a secret"],
  [
    "images",
    "    timeout-minutes",
    "    environment: prod\n    timeout-minutes",
    "scan gives a fork's code an environment",
  ],
  ["drift", "    environment: ${{ matrix.stack }}-audit\n", "", "drift has a secret and no environment"],
  [
    "drift",
    "    steps:\n      - uses",
    "    env: { A: '${{ secrets.A }}' }\n    steps:\n      - uses",
    "drift gives a secret to all of its steps",
  ],
  [
    "preview",
    "run: make preview",
    'run: echo "${{ github.event.pull_request.title }}"',
    'preview runs echo "${{ github.event.pull_request.title }}"',
  ],
  ["drift", "cli/main.ts", "cli/mian.ts", "drift calls cli/mian.ts, which is not there"],
  ["drift", "ci drift-issue", "ci drift-issues", "drift runs ci drift-issues, which the command has not"],
  ["drift", "ci drift-issue", "drift-issue", "drift runs drift-issue, which the command has not"],
  ["deploy", "make up", "make deploy", "staging makes deploy, which the Makefile has not"],
  [
    "images",
    "          persist-credentials: false",
    "          fetch-depth: 1",
    "scan leaves the token of the checkout in .git",
  ],
  ["checks", "    timeout-minutes: 180\n", "", "checks has no timeout-minutes"],
  ["checks", "ubuntu-24.04", "ubuntu-latest", "checks runs on ubuntu-latest"],
  ["deploy", "group: deploy-staging", "group: deploy", "staging deploys in the group deploy"],
  ["deploy", "cancel-in-progress: false", "cancel-in-progress: true", "staging may be ended by the next deploy"],
  ["deploy", "environment: staging", "environment: prod", "staging deploys staging with the secrets of prod"],
  ["deploy", "'[]'), 'staging')", "'[]'), 'prod')", "staging deploys a stack that nobody has named"],
])("%s.yml with another %j is refused: %j", (file, from, to, complaint) => {
  const text = read(`workflows/${file}.yml`);
  expect(text).toContain(from);
  expect(complaints(text.replace(from, to))).toContain(complaint);
});
