// `bulkhead releases`: what ran when, and what differs between two releases.
import type { Command } from "commander";
import { jsonFlag, stackCommand } from "./command.ts";
import { compareReleases } from "./releases/compare.ts";
import { table } from "./report/table.ts";
import type { Release } from "./stack/release.ts";
import { releases as recorded } from "./stack/releases.ts";
import { withDocker } from "./stack/with-docker.ts";

interface Options {
  stack: string;
  json?: true;
}

export const releases: Command = stackCommand("releases", "what ran when; with two numbers, what differs between them")
  .argument("[from]", "the number of a release")
  .argument("[to]", "the number of another. Default: the one that runs")
  .addOption(jsonFlag())
  .addHelpText(
    "after",
    `
Secrets are in no record of a release, and are not compared.

Examples:
  bulkhead releases --stack prod
  bulkhead releases 3 5 --stack prod`,
  )
  .action(async (from: string | undefined, to: string | undefined, options: Options) => {
    const name = options.stack;
    await withDocker(name, async (engine) => {
      const known = await recorded({ name, engine, env: {} });
      if (known.length === 0)
        throw new Error("no release is recorded on the host: the first `bulkhead up` records one");
      if (from === undefined) {
        console.log(options.json ? JSON.stringify(known, undefined, 2) : listing(known));
        return;
      }
      const [older, newer] = [releaseOf(known, from), to === undefined ? known[0]! : releaseOf(known, to)];
      const differences = compareReleases(older, newer);
      if (options.json)
        console.log(JSON.stringify({ from: older.number, to: newer.number, differences }, undefined, 2));
      else if (differences.length === 0) console.log(`Releases ${older.number} and ${newer.number} do not differ.`);
      else {
        const rows = differences.map(({ what, before, after }) => [what, before ?? "", after ?? ""]);
        console.log(table([["", `RELEASE ${older.number}`, `RELEASE ${newer.number}`], ...rows]));
      }
    });
  });

function listing(known: readonly Release[]): string {
  const rows = known.map(({ number, deployedAt, by = "", images }, index) => [
    String(number),
    deployedAt,
    by,
    Object.entries(images)
      .map(([service, image]) => `${service} ${shortImage(image)}`)
      .join(", "),
    index === 0 ? "runs now" : "",
  ]);
  return table([["RELEASE", "DEPLOYED", "BY", "IMAGES", ""], ...rows]);
}

/** A digest by its first letters. */
function shortImage(image: string): string {
  return image.replace(/(sha256:.{12}).*/, "$1");
}

function releaseOf(known: readonly Release[], number: string): Release {
  const found = known.find((release) => String(release.number) === number);
  if (found) return found;
  throw new Error(`${number}: no such release: give one of ${known.map((each) => each.number).join(", ")}`);
}
