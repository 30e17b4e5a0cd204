// `eval "$(make -s env)"` gives a shell in which plain `pulumi` works on the stack.
import { existsSync } from "node:fs";
import { findDocker, SYSTEM_SOCKET } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { environmentOf, hostOf, localFile, runCommand, stackName } from "./stack/stack.ts";

await runCommand(async () => {
  const name = stackName();
  if (name === "local" && !existsSync(localFile)) say("the stack local is not there yet: `make up` makes it");
  // Much of what pulumi does needs no Docker.
  const host = await hostOf(name, () =>
    findDocker().catch((error: Error) => {
      say(error.message);
      return SYSTEM_SOCKET;
    }),
  );
  for (const [key, value] of Object.entries(await environmentOf(name, host))) console.log(shellLine(key, value));
  return 0;
});

function shellLine(name: string, value: string | undefined): string {
  return value === undefined ? `unset ${name}` : `export ${name}='${value.replaceAll("'", `'\\''`)}'`;
}
