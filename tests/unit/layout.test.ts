// How the files lie: what may import what, and where no program's name stands.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { projectDirectory, type Source } from "./source.ts";

/** What is packed. */
const PRODUCT = ["components", "cli", "policy", "testing", "toolchain"];

const product = sourcesIn(PRODUCT);

test("no file of the product imports a test, a chore or a benchmark", () => {
  const complaints = importsOutOf(product);
  expect(complaints).toEqual([]);
  const broken = { ...product, "components/broken.ts": 'import { hex } from "../tests/unit/source.ts";' };
  expect(importsOutOf(broken)).toEqual(["components/broken.ts imports tests/unit/source.ts"]);
});

test("what programs are made of and tested with imports nothing of the command", () => {
  const below = (file: string) => /^(components|testing)\//.test(file);
  const ofCommand = (source: Source) =>
    Object.entries(source).flatMap(([file, text]) =>
      below(file)
        ? importedBy(file, text).flatMap((name) => (name.startsWith("cli/") ? [`${file}: ${name}`] : []))
        : [],
    );
  expect(ofCommand(product)).toEqual([]);
  expect(ofCommand({ "testing/x.ts": 'import { up } from "../cli/up.ts";' })).toEqual(["testing/x.ts: cli/up.ts"]);
});

test("no file of the product imports itself by way of others", () => {
  expect(circles(product)).toEqual([]);
  const broken = {
    "cli/one.ts": 'import { two } from "./two.ts";',
    "cli/two.ts": 'export type { One } from "./one.ts";',
  };
  expect(circles(broken)).toEqual(["cli/one.ts, cli/two.ts"]);
});

test("no program is named in the components and the command", () => {
  const files = textsIn(["components", "cli"]);
  expect(namedPrograms(files)).toEqual([]);
  const broken = { "cli/x.ts": 'const label = "reach-local";\n// out of reach\nconst { frontend } = config;\n' };
  expect(namedPrograms(broken)).toEqual([
    'cli/x.ts: const label = "reach-local";',
    "cli/x.ts: const { frontend } = config;",
  ]);
});

function sourcesIn(folders: readonly string[]): Source {
  return Object.fromEntries(
    Object.entries(textsIn(folders)).filter(([file]) => file.endsWith(".ts") && !file.startsWith("cli/init/template/")),
  );
}

function textsIn(folders: readonly string[]): Source {
  const files = folders.flatMap((folder) =>
    readdirSync(join(projectDirectory, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(projectDirectory.length + 1)),
  );
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(projectDirectory, file), "utf8")]));
}

function importsOutOf(source: Source): string[] {
  return Object.entries(source).flatMap(([file, text]) =>
    importedBy(file, text)
      .filter((imported) => !PRODUCT.includes(imported.split("/")[0]!))
      .map((imported) => `${file} imports ${imported}`),
  );
}

function importedBy(file: string, text: string): string[] {
  const { importedFiles } = ts.preProcessFile(text);
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith("."))
    .map((name) => join(dirname(file), name));
}

/** Sets of files that import each other, each as a sorted list: the strongly connected components (Tarjan). */
function circles(source: Source): string[] {
  const graph = new Map(Object.entries(source).map(([file, text]) => [file, importedBy(file, text)]));
  const [order, least] = [new Map<string, number>(), new Map<string, number>()];
  const path: string[] = [];
  const found: string[] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    least.set(file, order.get(file)!);
    path.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (path.includes(next)) least.set(file, Math.min(least.get(file)!, least.get(next)!));
    }
    if (least.get(file) !== order.get(file)) return;
    const circle = path.splice(path.indexOf(file));
    if (circle.length > 1) found.push(circle.sort().join(", "));
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found.sort();
}

/** Lines with the name of Reach or of a service of its. HAProxy's own words are in its configuration. */
function namedPrograms(source: Source): string[] {
  return Object.entries(source).flatMap(([file, text]) =>
    text
      .split("\n")
      .filter((line) => REACH.test(line) || (file.endsWith(".ts") && SERVICES.test(line)))
      .map((line) => `${file}: ${line.trim()}`),
  );
}

/** Not the verb. */
const REACH = /\bReach\b(?! it)|["'`/]reach\b|\b(reach|REACH)[-:_]/;
const SERVICES = /\bfrontend\b|\bapps\/|\bbackend['":,]|\bbackend\.\w/;
