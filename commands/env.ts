// `eval "$(make -s env)"` gives a shell in which plain `pulumi` works on the stack.
import { existsSync } from "node:fs";
import { localFile, openStack, runCommand, stackName } from "./stack.ts";
import { say } from "../toolchain/steps.ts";

await runCommand(async () => {
  const stack = await openStack(stackName());
  if (stack.name === "local" && !existsSync(localFile)) say("the stack local is not there yet: `make up` makes it");
  stack.engine.close();
  for (const [name, value] of Object.entries(stack.env)) console.log(shellLine(name, value));
  return 0;
});

function shellLine(name: string, value: string | undefined): string {
  return value === undefined ? `unset ${name}` : `export ${name}='${value.replaceAll("'", `'\\''`)}'`;
}
