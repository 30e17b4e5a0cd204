// `bulkhead run`: a scheduled job now, in its own container, by Docker's API.
import type { Command } from "commander";
import { stackCommand } from "./command.ts";
import { runInContainer } from "./exec/run-in-container.ts";
import { ensureKnown, listContainers, nameOf } from "./stack/containers.ts";
import { withDocker } from "./stack/with-docker.ts";

export const run: Command = stackCommand("run", "run a scheduled job now")
  .argument("<job>", "a scheduled job by name")
  .addHelpText(
    "after",
    `
It runs in the job's container, with its settings, secrets, limits and time-out, shows what it
writes, and ends with its exit code. While a run of the job goes on, it ends with 75 at once.
A run goes on if this command is interrupted.

Examples:
  bulkhead run nightly-report --stack prod`,
  )
  .action(async (job: string, options: { stack: string }) => {
    const name = options.stack;
    await withDocker(name, async (engine) => {
      const all = (await listContainers(engine, name)).filter(
        ({ Labels }) => Labels["bulkhead.role"] === "scheduled-job",
      );
      ensureKnown("scheduled job", [job], [...new Set(all.map(nameOf))]);
      // While a rollout runs there are two: the newer one is what will stay.
      const container = all.find((each) => nameOf(each) === job && each.State === "running");
      if (container === undefined)
        throw new Error(
          `${job}: its container does not run: \`bulkhead logs ${job}\` says why, \`bulkhead up\` starts it`,
        );
      const { Config } = await engine.get<{ Config: { Entrypoint: string[]; Cmd: string[] } }>(
        `/containers/${container.Id}/json`,
      );
      // As it serves, in another mode: see schedule.sh.
      const [, ...rest] = Config.Cmd;
      const running = runInContainer(engine, container.Id, [...Config.Entrypoint, "now", ...rest]);
      process.exitCode = await running.catch(({ message }: Error) => {
        throw new Error(
          `${job}: the connection broke off (${message}): the run goes on, unless the host has ended it: ` +
            "`bulkhead status` says if it failed",
        );
      });
    });
  });
