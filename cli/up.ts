// `bulkhead up`: from a fresh machine to the stack's services answering.
import { provideDocker } from "../toolchain/docker.ts";
import { withAgreement, type Agreement } from "./agreement.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { deploy } from "./deploy.ts";
import { openStack } from "./stack/stack.ts";

export const up = withAgreement(stackCommand("up", "deploy a stack: from a fresh machine to its services answering"))
  .addHelpText(
    "after",
    examples(
      ["bulkhead up", "the stack local, on this machine; it is not asked about"],
      ["bulkhead up --stack prod", "shows what would happen, and asks"],
      ["bulkhead up --stack prod --yes", "shows it, and goes on unless data is at risk"],
      ["bulkhead up --stack prod --accept-data-loss reach-prod-files", "that one may be lost"],
    ),
  )
  .action(
    exitsWith(async ({ stack: name, ...agreement }: StackOptions & Agreement) => {
      const stack = await openStack(name, provideDocker);
      try {
        return await deploy(stack, agreement);
      } finally {
        stack.engine.close();
      }
    }),
  );
