import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packageDirectory } from "../stack/program.ts";
import type { Program } from "./answers.ts";

interface PackageFile {
  name?: string;
  version?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
}

/** package.json of a program: what is in one that is there stays as it is. */
export async function packageFile({ name }: Program, directory: string): Promise<string> {
  const path = join(directory, "package.json");
  const found = existsSync(path) ? (JSON.parse(await readFile(path, "utf8")) as PackageFile) : {};
  const own = JSON.parse(await readFile(ownPackageFile(), "utf8")) as Required<PackageFile>;
  const file = {
    name: name.toLowerCase(),
    private: true,
    ...found,
    type: "module",
    engines: { node: ">=22.18" },
    scripts: { check: "tsc", test: "node --test *.test.ts", ...found.scripts },
    dependencies: { bulkhead: own.version, ...found.dependencies },
    devDependencies: {
      "@types/node": own.devDependencies["@types/node"],
      typescript: own.devDependencies["typescript"],
      ...found.devDependencies,
    },
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** It stands in the folder of the sources, and above that of the built files. */
function ownPackageFile(): string {
  const places = [packageDirectory, join(packageDirectory, "..")].map((place) => join(place, "package.json"));
  return places.find((place) => existsSync(place))!;
}
