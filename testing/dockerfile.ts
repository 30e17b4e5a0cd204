import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/**
 * The images that a Dockerfile builds from, with its arguments as they are given, or else by default. Neither its own
 * stages nor `scratch`, which is no image. An argument without a value stays as it is written.
 */
export function basesOf(
  context: string,
  buildArgs: Readonly<Record<string, string>> = {},
  dockerfile = "Dockerfile",
): string[] {
  const text = readFileSync(resolve(context, dockerfile), "utf8");
  const values: Record<string, string> = {};
  const stages = ["scratch"];
  const bases: string[] = [];
  for (const line of text.split("\n")) {
    const [, name, , byDefault] = /^\s*ARG\s+(\w+)(=(\S*))?\s*$/i.exec(line) ?? [];
    const value = name === undefined ? undefined : (buildArgs[name] ?? byDefault);
    if (name !== undefined && value !== undefined) values[name] = value;
    const [, written, , stage] = /^\s*FROM\s+(?:--\S+\s+)*(\S+)(\s+AS\s+(\S+))?\s*$/i.exec(line) ?? [];
    if (written === undefined) continue;
    const base = written.replace(/\$\{?(\w+)\}?/g, (argument, name: string) => values[name] ?? argument);
    if (!stages.includes(base)) bases.push(base);
    if (stage !== undefined) stages.push(stage);
  }
  return [...new Set(bases)];
}
