import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { pidsOf, type ContainerInputs } from "./container-inputs.ts";
import { containersNamed } from "./containers-named.ts";
import type { Creations } from "./creations.ts";
import { explainAndRemove, inspected, removeUnanswered, type Host, type Watch } from "./failed-container.ts";

/**
 * Hooks for every container that runs. The provider only waits for health, up to the deadline, and then says that there
 * was none. These see a job that ended and a service that crashes again and again as soon as they do, and say why a
 * container did not come up: its state, what its last health check answered, and its last lines.
 *
 * A container that failed is removed then, which also ends the provider's wait: it served nobody, would crash on for
 * ever, and a refresh would take a failed job for one that did its work. One that holds a port of the host stays, as there
 * is no other in its place, and so does one that was healthy, as a route may lead to it.
 *
 * On a busy host health checks get no answer in time though nothing is wrong: what none of them was answered by is made
 * once more, when what started beside it is out of its way.
 */
export function failureHooks(hostName: string, host: Host, creations: Creations): pulumi.ResourceHookBinding {
  const triedTwice = new Set<string>();
  const begin = async (name: string, inputs: ContainerInputs) => {
    const { name: container, ports = [], image } = inputs;
    const there = await containersNamed(host, name).catch(host.faults.rethrow);
    const watch: Watch = {
      ...{ host, name, container, image, pids: pidsOf(inputs) },
      ...{ stays: ports.length > 0, isOneMore: there.length > 0, explained: false },
    };
    creations.begin(watch);
    void untilItFails(watch);
  };
  const isTriedOnceMore = async (watch: Watch, inputs: ContainerInputs, errors: readonly string[]) => {
    const { name, explained } = watch;
    if (explained) return false;
    if (errors.some((error) => error.includes("No command specified"))) {
      await pulumi.log.error(`${name}: ${NOTHING_TO_RUN}`);
      return false;
    }
    if (!triedTwice.has(name) && !hasGap(inputs, watch) && (await removeUnanswered(watch))) {
      triedTwice.add(name);
      return true;
    }
    await explainAndRemove(watch, "did not become healthy in time");
    return false;
  };
  return {
    beforeCreate: [
      new pulumi.ResourceHook(`${hostName}-watch`, ({ name, newInputs }) => begin(name, newInputs as ContainerInputs)),
    ],
    afterCreate: [new pulumi.ResourceHook(`${hostName}-watched`, ({ name }) => void creations.end(name, "made"))],
    onError: [
      new pulumi.ErrorHook(`${hostName}-explain`, async ({ name, newInputs, errors }) => {
        const watch = creations.end(name, "failing");
        if (watch === undefined) return false;
        const inputs = newInputs as ContainerInputs;
        if (await isTriedOnceMore(watch, inputs, errors)) {
          await begin(name, inputs);
          // Pulumi tries again.
          return true;
        }
        creations.end(name, "failed");
        return false;
      }),
    ],
  };
}

/**
 * A container that holds a port of the host has to go before the next one can come: the preview says what is about to
 * have a gap. When the next one comes, the old one is gone, unless a run that was killed had started it and could not
 * write it down; then it is the one that serves, until here.
 */
export function announceDowntime(hostName: string, host: Host): pulumi.ResourceHook {
  return new pulumi.ResourceHook(
    `${hostName}-gap`,
    async ({ name, newInputs }) => {
      // A preview may run with the host away.
      const there = await containersNamed(host, name).catch(() => []);
      if (!pulumi.runtime.isDryRun()) {
        for (const { Id } of there) await host.engine.delete(`/containers/${Id}?force=1`);
      } else if (there.length > 0) {
        const ports = (newInputs as ContainerInputs).ports!.map(({ external }) => external);
        await pulumi.log.warn(
          `${name} is replaced: port ${ports.join(" and ")} ${ports.length > 1 ? "are" : "is"} closed for some seconds, ` +
            "until the next one has started; open connections end",
        );
      }
    },
    { onDryRun: true, ignoreErrors: true },
  );
}

/** Looks as often as the provider does. */
const LOOK_MS = 1000;

/** Five take about 3 s, as Docker waits 0.1 s before the first restart and twice as long before each further one. */
const RESTARTS_OF_A_CRASH_LOOP = 5;

async function untilItFails(watch: Watch): Promise<void> {
  let limited = false;
  const isOver = () => watch.outcome !== undefined || watch.explained;
  for (;;) {
    await delay(LOOK_MS, undefined, { ref: false });
    if (isOver()) return;
    // A host that does not answer is told of by the provider, which asks it too.
    const found = await inspected(watch).catch(() => undefined);
    if (found === undefined || isOver() || found.State.Health?.Status === "healthy") continue;
    const { Id, State, RestartCount } = found;
    // The provider cannot set it. container.ts sees to it that it took; here it holds before the container is healthy.
    if (!limited)
      await watch.host.engine.post(`/containers/${Id}/update`, { PidsLimit: watch.pids }).catch(() => undefined);
    limited = true;
    if (RestartCount >= RESTARTS_OF_A_CRASH_LOOP) await explainAndRemove(watch, `crashed ${RestartCount} times`);
    else if (State.Status === "exited" && State.ExitCode !== 0) await explainAndRemove(watch, "failed");
  }
}

/** As Docker says it, the container was never made. */
const NOTHING_TO_RUN =
  "its image does not say what to run: give it a CMD in its Dockerfile, or the service a command in the program";

/**
 * Whether nothing of what was there before it serves until it does: then it is not to be waited for twice as long. A job is
 * never made twice.
 */
function hasGap({ mustRun = false, ports = [], labels }: ContainerInputs, { isOneMore }: Watch): boolean {
  if (!mustRun) return true;
  return isOneMore && (ports.length > 0 || labels.some(({ label }) => label === "bulkhead.rollout"));
}
