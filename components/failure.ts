import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";

/**
 * Says why a container did not come up: what state it is in, what its last health check answered, and its last lines.
 * The provider only says that it did not become healthy.
 */
export function explainFailure(host: DockerHost, name: string): pulumi.ErrorHook {
  return new pulumi.ErrorHook(`explain-${name}`, async () => {
    const explanation = await explain(host, name).catch((error: Error) => `it cannot be looked at: ${error.message}`);
    if (explanation !== undefined) await pulumi.log.error(`${name}: ${explanation}`);
    return false;
  });
}

interface State {
  Status: string;
  ExitCode: number;
  OOMKilled: boolean;
  Health?: { Status: string; Log: { Output: string }[] | null };
}

async function explain({ engine, stackName }: DockerHost, name: string): Promise<string | undefined> {
  const filters = JSON.stringify({ label: [`bulkhead.stack=${stackName}`, `bulkhead.name=${name}`] });
  const [newest] = await engine.get<{ Id: string; Names: string[]; State: string }[]>(
    `/containers/json?all=1&filters=${encodeURIComponent(filters)}`,
  );
  // None, or one that never ran or is the healthy old release: then what the engine said explains it.
  if (newest === undefined || newest.State === "created") return undefined;
  const { State: state } = await engine.get<{ State: State }>(`/containers/${newest.Id}/json`);
  if (state.Health?.Status === "healthy") return undefined;
  const health = state.Health?.Log?.at(-1)?.Output.trim();
  return [
    `the container ${newest.Names[0]?.slice(1)} did not become healthy in time: it is ${state.Status}`,
    ...(state.Status === "running" ? [] : [`, exit code ${state.ExitCode}${state.OOMKilled ? ", out of memory" : ""}`]),
    ...(health ? [`\nIts last health check said: ${health}`] : []),
    `\nIts last lines:\n${(await engine.logs(newest.Id, LINES)).trimEnd()}`,
  ].join("");
}

/** Enough for a stack trace, and little enough to be read. */
const LINES = 20;
