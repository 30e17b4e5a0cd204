import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";
import { pidsOf, type ContainerInputs } from "./container-inputs.ts";

/**
 * Lets a job end that has been seen to be done: as long as it stays, it is looked at, which costs the host something. Its
 * pids limit, which the provider does not know, is set while it runs (see deploy-failures.ts), or here if it was quicker
 * than that.
 */
export function jobHook(hostName: string, { engine }: { engine: Engine }): pulumi.ResourceHook {
  return new pulumi.ResourceHook(
    `${hostName}-job-done`,
    async ({ id, newInputs }) => {
      // One that has ended by itself meanwhile has nobody to be told.
      const tell = (path: string, body?: object) =>
        engine.post(`/containers/${id}/${path}`, body).catch(() => undefined);
      await tell("update", { PidsLimit: pidsOf(newInputs as ContainerInputs) });
      await tell("kill?signal=TERM");
    },
    { ignoreErrors: true },
  );
}
