// `bulkhead backup-key`: the key without which nobody reads the backups, and where a copy of it is kept.
import { readFile, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { parseDocument } from "yaml";
import { findDocker } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { keyHolder, outputOf } from "./backup/parts.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { configKey } from "./stack/program.ts";
import { committedFile, connect, hostOf } from "./stack/stack.ts";
import { setKey } from "./stack/yaml-keys.ts";

export const backupKey: Command = stackCommand("backup-key", "show the backups' key, and say where a copy is kept")
  .option("--kept <where>", "write into the stack file where a copy of the key is kept")
  .addHelpText(
    "after",
    `
Without the key nobody reads the backups, you included. Keep a copy outside of the host and of
Pulumi's state, such as in the team's password manager. \`bulkhead doctor\` warns until --kept was
said. On a new host, \`pulumi config set --secret backupKey\` gives the key again.
${examples(
  ["bulkhead backup-key --stack prod", "shows it, at a terminal alone"],
  ['bulkhead backup-key --kept "password manager, Operations" --stack prod', "commit the stack file then"],
)}`,
  )
  .action(exitsWith(showOrConfirm));

async function showOrConfirm({ stack, kept }: StackOptions & { kept?: string }): Promise<number> {
  if (kept !== undefined) {
    const path = committedFile(stack);
    const document = parseDocument(await readFile(path, "utf8"));
    setKey(document, ["config", configKey("backupKeyKept")], kept);
    await writeFile(path, String(document));
    say(`${path} says so now: commit it.`);
    return DONE;
  }
  if (!process.stdout.isTTY) throw new Error("the key is shown at a terminal alone, and no log may have it");
  const engine = await connect(await hostOf(stack, findDocker));
  try {
    const { Id } = await keyHolder(engine, stack);
    console.log(await outputOf(engine, Id, ["cat", "/run/secrets/key"]));
    return DONE;
  } finally {
    engine.close();
  }
}
