// `make down`: removes what `make up` made. Data is asked about; DATA=delete or DATA=keep answers beforehand.
import { rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { say } from "../toolchain/steps.ts";
import { ask } from "./report/prompt.ts";
import { hostTime, removeOrphans, settlePending } from "./stack/recovery.ts";
import { ensureAlone, runAlone } from "./stack/lock.ts";
import { forgetReleases } from "./stack/releases.ts";
import { localFile, openStack, pulumi, runCommand, stackName, type Stack } from "./stack/stack.ts";
import { readState } from "./stack/state-files.ts";
import { localDirectory, stackLabel } from "./stack/program.ts";

await runCommand(async () => {
  const answer = process.env["DATA"];
  const name = stackName();
  if (name === "local" && !existsSync(localFile)) {
    say("Nothing to remove: the stack local is not up.");
    return 0;
  }
  const stack = await openStack(name);
  try {
    await ensureAlone(stack);
    const began = await hostTime(stack);
    const volumes = await dataVolumes(stack);
    const deleteData = volumes.length > 0 && (answer ? answer === "delete" : await askToDelete(volumes));
    const sure = name === "local" || process.env["YES"] === "1" ? ["--yes", "--skip-preview"] : [];
    await settlePending(stack);
    const code = await runAlone(stack, ["destroy", "--stack", name, ...sure]);
    if (code !== 0) return code;
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
    return 0;
  } finally {
    stack.engine.close();
  }
});

/** Volumes that the program keeps when it is destroyed. */
async function dataVolumes({ engine, name }: Stack): Promise<string[]> {
  const filters = JSON.stringify({ label: ["bulkhead.data=true", `bulkhead.stack=${stackLabel(name)}`] });
  const { Volumes } = await engine.get<{ Volumes: { Name: string }[] | null }>(
    `/volumes?filters=${encodeURIComponent(filters)}`,
  );
  return (Volumes ?? []).map((volume) => volume.Name).sort();
}

async function askToDelete(volumes: readonly string[]): Promise<boolean> {
  say(`The data is in: ${volumes.join(", ")}`);
  const question = "Type delete to delete it for ever, anything else to keep it: ";
  return (await ask(question, "run with DATA=delete or DATA=keep")) === "delete";
}
