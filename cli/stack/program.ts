import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";

/** The folder of the program that a command works on: the nearest one upwards with a Pulumi.yaml. */
export const programDirectory = nearestProgram(process.cwd()) ?? process.cwd();

/** The folder of this package: its policy pack and its tools. */
export const packageDirectory = join(import.meta.dirname, "../..");

/** package.json, as far as it is read here. */
export interface PackageFile {
  name?: string;
  version?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
}

/** That of this package. It stands in the folder of the sources, and above that of the built files. */
export function ownPackage(): Required<PackageFile> {
  const places = [packageDirectory, join(packageDirectory, "..")].map((place) => join(place, "package.json"));
  return JSON.parse(
    readFileSync(
      places.find((place) => existsSync(place))!,
      "utf8",
    ),
  ) as Required<PackageFile>;
}

/** Everything that the commands write beside the program. Nothing in it is committed. */
export const localDirectory = join(programDirectory, ".bulkhead");

/** The name that the program has in Pulumi, and that every key of its stack files begins with. */
export function projectName(directory = programDirectory): string {
  const file = join(directory, "Pulumi.yaml");
  if (!existsSync(file))
    throw new Error(`${directory}: no Pulumi.yaml here or above: run this in the folder of a Pulumi program`);
  const { name } = parse(readFileSync(file, "utf8")) as { name?: unknown };
  if (typeof name !== "string") throw new Error(`${file}: name: missing: give the name of the project`);
  return name;
}

/** What the label bulkhead.stack says of everything of a stack on a host. */
export function stackLabel(stack: string): string {
  return `${projectName()}-${stack}`;
}

/** A key of a stack file, as Pulumi writes it there. */
export function configKey(key: string): string {
  return `${projectName()}:${key}`;
}

function nearestProgram(directory: string): string | undefined {
  if (existsSync(join(directory, "Pulumi.yaml"))) return directory;
  const parent = dirname(directory);
  return parent === directory ? undefined : nearestProgram(parent);
}
