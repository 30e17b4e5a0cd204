import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";
import { settingsPage, stackSchema } from "../cli/report/settings-page.ts";
import { resourceRules, stackRules } from "../policy/rules.ts";
import { settings } from "../settings.ts";
import { pointsTable, type Point } from "../tests/support/points.ts";
import { points as profiledoctorPoints } from "../tests/support/profiledoctor-points.ts";
import { points as statsboardPoints } from "../tests/support/statsboard-points.ts";
import { commandsPage } from "./commands-page.ts";
import { picture } from "./picture.ts";

const PROJECT = "reach";

/** What is written from the program, so that it cannot say anything else than the program does. */
async function generated(): Promise<Record<string, string>> {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const policy = readFileSync(new URL("../docs/reference/policy.md", import.meta.url), "utf8");
  const preview = readFileSync(new URL("../docs/how-to/preview.md", import.meta.url), "utf8");
  const explained = readFileSync(new URL("../tests/e2e/explained/bucket-expiry.md", import.meta.url), "utf8");
  return {
    "README.md": readme.replace(/```mermaid\n.*?```/s, await picture()),
    ...(await ofExample("statsboard", statsboardPoints)),
    ...(await ofExample("profiledoctor", profiledoctorPoints)),
    "stack.schema.json": await format(JSON.stringify(stackSchema(PROJECT, settings)), {
      parser: "json",
      printWidth: 120,
    }),
    "docs/reference/configuration.md": await format(settingsPage(PROJECT, settings), {
      parser: "markdown",
      printWidth: 120,
    }),
    "docs/reference/commands.md": await format(commandsPage(), { parser: "markdown", printWidth: 120 }),
    "docs/reference/policy.md": await format(
      policy.replace(/(?<=\n## The rules\n).*$/s, () => rulesTable()),
      { parser: "markdown", printWidth: 120 },
    ),
    "docs/how-to/preview.md": await format(
      preview.replace(/(?<=<!-- example -->\n).*(?=<!-- end)/s, () => `\n${explained.replace(/<details>.*/s, "")}`),
      { parser: "markdown", printWidth: 120 },
    ),
  };
}

/** The picture of an example, and the table of its document's points. */
async function ofExample(name: string, points: readonly Point[]): Promise<Record<string, string>> {
  const readme = readFileSync(new URL(`../examples/${name}/README.md`, import.meta.url), "utf8");
  const page = readFileSync(new URL(`../docs/examples/${name}.md`, import.meta.url), "utf8");
  return {
    [`examples/${name}/README.md`]: readme.replace(/```mermaid\n.*?```/s, await picture(`examples/${name}`)),
    [`docs/examples/${name}.md`]: await format(
      page.replace(/(?<=\n## Every point\n).*$/s, () => `\n${pointsTable(points)}`),
      { parser: "markdown", printWidth: 120 },
    ),
  };
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
  if (existsSync(url) && content === readFileSync(url, "utf8")) continue;
  if (check) process.exitCode = 1;
  else writeFileSync(url, content);
  console.log(`${path} ${check ? "is not what the program says: run `make generate`" : "written"}`);
}
