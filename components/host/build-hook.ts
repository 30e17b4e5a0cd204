import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";

/**
 * Refuses a build on what has no BuildKit. The provider would build in the old way: without the secrets, and with an error of
 * whatever line is the first that the old builder does not know.
 */
export function buildHook(hostName: string, { engine }: { engine: Engine }): pulumi.ResourceHook {
  return new pulumi.ResourceHook(`${hostName}-buildkit`, async ({ name }) => {
    if (await hasBuildKit(engine)) return;
    const { Version, ApiVersion, Components = [] } = await engine.get<EngineVersion>("/version");
    const engineName = Components[0]?.Name === "Engine" ? "Docker" : (Components[0]?.Name ?? "Docker");
    throw new pulumi.RunError(
      `${name}: ${engine.host} has no BuildKit (${engineName} ${Version}, API ${ApiVersion}): ` +
        "give a host with Docker 18.09 or newer, or an image from a registry in place of the build",
    );
  });
}

interface EngineVersion {
  Version: string;
  ApiVersion: string;
  Components?: { Name: string }[];
}

/** A builder's session is opened by an upgrade, without which Docker says that one is missing. Others know no such path. */
async function hasBuildKit(engine: Engine): Promise<boolean> {
  return engine.post("/session").then(
    () => true,
    ({ message }: Error) => {
      if (/ answered (404|405): /.test(message)) return false;
      if (/ answered \d+: /.test(message)) return true;
      throw new pulumi.RunError(message);
    },
  );
}
