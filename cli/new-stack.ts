// `bulkhead stack`: the file of a new stack that is like another one, but for its name, host and domain.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { Command, Option } from "commander";
import { examples, exitsWith, givenAs } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { programSettings } from "./stack/program-settings.ts";
import { copyStackFile } from "./stack/stack-file.ts";
import { committedFile, existingStack } from "./stack/stack.ts";
import { writeIfAbsent } from "./stack/atomic-write.ts";
import { programDirectory } from "./stack/program.ts";

interface Options {
  name?: string;
  from: string;
  host?: string;
  domain?: string;
  address?: string;
}

export const newStack = new Command("stack")
  .description("write the file of a new stack that is like another one; deploys nothing")
  .argument("[name]", "the new stack's name: small letters, digits and hyphens (env: NAME)")
  .addOption(new Option("--name <name>").env("NAME").hideHelp())
  .addOption(new Option("--from <stack>", "the stack that it is to be like").env("FROM").default("prod"))
  .addOption(new Option("--host <host>", "its host: local, or ssh://user@address[:port]").env("HOST"))
  .addOption(new Option("--domain <domain>", "the name that it serves, like staging.example.com").env("DOMAIN"))
  .addOption(new Option("--address <address>", "the address on which its host is reached from outside").env("ADDRESS"))
  .addHelpText(
    "after",
    examples([
      "bulkhead stack staging --host ssh://deploy@192.0.2.7 --domain staging.example.com --address 192.0.2.7",
      "like prod",
    ]),
  )
  .action(exitsWith(write));

async function write(argument: string | undefined, options: Options, command: Command): Promise<number> {
  const { host, domain, address } = options;
  const name = argument ?? options.name;
  const from = existingStack(givenAs(command, "from"), options.from);
  if (name === undefined || host === undefined || domain === undefined) {
    const cures = {
      NAME: name === undefined && "give the name of the new stack, like staging",
      "--host": host === undefined && "give the new stack's host: local, or ssh://user@address[:port]",
      "--domain": domain === undefined && "give the name that the new stack serves, like staging.example.com",
    };
    const missing = Object.entries(cures).filter(([, cure]) => cure);
    throw new Error(missing.map(([path, cure]) => `${path}: missing: ${cure}`).join("\n"));
  }
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name))
    throw new Error(`NAME: ${name} is not a name for a stack: give small letters, digits and hyphens`);
  const file = committedFile(name);
  if (existsSync(file)) throw new Error(`NAME: there is a stack ${name} already: ${file}`);
  const wanted = { name, host, domain, address };
  const { text, differences, secrets } = copyStackFile(
    await readFile(committedFile(from), "utf8"),
    from,
    wanted,
    await programSettings(),
  );
  await writeIfAbsent(file, text, 0o644);
  console.log(`${relative(programDirectory, file)}: as ${from}, but\n  ${differences.join("\n  ")}\n`);
  console.log(
    [
      "Next:",
      `  bulkhead doctor --stack ${name}`,
      `  eval "$(bulkhead env --stack ${name})"    # a shell in which plain pulumi works on it`,
      `  pulumi stack init ${name}    # where its state is to be: docs/how-to/state.md`,
      ...secrets.map((key) => `  pulumi config set --secret ${key} --stack ${name}    # a value of its own`),
      `  bulkhead up --stack ${name}`,
    ].join("\n"),
  );
  return DONE;
}
