// `make promote`: the images that one stack runs, by digest, into the file of another. Nothing is deployed.
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { outputsIn, servedImages } from "./deploy.ts";
import { withImages } from "./stack/stack-file.ts";
import { committedFile, existingStack, openStack, runCommand } from "./stack/stack.ts";
import { readState } from "./stack/state-files.ts";
import { writeWhole } from "./stack/atomic-write.ts";
import { programDirectory } from "./stack/program.ts";

await runCommand(async () => {
  const from = existingStack("FROM", process.env["FROM"] ?? "");
  const to = existingStack("TO", process.env["TO"] ?? "");
  if (from === to) throw new Error(`TO: is ${from} too: give the stack that is to get the images`);
  const stack = await openStack(from);
  try {
    const outputs = outputsIn(await readState(stack));
    if (outputs?.services === undefined) throw new Error(`FROM: ${from} runs nothing yet: make up STACK=${from}`);
    const images = servedImages(outputs);
    const file = committedFile(to);
    const before = await readFile(file, "utf8");
    const after = withImages(before, images);
    await writeWhole(file, after);
    const rows = Object.entries(images).map(([service, image]) => `  ${service}: ${image}`);
    console.log(
      `${relative(programDirectory, file)} ${after === before ? "has" : "now has"} what ${from} runs:\n${rows.join("\n")}`,
    );
    console.log(`\nmake up STACK=${to} rolls them out.`);
    return 0;
  } finally {
    stack.engine.close();
  }
});
