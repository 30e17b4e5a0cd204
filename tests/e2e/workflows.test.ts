// The workflows of GitHub, step by step as they stand in their files: on a checkout from a bare clone of this repository,
// with a state of its own, and with what speaks GitHub's API.
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { provideActionlint } from "../../toolchain/actionlint.ts";
import { runCommand, type CommandOptions } from "../support/command.ts";
import { RepositoryCopy, repository } from "../support/copy.ts";
import { BOT, GitHub } from "../support/github.ts";
import { prepareReach, type Reach } from "../support/reach.ts";
import { inSoak } from "../support/soak.ts";
import { WorkflowRuns } from "../support/workflow-runs.ts";
import { WrittenProgram } from "../support/written-program.ts";

const STACK = "staging";

const directory = mkdtempSync(join(tmpdir(), "bulkhead-workflows-"));
/** What the commits are made of: this repository as it stands, and a stack. */
const tree = new RepositoryCopy();
const stackFile = `Pulumi.${STACK}.yaml`;
let runs: WorkflowRuns;
let reach: Reach;
let github: GitHub;
let sshKey: string;
/** Two commits of main. */
let older: string;
let merged: string;

beforeAll(async () => {
  github = await GitHub.start();
  reach = await prepareReach({ stack: STACK, domain: "reach.test", httpsPort: 8443, tcpPort: 2222 });
  await must("cp", [reach.project.configFile, join(tree.directory, stackFile)]);
  const key = join(directory, "key");
  await must("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  sshKey = readFileSync(key, "utf8");
  runs = new WorkflowRuns({
    ...{ directory, stack: STACK, env: github.env, knownHosts: "192.0.2.1 ssh-ed25519 AAAA" },
    secrets: {
      SSH_KEY: sshKey,
      PULUMI_BACKEND_URL: reach.project.env["PULUMI_BACKEND_URL"]!,
      PULUMI_CONFIG_PASSPHRASE: passphrase(),
    },
    // As the tools' own step would.
    checkedOut: (workspace) => symlinkSync(join(repository, "node_modules"), join(workspace, "node_modules")),
  });
  await runs.begin(repository);
  older = await commit("main", "What was merged before");
  merged = await commit("main", "What is merged");
});

afterAll(async () => {
  github?.stop();
  tree.remove();
  await reach?.stop();
  rmSync(directory, { recursive: true, force: true });
});

test("actionlint finds nothing in the workflows", async () => {
  const actionlint = await provideActionlint();
  // Whether this machine has these is not to change what is found.
  const alone = ["-shellcheck=", "-pyflakes=", "-no-color"];
  // Those of this repository, and those that init writes, whose action has the inputs of this one's.
  const templates = "cli/init/template/workflows";
  const written = readdirSync(join(repository, templates)).filter((file) => file !== "stack-action.yml");
  for (const files of [[], written.map((file) => join(templates, file))])
    expect(await runCommand(actionlint, [...alone, ...files], { cwd: repository })).toMatchObject({
      ...{ code: 0, stdout: "", stderr: "" },
    });
  const drift = readFileSync(join(repository, ".github/workflows/drift.yml"), "utf8");
  const broken = await runCommand(actionlint, [...alone, "-"], { input: drift.replace("matrix.stack", "matrix.stak") });
  expect(broken.code).toBe(1);
  expect(broken.stdout).toContain('property "stak" is not defined');
});

test("what is merged is deployed: exactly that commit, and the key of the host is in the agent alone", async () => {
  const look = async () => {
    const agent = { SSH_AUTH_SOCK: join(runs.temp, "ssh-agent") };
    expect(await must("ssh-add", ["-l"], { env: agent })).toMatch(/^256 SHA256:\S+ .*\(ED25519\)\n$/);
    expect(readFileSync(join(runs.home, ".ssh/known_hosts"), "utf8")).toBe("192.0.2.1 ssh-ed25519 AAAA\n");
    const places = [runs.home, runs.temp, runs.workspace].map((place) => `${place}/`);
    const holding = await runCommand("grep", ["-rlFD", "skip", sshKey.split("\n")[1]!, ...places]);
    expect(holding, "nothing there holds the key").toMatchObject({ code: 1, stdout: "" });
  };
  expect(await run("deploy.yml", STACK, merged, push(merged), look)).toEqual([0, 0]);
  expect(await reach.request("/api/status")).toMatchObject({ status: 200 });
  expect(await deployedCommits()).toEqual([merged]);
});

test("an older commit, approved late, is not deployed over a newer one", async () => {
  expect(await run("deploy.yml", STACK, older, push(older))).toEqual([0, 1]);
  expect(runs.results.at(-1)!.stderr).toContain(
    `error: staging: runs ${merged.slice(0, 8)}, which is newer than this commit, ${older.slice(0, 8)}: nothing is deployed`,
  );
  expect(await deployedCommits()).toEqual([merged]);
});

test("a pull request is told what it changes in one comment, which the next push brings up to date", async () => {
  const number = 12;
  const pull = github.add(number, "someone", "", true);
  github.addComment(pull, "someone", "<!-- bulkhead: preview of staging -->\nNot the bot's.");
  const preview = async (sha: string) => {
    const event = { pull_request: { number, body: "The next release.", head: { sha } } };
    expect(await run("preview.yml", "preview", sha, { event })).toEqual([0, 0, 0]);
  };
  const program = "apps/backend/reach/__init__.py";
  appendFileSync(join(tree.directory, program), "\n# The next release.\n");
  const first = await commit("next-release", "The next release");
  await preview(first);
  const ours = () => pull.comments.filter(({ user }) => user.login === BOT);
  expect(ours()).toHaveLength(1);
  const { id, body } = ours()[0]!;
  expect(body).toMatch(/^<!-- bulkhead: preview of staging -->\n### \S+ `staging`: /);
  expect(body).toMatch(/^\| \*\*backend\*\* \| rolled/m);
  expect(body).not.toContain("**frontend**");
  expect(body).toContain(`\n---\n${first.slice(0, 8)}, in [this run](`);

  const undo = tree.edit(stackFile, "reach:frontend:\n", "reach:frontend:\n    memoryMb: 600\n");
  const second = await commit("next-release", "And more memory there");
  undo();
  await preview(second);
  expect(ours()).toMatchObject([{ id, body: expect.stringMatching(/^\| \*\*frontend\*\* \| .*memory/m) as string }]);
  expect(ours()[0]!.body).toMatch(/^\| \*\*backend\*\* \| rolled/m);
  expect(ours()[0]!.body).toContain(second.slice(0, 8));
  expect(pull.comments[0]!.body).toContain("Not the bot's.");
  expect(await deployedCommits(), "nothing was deployed").toEqual([merged]);
});

test("a preview that fails is told too, and the job is red", async () => {
  const number = 13;
  const pull = github.add(number, "someone", "", true);
  const undo = tree.edit(stackFile, "reach:frontend:\n", "reach:frontend:\n    memoryMb: 1\n");
  const sha = await commit("too-little", "Too little");
  undo();
  const event = { pull_request: { number, body: null, head: { sha } } };
  expect(await run("preview.yml", "preview", sha, { event })).toEqual([0, 2, 0]);
  expect(pull.comments).toHaveLength(1);
  expect(pull.comments[0]!.body).toContain("reach:frontend.memoryMb");
});

test("what is changed by hand is one issue, for as long as it lasts", async () => {
  const drift = async () => expect(await run("drift.yml", "drift", merged, {})).toEqual([0, 0]);
  const found = () => github.issues.filter(({ pull_request }) => pull_request === undefined);
  const { Id, HostConfig } = (await reach.containers()).get("frontend")!;
  const pids = (limit: number | null) => reach.engine.post(`/containers/${Id}/update`, { PidsLimit: limit });
  await pids(4000);
  await drift();
  expect(found()).toMatchObject([{ title: "staging is not as it was deployed", state: "open" }]);
  expect(found()[0]!.body).toMatch(/\n\| `frontend` \| `pids` \| `\d+` \| `4000` \|\n/);

  await pids(5000);
  await drift();
  expect(found()).toHaveLength(1);
  expect(found()[0]!.body).toContain("`5000`");

  await pids(HostConfig.PidsLimit);
  await drift();
  expect(found()).toMatchObject([{ state: "closed", comments: [{ user: { login: BOT } }] }]);
  expect(found()[0]!.comments[0]!.body).toMatch(/^All is as the stack promises again: \[this run\]\(/);
});

test("no step has shown a secret", () => {
  const secrets = [passphrase(), github.env.GITHUB_TOKEN, ...sshKey.split("\n").filter((line) => line.length > 40)];
  expect(runs.results.length).toBeGreaterThan(10);
  const said = runs.results.map(({ stdout, stderr }) => stdout + stderr).join("");
  for (const secret of secrets) expect(said.includes(secret)).toBe(false);
});

describe.each(
  inSoak<[string, number, string]>(["statsboard", 8444, "/api/matches"], ["profiledoctor", 8445, "/api/checks"]),
)("the workflows that init writes for %s, with the package alone", (name, httpsPort, path) => {
  let program: WrittenProgram;
  let first: string;

  beforeAll(async () => {
    program = await WrittenProgram.begin(name, httpsPort, github);
    first = await program.commit("main", "The first one");
  });
  afterAll(() => program?.remove());

  test("its types and tests are checked", async () => {
    expect(await program.run("checks.yml", "checks", first, {})).toEqual([0, 0, 0]);
  });

  test("what is merged is deployed, and an older commit never over it", async () => {
    const second = await program.commit("main", "The second one");
    expect(await program.run("deploy.yml", "prod", second, push(second))).toEqual([0, 0, 0]);
    expect(await program.get(path)).toEqual({ status: 200, text: "[]" });
    expect(await program.run("deploy.yml", "prod", first, push(first))).toEqual([0, 0, 1]);
    expect(program.runs.results.at(-1)!.stderr).toContain("which is newer than this commit");
  });

  test("a pull request is told what it changes", async () => {
    // Beyond those that GitHub gives to what the tests before it open.
    const number = 10 * httpsPort;
    const pull = github.add(number, "someone", "", true);
    appendFileSync(join(program.folder, "backend/src", name, "app.py"), "\n# The next release.\n");
    const sha = await program.commit("next-release", "The next release");
    const event = { event: { pull_request: { number, body: "The next release.", head: { sha } } } };
    expect(await program.run("preview.yml", "preview", sha, event)).toEqual([0, 0, 0, 0]);
    expect(pull.comments).toMatchObject([{ user: { login: BOT } }]);
    expect(pull.comments[0]!.body).toMatch(/^\| \*\*backend\*\* \| its job runs first; then rolled: /m);
    expect(await program.get(path)).toEqual({ status: 200, text: "[]" });
  });

  test("what is changed by hand is an issue", async () => {
    const open = () => github.issues.filter(({ title, state }) => title.startsWith("prod is not") && state === "open");
    const { Id, HostConfig } = await program.container("backend");
    const pids = (limit: number | null) => program.engine.post(`/containers/${Id}/update`, { PidsLimit: limit });
    await pids(4000);
    expect(await program.run("drift.yml", "drift", first, {})).toEqual([0, 0, 0]);
    expect(open()).toMatchObject([{ body: expect.stringContaining("| `backend` | `pids` |") as string }]);
    await pids(HostConfig.PidsLimit);
    expect(await program.run("drift.yml", "drift", first, {})).toEqual([0, 0, 0]);
    expect(open()).toEqual([]);
  });
});

/** Runs a job on a commit as GitHub does; gives the exit codes of its steps. */
function run(file: string, job: string, sha: string, event: object, look?: () => Promise<void>): Promise<number[]> {
  return runs.run(file, job, sha, event, look);
}

const push = (sha: string) => ({ sha, event: { head_commit: { message: "What is merged" } } });

const passphrase = () => readFileSync(reach.project.env["PULUMI_CONFIG_PASSPHRASE_FILE"]!, "utf8");

/** The commits of the stack's updates, as Pulumi has recorded them. */
async function deployedCommits(): Promise<(string | undefined)[]> {
  const args = ["stack", "history", "--json", "--stack", STACK];
  const history = await must("pulumi", args, { cwd: repository, env: reach.project.env });
  const updates = JSON.parse(history) as { kind: string; environment: Record<string, string> }[];
  return updates.map(({ environment }) => environment["git.head"]);
}

/** Commits the tree to a branch, on top of what is there or of what is merged. */
function commit(branch: string, message: string): Promise<string> {
  return runs.commit(tree.directory, branch, message, merged || "HEAD");
}

async function must(command: string, args: string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(command, args, options);
  if (result.code !== 0) throw new Error(`${command} ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}
