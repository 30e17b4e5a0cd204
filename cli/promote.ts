// `bulkhead promote`: the images that one stack runs, by digest, into the file of another. Nothing is deployed.
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { Command, Option } from "commander";
import { examples, exitsWith, givenAs } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { outputsIn, servedImages } from "./deploy.ts";
import { setImages } from "./stack/stack-file.ts";
import { committedFile, existingStack, openStack } from "./stack/stack.ts";
import { readState } from "./stack/state-files.ts";
import { writeAtomically } from "./stack/atomic-write.ts";
import { programDirectory } from "./stack/program.ts";

interface Options {
  from?: string;
  to?: string;
}

export const promote = new Command("promote")
  .description("write the images that one stack runs, by digest, into the file of another; deploys nothing")
  .addOption(new Option("--from <stack>", "the stack that runs them").env("FROM"))
  .addOption(new Option("--to <stack>", "the stack that is to get them").env("TO"))
  .addHelpText("after", examples(["bulkhead promote --from staging --to prod", "then: bulkhead up --stack prod"]))
  .action(exitsWith(copyImages));

async function copyImages(options: Options, command: Command): Promise<number> {
  const from = existingStack(givenAs(command, "from"), options.from);
  const to = existingStack(givenAs(command, "to"), options.to);
  if (from === to)
    throw new Error(`${givenAs(command, "to")}: is ${from} too: give the stack that is to get the images`);
  const stack = await openStack(from);
  try {
    const outputs = outputsIn(await readState(stack));
    if (outputs?.services === undefined)
      throw new Error(`${givenAs(command, "from")}: ${from} runs nothing yet: bulkhead up --stack ${from}`);
    const images = servedImages(outputs);
    const file = committedFile(to);
    const before = await readFile(file, "utf8");
    const after = setImages(before, images);
    await writeAtomically(file, after);
    const rows = Object.entries(images).map(([service, image]) => `  ${service}: ${image}`);
    console.log(
      `${relative(programDirectory, file)} ${after === before ? "has" : "now has"} what ${from} runs:\n${rows.join("\n")}`,
    );
    console.log(`\nbulkhead up --stack ${to} rolls them out.`);
    return DONE;
  } finally {
    stack.engine.close();
  }
}
