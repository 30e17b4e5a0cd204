import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";
import { explainUnreachable } from "../docker-engine/connection-errors.ts";

/**
 * Says what its owner can do where it is the host that failed, and not what was being made there: once, however many
 * resources fail by it. The provider's own words are many, and name neither the host nor a cure.
 */
export class HostFaults {
  /** For everything that is made on the host. */
  readonly hook: pulumi.ErrorHook;
  readonly #engine: Engine;
  readonly #knownHosts: string | undefined;
  readonly #told = new Set<Fault>();

  constructor(hostName: string, engine: Engine, knownHosts?: string) {
    this.#engine = engine;
    this.#knownHosts = knownHosts;
    this.hook = new pulumi.ErrorHook(`${hostName}-faults`, async ({ errors }) => {
      await this.reportIfHostFault(errors);
      // Pulumi would try again.
      return false;
    });
  }

  /** For a question to the host in the middle of an update. */
  readonly rethrow = async (error: unknown): Promise<never> => {
    if (pulumi.RunError.isInstance(error)) throw error;
    const { message } = error as Error;
    await this.reportIfHostFault([message]);
    throw new pulumi.RunError(message);
  };

  /** Whether it was told that the host went away: then there is no use in asking it. */
  get isGone(): boolean {
    return this.#told.has("gone");
  }

  /** Gives whether these errors are the host's fault. */
  async reportIfHostFault(errors: readonly string[]): Promise<boolean> {
    const { host } = this.#engine;
    if (errors.some((error) => error.includes("no space left on device")))
      return this.#once("full", `${host}: its disk is full\n  docker system df    # there: what Docker keeps`);
    if (errors.some((error) => error.includes("non-overlapping IPv4 address pool")))
      return this.#once("pools", `${host}: Docker has no addresses left for another network\n${MORE_ADDRESSES}`);
    if (errors.some((error) => error.includes("failed to read downloaded context")))
      return this.#once("builds", `${host}: ${NO_BUILDS}`);
    if (this.isGone) return true;
    const silence = await this.#engine.ping().then(
      // It may be back already, as a daemon that was restarted.
      () => (errors.some((error) => BROKEN_OFF.test(error)) ? `${host}: the connection broke off` : undefined),
      (error: Error) => explainUnreachable(host, error, this.#knownHosts),
    );
    return silence !== undefined && this.#once("gone", silence);
  }

  async #once(fault: Fault, message: string): Promise<true> {
    if (this.#told.has(fault)) return true;
    this.#told.add(fault);
    await pulumi.log.error(
      `host: ${message}\nThat was in the middle of the update. When it is cured, run this again: it goes on from here.`,
    );
    return true;
  }
}

type Fault = "full" | "gone" | "pools" | "builds";

/**
 * https://github.com/moby/moby/issues/47717, mended in 28. The way back to Docker's own store is not told: Docker would no
 * longer see the containers that run.
 */
const NO_BUILDS =
  "this Docker cannot build on the containerd image store: update it to 28 or newer, or give an image from a registry " +
  "in place of the build";

const MORE_ADDRESSES = [
  "  docker network ls    # there: one that nobody needs may go, by docker network rm",
  "  `bulkhead doctor` tells how to give Docker more. networks.subnets in the stack file does too, and makes the stack's",
  "  networks anew.",
].join("\n");

/** As the Docker client says it. */
const BROKEN_OFF = /Cannot connect to the Docker daemon|error during connect|Error pinging Docker server|EOF/;
