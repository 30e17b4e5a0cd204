// Base backups as the vault lists them, with what the drills made of them.

/** As `rclone lsjson` tells of a file. */
export interface Stored {
  /** CHAIN/BACKUP/FILE */
  Path: string;
  Size: number;
}

export interface Drill {
  ok: boolean;
  at: string;
  seconds: number;
  /** Of the data directory that was restored. */
  bytes: number;
  backup: string;
  what: string;
}

export interface BaseBackup {
  name: string;
  takenAt: string;
  bytes: number;
  /** The last that restored it, or tried to. */
  drill?: Drill;
}

/** The lines that a drill leaves: see backup-drill.sh. */
export function drillsIn(text: string): Drill[] {
  return text.split("\n").flatMap((line) => {
    const [, how, at, seconds, bytes, backup, what] = /^(ok|failed) (\d+) (\d+) (\d+) (\S+) (.*)$/.exec(line) ?? [];
    if (backup === undefined) return [];
    return {
      ok: how === "ok",
      at: new Date(Number(at) * 1000).toISOString().replace(/\.\d+/, ""),
      ...{ seconds: Number(seconds), bytes: Number(bytes), backup, what: what! },
    };
  });
}

/** Oldest first. One without a manifest is not complete, and none. */
export function listed(stored: readonly Stored[], drills: readonly Drill[]): BaseBackup[] {
  const names = stored.flatMap(({ Path }) => /^[^/]+\/([^/]+)\/backup_manifest$/.exec(Path)?.[1] ?? []).sort();
  return names.map((name) => ({
    name,
    takenAt: name.replace(/^(....)(..)(..)T(..)(..)(..)Z_.*$/, "$1-$2-$3T$4:$5:$6Z"),
    bytes: stored.filter(({ Path }) => Path.split("/")[1] === name).reduce((sum, { Size }) => sum + Size, 0),
    drill: drills.findLast(({ backup }) => backup === name),
  }));
}

/** As `restic snapshots --json` tells of one. */
export interface Snapshot {
  time: string;
  short_id: string;
  summary?: { total_bytes_processed: number };
}

/** Those of a volume, oldest first. */
export function snapshots(found: readonly Snapshot[] | null, drills: readonly Drill[]): BaseBackup[] {
  return (found ?? [])
    .map(({ time, short_id: id, summary }) => {
      const takenAt = new Date(time).toISOString().replace(/\.\d+/, "");
      const name = `${takenAt.replace(/[:-]/g, "")}_${id}`;
      const drill = drills.findLast(({ backup }) => backup === name);
      return { name, takenAt, bytes: summary?.total_bytes_processed ?? 0, drill };
    })
    .sort((one, other) => one.name.localeCompare(other.name));
}
