// A state that is kept in files, as Pulumi's file backend does: where they are, and what a killed run leaves half done.
import { readdir, readFile, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { projectDirectory, pulumi, type Stack } from "./stack.ts";

/** Where the state of a stack is, if it is kept in files. */
export async function stateDirectory(stack: Omit<Stack, "engine">): Promise<string | undefined> {
  // Who is not logged in is asked to by the update itself.
  const asked = () =>
    pulumi(stack, ["whoami", "--verbose", "--json"]).then(
      (text) => (JSON.parse(text) as { url: string }).url,
      () => "",
    );
  const url = stack.env["PULUMI_BACKEND_URL"] ?? process.env["PULUMI_BACKEND_URL"] ?? (await asked());
  const path = /^file:\/\/([^?]*)/.exec(url)?.[1];
  return path === undefined ? undefined : resolve(projectDirectory, path.replace(/^~(?=\/|$)/, homedir()), ".pulumi");
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
  const ofStack = (await filesIn(join(state, "stacks", "reach"))).filter((file) =>
    file.startsWith(join(state, "stacks", "reach", `${stack}.json`)),
  );
  for (const file of [...ofStack, ...(await filesIn(lockDirectory(state, stack)))])
    if (file.endsWith(".tmp") || (file.endsWith(".attrs") && !(await isJson(file)))) await rm(file, { force: true });
}

function lockDirectory(state: string, stack: string): string {
  return join(state, "locks", "organization", "reach", stack);
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
