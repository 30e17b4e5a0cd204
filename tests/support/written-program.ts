// A program that `init --from` has written out of the packed package, in a repository of its own, with its workflows.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { images as platform } from "../../components/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { images as ofProfileDoctor } from "../../examples/profiledoctor/images.ts";
import { images as ofStatsBoard } from "../../examples/statsboard/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "./certificates.ts";
import { runCommand } from "./command.ts";
import type { GitHub } from "./github.ts";
import { npm, packageEnv, packPackage, succeed } from "./packed-package.ts";
import { createTestProject, type TestProject } from "./pulumi.ts";
import { inspectAll, removeStack, type ContainerInspect } from "./reach.ts";
import { WorkflowRuns } from "./workflow-runs.ts";

const IMAGES: Record<string, Record<string, string>> = { statsboard: ofStatsBoard, profiledoctor: ofProfileDoctor };

/** Nothing of this repository is in its folder, nor in the environment of its runs. */
export class WrittenProgram {
  /** What its commits are made of. */
  readonly folder: string;
  readonly engine = new Engine(process.env["DOCKER_HOST"]!);
  readonly #directory = mkdtempSync(join(tmpdir(), "bulkhead-written-"));
  readonly #example: string;
  readonly #domain: string;
  readonly #httpsPort: number;
  #runs: WorkflowRuns | undefined;
  #project: TestProject | undefined;
  #ca = "";

  private constructor(example: string, httpsPort: number) {
    this.folder = join(this.#directory, "program");
    this.#example = example;
    this.#domain = `${example}.test`;
    this.#httpsPort = httpsPort;
  }

  /** The program with a stack `prod` on the test engine, whose state is where a job finds it. */
  static async begin(example: string, httpsPort: number, github: GitHub): Promise<WrittenProgram> {
    const program = new WrittenProgram(example, httpsPort);
    try {
      await program.#write();
      await program.#addStack();
      await program.#addRepository(github);
      return program;
    } catch (error) {
      await program.remove();
      throw error;
    }
  }

  get runs(): WorkflowRuns {
    return this.#runs!;
  }

  commit(branch: string, message: string): Promise<string> {
    return this.runs.commit(this.folder, branch, message, "main");
  }

  run(file: string, job: string, sha: string, event: object): Promise<number[]> {
    return this.runs.run(file, job, sha, event);
  }

  /** What a client is answered by the edge. */
  get(path: string): Promise<{ status: number | undefined; text: string }> {
    const to = { host: "127.0.0.1", port: this.#httpsPort, servername: this.#domain, ca: this.#ca };
    const headers = { host: `${this.#domain}:${this.#httpsPort}` };
    return new Promise((resolve, reject) => {
      const request = https.get({ ...to, path, headers, agent: false, timeout: 15_000 }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => (text += part));
        answer.on("end", () => resolve({ status: answer.statusCode, text }));
      });
      request.on("timeout", () => request.destroy(new Error(`${path}: no answer in 15 s`)));
      request.on("error", reject);
    });
  }

  async container(name: string): Promise<ContainerInspect> {
    const found = await inspectAll(this.engine, `${this.#example}-prod`);
    return found.find(({ Config, State }) => State.Running && Config.Labels["bulkhead.name"] === name)!;
  }

  async remove(): Promise<void> {
    await removeStack(this.engine, `${this.#example}-prod`);
    this.engine.close();
    this.#project?.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #write(): Promise<void> {
    mkdirSync(this.folder);
    const tarball = await packPackage(this.#directory);
    const options = { cwd: this.folder, env: packageEnv, timeoutMs: 300_000 };
    await succeed(await runCommand(npm, ["install", "--loglevel=error", tarball], options));
    const npx = join(dirname(process.execPath), "npx");
    const init = ["--no-install", "bulkhead", "init", "--from", this.#example, "--name", this.#example, "--workflows"];
    await succeed(await runCommand(npx, init, options));
    // What a job installs from.
    await succeed(await runCommand(npm, ["install", "--loglevel=error"], options));
  }

  async #addStack(): Promise<void> {
    const { ca, certificate, privateKey } = await makeCertificates(this.#domain);
    this.#ca = ca;
    const files = { certificate: join(this.#directory, "leaf.pem"), privateKey: join(this.#directory, "leaf.key") };
    writeFileSync(files.certificate, certificate);
    writeFileSync(files.privateKey, privateKey, { mode: 0o600 });
    const settings = {
      host: "local",
      domain: this.#domain,
      edge: { address: "127.0.0.1", httpsPort: this.#httpsPort },
      certificates: { kind: "files", ...files },
      images: await provideImages(this.engine, { ...platform, ...IMAGES[this.#example], cloudflared: undefined }),
    };
    const config = Object.fromEntries(
      Object.entries(settings).map(([key, value]) => [`${this.#example}:${key}`, value]),
    );
    this.#project = await createTestProject({ stack: "prod", program: this.folder, config });
    copyFileSync(this.#project.configFile, join(this.folder, "Pulumi.prod.yaml"));
  }

  async #addRepository({ env }: GitHub): Promise<void> {
    const state = this.#project!.env;
    this.#runs = new WorkflowRuns({
      ...{ directory: this.#directory, stack: "prod" },
      env: {
        ...{ ...env, ...packageEnv, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` },
        // How this machine reaches its package index.
        NPM_CONFIG_USERCONFIG: process.env["NPM_CONFIG_USERCONFIG"] ?? join(homedir(), ".npmrc"),
      },
      secrets: {
        PULUMI_BACKEND_URL: state["PULUMI_BACKEND_URL"]!,
        PULUMI_CONFIG_PASSPHRASE: readFileSync(state["PULUMI_CONFIG_PASSPHRASE_FILE"]!, "utf8"),
      },
    });
    await this.runs.begin();
  }
}
