import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";
import { explainUnreachable } from "../docker-engine/connection-errors.ts";
import { pidsOf, type ContainerInputs } from "./container-inputs.ts";

/** Whose containers are looked at. */
interface Host {
  engine: Engine;
  stackName: string;
  faults: HostFaults;
}

/**
 * Hooks for every container that runs. The provider only waits for health, up to the deadline, and then says that there
 * was none. These see a job that ended and a service that crashes again and again as soon as they do, and say why a
 * container did not come up: its state, what its last health check answered, and its last lines.
 *
 * A container that failed is removed then, which also ends the provider's wait: it served nobody, would crash on for
 * ever, and a refresh would take a failed job for one that did its work. Only one that holds a port of the host stays:
 * there is no other in its place.
 *
 * On a busy host health checks get no answer in time though nothing is wrong: what none of them was answered by is made
 * once more, when what started beside it is out of its way.
 */
export function failureHooks(hostName: string, host: Host): pulumi.ResourceHookBinding {
  const watches = new Map<string, Watch>();
  const triedTwice = new Set<string>();
  const begin = async (name: string, inputs: ContainerInputs) => {
    const { ports = [], image } = inputs;
    const watch = {
      ...{ host, name, image, pids: pidsOf(inputs) },
      ...{ holdsPort: ports.length > 0, before: await idsOf(host, name).catch(host.faults.rethrow) },
      ...{ over: false, explained: false },
    };
    end(watches.get(name));
    watches.set(name, watch);
    void untilItFails(watch);
  };
  return {
    beforeCreate: [
      new pulumi.ResourceHook(`${hostName}-watch`, ({ name, newInputs }) => begin(name, newInputs as ContainerInputs)),
    ],
    afterCreate: [new pulumi.ResourceHook(`${hostName}-watched`, ({ name }) => void end(watches.get(name)))],
    onError: [
      new pulumi.ErrorHook(`${hostName}-explain`, async ({ name, newInputs }) => {
        const watch = watches.get(name);
        end(watch);
        if (watch === undefined || watch.explained) return false;
        const inputs = newInputs as ContainerInputs;
        if (!triedTwice.has(name) && !hasGap(inputs, watch) && (await removeUnanswered(watch))) {
          triedTwice.add(name);
          await begin(name, inputs);
          // Pulumi tries again.
          return true;
        }
        await explainAndRemove(watch, "did not become healthy in time");
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
      const there = await idsOf(host, name).catch(() => new Set<string>());
      if (!pulumi.runtime.isDryRun()) {
        for (const id of there) await host.engine.delete(`/containers/${id}?force=1`);
      } else if (there.size > 0) {
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

/**
 * Says what its owner can do where it is the host that failed, and not what was being made there: once, however many
 * resources fail by it. The provider's own words are many, and name neither the host nor a cure.
 */
export class HostFaults {
  /** For everything that is made on the host. */
  readonly hook: pulumi.ErrorHook;
  readonly #engine: Engine;
  readonly #knownHosts: string | undefined;
  readonly #told = new Set<"full" | "gone" | "pools">();

  constructor(hostName: string, engine: Engine, knownHosts?: string) {
    this.#engine = engine;
    this.#knownHosts = knownHosts;
    this.hook = new pulumi.ErrorHook(`${hostName}-faults`, async ({ errors }) => {
      await this.reportIfHostFault(errors);
      // The engine would try again.
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
    if (this.isGone) return true;
    const silence = await this.#engine.ping().then(
      // It may be back already, as a daemon that was restarted.
      () => (errors.some((error) => BROKEN_OFF.test(error)) ? `${host}: the connection broke off` : undefined),
      (error: Error) => explainUnreachable(host, error, this.#knownHosts),
    );
    return silence !== undefined && this.#once("gone", silence);
  }

  async #once(fault: "full" | "gone" | "pools", message: string): Promise<true> {
    if (this.#told.has(fault)) return true;
    this.#told.add(fault);
    await pulumi.log.error(
      `host: ${message}\nThat was in the middle of the update. When it is cured, run this again: it goes on from here.`,
    );
    return true;
  }
}

const MORE_ADDRESSES = [
  "  docker network ls    # there: one that nobody needs may go, by docker network rm",
  "  `bulkhead doctor` tells how to give Docker more. networks.subnets in the stack file does too, and makes the stack's",
  "  networks anew.",
].join("\n");

/** As the Docker client says it. */
const BROKEN_OFF = /Cannot connect to the Docker daemon|error during connect|Error pinging Docker server|EOF/;

interface Watch {
  host: Host;
  /** The name that the program gave the container. */
  name: string;
  image: string;
  /** The most processes that it may have. */
  pids: number;
  holdsPort: boolean;
  /** Containers of that name which were there before it. */
  before: ReadonlySet<string>;
  over: boolean;
  explained: boolean;
}

function end(watch: Watch | undefined): void {
  if (watch) watch.over = true;
}

/** Looks as often as the provider does. */
const LOOK_MS = 1000;

/** Five take about 3 s, as Docker waits 0.1 s before the first restart and twice as long before each further one. */
const RESTARTS_OF_A_CRASH_LOOP = 5;

async function untilItFails(watch: Watch): Promise<void> {
  let limited = false;
  while (!watch.over && !watch.explained) {
    await delay(LOOK_MS, undefined, { ref: false });
    // A host that does not answer is told of by the provider, which asks it too.
    const found = await newest(watch).catch(() => undefined);
    if (found === undefined || watch.over || found.State.Health?.Status === "healthy") continue;
    const { Id, State, RestartCount } = found;
    // The provider cannot set it. container.ts sees to it that it took; here it holds before the container is healthy.
    if (!limited)
      await watch.host.engine.post(`/containers/${Id}/update`, { PidsLimit: watch.pids }).catch(() => undefined);
    limited = true;
    if (RestartCount >= RESTARTS_OF_A_CRASH_LOOP) await explainAndRemove(watch, `crashed ${RestartCount} times`);
    else if (State.Status === "exited" && State.ExitCode !== 0) await explainAndRemove(watch, "failed");
  }
}

interface Inspected {
  Id: string;
  Name: string;
  RestartCount: number;
  Config: { Env: string[] | null };
  State: {
    Status: string;
    ExitCode: number;
    OOMKilled: boolean;
    Health?: { Status: string; Log: { Output: string }[] | null };
  };
}

/**
 * Whether nothing of what was there before it serves until it does: then it is not to be waited for twice as long. A job is
 * never made twice.
 */
function hasGap({ mustRun = false, ports = [], labels }: ContainerInputs, { before }: Watch): boolean {
  if (!mustRun) return true;
  return before.size > 0 && (ports.length > 0 || labels.some(({ label }) => label === "bulkhead.rollout"));
}

/** Gives whether it runs, and no health check of it got an answer in time: it is removed then. */
async function removeUnanswered(watch: Watch): Promise<boolean> {
  const { host, name } = watch;
  if (host.faults.isGone) return false;
  const found = await newest(watch).catch(() => undefined);
  if (found?.State.Status !== "running") return false;
  const { Log } = found.State.Health ?? {};
  if (Log?.some(({ Output }) => !Output.startsWith("Health check exceeded timeout"))) return false;
  await pulumi.log.warn(
    `${name}: no health check of it got an answer in time: the host may be busy; it is tried once more`,
  );
  return host.engine.delete(`/containers/${found.Id}?force=1`).then(
    () => true,
    () => false,
  );
}

async function explainAndRemove(watch: Watch, what: string): Promise<void> {
  const { host, name, holdsPort } = watch;
  if (host.faults.isGone) return;
  try {
    const failed = await newest(watch);
    if (failed === undefined) return await explainImage(watch);
    // It never started: what Docker said explains it.
    if (failed.State.Status === "created") return;
    watch.explained = true;
    await pulumi.log.error(`${name}: ${await explanation(host.engine, failed, what)}`);
    if (holdsPort) return;
    watch.over = true;
    await host.engine.delete(`/containers/${failed.Id}?force=1`);
  } catch (error) {
    const { message } = error as Error;
    if (await host.faults.reportIfHostFault([message])) return;
    await pulumi.log.error(`${name}: it failed, and cannot be looked at: ${message}`);
  }
}

/** Of an image that the registry has otherwise than its digest says, the provider tells only that it was not found. */
async function explainImage({ host, name, image }: Watch): Promise<void> {
  if (await host.engine.find(`/images/${image}/json`)) return;
  const reason = await host.engine.pull(image).then(
    () => "it could not be pulled, but can be now: run this again",
    (error: Error) => error.message,
  );
  await pulumi.log.error(`${name}: there is no image ${image}: ${reason}`);
}

async function explanation(engine: Engine, { Id, Name, State, Config }: Inspected, what: string): Promise<string> {
  const health = State.Health?.Log?.at(-1)?.Output.trim();
  const lastLines = async (container: string) => (await engine.logs(container, LINES)).trimEnd();
  // A cutover that tried a release tells how that one answered. Why, only the release itself can tell.
  const setting = (key: string) => Config.Env?.find((entry) => entry.startsWith(`${key}=`))?.slice(key.length + 1);
  const tried = setting("CANDIDATE") && setting("RELEASE");
  const last = await lastLines(Id);
  return [
    `the container ${Name.slice(1)} ${what}: it is ${State.Status}`,
    ...(State.Status === "running" ? [] : [`, exit code ${State.ExitCode}${State.OOMKilled ? ", out of memory" : ""}`]),
    ...(health ? [`\nIts last health check said: ${health}`] : []),
    ...(health && NO_SHELL.test(health) ? [WITHOUT_A_SHELL] : []),
    ...(NO_SHELL_TO_RUN.test(last) ? [NOTHING_TO_RUN_IT] : []),
    `\nIts last lines:\n${last}`,
    ...(await Promise.all(
      // Each of its replicas.
      (tried ? tried.split(" ") : []).map(async (each) => `\nThe last lines of ${each}:\n${await lastLines(each)}`),
    )),
  ].join("");
}

/** As Docker says that it could not start a health command. */
const NO_SHELL = /"\/bin\/sh": (stat \/bin\/sh: )?no such file/;
const WITHOUT_A_SHELL =
  "\nIts image has no /bin/sh, by which a service that hangs is ended: give reviveAfterHangs: 0 to do without that.";

/** As Docker's init says that there is nothing by that name. */
const NO_SHELL_TO_RUN = /exec \/bin\/sh failed: No such file/;
const NOTHING_TO_RUN_IT =
  "\nIts image has no /bin/sh, by which this runs: give it an image that has one, such as another target of the same " +
  "Dockerfile: preDeploy.image of a service, image of a scheduled job.";

/** Enough for a stack trace, and little enough to be read. */
const LINES = 20;

/** The container that came since the watch began. */
async function newest({ host, name, before }: Watch): Promise<Inspected | undefined> {
  const [id] = [...(await idsOf(host, name))].filter((found) => !before.has(found));
  return id === undefined ? undefined : host.engine.find<Inspected>(`/containers/${id}/json`);
}

/** Newest first. */
async function idsOf({ engine, stackName }: Host, name: string): Promise<Set<string>> {
  const filters = JSON.stringify({ label: [`bulkhead.stack=${stackName}`, `bulkhead.name=${name}`] });
  const list = await engine.get<{ Id: string }[]>(`/containers/json?all=1&filters=${encodeURIComponent(filters)}`);
  return new Set(list.map(({ Id }) => Id));
}
