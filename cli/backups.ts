// `bulkhead backups`: what the vault has of a database or a volume, and what of that was restored.
import type { Command } from "commander";
import type { Engine } from "../components/docker-engine/client.ts";
import { findDocker } from "../toolchain/docker.ts";
import { backupPart, isOfVolume, outputOf } from "./backup/parts.ts";
import { drillsIn, listed, snapshots, type Snapshot, type Stored } from "./backup/list.ts";
import { examples, exitsWith, jsonFlag, stackCommand, type StackOptions } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { table } from "./report/table.ts";
import { connect, hostOf } from "./stack/stack.ts";

export const backups: Command = stackCommand("backups", "list the backups in the vault, and which were restored")
  .argument("[name]", "of the database or volume, if there are several")
  .addOption(jsonFlag())
  .addHelpText(
    "after",
    `
Between two base backups of a database, and up to some seconds ago, \`bulkhead restore --to\` goes back to any
moment since the oldest daily one.
${examples(["bulkhead backups --stack prod", "oldest first"])}`,
  )
  .action(exitsWith(list));

async function list(database: string | undefined, { stack, json }: StackOptions & { json?: true }): Promise<number> {
  const engine = await connect(await hostOf(stack, findDocker));
  try {
    const drill = await backupPart(engine, stack, "drill", database);
    const drills = drillsIn(
      await outputOf(engine, drill.Id, ["/bin/sh", "-c", "cat /state/drills 2>/dev/null || true"]),
    );
    const found = isOfVolume(drill)
      ? snapshots(JSON.parse(await outputOf(engine, drill.Id, SNAPSHOTS)) as Snapshot[] | null, drills)
      : listed(await storedOf(engine, (await backupPart(engine, stack, "shipper", database)).Id), drills);
    if (json) console.log(JSON.stringify(found, undefined, 2));
    else
      console.log(
        table([
          ["BACKUP", "TAKEN", "SIZE", "RESTORED"],
          ...found.map(({ name, takenAt, bytes, drill: last }) => [
            name,
            takenAt,
            `${(bytes / 2 ** 20).toFixed(1)} MiB`,
            last === undefined ? "never" : `${last.ok ? "yes" : "NO"}, ${last.at}: ${last.what}`,
          ]),
        ]),
      );
    return DONE;
  } finally {
    engine.close();
  }
}

const SNAPSHOTS = ["restic", "--no-cache", "snapshots", "--no-lock", "--tag", "files", "--json"];

async function storedOf(engine: Engine, shipper: string): Promise<Stored[]> {
  const list = ["rclone", "--config", "/tmp/rclone.conf", "lsjson", "-R", "--files-only", "vault:base"];
  return JSON.parse(await outputOf(engine, shipper, list)) as Stored[];
}
