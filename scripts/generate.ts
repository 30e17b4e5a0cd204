import { readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";
import { z } from "zod";
import { shape } from "../components/settings/config.ts";
import { resourceRules, stackRules } from "../policy/rules.ts";
import { picture } from "./picture.ts";

const PROJECT = "reach";

/** What is written from the program, so that it cannot say anything else than the program does. */
async function generated(): Promise<Record<string, string>> {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const policy = readFileSync(new URL("../docs/policy.md", import.meta.url), "utf8");
  const preview = readFileSync(new URL("../docs/preview.md", import.meta.url), "utf8");
  const explained = readFileSync(new URL("../tests/e2e/explained/bucket-expiry.md", import.meta.url), "utf8");
  return {
    "README.md": readme.replace(/```mermaid\n.*?```/s, await picture()),
    "stack.schema.json": await format(JSON.stringify(stackSchema()), { parser: "json", printWidth: 120 }),
    "docs/configuration.md": await format(configurationPage(), { parser: "markdown", printWidth: 120 }),
    "docs/policy.md": await format(
      policy.replace(/(?<=\n## The rules\n).*$/s, () => rulesTable()),
      { parser: "markdown", printWidth: 120 },
    ),
    "docs/preview.md": await format(
      preview.replace(/(?<=<!-- example -->\n).*(?=<!-- end)/s, () => `\n${explained.replace(/<details>.*/s, "")}`),
      { parser: "markdown", printWidth: 120 },
    ),
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

This page is generated from the schemas in \`components/settings/config.ts\` by \`make generate\`.

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

/** The same rule for containers and for services is one row. */
function rulesTable(): string {
  const rows = new Map<string, string[]>();
  for (const { name, severity, why, cure } of [...resourceRules, ...stackRules]) {
    const rest = `${severity} | ${why} | ${cure.replaceAll("|", "\\|")} |`;
    rows.set(rest, [...(rows.get(rest) ?? []), `\`${name}\``]);
  }
  return `
Generated from \`policy/\` by \`make generate\`. CIS is the CIS Docker Benchmark 1.6, OWASP the rules of the Docker Security
Cheat Sheet, NSA/CISA the Kubernetes Hardening Guide 1.2, where it is as true of Docker.

| rule | level | why | cure |
| --- | --- | --- | --- |
${[...rows].map(([rest, names]) => `| ${names.join(", ")} | ${rest}`).join("\n")}
`;
}

const check = process.argv.includes("--check");
for (const [path, content] of Object.entries(await generated())) {
  const url = new URL(`../${path}`, import.meta.url);
  if (content === readFileSync(url, "utf8")) continue;
  if (check) process.exitCode = 1;
  else writeFileSync(url, content);
  console.log(`${path} ${check ? "is not what the program says: run `make generate`" : "written"}`);
}
