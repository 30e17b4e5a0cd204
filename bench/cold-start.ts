// An app with PostgreSQL and Valkey, from nothing to healthy: Bulkhead's update, and `docker compose up --wait`.
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import type { Engine } from "../components/docker-engine/client.ts";
import { say } from "../toolchain/steps.ts";
import { lastLines } from "../tests/support/command.ts";
import { currentTestEngine } from "../tests/support/engine.ts";
import { createTestProject } from "../tests/support/pulumi.ts";
import { removeStack } from "../tests/support/reach.ts";
import { provideCompose } from "./contenders/on-host.ts";

const FOLDER = join(import.meta.dirname, "cold-start");

/** Seconds of each round; compose is absent where it could not be had. */
export interface ColdStarts {
  ours: number[];
  compose: number[];
}

/** The images are there: what is measured is what each does with them. */
export async function coldStarts(
  engine: Engine,
  images: Record<"traefik" | "postgres" | "valkey", string>,
  rounds: number,
): Promise<ColdStarts> {
  const compose = await provideCompose().catch((error: unknown) => void say(`no Docker Compose: ${String(error)}`));
  const starts: ColdStarts = { ours: [], compose: [] };
  const ways = {
    ours: () => byBulkhead(engine, images),
    ...(compose && { compose: () => byCompose(compose, images) }),
  };
  for (let round = 0; round < rounds; round++)
    for (const [way, start] of round % 2 === 0 ? Object.entries(ways) : Object.entries(ways).toReversed()) {
      starts[way as keyof ColdStarts].push(await start());
      say(JSON.stringify({ round, "cold start": way, seconds: starts[way as keyof ColdStarts].at(-1) }));
    }
  return starts;
}

async function byBulkhead(engine: Engine, images: Record<string, string>): Promise<number> {
  const project = await createTestProject({ stack: "bench", program: FOLDER, config: { "cold-start:images": images } });
  try {
    const { code, stdout, stderr, seconds } = await project.up();
    if (code !== 0) throw new Error(`the cold start failed:\n${lastLines(stdout + stderr, 40)}`);
    return seconds;
  } finally {
    await removeStack(engine, "cold-start-bench");
    project.remove();
  }
}

async function byCompose(compose: string, images: Record<"postgres" | "valkey", string>): Promise<number> {
  const env = {
    POSTGRES_IMAGE: images.postgres,
    VALKEY_IMAGE: images.valkey,
    PASSWORD: randomBytes(20).toString("hex"),
    COMPOSE_PROJECT_NAME: "bench-cold-start",
  };
  const run = (...args: string[]) =>
    currentTestEngine().exec(compose, ["--file", join(FOLDER, "compose.yaml"), ...args], { env, timeoutMs: 300_000 });
  try {
    const { code, stdout, stderr, seconds } = await run("up", "--detach", "--wait");
    if (code !== 0) throw new Error(`compose up:\n${lastLines(stdout + stderr, 40)}`);
    return seconds;
  } finally {
    await run("down", "--volumes", "--timeout", "1");
  }
}
