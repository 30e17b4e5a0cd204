// What the database costs and gains: the same queries to ours and to the image as it is, through PgBouncer and directly,
// with backups and without; a backup and its drill beside pg_dump and pg_restore; and a cold start beside Docker Compose's.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dataImages } from "../components/data/images.ts";
import { Engine } from "../components/docker-engine/client.ts";
import { provideImages } from "../toolchain/images.ts";
import { say, step } from "../toolchain/steps.ts";
import { lastLines } from "../tests/support/command.ts";
import { currentTestEngine } from "../tests/support/engine.ts";
import { images as pinned } from "../tests/support/images.ts";
import { createTestProject, type TestProject } from "../tests/support/pulumi.ts";
import { removeStack } from "../tests/support/reach.ts";
import { docker, insideStack } from "../tests/support/stack-inside.ts";
import { startVaultStorage } from "../tests/support/vault-storage.ts";
import { coldStarts } from "./cold-start.ts";
import { report, type Figures } from "./database-report.ts";
import { insideEngine, quick } from "./inside.ts";
import { describeMachine, writePart } from "./results.ts";

const ROUNDS = quick ? 1 : 3;
const SECONDS = quick ? 2 : 8;
const SCALE = quick ? 1 : 5;
const CROWD = quick ? 200 : 1000;
const LABEL = "database-database";
const LIMITS = { memoryMb: 1024, cpus: 1, pids: 150 };
/** The image as it is, and one that takes the whole crowd itself. */
const [DEFAULTS, WIDE] = ["bench-defaults", "bench-wide"] as const;

const PASSWORD = randomBytes(20).toString("hex");
const load = (clients: number) => `--no-vacuum --client=${clients} --jobs=2 --time=${SECONDS}`;

const { idOf, runNow } = insideStack(LABEL);

await insideEngine(import.meta.filename, async () => {
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  const machine = await describeMachine(currentTestEngine());
  const { postgres, pgbouncer, rclone, valkey } = dataImages;
  const wanted = { traefik: pinned.traefik, postgres, pgbouncer, rclone, valkey };
  const images = { ...wanted, ...(await provideImages(engine, wanted)) };
  const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
  const storage = await startVaultStorage(stdout.trim());
  const { endpoint, bucket } = storage;
  const config = { "database:images": images, "database:limits": LIMITS, "database:storage": { endpoint, bucket } };
  const project = await createTestProject({
    stack: "database",
    config,
    program: join(import.meta.dirname, "database"),
  });
  try {
    await step("deploying", () => deploy(project));
    await step("filling", () => fill(images.postgres));
    const figures: Figures = {
      ...(await oursAndTheImages()),
      ...(await throughPgBouncer()),
      ...(await withBackups()),
      ...(await besideDump()),
      coldStarts: await coldStarts(engine, images, ROUNDS),
    };
    say(
      `Written: ${await writePart("database", report(machine, { ROUNDS, SECONDS, SCALE, CROWD, ...LIMITS }, figures))}`,
    );
  } finally {
    for (const name of [DEFAULTS, WIDE]) await docker("rm", "--force", "--volumes", name);
    await removeStack(engine, LABEL);
    project.remove();
    await storage.stop();
    engine.close();
  }
});

async function deploy(project: TestProject): Promise<void> {
  await project.setSecret("backupKey", randomBytes(32).toString("base64url"));
  await project.setSecret("accessKeyId", "AKIDEXAMPLE");
  await project.setSecret("secretAccessKey", randomBytes(20).toString("base64url"));
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
}

/** Servers beside ours, with the same limits and no setting of ours; and the rows of all three. */
async function fill(image: string): Promise<void> {
  for (const [name, memoryMb, pids, ...settings] of [
    [DEFAULTS, LIMITS.memoryMb, LIMITS.pids],
    // Each of its clients has a process of its own, and needs its memory.
    [WIDE, 4 * LIMITS.memoryMb, CROWD + 100, "-c", `max_connections=${CROWD + 50}`],
  ] as const)
    await must(
      ...["run", "--detach", "--name", name, "--network", `${LABEL}-db`, "--network-alias", name, "--user", "999:999"],
      ...["--memory", `${memoryMb}m`, "--memory-swap", `${memoryMb}m`, "--cpus", String(LIMITS.cpus)],
      ...["--pids-limit", String(pids), "--env", `POSTGRES_PASSWORD=${PASSWORD}`, image, "postgres", ...settings],
    );
  for (const server of ["ours", DEFAULTS, WIDE] as const) {
    // The image starts its server once for itself, before the one that listens.
    for (let tries = 0; (await exec("direct", server, "psql -Xqc 'select 1'")).code !== 0; tries++) {
      if (tries === 60) throw new Error(`${server} does not answer`);
      await sleep(1000);
    }
    await pgbench("direct", server, `--initialize --quiet --scale=${SCALE}`);
  }
}

async function oursAndTheImages(): Promise<Pick<Figures, "writes" | "reads">> {
  const writes = { ours: [] as number[], defaults: [] as number[] };
  const reads = { ours: [] as number[], defaults: [] as number[] };
  const ways = [
    ["ours", "ours"],
    ["defaults", DEFAULTS],
  ] as const;
  for (let round = 0; round < ROUNDS; round++)
    for (const [way, server] of round % 2 === 0 ? ways : ways.toReversed()) {
      writes[way].push((await pgbench("direct", server, load(8))).tps);
      reads[way].push((await pgbench("direct", server, `--select-only ${load(8)}`)).tps);
      say(JSON.stringify({ round, way, writes: writes[way].at(-1), reads: reads[way].at(-1) }));
    }
  return { writes, reads };
}

async function throughPgBouncer(): Promise<Pick<Figures, "crowd" | "refused">> {
  const crowd: Figures["crowd"] = { pooled: [], direct: [] };
  const ways = [
    ["pooled", "pooled", "ours", () => idOf("db")],
    ["direct", "direct", WIDE, () => Promise.resolve(WIDE)],
  ] as const;
  for (let round = 0; round < ROUNDS; round++)
    for (const [way, client, server, idOfServer] of round % 2 === 0 ? ways : ways.toReversed()) {
      const running = pgbench(client, server, `--select-only ${load(CROWD)}`);
      await sleep(SECONDS * 700);
      const { stdout } = await docker("stats", "--no-stream", "--format", "{{.MemUsage}}", await idOfServer());
      crowd[way].push({ ...(await running), memory: stdout.split(" ")[0]! });
      say(JSON.stringify({ round, way, ...crowd[way].at(-1) }));
    }
  const { stderr } = await exec("direct", "ours", `pgbench ${load(CROWD)}`);
  return { crowd, refused: /FATAL: +(.*)/.exec(stderr)?.[1] ?? "nothing" };
}

/** The receiver and the shipper, ended for the rounds without. */
async function withBackups(): Promise<Pick<Figures, "backups">> {
  const backups = { running: [] as number[], ended: [] as number[] };
  const parts = await Promise.all(["backup-receiver", "backup-shipper"].map(idOf));
  for (let round = 0; round < ROUNDS; round++)
    for (const way of round % 2 === 0 ? (["running", "ended"] as const) : (["ended", "running"] as const)) {
      await must(...(way === "ended" ? ["stop", "--time", "5"] : ["start"]), ...parts);
      // Until the receiver has what was written meanwhile.
      await sleep(3000);
      backups[way].push((await pgbench("direct", "ours", load(8))).tps);
      say(JSON.stringify({ round, backups: way, tps: backups[way].at(-1) }));
    }
  await must("start", ...parts);
  return { backups };
}

/** A base backup in the vault, and a drill of it, beside `pg_dump` into a file and `pg_restore` from it. */
async function besideDump(): Promise<Pick<Figures, "copied">> {
  const copied: Figures["copied"] = { backup: [], dump: [], drill: [], restore: [] };
  const file = "/notes/dump";
  const timed = async (what: keyof typeof copied, work: () => Promise<{ code: number; stderr: string }>) => {
    const began = performance.now();
    const { code, stderr } = await work();
    if (code !== 0) throw new Error(`${what}:\n${lastLines(stderr, 20)}`);
    copied[what].push((performance.now() - began) / 1000);
  };
  const ways = [
    async () => {
      await timed("backup", () => runNow("backup-base"));
      await timed("drill", () => runNow("backup-drill"));
    },
    async () => {
      await timed("dump", () => exec("direct", "ours", `pg_dump --format=custom --file=${file}`));
      await exec("direct", DEFAULTS, "dropdb --if-exists again");
      await exec("direct", DEFAULTS, "createdb again");
      await timed("restore", () =>
        exec("direct", DEFAULTS, `pg_restore --no-owner --no-privileges --dbname=again ${file}`),
      );
    },
  ];
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) await way();
    const last = Object.entries(copied).map(([what, seconds]) => [what, seconds.at(-1)] as const);
    say(JSON.stringify({ round, ...Object.fromEntries(last) }));
  }
  return { copied };
}

type Server = "ours" | typeof DEFAULTS | typeof WIDE;

async function exec(client: "direct" | "pooled", server: Server, command: string) {
  const to =
    server === "ours"
      ? 'PGPASSFILE=/tmp/pgpass PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER"'
      : `PGHOST=${server} PGUSER=postgres PGDATABASE=postgres`;
  const password = server === "ours" ? [] : ["--env", `PGPASSWORD=${PASSWORD}`];
  const args = ["exec", ...password, await idOf(client), "sh", "-c", `${to} ${command}`];
  return currentTestEngine().exec("docker", args, { timeoutMs: 300_000 });
}

async function pgbench(client: "direct" | "pooled", server: Server, options: string) {
  const { code, stdout, stderr } = await exec(client, server, `pgbench ${options}`);
  if (code !== 0) throw new Error(`pgbench ${options} at ${server}:\n${lastLines(stderr, 20)}`);
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1]);
  return { tps: number(/^tps = ([\d.]+)/m), latencyMs: number(/^latency average = ([\d.]+)/m) };
}

async function must(...args: string[]): Promise<void> {
  const { code, stderr } = await docker(...args);
  if (code !== 0) throw new Error(`docker ${args[0]}: ${stderr}`);
}
