import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../engine.ts";

/**
 * Lets a job end that has been seen to be done: as long as it stays, it is looked at, which costs the host something. Its
 * pids limit, which the provider does not know, is set while it runs (see failure.ts), or here if it was quicker than that.
 */
export function jobHook(hostName: string, { engine }: { engine: Engine }): pulumi.ResourceHook {
  return new pulumi.ResourceHook(
    `${hostName}-job-done`,
    async ({ id, newInputs }) => {
      const { labels } = newInputs as { labels: { label: string; value: string }[] };
      const pids = Number(labels.find(({ label }) => label === "bulkhead.pids")?.value);
      // One that has ended by itself meanwhile has nobody to be told.
      for (const [path, body] of [["update", { PidsLimit: pids }], ["kill?signal=TERM"]] as const)
        await engine.post(`/containers/${id}/${path}`, body).catch(() => undefined);
    },
    { ignoreErrors: true },
  );
}
