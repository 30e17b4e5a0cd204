// `make pin`: asks the registries for the digests of the tags in images.ts and writes them there.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { images } from "../images.ts";
import { tagOf } from "../toolchain/reference.ts";
import { resolveDigest } from "../toolchain/registry.ts";
import { projectDirectory, runCommand } from "./stack.ts";
import { table } from "./table.ts";

await runCommand(async () => {
  const references = Object.values(images);
  const results = await Promise.allSettled(references.map(resolveDigest));
  const file = join(projectDirectory, "images.ts");
  let text = await readFile(file, "utf8");
  const rows = references.map((reference, index) => {
    const result = results[index]!;
    if (result.status === "rejected") return [tagOf(reference), `unchanged: ${reasonOf(result.reason as Error)}`];
    const pinned = `${tagOf(reference)}@${result.value}`;
    text = text.replaceAll(reference, pinned);
    return [tagOf(reference), pinned === reference ? "as it was" : result.value];
  });
  await writeFile(file, text);
  console.log(table([["IMAGE", "DIGEST"], ...rows]));
  return results.some((result) => result.status === "rejected") ? 1 : 0;
});

/** fetch says "fetch failed" of everything, and what happened in its cause. */
function reasonOf(error: Error): string {
  return error.cause instanceof Error ? `the registry cannot be reached (${error.cause.message})` : error.message;
}
