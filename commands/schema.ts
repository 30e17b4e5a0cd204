import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { z } from "zod";
import { shape } from "../config.ts";

const PROJECT = "reach";

/** What is written from the schemas that config.ts checks stack files with, so that it cannot say anything else. */
export async function generated(): Promise<Record<string, string>> {
  return {
    "stack.schema.json": await format(JSON.stringify(stackSchema()), { parser: "json", printWidth: 120 }),
    "docs/configuration.md": await format(configurationPage(), { parser: "markdown", printWidth: 120 }),
  };
}

interface JsonSchema {
  description?: string;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  oneOf?: JsonSchema[];
  required?: string[];
  const?: unknown;
}

const { properties: keys, required } = z.toJSONSchema(z.strictObject(shape), { io: "input" }) as {
  properties: Record<string, JsonSchema>;
  required: string[];
};

/** The JSON schema of stack files: editors complete and check them by it. */
function stackSchema(): object {
  const prefixed = Object.entries(keys).map(([key, schema]) => [`${PROJECT}:${key}`, orSecret(schema)] as const);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `A stack file of ${PROJECT}: Pulumi.<stack>.yaml`,
    type: "object",
    properties: {
      config: {
        type: "object",
        properties: Object.fromEntries(prefixed),
        // Other namespaces are those of providers.
        patternProperties: { [`^(?!${PROJECT}:)[^:]+:`]: {} },
        required: required.map((key) => `${PROJECT}:${key}`),
        additionalProperties: false,
      },
    },
    required: ["config"],
  };
}

/** Any value may stand encrypted in the file, as Pulumi writes it with `--secret`. */
function orSecret(schema: JsonSchema): object {
  const encrypted = { secure: { type: "string" } };
  return {
    anyOf: [schema, { type: "object", properties: encrypted, required: ["secure"], additionalProperties: false }],
  };
}

function configurationPage(): string {
  const rows = Object.entries(keys).flatMap(([key, schema]) => [
    row(`${PROJECT}:${key}`, schema, required.includes(key)),
    ...(schema.oneOf ?? [schema]).flatMap((variant) => fields(`${PROJECT}:${key}`, variant)),
  ]);
  return `# What a stack file may say

\`Pulumi.<stack>.yaml\` says what differs between environments; the architecture is \`index.ts\`. Everything in it is read
once, before anything is touched. All problems are named at once, each as \`path: what is wrong: how to cure it\`, and
nothing is made while there is one. Editors complete and check stack files by \`stack.schema.json\`.

This page is generated from the schemas in \`config.ts\` by \`make schema\`.

| key | meaning | |
| --- | --- | --- |
${rows.join("\n")}
`;
}

function fields(path: string, schema: JsonSchema): string[] {
  const kind = schema.properties?.["kind"]?.const;
  const at = kind === undefined ? path : `${path} (kind: ${JSON.stringify(kind)})`;
  return Object.entries(schema.properties ?? {})
    .filter(([key]) => key !== "kind")
    .map(([key, field]) => row(`${at}.${key}`, field, schema.required?.includes(key) === true));
}

function row(path: string, schema: JsonSchema, isRequired: boolean): string {
  return `| \`${path}\` | ${schema.description ?? ""} | ${isRequired ? "required" : ""} |`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, content] of Object.entries(await generated())) {
    writeFileSync(new URL(`../${path}`, import.meta.url), content);
    console.log(`${path} written`);
  }
}
