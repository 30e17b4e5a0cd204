import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../../components/docker-engine/client.ts";
import { acceptedIn, type Acceptance } from "../agreement.ts";
import { pulumiForPerson, type Stack } from "../stack/stack.ts";
import { unacknowledged } from "./data.ts";
import { previewOf } from "./engine-events.ts";
import { forecastOf } from "./forecast.ts";
import type { Capacity, Report } from "./report.ts";

/** Runs `pulumi preview` for the person at the terminal, and explains what it found. */
export async function explainedPreview(
  stack: Omit<Stack, "engine"> & { engine?: Engine },
  accepted: Acceptance,
  options: {
    /** More arguments of `pulumi preview`. */
    args?: readonly string[];
    /** What Pulumi prints goes to stderr. @default to stdout */
    keepStdout?: boolean;
  } = {},
): Promise<Report> {
  const directory = await mkdtemp(join(tmpdir(), "bulkhead-preview-"));
  const log = join(directory, "events");
  try {
    // The flag is that of Pulumi's Automation API, which the CLI shows with this variable alone.
    const env = { ...stack.env, PULUMI_DEBUG_COMMANDS: "true" };
    const { args = [], keepStdout } = options;
    const preview = ["preview", "--stack", stack.name, "--event-log", log, ...args];
    const { code } = await pulumiForPerson({ ...stack, env }, preview, keepStdout);
    const forecast = forecastOf(previewOf(existsSync(log) ? await readFile(log, "utf8") : ""));
    const untold = code !== 0 && forecast.errors.length === 0 && !forecast.findings.some(({ mandatory }) => mandatory);
    return {
      ...forecast,
      ...(untold && {
        errors: [`pulumi preview ended with ${code}: what it said is above, or in the log of this run`],
      }),
      stack: stack.name,
      capacity: await capacityOf(stack.engine),
      unacknowledged: unacknowledged(forecast.dataAtRisk, acceptedIn(accepted)),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function capacityOf(engine: Engine | undefined): Promise<Capacity | undefined> {
  const info = await engine?.get<{ MemTotal: number; NCPU: number }>("/info").catch(() => undefined);
  return info && { memoryMb: Math.floor(info.MemTotal / 2 ** 20), cpus: info.NCPU };
}
