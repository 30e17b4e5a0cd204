// `eval "$(bulkhead env)"` gives a shell in which plain `pulumi` works on the stack.
import { existsSync } from "node:fs";
import { findDocker, SYSTEM_SOCKET } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { environmentOf, hostOf, localFile } from "./stack/stack.ts";

export const env = stackCommand("env", "print the environment in which plain pulumi works on a stack")
  .addHelpText(
    "after",
    examples(
      ['eval "$(bulkhead env)"', "a shell in which plain pulumi works on the stack local"],
      ['eval "$(bulkhead env --stack prod)"', "and on prod"],
    ),
  )
  .action(exitsWith(print));

async function print({ stack: name }: StackOptions): Promise<number> {
  if (name === "local" && !existsSync(localFile)) say("the stack local is not there yet: `bulkhead up` makes it");
  // Much of what pulumi does needs no Docker.
  const host = await hostOf(name, () =>
    findDocker().catch((error: Error) => {
      say(error.message);
      return SYSTEM_SOCKET;
    }),
  );
  for (const [key, value] of Object.entries(await environmentOf(name, host))) console.log(shellLine(key, value));
  return DONE;
}

function shellLine(name: string, value: string | undefined): string {
  return value === undefined ? `unset ${name}` : `export ${name}='${value.replaceAll("'", `'\\''`)}'`;
}
