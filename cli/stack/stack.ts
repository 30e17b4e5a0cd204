import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { styleText } from "node:util";
import { parse, stringify } from "yaml";
import { nearestTo, parseStackFile } from "../../components/settings/parse.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { sshOptions } from "../../components/docker-engine/ssh.ts";
import { findDocker } from "../../toolchain/docker.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { run } from "../../toolchain/steps.ts";
import { explainUnreachable } from "../../components/docker-engine/connection-errors.ts";
import { writeIfAbsent, writeAtomically } from "./atomic-write.ts";
import { configKey, localDirectory, packageDirectory, programDirectory, projectName } from "./program.ts";

/** A stack with everything that pulumi needs to work on it. */
export interface Stack {
  name: string;
  /** The environment of pulumi; undefined takes a variable away. */
  env: Record<string, string | undefined>;
  /** The Docker engine that the stack runs on. */
  engine: Engine;
}

/** The values of a stack file that concern these commands; the program itself checks them all. */
export interface StackFile {
  encryptionsalt?: string;
  config?: Record<string, unknown>;
}

/**
 * @param given what the name came by, such as `--stack`.
 * @throws Error that begins with it, unless there is such a stack.
 */
export function existingStack(given: string, name: string | undefined): string {
  // Where there is no program there is no stack, and that is what to say.
  projectName();
  const known = readdirSync(programDirectory)
    .flatMap((file) => /^Pulumi\.([A-Za-z0-9_.-]+)\.yaml$/.exec(file)?.[1] ?? [])
    .sort();
  if (name !== undefined && known.includes(name)) return name;
  const meant = nearestTo(name ?? "", known);
  const listed =
    known.length > 0 ? `give one of ${known.join(", ")}` : `write a Pulumi.local.yaml in ${programDirectory} first`;
  if (!name) throw new Error(`${given}: missing: ${listed}`);
  // It may be about to be made.
  const orMake = meant === undefined && known.length > 0 && /^[a-z0-9][a-z0-9-]*$/.test(name);
  const cure = `${meant ? `did you mean ${meant}? Else ` : ""}${listed}${orMake ? `, or write Pulumi.${name}.yaml` : ""}`;
  throw new Error(`${given}: there is no stack ${name}: ${cure}`);
}

/**
 * Provides the tools and finds the Docker host of a stack, which has to answer: what is wrong with the way to the host is said
 * before anything is built or run. The stack `local` has its state, its passphrase and its stack file in .bulkhead; for
 * any other, the backend and the secrets are the user's to choose, as with plain pulumi.
 */
export async function openStack(name: string, docker = findDocker): Promise<Stack> {
  const host = await hostOf(name, docker);
  const engine = await connect(host);
  return { name, engine, env: await environmentOf(name, host) };
}

/** Where the Docker of a stack is. */
export interface Host {
  url: string;
  /** This machine's: pulumi gets it by DOCKER_HOST. */
  local: boolean;
  /** A known_hosts file that the stack names. */
  knownHosts?: string;
}

/** @param docker finds this machine's Docker, for stacks that run on it. */
export async function hostOf(name: string, docker: () => Promise<string>): Promise<Host> {
  const { config = {} } = await readStackFile(committedFile(name));
  const { host, knownHosts } = parseStackFile(projectName(), config, ["host", "knownHosts"]);
  return host === "local" ? { url: await docker(), local: true } : { url: host, local: false, knownHosts };
}

/** The Docker host, which has answered. Else one clear error says what is wrong with the way to it. */
export async function connect({ url, knownHosts }: Host, shared = true): Promise<Engine> {
  const engine = new Engine(url, sshOptions(url, knownHosts, shared));
  await engine.ping().catch((error: Error) => {
    engine.close();
    throw new Error(explainUnreachable(url, error, knownHosts));
  });
  return engine;
}

/** The environment in which pulumi works on a stack. */
export async function environmentOf(name: string, { url, local }: Host): Promise<Stack["env"]> {
  const { config = {} } = await readStackFile(committedFile(name));
  return {
    ...(await provideToolchain({ cloudflare: configKey("cloudflare") in config })).env,
    PULUMI_STACK: name,
    PULUMI_OPTION_POLICY_PACK: policyPacks(process.env["PULUMI_OPTION_POLICY_PACK"]),
    ...(local ? { DOCKER_HOST: url } : {}),
    ...(url.startsWith("ssh:") ? { PULUMI_PARALLEL: process.env["PULUMI_PARALLEL"] || SSH_PARALLEL } : {}),
    ...(name === "local" ? await localBackend() : {}),
  };
}

/** Packs that judge every preview and update: the project's own, beside those that the user has named. */
export function policyPacks(given = ""): string {
  const named = given.split(",").filter((pack) => pack !== "");
  return [...new Set([...named, join(packageDirectory, "policy")])].join(",");
}

/**
 * How many resources pulumi works on at once, over ssh. Each opens a session on the shared connection, of which sshd
 * allows 10 (MaxSessions); beyond that ssh makes connections of their own, of which sshd drops some when 10 begin at
 * once (MaxStartups). Pulumi's own number is four for each core of this machine.
 */
export const SSH_PARALLEL = "6";

export function committedFile(stack: string): string {
  return join(programDirectory, `Pulumi.${stack}.yaml`);
}

export async function readStackFile(path: string): Promise<StackFile> {
  const text = await readFile(path, "utf8");
  try {
    return ((parse(text) as StackFile | null) ?? {}) satisfies StackFile;
  } catch (error) {
    const [what] = (error as Error).message.split("\n");
    throw new Error(`${path}: cannot be read: ${what!.replace(/:$/, "")}: mend that line`, { cause: error });
  }
}

/** Whether a value of a stack file is a secret, or has one in it. */
export function holdsSecret(value: unknown): boolean {
  return JSON.stringify(value ?? null).includes('"secure":');
}

/** A value that the program will refuse if it is no text. */
export function textIn(config: Record<string, unknown>, key: string): string | undefined {
  const value = config[key];
  return typeof value === "string" ? value : undefined;
}

/** The stack file that the stack `local` really has: the committed one, and what differs on this machine. */
export const localFile = join(localDirectory, "Pulumi.local.yaml");

async function localBackend(): Promise<Record<string, string | undefined>> {
  const state = join(localDirectory, "state");
  const passphrase = join(localDirectory, "passphrase");
  await mkdir(state, { recursive: true });
  // Made once, and never over one that is there: without it the secrets of the state are lost.
  await writeIfAbsent(passphrase, randomBytes(32).toString("base64url"), 0o600);
  return {
    PULUMI_BACKEND_URL: `file://${state}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: passphrase,
    // These would win over the above.
    PULUMI_CONFIG_PASSPHRASE: undefined,
    PULUMI_ACCESS_TOKEN: undefined,
    // Plain `pulumi` in a shell of `bulkhead env` finds the stack file by this.
    PULUMI_OPTION_CONFIG_FILE: localFile,
  };
}

/**
 * Makes the stack `local` if it is not there, and its stack file: the committed one with the salt of its secrets and
 * the references of stand-in images, so that the committed file is never changed.
 */
export async function prepareLocal(stack: Stack, images: Partial<Record<string, string>>): Promise<void> {
  const exists = existsSync(join(localDirectory, "state", ".pulumi", "stacks", projectName(), "local.json"));
  if (!exists || !existsSync(localFile)) {
    // `stack init` writes a stack file beside Pulumi.yaml: here it finds one of the same project, away from the program.
    await writeFile(join(localDirectory, "Pulumi.yaml"), stringify({ name: projectName(), runtime: "nodejs" }));
    if (!exists) await pulumi(stack, ["stack", "init", "local", "--no-select"], localDirectory);
  }
  const committed = await readStackFile(committedFile("local"));
  const made = existsSync(localFile) ? await readStackFile(localFile) : {};
  const given = committed.config?.[configKey("images")] as object | undefined;
  const overrides = { ...images, ...given };
  const file: StackFile = {
    ...committed,
    ...(made.encryptionsalt ? { encryptionsalt: made.encryptionsalt } : {}),
    config: {
      ...committed.config,
      ...(Object.keys(overrides).length > 0 ? { [configKey("images")]: overrides } : {}),
    },
  };
  await writeAtomically(localFile, stringify(file));
}

/** Runs pulumi for its output. */
export async function pulumi(
  stack: Pick<Stack, "env">,
  args: readonly string[],
  cwd = programDirectory,
): Promise<string> {
  // `stack init` has no such option, and would not know what to do with the variable.
  const env = { ...stack.env, PULUMI_OPTION_CONFIG_FILE: undefined };
  try {
    return await run("pulumi", [...args, "--non-interactive"], { cwd, env });
  } catch (error) {
    const [, name] = /no stack named '(.*?)' found/.exec((error as Error).message) ?? [];
    if (name === undefined) throw error;
    const cure =
      name === "local"
        ? "`bulkhead up` makes one"
        : `\`pulumi stack init ${name}\` makes one, where \`pulumi whoami --verbose\` says that states are kept`;
    throw new Error(`${name}: Pulumi has no state of it: ${cure}`, { cause: error });
  }
}

/**
 * Runs pulumi for the person at the terminal. Where it finds the stack locked, what it says is kept back: it recommends a
 * command that takes the lock from a run that may be alive.
 *
 * @param keepStdout what pulumi prints goes to stderr, as stdout is for something else.
 */
export function pulumiForPerson(
  stack: Omit<Stack, "engine">,
  args: readonly string[],
  keepStdout = false,
): Promise<{ code: number; lockedBy: string | undefined }> {
  const configFile = stack.name === "local" ? ["--config-file", localFile] : [];
  return new Promise((resolve, reject) => {
    const child = spawn("pulumi", [...args, ...configFile], {
      cwd: programDirectory,
      env: { ...process.env, ...stack.env },
      stdio: ["inherit", keepStdout ? process.stderr : "inherit", "pipe"],
    });
    let lockedBy: string | undefined;
    child.stderr.on("data", (chunk: Buffer) => {
      if (chunk.includes(LOCKED)) lockedBy = chunk.toString();
      else process.stderr.write(chunk);
    });
    // Ctrl-C goes to pulumi too, which then needs the time to end in order.
    const wait = () => undefined;
    process.on("SIGINT", wait);
    child.on("error", reject);
    child.on("close", (code) => {
      process.off("SIGINT", wait);
      resolve({ code: code ?? 1, lockedBy });
    });
  });
}

/** What pulumi says where it finds a lock. */
export const LOCKED = "the stack is currently locked by";

/** Runs a command's main; what is wrong is one message and an exit code, not a stack trace. */
export async function runCommand(main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    const { message, stack } = error as Error;
    const said = `${styleText("red", "error:", { stream: process.stderr })} ${message}`;
    process.stderr.write(`${process.env["DEBUG"] ? stack : said}\n`);
    process.exitCode = 1;
  }
}
