// `bulkhead exec`: a command in the running container of a service, by Docker's API: no docker CLI is needed.
import type { Command } from "commander";
import { stackCommand } from "./command.ts";
import { runInContainer } from "./exec/run-in-container.ts";
import { ensureKnown, listContainers, nameOf, serves } from "./stack/containers.ts";
import { withDocker } from "./stack/with-docker.ts";

export const exec: Command = stackCommand("exec", "a command in the running container of a service")
  .argument("<service>", "a service by name")
  .argument("<command...>", "the command, after --")
  .addHelpText(
    "after",
    `
It has a terminal if this command has one, and ends with the exit code of what it ran: 126 or 127
is what Docker answers for a program that may not be run, or is not there.

Examples:
  bulkhead exec backend --stack prod -- sh
  bulkhead exec database -- pg_dump app > app.sql`,
  )
  .action(async (service: string, command: string[], options: { stack: string }) => {
    const name = options.stack;
    await withDocker(name, async (engine) => {
      const all = (await listContainers(engine, name)).filter(serves);
      ensureKnown("service", [service], [...new Set(all.map(nameOf))]);
      // While a rollout runs there are two: the newer one is what will stay.
      const container = all.find((each) => nameOf(each) === service && each.State === "running");
      if (container === undefined)
        throw new Error(
          `${service}: no container of it runs: \`bulkhead logs ${service}\` says why, \`bulkhead up\` starts it`,
        );
      process.exitCode = await runInContainer(engine, container.Id, command);
    });
  });
