// `make up`: from a fresh machine to the stack's services answering.
import { provideDocker } from "../toolchain/docker.ts";
import { deploy } from "./deploy.ts";
import { openStack, runCommand, stackName } from "./stack/stack.ts";

await runCommand(async () => {
  const stack = await openStack(stackName(), provideDocker);
  try {
    return await deploy(stack);
  } finally {
    stack.engine.close();
  }
});
