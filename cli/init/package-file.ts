import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ownPackage, type PackageFile } from "../stack/program.ts";
import type { Program } from "./answers.ts";

/** package.json of a program: what is in one that is there stays as it is. */
export async function packageFile({ name }: Pick<Program, "name">, directory: string): Promise<string> {
  const path = join(directory, "package.json");
  const found = existsSync(path) ? (JSON.parse(await readFile(path, "utf8")) as PackageFile) : {};
  const own = ownPackage();
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
