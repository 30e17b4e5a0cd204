// An update with another stack file, which is as it was if that fails.
import { writeFile } from "node:fs/promises";
import { say } from "../../toolchain/steps.ts";
import { deploy } from "../deploy.ts";
import { DONE, NOT_REACHED } from "../exit-codes.ts";
import type { Stack } from "../stack/stack.ts";

/** @param failed what is said first where it failed, like "Not restored". */
export async function updateWith(
  stack: Stack,
  path: string,
  before: string,
  text: string,
  failed: string,
): Promise<number> {
  await writeFile(path, text);
  const code = await deploy(stack, { yes: true }, { asks: true }).catch(async (error: Error) => {
    await writeFile(path, before);
    throw error;
  });
  if (code === DONE || code === NOT_REACHED) say(`${path} says so now: commit it.`);
  else {
    await writeFile(path, before);
    say(`${failed}: ${path} is as it was, and what runs is what ran.`);
  }
  return code;
}
