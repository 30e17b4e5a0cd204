import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { programDirectory, projectName } from "../../components/settings/project.ts";

export { programDirectory, projectName };

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

/** What the label bulkhead.stack says of everything of a stack on a host. */
export function stackLabel(stack: string): string {
  return `${projectName()}-${stack}`;
}

/** A key of a stack file, as Pulumi writes it there. */
export function configKey(key: string): string {
  return `${projectName()}:${key}`;
}
