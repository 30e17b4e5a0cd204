import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";
import type { ContainerInputs } from "./container-inputs.ts";
import { containersNamed } from "./containers-named.ts";

interface Host {
  engine: Engine;
  stackName: string;
}

/**
 * Hooks for a container that may not run beside the one before it. Pulumi makes the new one and then deletes the old one,
 * as it does for all others: here the old one is stopped in between, and is still there to be started again if the new one
 * fails. Were it deleted first, a release that fails would leave nothing.
 *
 * @param others the hooks of every container that runs.
 */
export function stopFirstHooks(hostName: string, host: Host, others: pulumi.ResourceHookBinding) {
  const gaps = new Map<string, Gap>();
  return {
    ...others,
    beforeCreate: [
      new pulumi.ResourceHook(`${hostName}-stop-first`, (args) => stopOld(host, gaps, args), { onDryRun: true }),
      ...(others.beforeCreate ?? []),
    ],
    afterCreate: [
      ...(others.afterCreate ?? []),
      new pulumi.ResourceHook(`${hostName}-gap-over`, ({ name }) => tellGap(gaps.get(name), name)),
    ],
    // After the one that says why, and removes what failed.
    onError: [
      ...(others.onError ?? []),
      new pulumi.ErrorHook(`${hostName}-old-again`, async ({ name }) => {
        await startOld(host, gaps.get(name), name);
        // Pulumi would try again.
        return false;
      }),
    ],
  } satisfies pulumi.ResourceHookBinding;
}

interface Gap {
  /** What was stopped, oldest first. */
  stopped: readonly string[];
  began: number;
}

async function stopOld(host: Host, gaps: Map<string, Gap>, { name, newInputs }: pulumi.ResourceHookArgs) {
  const { engine } = host;
  const isPreview = pulumi.runtime.isDryRun();
  // A preview may run with the host away.
  const there = await containersNamed(host, name).catch((error: unknown) => {
    if (isPreview) return [];
    throw error;
  });
  if (there.length === 0) return;
  const {
    destroyGraceSeconds = 10,
    image,
    waitTimeout = 60,
  } = newInputs as ContainerInputs & {
    destroyGraceSeconds?: number;
    waitTimeout?: number;
  };
  if (isPreview) {
    await pulumi.log.warn(
      `${name} is replaced stop-first: nothing of it runs from when the old container is told to end, for which it has ` +
        `${destroyGraceSeconds} s at most, until the new one is healthy, for which it has ${waitTimeout} s at most`,
    );
    return;
  }
  // What is pulled now is not pulled in the gap.
  if (!(await engine.find(`/images/${image}/json`))) await engine.pull(image);
  const running = there.filter(({ State }) => State === "running" || State === "restarting" || State === "paused");
  gaps.set(name, {
    // An upgrade of a database has ended it before.
    began: running.length > 0 ? Date.now() : Date.now() - (await msSinceEnd(engine, there[0]!.Id)),
    // None runs where a run before this one was killed in its gap.
    stopped: (running.length > 0 ? running : there.slice(0, 1)).map(({ Id }) => Id).reverse(),
  });
  for (const { Id } of running) {
    await startsWithDocker(engine, Id, false);
    await engine.post(`/containers/${Id}/stop?t=${destroyGraceSeconds}`);
  }
}

/** By the clock of the host, which may be another than this machine's. */
async function msSinceEnd(engine: Engine, id: string): Promise<number> {
  const { SystemTime } = await engine.get<{ SystemTime: string }>("/info");
  const ended = (await engine.find<{ State: { FinishedAt: string } }>(`/containers/${id}/json`))?.State.FinishedAt;
  // Docker says the year 1 of one that never ran.
  return ended === undefined || ended.startsWith("0001") ? 0 : Math.max(0, Date.parse(SystemTime) - Date.parse(ended));
}

/**
 * What always runs, Docker starts also after somebody has stopped it, when the daemon or the host starts again: the old one
 * would run beside the new one until an update has deleted it.
 */
async function startsWithDocker(engine: Engine, id: string, starts: boolean): Promise<void> {
  await engine.post(`/containers/${id}/update`, { RestartPolicy: { Name: starts ? "always" : "unless-stopped" } });
}

async function tellGap(gap: Gap | undefined, name: string): Promise<void> {
  if (gap === undefined) return;
  await pulumi.log.info(`${name}: nothing of it ran for ${((Date.now() - gap.began) / 1000).toFixed(1)} s`);
}

async function startOld(host: Host, gap: Gap | undefined, name: string): Promise<void> {
  const { engine } = host;
  const [old] = gap?.stopped ?? [];
  if (gap === undefined || old === undefined) return;
  try {
    // What has failed goes by the hook before this one; that may have been cut off.
    for (const { Id } of await containersNamed(host, name))
      if (!gap.stopped.includes(Id)) await engine.delete(`/containers/${Id}?force=1`);
    await engine.post(`/containers/${old}/start`);
    await startsWithDocker(engine, old, true);
    const wasGone = () => ((Date.now() - gap.began) / 1000).toFixed(1);
    for (let left = HEALTH_SECONDS; left > 0; left--) {
      const health = (await engine.find<Inspected>(`/containers/${old}/json`))?.State.Health?.Status;
      if (health === "healthy" || health === undefined)
        return void (await pulumi.log.warn(
          `${name}: the old container runs again; nothing of it ran for ${wasGone()} s`,
        ));
      await delay(1000);
    }
    await pulumi.log.error(`${name}: the old container was started again, and is not healthy: its log says why`);
  } catch (error) {
    await pulumi.log.error(
      `${name}: the old container could not be started again: ${(error as Error).message}. On the host: docker start ${old}`,
    );
  }
}

interface Inspected {
  State: { Health?: { Status: string } };
}

/** The update waits as long to say that it is well. */
const HEALTH_SECONDS = 60;
