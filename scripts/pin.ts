// `make pin`: asks the registries for the digests of the tags in images.ts, and GitHub and Pulumi's release host for the
// checksums of the Pulumi archives of package.json's versions, and writes them into images.ts and toolchain/pins.ts.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { images as platform } from "../components/images.ts";
import { dataImages } from "../components/data/images.ts";
import { images as own } from "../images.ts";
import { archiveNames, findChecksums, withChecksums, type ArchiveName } from "../toolchain/archives.ts";
import { tagOf } from "../toolchain/reference.ts";
import { resolveDigest } from "../toolchain/registry.ts";
import { runCommand } from "../cli/stack/stack.ts";
import { table } from "../cli/report/table.ts";
import { packageDirectory } from "../cli/stack/program.ts";

await runCommand(async () => {
  const [pinnedImages, pinnedArchives] = [await pinImages(), await pinArchives()];
  console.log(table([["WHAT", "PIN"], ...pinnedImages, ...pinnedArchives]));
  return [...pinnedImages, ...pinnedArchives].some(([, pin]) => pin.startsWith("unchanged: ")) ? 1 : 0;
});

/** What is pinned, and what became of its pin. */
type Row = [what: string, pin: string];

/** The images of the platform, and those of this repository's program. */
async function pinImages(): Promise<Row[]> {
  return [
    ...(await pinImagesIn("components/images.ts", Object.values(platform))),
    ...(await pinImagesIn("components/data/images.ts", Object.values(dataImages))),
    ...(await pinImagesIn("images.ts", Object.values(own))),
  ];
}

async function pinImagesIn(path: string, references: readonly string[]): Promise<Row[]> {
  const results = await Promise.allSettled(references.map(resolveDigest));
  const file = join(packageDirectory, path);
  let text = await readFile(file, "utf8");
  const rows = references.map((reference, index): Row => {
    const result = results[index]!;
    if (result.status === "rejected") return [tagOf(reference), unchanged(result.reason as Error)];
    const pinned = `${tagOf(reference)}@${result.value}`;
    text = text.replaceAll(reference, pinned);
    return [tagOf(reference), pinned === reference ? "as it was" : result.value];
  });
  await writeFile(file, text);
  return rows;
}

async function pinArchives(): Promise<Row[]> {
  const { dependencies } = JSON.parse(await readFile(join(packageDirectory, "package.json"), "utf8")) as {
    dependencies: Record<`@pulumi/${ArchiveName}`, string>;
  };
  const file = join(packageDirectory, "toolchain", "pins.ts");
  const rows: Row[] = [];
  // One after the other: they are large.
  for (const name of archiveNames) {
    const version = dependencies[`@pulumi/${name}`];
    const what = `${name} ${version}`;
    try {
      const before = await readFile(file, "utf8");
      const after = withChecksums(before, name, version, await findChecksums(name, version));
      await writeFile(file, after);
      rows.push([what, after === before ? "as it was" : "on which GitHub and get.pulumi.com agree"]);
    } catch (error) {
      rows.push([what, unchanged(error as Error)]);
    }
  }
  return rows;
}

/** fetch says "fetch failed" of everything, and what happened in its cause. */
function unchanged({ message, cause }: Error): string {
  return `unchanged: ${cause instanceof Error ? `its host cannot be reached (${cause.message})` : message}`;
}
