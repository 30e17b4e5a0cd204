// `bulkhead status`: one screen of how a stack does, and what needs a hand. It changes nothing.
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { jsonFlag, stackCommand } from "./command.ts";
import { withDocker } from "./stack/with-docker.ts";
import type { Engine } from "../components/docker-engine/client.ts";
import type { Host } from "./stack/stack.ts";
import { needsOf } from "./status/judge.ts";
import { readStatus, type Memory } from "./status/read-status.ts";
import { screen } from "./status/screen.ts";

interface Options {
  stack: string;
  watch?: true;
  json?: true;
}

export const status: Command = stackCommand("status", "how each service does, and what needs a hand")
  .option("--watch", "look again every 2 seconds until Ctrl-C")
  .addOption(jsonFlag())
  .addHelpText(
    "after",
    `
Exit codes: 0 all is well, 1 something needs a hand.

Examples:
  bulkhead status --stack prod
  bulkhead status --watch`,
  )
  .action(async (options: Options) => {
    if (options.watch && options.json) throw new Error("--watch: it redraws a screen: leave out --json");
    await withDocker(options.stack, (engine, host) => show(engine, host, options));
  });

async function show(engine: Engine, host: Host, { stack, watch, json }: Options): Promise<void> {
  const memory: Memory = { cpu: new Map() };
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  if (watch) process.once("SIGINT", interrupt);
  do {
    const status = await readStatus(engine, host, stack, memory);
    const needs = needsOf(status);
    process.exitCode = needs.length > 0 ? 1 : 0;
    if (json) console.log(JSON.stringify({ ...status, engine: undefined, shell: undefined, needs }, undefined, 2));
    else {
      // From the top of the screen, which is only cleared where there is one.
      const clear = watch && process.stdout.isTTY ? "\x1b[H\x1b[2J" : "";
      console.log(`${clear}${screen(status, needs)}`);
    }
    if (watch) await delay(WATCH_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  } while (watch && !stop.signal.aborted);
  process.off("SIGINT", interrupt);
}

const WATCH_MS = 2_000;
