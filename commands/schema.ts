import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { z } from "zod";
import { shape } from "../config.ts";

/** The JSON schema of stack files, from the schemas that config.ts checks them with, so that editors know them too. */
export async function stackSchema(project: string): Promise<string> {
  const { properties, required } = z.toJSONSchema(z.strictObject(shape), { io: "input" }) as {
    properties: Record<string, object>;
    required: string[];
  };
  const prefixed = Object.entries(properties).map(([key, schema]) => [`${project}:${key}`, orSecret(schema)] as const);
  const schema = {
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
  return format(JSON.stringify(schema), { parser: "json", printWidth: 120 });
}

/** Any value may stand encrypted in the file, as Pulumi writes it with `--secret`. */
function orSecret(schema: object): object {
  const secure = {
    type: "object",
    properties: { secure: { type: "string" } },
    required: ["secure"],
    additionalProperties: false,
  };
  return { anyOf: [schema, secure] };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = new URL("../stack.schema.json", import.meta.url);
  writeFileSync(path, await stackSchema("reach"));
  console.log("stack.schema.json written");
}
