import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { settingIn, type ContainerInputs } from "./container-inputs.ts";
import { inspected, type Watch } from "./failed-container.ts";
import { limitPids } from "./pids-limit.ts";

/**
 * The containers that Pulumi is making. The provider looks at their health once a second, and what depends on one is not
 * even registered before it has seen that. So the job that switches a route to a container is registered when its creation
 * begins, and a hook keeps the job back until Docker says that the container is healthy.
 */
export class Creations {
  /** For a job whose setting RELEASE names containers: it is made when they are healthy, and have their limits. */
  readonly whenHealthy: pulumi.ResourceHook;
  /** By the name that the program gave. */
  readonly #watches = new Map<string, Watch>();
  readonly #beginnings = new Map<string, (container: string) => void>();

  constructor(hostName: string) {
    this.whenHealthy = new pulumi.ResourceHook(`${hostName}-when-healthy`, async ({ newInputs }) => {
      const { envs = [] } = newInputs as ContainerInputs;
      const release = settingIn(envs, "RELEASE") ?? "";
      await Promise.all(release.split(" ").map((container) => this.#healthy(container)));
    });
  }

  /**
   * The name on the host of what the program calls `name`, asked for once, and before its creation can begin.
   *
   * @param made known when it has been made, or was found to be as it should.
   */
  nameOf(name: string, made: pulumi.Output<string>): pulumi.Output<string> {
    // In a preview nothing begins.
    if (pulumi.runtime.isDryRun()) return made;
    return pulumi.output(
      new Promise<string>((resolve) => {
        this.#beginnings.set(name, resolve);
        made.apply(resolve);
      }),
    );
  }

  begin(watch: Watch): void {
    this.#watches.set(watch.name, watch);
    this.#beginnings.get(watch.name)?.(watch.container);
  }

  /** Gives what it ends, unless nothing of that name has begun. */
  end(name: string, outcome: NonNullable<Watch["outcome"]>): Watch | undefined {
    const watch = this.#watches.get(name);
    if (watch !== undefined) watch.outcome = outcome;
    return watch;
  }

  async #healthy(container: string): Promise<void> {
    const began = performance.now();
    for (;;) {
      const watch = [...this.#watches.values()].find((each) => each.container === container);
      // It was there before, or is as well as it gets.
      if (watch === undefined || watch.outcome === "made") return;
      if (watch.outcome === "failed") throw new Error(`${watch.name} is not healthy, so its route stays as it was`);
      const { host, name, pids } = watch;
      if (await isHealthy(watch)) {
        // What fails from here on may be serving.
        watch.stays = true;
        await limitPids(host.engine, container, name, pids).catch(host.faults.rethrow);
        return;
      }
      await delay(Math.min(Math.max(FIRST_LOOKS_MS, (performance.now() - began) / 10), LAST_LOOKS_MS));
    }
  }
}

/** A look costs some 5 ms of processor, over ssh, and several wait at once: one that takes long is looked at less often. */
const FIRST_LOOKS_MS = 150;
const LAST_LOOKS_MS = 500;

/** It may not be there yet. Of a host that does not answer the provider tells, which asks it too. */
async function isHealthy(watch: Watch): Promise<boolean> {
  const found = await inspected(watch).catch(() => undefined);
  return found?.State.Status === "running" && found.State.Health?.Status === "healthy";
}
