// `bulkhead rollback`: back to the release before, by an ordinary preview and update of its settings and images.
import { readFile } from "node:fs/promises";
import { Option, type Command } from "commander";
import { say } from "../toolchain/steps.ts";
import { withAgreement, type Agreement } from "./agreement.ts";
import { examples, exitsWith, givenAs, stackCommand, wholeNumber, type StackOptions } from "./command.ts";
import { deployFile } from "./deploy-file.ts";
import { lostImages } from "./stack/release-images.ts";
import type { Release } from "./stack/release.ts";
import { releases, releaseToReturnTo, stackFileOf } from "./stack/releases.ts";
import { committedFile, openStack } from "./stack/stack.ts";
import { table } from "./report/table.ts";

interface Options extends StackOptions, Agreement {
  to?: number;
}

export const rollback = withAgreement(
  stackCommand("rollback", "go back to the release before, by a preview and an update").addOption(
    new Option("--to <number>", "go back to that release").env("TO").argParser(wholeNumber),
  ),
)
  .addHelpText(
    "after",
    examples(
      ["bulkhead rollback --stack prod", "to the release before the one that runs"],
      ["bulkhead rollback --stack prod --to 7 --yes", "to release 7, without asking"],
    ),
  )
  .action(exitsWith(goBack));

async function goBack({ stack: name, to, ...agreement }: Options, command: Command): Promise<number> {
  const stack = await openStack(name);
  try {
    const known = await releases(stack);
    const target = releaseToReturnTo(known, to, givenAs(command, "to"));
    console.log(`${list(known, target)}\n`);
    const lost = await lostImages(stack, target);
    if (lost.length > 0)
      throw new Error(
        `release ${target.number} cannot be gone back to: gone from the host, where they were built, are the images of ` +
          `${lost.map(([service, image]) => `${service} (${image})`).join(", ")}. Nothing was changed. Another release ` +
          "may do (TO=); or check the commit of that time out of git and run `bulkhead up`, which builds them again",
      );
    const path = committedFile(name);
    const before = await readFile(path, "utf8");
    const after = stackFileOf(before, target);
    say(`Back to release ${target.number}: ${path} now says what it said then. Secrets stay as they are.`);
    const { code, isDeployed } = await deployFile(stack, path, after, agreement);
    if (!isDeployed) say(`Not rolled back: ${path} is as it was`);
    else if (after !== before)
      say("Commit that file, or take its change back and run `bulkhead up` to go forward again.");
    return code;
  } finally {
    stack.engine.close();
  }
}

function list(known: readonly Release[], target: Release): string {
  const rows = known.map((release, index) => [
    String(release.number),
    release.deployedAt,
    Object.entries(release.images)
      .map(([service, image]) => `${service} ${image.replace(/^(.*sha256:.{12}).*/, "$1")}`)
      .join(", "),
    index === 0 ? "runs now" : release === target ? "back to this one" : "",
  ]);
  return table([["RELEASE", "DEPLOYED", "IMAGES", ""], ...rows]);
}
