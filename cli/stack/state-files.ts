// A state that is kept in files, as Pulumi's file backend does: where they are, and what a killed run leaves half done.
import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { pulumi, type Stack } from "./stack.ts";
import { programDirectory, projectName } from "./program.ts";

/** The state of a stack, as far as these commands look into it. Secrets in it are encrypted. */
export interface State {
  deployment: {
    manifest?: { time?: string };
    resources?: StateResource[];
    pending_operations?: { type: string; resource: StateResource }[];
  };
}

export interface StateResource {
  urn?: string;
  parent?: string;
  type: string;
  id?: string;
  inputs?: { name?: string; restart?: string; labels?: { label: string; value: string }[] };
  outputs?: object;
  delete?: boolean;
}

/** The state of a stack: read from its file where there is one, since each start of Pulumi costs a second. */
export async function readState(stack: Omit<Stack, "engine">): Promise<State> {
  return (await stateInFile(stack)) ?? (await exportState(stack));
}

/** The state as Pulumi gives it, and takes it back. */
export async function exportState(stack: Pick<Stack, "name" | "env">): Promise<State> {
  return JSON.parse(await pulumi(stack, ["stack", "export", "--stack", stack.name])) as State;
}

/**
 * Undefined unless it is just as is known here: what is in no state is taken for an orphan, so that what is not
 * understood must not look like a state with nothing in it.
 */
export async function stateInFile(stack: Omit<Stack, "engine">): Promise<State | undefined> {
  const directory = await stateDirectory(stack);
  if (directory === undefined) return undefined;
  const file = join(directory, "stacks", projectName(), `${stack.name}.json`);
  // Pulumi can be told to compress it; then this is an old one.
  if (existsSync(`${file}.gz`)) return undefined;
  try {
    const { version, checkpoint } = JSON.parse(await readFile(file, "utf8")) as Checkpoint;
    const { stack: of, latest } = checkpoint;
    if (![3, 4].includes(version) || of !== `organization/${projectName()}/${stack.name}` || !latest.manifest)
      return undefined;
    return { deployment: latest };
  } catch {
    return undefined;
  }
}

interface Checkpoint {
  version: number;
  checkpoint: { stack: string; latest: State["deployment"] };
}

/** Where the state of a stack is, if it is kept in files. */
export function stateDirectory(stack: Omit<Stack, "engine">): Promise<string | undefined> {
  const known = directories.get(stack) ?? findStateDirectory(stack);
  directories.set(stack, known);
  return known;
}

/** To ask Pulumi means to start it. */
const directories = new WeakMap<object, Promise<string | undefined>>();

async function findStateDirectory(stack: Omit<Stack, "engine">): Promise<string | undefined> {
  // Who is not logged in is asked to by the update itself.
  const asked = () =>
    pulumi(stack, ["whoami", "--verbose", "--json"]).then(
      (text) => (JSON.parse(text) as { url: string }).url,
      () => "",
    );
  const url = stack.env["PULUMI_BACKEND_URL"] ?? process.env["PULUMI_BACKEND_URL"] ?? (await asked());
  const path = /^file:\/\/([^?]*)/.exec(url)?.[1];
  return path === undefined ? undefined : resolve(programDirectory, path.replace(/^~(?=\/|$)/, homedir()), ".pulumi");
}

/** The locks of a stack, each with its content. A run that ends takes its own away. */
export async function lockFiles(state: string, stack: string): Promise<{ file: string; content: string }[]> {
  const files = (await filesIn(lockDirectory(state, stack))).filter((file) => file.endsWith(".json"));
  const read = files.map((file) =>
    readFile(file, "utf8").then(
      (content) => [{ file, content }],
      () => [],
    ),
  );
  return (await Promise.all(read)).flat();
}

/**
 * Removes what a run leaves that is killed while it writes a file. Pulumi puts a file in its place in one step, but not
 * the one beside it that says how it is stored: if that is empty, Pulumi says "failed to load checkpoint: EOF" for ever.
 * It does without. A lock that is not in its place yet cannot be read either, and is taken for one all the same.
 */
export async function removeTornFiles(state: string, stack: string): Promise<void> {
  const ofStack = (await filesIn(join(state, "stacks", projectName()))).filter((file) =>
    file.startsWith(join(state, "stacks", projectName(), `${stack}.json`)),
  );
  for (const file of [...ofStack, ...(await filesIn(lockDirectory(state, stack)))])
    if (file.endsWith(".tmp") || (file.endsWith(".attrs") && !(await isJson(file)))) await rm(file, { force: true });
}

function lockDirectory(state: string, stack: string): string {
  return join(state, "locks", "organization", projectName(), stack);
}

async function filesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).map((file) => join(directory, file));
}

async function isJson(file: string): Promise<boolean> {
  try {
    JSON.parse(await readFile(file, "utf8"));
    return true;
  } catch {
    return false;
  }
}
