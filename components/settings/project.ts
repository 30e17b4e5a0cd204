// Where the program is that runs, and what Pulumi calls it.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";

/** The folder of the program that a command works on: the nearest one upwards with a Pulumi.yaml. */
export const programDirectory = nearestProgram(process.cwd()) ?? process.cwd();

/** The name that the program has in Pulumi, and that every key of its stack files begins with. */
export function projectName(directory = programDirectory): string {
  const file = join(directory, "Pulumi.yaml");
  if (!existsSync(file))
    throw new Error(
      `${directory}: no Pulumi.yaml here or above: run this in the folder of a program; \`bulkhead init\` writes one`,
    );
  const { name } = parse(readFileSync(file, "utf8")) as { name?: unknown };
  if (typeof name !== "string") throw new Error(`${file}: name: missing: give the name of the project`);
  return name;
}

function nearestProgram(directory: string): string | undefined {
  if (existsSync(join(directory, "Pulumi.yaml"))) return directory;
  const parent = dirname(directory);
  return parent === directory ? undefined : nearestProgram(parent);
}
