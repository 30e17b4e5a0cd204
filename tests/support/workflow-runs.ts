// Runs of GitHub's workflows on the commits of a repository: each on a machine of its own, which goes with the job.
import { mkdirSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { run } from "../../toolchain/steps.ts";
import { runJob, type StepResult } from "./workflow.ts";

export interface RunsOptions {
  /** Holds the bare clone, what is checked out of it, and the machine's home and temporary directory. */
  directory: string;
  stack: string;
  /** What Actions has in the environment of each step, and what the machine has. */
  env: Record<string, string | undefined>;
  /** Of the environments of the stack. */
  secrets: Record<string, string>;
  knownHosts?: string;
  /** Does what stands in the place of a step that is left out. */
  checkedOut?: (workspace: string) => void;
}

export class WorkflowRuns {
  readonly workspace: string;
  readonly home: string;
  readonly temp: string;
  /** Of every step of every run. */
  readonly results: StepResult[] = [];
  readonly #bare: string;
  readonly #options: RunsOptions;

  constructor(options: RunsOptions) {
    const inside = (name: string) => join(options.directory, name);
    [this.#bare, this.workspace] = [inside("remote.git"), inside("workspace")];
    [this.home, this.temp] = [inside("home"), inside("temp")];
    this.#options = options;
  }

  /** @param from a repository that the commits of this one follow. @default none */
  async begin(from?: string): Promise<void> {
    const made = from === undefined ? ["init", "--quiet", "--bare"] : ["clone", "--quiet", "--bare", from];
    await run("git", [...made, this.#bare]);
    await run("git", ["clone", "--quiet", "--no-checkout", `file://${this.#bare}`, this.workspace]);
    mkdirSync(this.home);
  }

  /** Commits what a folder has to a branch, on top of what is there or of a commit. */
  async commit(tree: string, branch: string, message: string, on?: string): Promise<string> {
    const author = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com"];
    const git = (...args: string[]) =>
      run("git", ["--git-dir", this.#bare, "--work-tree", tree, ...author, ...args], { cwd: tree });
    const of = (name: string) => git("rev-parse", "--verify", "--quiet", name).catch(() => "");
    const from = (await of(`refs/heads/${branch}`)) || (on === undefined ? "" : await of(on));
    // The first commit of all follows none.
    if (from !== "") await git("update-ref", `refs/heads/${branch}`, from.trim());
    await git("symbolic-ref", "HEAD", `refs/heads/${branch}`);
    await git("add", "--all");
    // A link of that name is no folder, and so not among what .gitignore has.
    await git("rm", "--cached", "-r", "--quiet", "--ignore-unmatch", "node_modules");
    await git("commit", "--quiet", "--allow-empty", "--message", message);
    return (await git("rev-parse", "HEAD")).trim();
  }

  /**
   * Runs a job on a commit as GitHub does; gives the exit codes of its steps.
   *
   * @param look while the machine is still there.
   */
  async run(file: string, job: string, sha: string, event: object, look?: () => Promise<void>): Promise<number[]> {
    const { stack, secrets, knownHosts = "", checkedOut } = this.#options;
    const cwd = this.workspace;
    await run("git", ["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"], { cwd });
    await run("git", ["checkout", "--quiet", "--force", "--detach", sha], { cwd });
    await run("git", ["clean", "--quiet", "-ffdx"], { cwd });
    checkedOut?.(this.workspace);
    rmSync(this.temp, { recursive: true, force: true });
    mkdirSync(this.temp);
    const { GITHUB_TOKEN, ...env } = this.#options.env;
    const own = {
      HOME: this.home,
      XDG_CACHE_HOME: process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"),
      RUNNER_TEMP: this.temp,
      PULUMI_BACKEND_URL: undefined,
      PULUMI_CONFIG_PASSPHRASE_FILE: undefined,
    };
    const contexts = {
      github: { token: GITHUB_TOKEN, sha, ...event },
      matrix: { stack },
      runner: { temp: this.temp },
      vars: { KNOWN_HOSTS: knownHosts },
      secrets,
    };
    const steps = await runJob({ workspace: this.workspace, env: { ...env, ...own } }, file, job, contexts);
    this.results.push(...steps);
    try {
      await look?.();
    } finally {
      // As the machine goes with the job.
      for (const { stdout } of steps) {
        const agent = /SSH_AGENT_PID=(\d+)/.exec(stdout)?.[1];
        if (agent) process.kill(Number(agent));
      }
      rmSync(join(this.home, ".ssh"), { recursive: true, force: true });
    }
    return steps.map(({ code }) => code);
  }
}
