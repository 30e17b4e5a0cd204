// `bulkhead down`: removes what `bulkhead up` made. Data is asked about, unless an option answers beforehand.
import { rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { say } from "../toolchain/steps.ts";
import { yesFlag } from "./agreement.ts";
import { examples, exitsWith, Flag, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED } from "./exit-codes.ts";
import { ask } from "./report/prompt.ts";
import { hostTime, removeOrphans, adoptPendingOperations } from "./stack/recovery.ts";
import { heldNetworks } from "./stack/held-networks.ts";
import { endIdleEdges } from "./stack/idle-edge.ts";
import { ensureAlone, runAlone } from "./stack/lock.ts";
import { forgetReleases } from "./stack/releases.ts";
import { localFile, openStack, pulumi, type Stack } from "./stack/stack.ts";
import { readState } from "./stack/state-files.ts";
import { localDirectory } from "./stack/program.ts";
import { stackFilter } from "./stack/containers.ts";

interface Options extends StackOptions {
  yes?: boolean;
  deleteData?: boolean;
  keepData?: boolean;
}

export const down = stackCommand("down", "remove a stack from its host; its data is asked about")
  .addOption(yesFlag("do not ask before the stack is removed; data is asked about all the same"))
  .addOption(new Flag("--delete-data", "delete the data for ever, without asking", "DATA=delete").conflicts("keepData"))
  .addOption(new Flag("--keep-data", "keep the data, without asking", "DATA=keep"))
  .addHelpText(
    "after",
    examples(
      ["bulkhead down", "the stack local; asks about its data"],
      ["bulkhead down --stack staging --yes --keep-data", "for scripts: all but the data"],
      ["bulkhead down --delete-data", "the stack local, and its data for ever"],
    ),
  )
  .action(exitsWith(remove));

async function remove({ stack: name, yes = false, deleteData: deletes, keepData }: Options): Promise<number> {
  if (name === "local" && !existsSync(localFile)) {
    say("Nothing to remove: the stack local is not up.");
    return DONE;
  }
  const stack = await openStack(name);
  try {
    await ensureAlone(stack);
    const began = await hostTime(stack);
    const volumes = await dataVolumes(stack);
    const deleteData = volumes.length > 0 && (deletes || (!keepData && (await askToDelete(volumes))));
    const sure = name === "local" || yes ? ["--yes", "--skip-preview"] : [];
    await adoptPendingOperations(stack);
    const ended = new AbortController();
    const ending = endIdleEdges(stack.engine, name, ended.signal);
    const code = await runAlone(stack, ["destroy", "--stack", name, ...sure]).finally(() => ended.abort());
    await ending;
    if (code !== 0) {
      for (const held of await heldNetworks(stack.engine, name)) say(held);
      return FAILED;
    }
    await removeOrphans(stack, began, await readState(stack));
    await forgetReleases(stack, 0);
    // Data is retained by the program; what is still there was left for this.
    for (const volume of deleteData ? await dataVolumes(stack) : []) await stack.engine.delete(`/volumes/${volume}`);
    if (name === "local") {
      await pulumi(stack, ["stack", "rm", "local", "--yes", "--preserve-config"]);
      // With data that is kept stays what it may need: the passphrase, and the backups of the state.
      await rm(deleteData || volumes.length === 0 ? localDirectory : localFile, { recursive: true });
    }
    const kept = await dataVolumes(stack);
    say(kept.length > 0 ? `Everything is removed but the data: ${kept.join(", ")}` : "Everything is removed.");
    return DONE;
  } finally {
    stack.engine.close();
  }
}

/** Volumes that the program keeps when it is destroyed. */
async function dataVolumes({ engine, name }: Stack): Promise<string[]> {
  const { Volumes } = await engine.get<{ Volumes: { Name: string }[] | null }>(
    `/volumes?filters=${stackFilter(name, ["bulkhead.data=true"])}`,
  );
  return (Volumes ?? []).map((volume) => volume.Name).sort();
}

async function askToDelete(volumes: readonly string[]): Promise<boolean> {
  say(`The data is in: ${volumes.join(", ")}`);
  const question = "Type delete to delete it for ever, anything else to keep it: ";
  return (await ask(question, "run with DATA=delete or DATA=keep")) === "delete";
}
