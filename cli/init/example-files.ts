import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { nearestTo } from "../../components/settings/parse.ts";
import { packageDirectory } from "../stack/program.ts";

/** Beside the command, in the package as in the repository. */
const examples = join(packageDirectory, "examples");

export function exampleNames(): string[] {
  return readdirSync(examples).sort();
}

/** What `--from` means: an example by its name, or as it lies in the repository, examples/NAME. */
export function exampleOf(given: string): string {
  const name = given.replace(/^examples\//, "").replace(/\/$/, "");
  const known = exampleNames();
  if (known.includes(name)) return name;
  const near = nearestTo(name, known);
  throw new Error(
    `--from: there is no example ${name}: ${near === undefined ? "" : `did you mean ${near}? `}there are ${known.join(", ")}`,
  );
}

/**
 * The files of a program that begins as an example, by path.
 *
 * @param project its name, which stands where the example's own did: in the files of Pulumi.
 */
export async function exampleFiles(example: string, project: string): Promise<Record<string, string>> {
  const folder = join(examples, example);
  const files: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = relative(folder, join(entry.parentPath, entry.name));
    // What a run of it has left in the repository.
    if (!entry.isFile() || file.startsWith(".bulkhead")) continue;
    // What the repository shows of it.
    if (/^README\.md$|\.png$/.test(file)) continue;
    const text = await readFile(join(folder, file), "utf8");
    files[file] = /^Pulumi\..*yaml$/.test(file) ? renamed(text, example, project) : text;
  }
  return files;
}

function renamed(text: string, example: string, project: string): string {
  return text
    .replace("--conditions=bulkhead-source ", "")
    .replace(new RegExp(`^name: ${example}$`, "m"), () => `name: ${project}`)
    .replaceAll(new RegExp(`^( +)${example}:`, "gm"), (_, indent: string) => `${indent}${project}:`);
}
