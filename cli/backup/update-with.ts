// An update with a key of the stack file set for databases or volumes. The file is as it was if that fails.
import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { say } from "../../toolchain/steps.ts";
import type { Acceptance } from "../agreement.ts";
import { deployFile } from "../deploy-file.ts";
import { configKey } from "../stack/program.ts";
import { committedFile, type Stack } from "../stack/stack.ts";
import { setKey } from "../stack/yaml-keys.ts";
import { isServed, leftVolumes, removeTrials, type Change } from "./left-volumes.ts";

/**
 * What it lets go of itself is not asked about: the volume that served is kept, as the person was told, and nobody was ever
 * served by the one of a trial.
 *
 * @param failed what is said first where it failed, like "Not restored".
 */
export async function updateWith(
  stack: Stack,
  name: string,
  change: Change,
  failed: string,
  { acceptDataLoss = [], acknowledged }: Acceptance = {},
): Promise<number> {
  const path = committedFile(name);
  const text = await readFile(path, "utf8");
  const { trials, replaced } = leftVolumes(name, parseDocument(text), change);
  const agreement = {
    ...{ yes: true, asksForLoss: true, acknowledged },
    acceptDataLoss: [...acceptDataLoss, ...trials, ...replaced],
  };
  let isHalfMade = false;
  const isMade = async () => {
    // Where the host does not answer they may be served, and the next update would end that.
    isHalfMade = await isServed(stack.engine, name, change).catch(() => true);
    return isHalfMade;
  };
  try {
    const { code, isDeployed } = await deployFile(stack, path, changed(text, change), agreement, {
      asks: true,
      isMade,
    });
    if (isDeployed) {
      await removeTrials(stack.engine, trials);
      say(`${path} says so now: commit it.`);
    } else if (!isHalfMade) say(`${failed}: ${path} is as it was, and what runs is what ran.`);
    return code;
  } finally {
    if (isHalfMade)
      say(
        `The update failed, and ${Object.keys(change.of).join(", ")} may be served by the new volume already, so ${path} says ` +
          "so: see to what failed, run `bulkhead up`, and commit the file.",
      );
  }
}

/** The text of a stack file with that key. Its comments stay. */
export function changed(text: string, { key, of }: Change): string {
  const document = parseDocument(text);
  for (const [name, value] of Object.entries(of)) setKey(document, ["config", configKey(key), name], value);
  return String(document);
}
