import { existsSync, readFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";

/** Path, from the project's folder, to the text of the file. */
export type Source = Record<string, string>;

export const projectDirectory = join(import.meta.dirname, "../..");

/** index.ts, and every file of the project that it imports. */
export function programSource(): Source {
  const source: Source = {};
  const waiting = ["index.ts"];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (path in source || !existsSync(join(projectDirectory, path))) continue;
    const text = readFileSync(join(projectDirectory, path), "utf8");
    source[path] = text;
    for (const { specifier } of importsOf(parsed(path, text)))
      if (specifier.startsWith(".") || specifier in SELF) waiting.push(sourceOf(path, specifier));
  }
  return source;
}

/** The package as its own programs import it: package.json leads to the file by the condition bulkhead-source. */
const SELF: Readonly<Record<string, string>> = {
  bulkhead: "components/index.ts",
  "bulkhead/settings": "components/settings/index.ts",
};

function sourceOf(path: string, specifier: string): string {
  return SELF[specifier] ?? join(dirname(path), specifier);
}

/** Where a `docker.Container` is constructed. */
export function containerConstructions(source: Source): string[] {
  return inEach(source, (file) => {
    const imported = bindingsOf(file);
    return constructions(file)
      .filter(({ name, root }) => name === "Container" && imported.get(root)?.startsWith("@pulumi/docker"))
      .map(({ line }) => `line ${line}`);
  });
}

/**
 * Resources constructed in the callback of an `.apply`, or in a function of the same file that it calls: a preview would
 * not show them.
 */
export function constructionsInApply(source: Source): string[] {
  const components = new Set(Object.entries(source).flatMap(([path, text]) => componentsOf(parsed(path, text))));
  return inEach(source, (file) => {
    const imported = bindingsOf(file);
    const isResource = ({ name, root }: Construction) =>
      components.has(name) || (imported.get(root)?.startsWith("@pulumi/") && !name.endsWith("Error"));
    const functions = functionsOf(file);
    return nodesOf(file)
      .filter(ts.isCallExpression)
      .filter(({ expression }) => ts.isPropertyAccessExpression(expression) && expression.name.text === "apply")
      .flatMap((call) => call.arguments.flatMap((argument) => reachable(argument, functions)))
      .flatMap(constructions)
      .filter(isResource)
      .map(({ name, line }) => `line ${line} constructs ${name} in an .apply`);
  });
}

/** Imports that a run of the program would not find. */
export function unresolvedImports(source: Source, dependencies: Record<string, string>): string[] {
  const require = createRequire(join(projectDirectory, "index.ts"));
  const isThere = (path: string) => {
    try {
      return Boolean(require.resolve(path));
    } catch {
      return false;
    }
  };
  return inEach(source, (file) =>
    importsOf(file).flatMap(({ specifier, typeOnly }) => {
      if (specifier.startsWith(".") || specifier in SELF) {
        const path = sourceOf(file.fileName, specifier);
        return path.endsWith(".ts") && path in source ? [] : [`imports ${specifier}, which is not there`];
      }
      if (isBuiltin(specifier)) return specifier.startsWith("node:") ? [] : [`imports ${specifier} without node:`];
      const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
      if (!typeOnly && !(name in dependencies)) return [`imports ${name}, which is not in the dependencies`];
      return isThere(specifier) || (typeOnly && isThere(`${name}/package.json`))
        ? []
        : [`imports ${specifier}, which is not there`];
    }),
  );
}

function inEach(source: Source, complain: (file: ts.SourceFile) => string[]): string[] {
  return Object.entries(source).flatMap(([path, text]) =>
    complain(parsed(path, text)).map((complaint) => `${path}: ${complaint}`),
  );
}

function parsed(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
}

function nodesOf(node: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = [node];
  node.forEachChild((child) => void nodes.push(...nodesOf(child)));
  return nodes;
}

interface Import {
  specifier: string;
  /** Gone when the program runs. */
  typeOnly: boolean;
  /** What the file calls what it imports. */
  locals: string[];
}

function importsOf(file: ts.SourceFile): Import[] {
  const declared = file.statements.filter(ts.isImportDeclaration).map(({ importClause, moduleSpecifier }) => ({
    specifier: (moduleSpecifier as ts.StringLiteral).text,
    typeOnly: importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword,
    locals:
      importClause === undefined
        ? []
        : nodesOf(importClause)
            .filter(ts.isIdentifier)
            .map(({ text }) => text),
  }));
  const handedOn = file.statements
    .filter(ts.isExportDeclaration)
    .flatMap(({ moduleSpecifier, isTypeOnly }) =>
      moduleSpecifier === undefined
        ? []
        : [{ specifier: (moduleSpecifier as ts.StringLiteral).text, typeOnly: isTypeOnly, locals: [] }],
    );
  const dynamic = nodesOf(file)
    .filter(ts.isCallExpression)
    .filter(({ expression }) => expression.kind === ts.SyntaxKind.ImportKeyword)
    .map((call) => ({ specifier: (call.arguments[0] as ts.StringLiteral).text, typeOnly: false, locals: [] }));
  return [...declared, ...handedOn, ...dynamic];
}

/** Name in the file to the module that it comes from. */
function bindingsOf(file: ts.SourceFile): Map<string, string> {
  return new Map(
    importsOf(file).flatMap(({ specifier, locals }) => locals.map((local) => [local, specifier] as const)),
  );
}

interface Construction {
  /** The class: `Container` of `docker.Container`. */
  name: string;
  /** Where it comes from in this file: `docker` of `docker.Container`. */
  root: string;
  line: number;
}

function constructions(node: ts.Node): Construction[] {
  const file = node.getSourceFile();
  return nodesOf(node)
    .filter(ts.isNewExpression)
    .map((construction) => {
      const path = construction.expression.getText(file).split(".");
      const { line } = file.getLineAndCharacterOfPosition(construction.getStart(file));
      return { name: path.at(-1)!, root: path[0]!, line: line + 1 };
    });
}

/** Classes of the file that are resources. */
function componentsOf(file: ts.SourceFile): string[] {
  return nodesOf(file)
    .filter(ts.isClassDeclaration)
    .filter(({ heritageClauses }) => heritageClauses?.some((clause) => /Resource$/.test(clause.getText(file))))
    .flatMap(({ name }) => name?.text ?? []);
}

/** Functions and methods of the file by name. */
function functionsOf(file: ts.SourceFile): Map<string, ts.Node> {
  const named = nodesOf(file).flatMap((node): [string, ts.Node][] => {
    if ((ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) && node.name)
      return [[node.name.getText(file), node]];
    if (ts.isVariableDeclaration(node) && node.initializer && ts.isArrowFunction(node.initializer))
      return [[node.name.getText(file), node.initializer]];
    return [];
  });
  return new Map(named);
}

/** The node, and the functions that it names, and those that they name. */
function reachable(node: ts.Node, functions: Map<string, ts.Node>, seen = new Set<ts.Node>()): ts.Node[] {
  if (seen.has(node)) return [];
  seen.add(node);
  const named = nodesOf(node)
    .filter(ts.isIdentifier)
    .flatMap(({ text }) => functions.get(text) ?? []);
  return [node, ...named.flatMap((inner) => reachable(inner, functions, seen))];
}
