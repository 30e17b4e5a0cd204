// `bulkhead unlock`: releases the lock of a run that was killed on another machine.
import { Option } from "commander";
import { say } from "../toolchain/steps.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { ask } from "./report/prompt.ts";
import { lockHolders, release, runOf, processStatus, type Holder } from "./stack/lock.ts";
import { environmentOf } from "./stack/stack.ts";

interface Options extends StackOptions {
  confirm?: string;
}

export const unlock = stackCommand("unlock", "release the lock of a run that was killed on another machine")
  .addOption(new Option("--confirm <stack>", "the name of the stack once more, in place of typing it").env("UNLOCK"))
  .addHelpText(
    "after",
    examples(
      ["bulkhead unlock --stack prod", "shows who holds the lock, and asks"],
      ["bulkhead unlock --stack prod --confirm prod", "for scripts"],
    ),
  )
  .action(exitsWith(releaseLock));

async function releaseLock({ stack: name, confirm }: Options): Promise<number> {
  // The host has no say in this, and may be away.
  const stack = { name, env: await environmentOf(name, { url: "", local: false }) };
  const holders = await lockHolders(stack);
  if (holders.length === 0) {
    say(`Nothing to release: no run holds the lock of the stack ${name}.`);
    return DONE;
  }
  for (const holder of holders) await showUnlessAlive(name, holder);
  const answer = confirm ?? (await ask(`Type ${name} to release it: `, `run with UNLOCK=${name} to release it`));
  if (answer !== name) throw new Error(`the answer was ${answer} and not ${name}: nothing was released`);
  await release(stack, holders);
  say(`Released. \`bulkhead up --stack ${name}\` sees to what the run has left.`);
  return DONE;
}

async function showUnlessAlive(name: string, holder: Holder): Promise<void> {
  const where = await processStatus(holder);
  if (where === "alive")
    throw new Error(`${runOf(holder)} works on the stack ${name} and is alive: wait for it to end, or end it`);
  say(`${runOf(holder)} holds the lock of the stack ${name}.`);
  if (where === "gone") return say("Its process is gone.");
  say(
    "Whether it is still alive cannot be seen from here. If it is, two runs will change the same things at once, and the " +
      "state may lose what one of them has made: make sure that it has ended.",
  );
}
