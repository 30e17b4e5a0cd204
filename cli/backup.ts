// `bulkhead backup` and `bulkhead drill`: a base backup now, and one restored now, each in the container that does it by a
// schedule.
import type { Command } from "commander";
import { findDocker } from "../toolchain/docker.ts";
import { backupPart, databaseOf, isOfVolume, runPart } from "./backup/parts.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "./command.ts";
import { connect, hostOf } from "./stack/stack.ts";

export const backup: Command = stackCommand("backup", "make a backup now, and wait until the vault has it")
  .argument("[name]", "of the database or volume, if there are several")
  .addHelpText("after", examples(["bulkhead backup --stack prod", "ends when the vault has it"]))
  .action(exitsWith((database: string | undefined, options: StackOptions) => runNow("base", database, options)));

export const drill: Command = stackCommand("drill", "restore the newest backup now, to see that it can be")
  .argument("[name]", "of the database or volume, if there are several")
  .addHelpText(
    "after",
    `
Of a database it writes a row, fetches and decrypts the newest backup, restores it into a scratch server without
a network up to that row, and reads every row, page and index. Of a volume it restores the newest snapshot
into scratch, and compares every file with its checksum. Nothing else makes the health of a
backup green.
${examples(["bulkhead drill --stack prod", "ends with 0 only if all of it is there"])}`,
  )
  .action(exitsWith((database: string | undefined, options: StackOptions) => runNow("drill", database, options)));

async function runNow(part: "base" | "drill", database: string | undefined, { stack }: StackOptions): Promise<number> {
  const engine = await connect(await hostOf(stack, findDocker));
  try {
    const container = await backupPart(engine, stack, part, database);
    // What is sent and fetched of a database comes by its shipper: it would be waited for.
    if (!isOfVolume(container)) await backupPart(engine, stack, "shipper", databaseOf(container));
    return await runPart(engine, container);
  } finally {
    engine.close();
  }
}
