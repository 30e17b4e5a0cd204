import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { previewOf, type Preview } from "../../cli/preview/engine-events.ts";
import { lastLines, runCommand, type CommandOptions, type CommandResult } from "./command.ts";

export interface TestProjectOptions {
  stack: string;
  /** The stack's configuration, full keys: { "reach:domain": "localhost" }. */
  config: Record<string, unknown>;
  /** Where the program is. @default this repository */
  program?: string;
  /** Added to the environment of every command. */
  env?: Record<string, string>;
  /** For each command. @default 600000 */
  timeoutMs?: number;
}

/**
 * The real Pulumi CLI on the real program, with a state, a passphrase and a stack file of its own: nothing in the
 * program's directory is written, and no stack or login of the user is touched. The CLI, its plugins and DOCKER_HOST are
 * those of the environment.
 */
export async function createTestProject(options: TestProjectOptions): Promise<TestProject> {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-project-"));
  const project = new TestProject(directory, options);
  try {
    await project.initialize();
  } catch (error) {
    project.remove();
    throw error;
  }
  return project;
}

export class TestProject {
  /** Holds everything of this project: the state (in state/), the stack file, the passphrase. */
  readonly directory: string;
  readonly stack: string;
  readonly configFile: string;
  readonly program: string;
  /** What makes a `pulumi` command, or one that runs it, work on this stack. */
  readonly env: NodeJS.ProcessEnv;
  readonly #timeoutMs: number;
  readonly #config: Record<string, unknown>;

  constructor(directory: string, options: TestProjectOptions) {
    this.directory = directory;
    this.stack = options.stack;
    this.configFile = join(directory, `Pulumi.${options.stack}.yaml`);
    this.program = options.program ?? fileURLToPath(new URL("../..", import.meta.url));
    this.#config = options.config;
    this.#timeoutMs = options.timeoutMs ?? 600_000;
    this.env = {
      PULUMI_BACKEND_URL: `file://${join(directory, "state")}`,
      PULUMI_CONFIG_PASSPHRASE_FILE: join(directory, "passphrase"),
      PULUMI_CONFIG_PASSPHRASE: undefined,
      PULUMI_ACCESS_TOKEN: undefined,
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      ...options.env,
    };
  }

  async initialize(): Promise<void> {
    mkdirSync(join(this.directory, "state"));
    writeFileSync(join(this.directory, "passphrase"), randomBytes(24).toString("base64url"), { mode: 0o600 });
    // The CLI writes a new stack's file beside Pulumi.yaml: give it one of the same project here, away from the program.
    const { name } = parse(readFileSync(join(this.program, "Pulumi.yaml"), "utf8")) as { name: string };
    writeFileSync(join(this.directory, "Pulumi.yaml"), stringify({ name, runtime: "nodejs" }));
    succeed(await this.#pulumi(this.directory, ["stack", "init", "--stack", this.stack, "--no-select"]));
    this.setConfig(this.#config);
  }

  /** Puts other values in place of all of the stack's configuration. */
  setConfig(config: Record<string, unknown>): void {
    const file = parse(readFileSync(this.configFile, "utf8")) as object;
    writeFileSync(this.configFile, stringify({ ...file, config }));
  }

  async setSecret(key: string, value: string): Promise<void> {
    const args = ["config", "set", "--secret", key, ...this.#stackArgs];
    // By standard input: a process list shows arguments.
    succeed(await this.#pulumi(this.program, args, { input: value }));
  }

  /** A command of `bulkhead`, where a stack file of this project is. */
  bulkhead(args: readonly string[], options: Pick<CommandOptions, "timeoutMs"> = {}): Promise<CommandResult> {
    const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
    const command = [main, ...args, "--stack", this.stack];
    return runCommand(process.execPath, command, { cwd: this.directory, env: this.env, ...options });
  }

  up(args: string[] = []): Promise<CommandResult> {
    return this.#pulumi(this.program, ["up", "--yes", "--skip-preview", ...this.#stackArgs, ...args]);
  }

  preview(args: string[] = []): Promise<CommandResult> {
    return this.#pulumi(this.program, ["preview", "--diff", ...this.#stackArgs, ...args]);
  }

  /** A preview as the engine's events tell it, whether it succeeds or not, judged by the program's own policies. */
  async explainedPreview(): Promise<Preview> {
    const log = join(this.directory, "events");
    rmSync(log, { force: true });
    await this.#pulumi(this.program, ["preview", ...this.#stackArgs, "--event-log", log], {
      env: {
        ...this.env,
        PULUMI_DEBUG_COMMANDS: "true",
        PULUMI_OPTION_POLICY_PACK: join(this.program, "policy"),
      },
    });
    return previewOf(readFileSync(log, "utf8"));
  }

  refresh(args: string[] = []): Promise<CommandResult> {
    return this.#pulumi(this.program, ["refresh", "--yes", "--skip-preview", ...this.#stackArgs, ...args]);
  }

  /** What a refresh would change in the state, as JSON. */
  previewRefresh(): Promise<CommandResult> {
    return this.#pulumi(this.program, ["refresh", "--preview-only", "--json", ...this.#stackArgs]);
  }

  destroy(args: string[] = []): Promise<CommandResult> {
    return this.#pulumi(this.program, ["destroy", "--yes", "--skip-preview", ...this.#stackArgs, ...args]);
  }

  /** Lets a destroy forget what is protected; what is retained stays all the same. */
  async unprotect(): Promise<void> {
    succeed(await this.#pulumi(this.program, ["state", "unprotect", "--all", "--yes", "--stack", this.stack]));
  }

  /** Takes away the lock that a killed update has left. */
  cancel(): Promise<CommandResult> {
    return this.#pulumi(this.program, ["cancel", "--yes", "--stack", this.stack]);
  }

  async outputs<T>(): Promise<T> {
    const result = await this.#pulumi(this.program, ["stack", "output", "--json", "--stack", this.stack]);
    return JSON.parse(succeed(result).stdout) as T;
  }

  /** The state as it is stored, secrets encrypted, unless they are asked for in clear. */
  async exportState<T>(options: { showSecrets?: boolean } = {}): Promise<T> {
    const clear = options.showSecrets ? ["--show-secrets"] : [];
    const result = await this.#pulumi(this.program, ["stack", "export", "--stack", this.stack, ...clear]);
    return JSON.parse(succeed(result).stdout) as T;
  }

  /** Forgets the project; what it deployed and did not destroy stays. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  get #stackArgs(): string[] {
    return ["--stack", this.stack, "--config-file", this.configFile];
  }

  #pulumi(cwd: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
    const common = ["--non-interactive", "--color", "never"];
    return runCommand("pulumi", [...args, ...common], { cwd, env: this.env, timeoutMs: this.#timeoutMs, ...options });
  }
}

function succeed(result: CommandResult): CommandResult {
  if (result.code === 0) return result;
  throw new Error(`pulumi: exit ${result.code}\n${lastLines(result.stderr + result.stdout, 20)}`);
}
