import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { InitOptions, Program } from "./answers.ts";

/** Each file of a program, and its template: one that a tool would take for its own has another name there. */
const FILES = {
  "index.ts": "index.ts",
  "settings.ts": "settings.ts",
  "program.test.ts": "program.test.ts",
  "Pulumi.yaml": "Pulumi.yaml",
  "Pulumi.local.yaml": "Pulumi.local.yaml",
};

/** What every program has, one of an example too. */
const COMMON = {
  "tsconfig.json": "program.tsconfig.json",
  ".gitignore": "gitignore",
};

const WORKFLOWS = {
  ".github/workflows/checks.yml": "workflows/checks.yml",
  ".github/workflows/preview.yml": "workflows/preview.yml",
  ".github/workflows/deploy.yml": "workflows/deploy.yml",
  ".github/workflows/drift.yml": "workflows/drift.yml",
  ".github/actions/stack/action.yml": "workflows/stack-action.yml",
};

/** The files of a program, by path. The templates are a program too, with names that stand nowhere else. */
export async function programFiles(program: Program): Promise<Record<string, string>> {
  const templates = { ...(await read(FILES)), ...(await commonFiles(program)) };
  return Object.fromEntries(
    Object.entries(templates).map(([file, text]) => [file, filled(ofImage(text, program), program)]),
  );
}

/** Those that name no service. */
export function commonFiles({ workflows = false }: InitOptions): Promise<Record<string, string>> {
  return read({ ...COMMON, ...(workflows ? WORKFLOWS : {}) });
}

async function read(templates: Record<string, string>): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const [file, template] of Object.entries(templates))
    files[file] = await readFile(join(import.meta.dirname, "template", template), "utf8");
  return files;
}

function filled(text: string, { name, service, port, healthPath, domain, dockerfile }: Program): string {
  const context = relative(process.cwd(), resolve(dockerfile ?? "."));
  const key = service.includes("-") ? `["${service}"]` : `.${service}`;
  return text
    .replaceAll('images["template-service"]', () => `images${key}`)
    .replaceAll("template-project", () => name)
    .replaceAll("template-service", () => service)
    .replaceAll("65001", () => port)
    .replaceAll("/template-health", () => healthPath)
    .replaceAll("template.localhost", () => domain)
    .replaceAll('context: "app"', () => `context: ${JSON.stringify(context)}`);
}

/** The service of the templates is built; this makes it one of an image, if the program is to have that. */
function ofImage(text: string, { image }: Program): string {
  if (image === undefined) return text;
  return text
    .replace(/ \?\? new BuiltImage\(.*?\)\.reference/, "")
    .replace("BuiltImage, ", "")
    .replace("{ host, edge,", "{ edge,")
    .replace('builtImages: ["template-service"]', () => `images: { "template-service": ${JSON.stringify(image)} }`);
}
