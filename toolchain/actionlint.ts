import { join } from "node:path";
import { filesUnder, keyOf, kept } from "./cache.ts";
import { goBuild } from "./go.ts";
import { pins } from "./pins.ts";

const module = join(import.meta.dirname, "actionlint");

/** The path of actionlint, which knows what GitHub makes of a workflow. It is built: that takes seconds. */
export async function provideActionlint(): Promise<string> {
  const key = keyOf(process.platform, process.arch, await filesUnder(module));
  const directory = await kept("actionlint", key, (output) =>
    goBuild({
      title: `actionlint ${pins.actionlint}`,
      module,
      programs: ["github.com/rhysd/actionlint/cmd/actionlint"],
      linkerFlags: "",
      output,
    }),
  );
  return join(directory, "actionlint");
}
