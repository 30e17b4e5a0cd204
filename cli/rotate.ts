// `bulkhead rotate`: a new value for a generated secret, by its name.
import type { Command } from "commander";
import { provideDocker } from "../toolchain/docker.ts";
import { withAgreement, type Agreement } from "./agreement.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { deploy } from "./deploy.ts";
import { ensureKnown } from "./stack/containers.ts";
import { openStack } from "./stack/stack.ts";
import { readState, type StateResource } from "./stack/state-files.ts";

export const rotate: Command = withAgreement(
  stackCommand("rotate", "give a generated secret a new value; its readers are rolled"),
)
  .argument("<name>", "the name that the program gave the secret, like api-key")
  .addHelpText(
    "after",
    `
A preview says first which services are rolled, as \`bulkhead up\` does. What else the program
would change now is in it too. The old value is gone afterwards.
${examples(["bulkhead rotate api-key --stack prod", "asks, and then rolls what reads it"])}`,
  )
  .action(exitsWith(giveNewValue));

async function giveNewValue(secret: string, options: StackOptions & Agreement): Promise<number> {
  const stack = await openStack(options.stack, provideDocker);
  try {
    const secrets = generatedSecrets((await readState(stack)).deployment.resources);
    ensureKnown("generated secret", [secret], [...secrets.keys()]);
    return await deploy(stack, options, { args: ["--replace", secrets.get(secret)!], asks: true });
  } finally {
    stack.engine.close();
  }
}

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
