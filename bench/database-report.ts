import type { ColdStarts } from "./cold-start.ts";
import { markdownTable } from "./results.ts";
import { median, ratio } from "./statistics.ts";

/** Each a round. */
export interface Figures {
  writes: Record<"ours" | "defaults", number[]>;
  reads: Record<"ours" | "defaults", number[]>;
  crowd: Record<"pooled" | "direct", { tps: number; latencyMs: number; memory: string }[]>;
  /** What the server says to the crowd when it comes directly. */
  refused: string;
  backups: Record<"running" | "ended", number[]>;
  /** Seconds. */
  copied: Record<"backup" | "dump" | "drill" | "restore", number[]>;
  coldStarts: ColdStarts;
}

interface Run {
  ROUNDS: number;
  SECONDS: number;
  SCALE: number;
  CROWD: number;
  memoryMb: number;
  cpus: number;
}

export function report(machine: string, run: Run, figures: Figures): string[] {
  const { writes, reads, crowd, refused, backups, copied, coldStarts } = figures;
  const { ROUNDS, SECONDS, SCALE, CROWD, memoryMb, cpus } = run;
  const compared = (shown: (value: number) => string) => (what: string, one: number[], other: number[]) => {
    const [a, b] = [median(one), median(other)];
    return [what, shown(a), shown(b), ratio(a, b)];
  };
  const row = compared((value) => `${value.toFixed(0)}/s`);
  const seconds = compared((value) => `${value.toFixed(1)} s`);
  const [pooled, direct] = [crowd.pooled, crowd.direct].map((rounds) => ({
    tps: rounds.map(({ tps }) => tps),
    latencyMs: median(rounds.map(({ latencyMs }) => latencyMs)),
    memory: rounds.at(-1)!.memory,
  })) as [{ tps: number[]; latencyMs: number; memory: string }, { tps: number[]; latencyMs: number; memory: string }];
  return [
    "## The database",
    "",
    machine,
    "",
    `Medians of ${ROUNDS} rounds of ${SECONDS} s in alternating order, each server with ${memoryMb} MiB and ${cpus} CPU; ` +
      `pgbench with scale ${SCALE} and 8 clients, its transactions a second. The ratio is what says something.`,
    "",
    "### Ours against the image's defaults",
    "",
    ...markdownTable(
      ["", "Bulkhead", "the image's defaults", "ratio"],
      [row("writes (TPC-B)", writes.ours, writes.defaults), row("reads", reads.ours, reads.defaults)],
    ),
    "",
    `### ${CROWD} clients`,
    "",
    `Reads. Directly: a server of the image's defaults whose \`max_connections\` was made large enough, with four times the memory. Bulkhead's own server ` +
      `says to such a crowd that comes directly: "${refused}".`,
    "",
    ...markdownTable(
      ["", "through PgBouncer", "directly", "ratio"],
      [
        row("reads", pooled.tps, direct.tps),
        [
          "mean latency",
          `${pooled.latencyMs.toFixed(0)} ms`,
          `${direct.latencyMs.toFixed(0)} ms`,
          ratio(pooled.latencyMs, direct.latencyMs),
        ],
        ["memory of the server", pooled.memory, direct.memory, ""],
      ],
    ),
    "",
    "### With the receiver and the shipper of backups, and with both ended",
    "",
    ...markdownTable(["", "with", "without", "ratio"], [row("writes (TPC-B)", backups.running, backups.ended)]),
    "",
    "### A copy of it, and back",
    "",
    "A base backup, until the vault has it, encrypted; and a drill, which fetches it, decrypts it, replays WAL and reads every row, " +
      "page and index. Beside them `pg_dump` into a file, which is neither encrypted nor away, and `pg_restore` into a server that runs, " +
      "whose rows nobody reads.",
    "",
    ...markdownTable(
      ["", "Bulkhead", "pg_dump, pg_restore", "ratio"],
      [seconds("copy", copied.backup, copied.dump), seconds("back", copied.drill, copied.restore)],
    ),
    "",
    "### Cold start",
    "",
    "An app with PostgreSQL and Valkey, from nothing to healthy, images there: `pulumi up`, and `docker compose up --wait` on a file with " +
      "health checks, which has none of the rest.",
    "",
    ...(coldStarts.compose.length > 0
      ? markdownTable(
          ["", "Bulkhead", "Docker Compose", "ratio"],
          [seconds("until healthy", coldStarts.ours, coldStarts.compose)],
        )
      : [`${median(coldStarts.ours).toFixed(1)} s. Docker Compose could not be had.`]),
  ];
}
