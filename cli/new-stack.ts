// `make stack`: the file of a new stack that is like another one, but for its name, host and domain.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { programSettings } from "./stack/program-settings.ts";
import { stackLike } from "./stack/stack-file.ts";
import { committedFile, existingStack, runCommand } from "./stack/stack.ts";
import { writeOnce } from "./stack/atomic-write.ts";
import { programDirectory } from "./stack/program.ts";

await runCommand(async () => {
  const from = existingStack("FROM", process.env["FROM"] || "prod");
  const name = given("NAME", "give the name of the new stack, like staging");
  const host = given("HOST", "give the new stack's host: local, or ssh://user@address[:port]");
  const domain = given("DOMAIN", "give the name that the new stack serves, like staging.example.com");
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name))
    throw new Error(`NAME: ${name} is not a name for a stack: give small letters, digits and hyphens`);
  const file = committedFile(name);
  if (existsSync(file)) throw new Error(`NAME: there is a stack ${name} already: ${file}`);
  const wanted = { name, host, domain, address: process.env["ADDRESS"] || undefined };
  const { text, differences, secrets } = stackLike(
    await readFile(committedFile(from), "utf8"),
    from,
    wanted,
    await programSettings(),
  );
  await writeOnce(file, text, 0o644);
  console.log(`${relative(programDirectory, file)}: as ${from}, but\n  ${differences.join("\n  ")}\n`);
  console.log(
    [
      "Next:",
      `  make doctor STACK=${name}`,
      `  eval "$(make -s env STACK=${name})"    # a shell in which plain pulumi works on it`,
      `  pulumi stack init ${name}    # where its state is to be: docs/production.md`,
      ...secrets.map((key) => `  pulumi config set --secret ${key} --stack ${name}    # a value of its own`),
      `  make up STACK=${name}`,
    ].join("\n"),
  );
  return 0;
});

function given(variable: string, cure: string): string {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable}: missing: ${cure}`);
  return value;
}
