// `bulkhead rotate`: a new value for a generated secret, by its name.
import type { Command } from "commander";
import { provideDocker } from "../toolchain/docker.ts";
import { stackCommand } from "./command.ts";
import { deploy } from "./deploy.ts";
import { ensureKnown } from "./stack/containers.ts";
import { existingStack, openStack } from "./stack/stack.ts";
import { readState, type StateResource } from "./stack/state-files.ts";

export const rotate: Command = stackCommand("rotate", "a new value for a generated secret, and its readers are rolled")
  .argument("<name>", "the name that the program gave the secret, like api-key")
  .option("-y, --yes", "do not ask: for scripts")
  .addHelpText(
    "after",
    `
A preview says first which services are rolled, as \`bulkhead up\` does. What else the program
would change now is in it too. The old value is gone afterwards.

Exit codes: 0 done, 1 not done, 3 done, but clients do not reach all of the stack.

Examples:
  bulkhead rotate api-key --stack prod`,
  )
  .action(async (secret: string, options: { stack: string; yes?: true }) => {
    const stack = await openStack(existingStack("STACK", options.stack), provideDocker);
    try {
      const secrets = generatedSecrets((await readState(stack)).deployment.resources);
      ensureKnown("generated secret", [secret], [...secrets.keys()]);
      if (options.yes) process.env["YES"] = "1";
      process.exitCode = await deploy(stack, { args: ["--replace", secrets.get(secret)!], asks: true });
    } finally {
      stack.engine.close();
    }
  });

/** The name that the program gave to each, and the URN of its value. */
export function generatedSecrets(resources: readonly StateResource[] = []): Map<string, string> {
  return new Map(
    resources.flatMap(({ urn, parent, delete: toDelete }) => {
      // The value is a random resource below the component: how it is called there is not looked at.
      const [, name] = /\bbulkhead:index:GeneratedSecret::(.+)$/.exec(parent ?? "") ?? [];
      return name === undefined || urn === undefined || toDelete ? [] : [[name, urn] as const];
    }),
  );
}
