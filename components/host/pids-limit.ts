import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";

/**
 * Sets the pids limit, which the provider does not know, and reads it back. It runs in every update and not only when
 * the container is new, so that a limit which failed to take, or was lifted by hand, fails or heals the next update.
 */
export async function limitPids(engine: Engine, id: string, name: string, pids: number): Promise<string> {
  if (pulumi.runtime.isDryRun()) return id;
  const read = async () =>
    (await engine.find<{ HostConfig: { PidsLimit: number | null } }>(`/containers/${id}/json`))?.HostConfig.PidsLimit;
  const before = await read();
  if (before === pids) return id;
  if (before === undefined)
    throw new pulumi.RunError(`${name}: its container is gone from the host: run \`pulumi refresh\`, then this again`);
  await engine.post(`/containers/${id}/update`, { PidsLimit: pids });
  const limit = await read();
  if (limit !== pids)
    throw new pulumi.RunError(
      `${name}: Docker set a pids limit of ${limit} instead of ${pids}: ` +
        `it needs the pids cgroup; see \`docker info\` for its warnings`,
    );
  return id;
}
