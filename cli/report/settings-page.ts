import { z } from "zod";
import type { Settings } from "../../components/settings/settings.ts";

/** The JSON schema of a program's stack files: editors complete and check them by it. */
export function stackSchema(project: string, settings: Pick<Settings<object>, "shape">): object {
  const { properties: keys, required } = schemaOf(settings);
  const prefixed = Object.entries(keys).map(([key, schema]) => [`${project}:${key}`, orSecret(schema)] as const);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `A stack file of ${project}: Pulumi.<stack>.yaml`,
    type: "object",
    properties: {
      config: {
        type: "object",
        properties: Object.fromEntries(prefixed),
        // Other namespaces are those of providers.
        patternProperties: { [`^(?!${project}:)[^:]+:`]: {} },
        required: required.map((key) => `${project}:${key}`),
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

/** A page about the same, as Markdown. */
export function settingsPage(project: string, settings: Pick<Settings<object>, "shape">): string {
  const { properties: keys, required } = schemaOf(settings);
  const rows = Object.entries(keys).flatMap(([key, schema]) => [
    row(`${project}:${key}`, schema, required.includes(key)),
    ...(schema.oneOf ?? [schema]).flatMap((variant) => fields(`${project}:${key}`, variant)),
  ]);
  return `# What a stack file may say

\`Pulumi.<stack>.yaml\` says what differs between environments; the architecture is \`index.ts\`. Everything in it is read
once, before anything is touched. All problems are named at once, each as \`path: what is wrong: how to fix it\`, and
nothing is made while there is one. Editors complete and check stack files by \`stack.schema.json\`.

This page is generated from \`settings.ts\` by \`make generate\`.

| key | meaning | |
| --- | --- | --- |
${rows.join("\n")}
`;
}

interface JsonSchema {
  description?: string;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  oneOf?: JsonSchema[];
  required?: string[];
  const?: unknown;
}

function schemaOf({ shape }: Pick<Settings<object>, "shape">) {
  const schema = z.toJSONSchema(z.strictObject(shape), { io: "input" });
  return schema as { properties: Record<string, JsonSchema>; required: string[] };
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
