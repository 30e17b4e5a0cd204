import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";
import { settingIn } from "./container-inputs.ts";
import { hintsOn } from "./failure-hints.ts";
import type { HostFaults } from "./host-faults.ts";

/** Whose containers are looked at. */
export interface Host {
  engine: Engine;
  stackName: string;
  faults: HostFaults;
}

/** A container that is being made. */
export interface Watch {
  host: Host;
  /** The name that the program gave the container. */
  name: string;
  /** Its name on the host. */
  container: string;
  image: string;
  /** The most processes that it may have. */
  pids: number;
  /** It is not removed when it fails. */
  stays: boolean;
  /** Whether another of that name was there before it. */
  isOneMore: boolean;
  /** `failing`: it may be made once more. @default Pulumi is making it */
  outcome?: "made" | "failing" | "failed";
  explained: boolean;
}

/** Gives whether it runs, and no health check of it got an answer in time: it is removed then. */
export async function removeUnanswered(watch: Watch): Promise<boolean> {
  const { host, name } = watch;
  if (host.faults.isGone) return false;
  const found = await inspected(watch).catch(() => undefined);
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

/** Says why it failed, unless that was said, and removes it unless it stays. */
export async function explainAndRemove(watch: Watch, what: string): Promise<void> {
  const { host, name } = watch;
  if (host.faults.isGone) return;
  try {
    const failed = await inspected(watch);
    if (failed === undefined) return await explainImage(watch);
    // It never started: what Docker said explains it.
    if (failed.State.Status === "created") return;
    watch.explained = true;
    await pulumi.log.error(`${name}: ${await explanation(host.engine, failed, what)}`);
    if (watch.stays) return;
    await host.engine.delete(`/containers/${failed.Id}?force=1`);
  } catch (error) {
    const { message } = error as Error;
    if (await host.faults.reportIfHostFault([message])) return;
    await pulumi.log.error(`${name}: it failed, and cannot be looked at: ${message}`);
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
  const setting = (key: string) => settingIn(Config.Env ?? [], key);
  const tried = setting("CANDIDATE") && setting("RELEASE");
  // Docker may tell of its end before it has what it wrote last.
  const last = (await lastLines(Id)) || (await delay(LINES_MS).then(() => lastLines(Id)));
  return [
    `the container ${Name.slice(1)} ${what}: it is ${State.Status}`,
    ...(State.Status === "running" ? [] : [`, exit code ${State.ExitCode}${State.OOMKilled ? ", out of memory" : ""}`]),
    ...(health ? [`\nIts last health check said: ${health}`] : []),
    ...(health ? hintsOn("health", health) : []),
    last === "" ? "\nIt wrote nothing." : `\nIts last lines:\n${last}`,
    ...hintsOn("lines", last),
    ...(await Promise.all(
      // Each of its replicas.
      (tried ? tried.split(" ") : []).map(async (each) => `\nThe last lines of ${each}:\n${await lastLines(each)}`),
    )),
  ].join("");
}

/** Enough for a stack trace, and little enough to be read. */
const LINES = 20;

/** For those of one that has just ended, on a busy host. */
const LINES_MS = 500;

/** As Docker has it, if it is there. */
export function inspected({ host, container }: Watch): Promise<Inspected | undefined> {
  return host.engine.find<Inspected>(`/containers/${container}/json`);
}
