import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";

/**
 * Says why a container did not come up: what state it is in, what its last health check answered, and its last lines.
 * The provider only says that it did not become healthy.
 *
 * The container of a failed job is removed then. The engine remembers that its creation failed, but a refresh makes it
 * forget, and would take a job that is there for one that did its work.
 */
export function explainFailure(host: DockerHost, name: string, run: "always" | "once"): pulumi.ErrorHook {
  return new pulumi.ErrorHook(`explain-${name}`, async () => {
    try {
      const failed = await newestUnhealthy(host, name);
      if (failed === undefined) return false;
      await pulumi.log.error(`${name}: ${await explain(host, failed)}`);
      if (run === "once") await host.engine.delete(`/containers/${failed.id}?force=1`);
    } catch (error) {
      await pulumi.log.error(`${name}: it failed, and cannot be looked at: ${(error as Error).message}`);
    }
    return false;
  });
}

interface State {
  Status: string;
  ExitCode: number;
  OOMKilled: boolean;
  Health?: { Status: string; Log: { Output: string }[] | null };
}

interface Failed {
  id: string;
  name: string;
  state: State;
}

/** None, if it never ran or is the healthy old release: then what the engine said explains it. */
async function newestUnhealthy({ engine, stackName }: DockerHost, name: string): Promise<Failed | undefined> {
  const filters = JSON.stringify({ label: [`bulkhead.stack=${stackName}`, `bulkhead.name=${name}`] });
  const [newest] = await engine.get<{ Id: string; State: string }[]>(
    `/containers/json?all=1&filters=${encodeURIComponent(filters)}`,
  );
  if (newest === undefined || newest.State === "created") return undefined;
  const { Name, State } = await engine.get<{ Name: string; State: State }>(`/containers/${newest.Id}/json`);
  return State.Health?.Status === "healthy" ? undefined : { id: newest.Id, name: Name.slice(1), state: State };
}

async function explain({ engine }: DockerHost, { id, name, state }: Failed): Promise<string> {
  const health = state.Health?.Log?.at(-1)?.Output.trim();
  return [
    `the container ${name} did not become healthy in time: it is ${state.Status}`,
    ...(state.Status === "running" ? [] : [`, exit code ${state.ExitCode}${state.OOMKilled ? ", out of memory" : ""}`]),
    ...(health ? [`\nIts last health check said: ${health}`] : []),
    `\nIts last lines:\n${(await engine.logs(id, LINES)).trimEnd()}`,
  ].join("");
}

/** Enough for a stack trace, and little enough to be read. */
const LINES = 20;
