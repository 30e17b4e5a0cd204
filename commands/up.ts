// `make up`: from a fresh machine to the stack's services answering.
import { deploy } from "./deploy.ts";
import { openStack, runCommand, stackName } from "./stack.ts";

await runCommand(async () => {
  const stack = await openStack(stackName());
  try {
    return await deploy(stack);
  } finally {
    stack.engine.close();
  }
});
