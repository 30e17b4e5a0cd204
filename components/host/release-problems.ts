import { composedProblems } from "./composed.ts";
import { isUidGid } from "./data-volume.ts";
import type { Limits } from "./hardening.ts";
import { refuse } from "./refuse.ts";

/** What of a release has to be a number, a user or a word. */
type Given = Parameters<typeof composedProblems>[0] & {
  replicas?: number;
  rollout?: string;
  user?: string;
  limits: Limits;
  drainSeconds: number;
  tmpfsMb?: Record<string, number>;
  preDeploy?: PreDeployNumbers;
};

interface PreDeployNumbers {
  command: readonly string[];
  deadlineSeconds?: number;
  limits?: Limits;
}

/** @throws Error with all that is wrong, before anything is made. */
export function refuseBadRelease(name: string, args: Given): void {
  const { replicas = 1, rollout = "start-first", user, limits, drainSeconds, tmpfsMb = {}, preDeploy } = args;
  refuse(name, [
    ...composedProblems(args),
    ...(user !== undefined && !isUidGid(user)
      ? [`user: ${user} is no uid:gid: give two numbers like "33:33", as the image has them`]
      : []),
    ...whole("replicas", replicas, "give one", 1, MOST_REPLICAS),
    ...rolloutProblems(rollout, replicas),
    ...limitProblems("limits", limits),
    ...whole("drainSeconds", drainSeconds, "give seconds", 0, MOST_SECONDS),
    ...Object.entries(tmpfsMb).flatMap(([path, mb]) =>
      FOLDER.test(path)
        ? whole(`tmpfsMb.${path}`, mb, "give MiB", 1)
        : [`tmpfsMb: ${path} is no folder of the container: give one like /tmp`],
    ),
    ...(preDeploy ? preDeployProblems(preDeploy) : []),
  ]);
}

/** What is wrong with a number that has to be whole, and from `least`. */
export function whole(key: string, value: number, cure: string, least: number, most = Infinity): string[] {
  const range = `from ${least}${most === Infinity ? "" : ` to ${most}`}`;
  return Number.isInteger(value) && value >= least && value <= most
    ? []
    : [`${key}: ${value} is not a whole number ${range}: ${cure}`];
}

/** More than this on one host is a mistake in the number. */
const MOST_REPLICAS = 50;

/** A day. */
const MOST_SECONDS = 86_400;

const FOLDER = /^(\/[^/]+)+$/;

const ROLLOUTS = ["start-first", "one-by-one", "stop-first"];

function rolloutProblems(rollout: string, replicas: number): string[] {
  if (!ROLLOUTS.includes(rollout)) return [`rollout: ${rollout} is none: give start-first, one-by-one or stop-first`];
  return rollout === "stop-first" && replicas > 1
    ? [`replicas: ${replicas} with rollout: stop-first, which is for what may only run once: leave one of them out`]
    : [];
}

/** Docker takes no less. */
function limitProblems(key: string, { memoryMb, cpus, pids }: Limits): string[] {
  return [
    ...whole(`${key}.memoryMb`, memoryMb, "give MiB", 6),
    ...(cpus >= 0.01 ? [] : [`${key}.cpus: ${cpus} is not from 0.01: give cores, like 0.5`]),
    ...whole(`${key}.pids`, pids, "give the most processes", 1),
  ];
}

function preDeployProblems({ command, deadlineSeconds = 300, limits }: PreDeployNumbers): string[] {
  return [
    ...(command.length === 0 ? ["preDeploy.command: is empty: give the program and its arguments"] : []),
    ...whole("preDeploy.deadlineSeconds", deadlineSeconds, "give seconds", 1),
    ...(limits ? limitProblems("preDeploy.limits", limits) : []),
  ];
}
