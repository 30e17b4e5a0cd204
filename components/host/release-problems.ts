import { composedProblems } from "./composed.ts";
import type { Health } from "./health.ts";
import { isUidGid } from "./data-volume.ts";
import type { Limits } from "./hardening.ts";
import { refuse } from "./refuse.ts";
import { SECRETS_PATH } from "./secrets-path.ts";

/** What of a release has to be a number, a user or a word. */
type Given = Parameters<typeof composedProblems>[0] & {
  replicas?: number;
  rollout?: string;
  user?: string;
  limits: Limits;
  drainSeconds: number;
  tmpfsMb?: Record<string, number>;
  health?: Health;
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
    ...nameProblems(args),
    ...composedProblems(args),
    ...(Array.isArray(args.command) ? commandProblems("command", args.command) : []),
    ...(args.health ? healthProblems(args.health) : []),
    ...(user !== undefined && !isUidGid(user)
      ? [`user: ${user} is no uid:gid: give two numbers like "33:33", as the image has them`]
      : []),
    ...whole("replicas", replicas, "give one", 1, MOST_REPLICAS),
    ...rolloutProblems(rollout, replicas),
    ...limitProblems("limits", limits),
    ...whole("drainSeconds", drainSeconds, "give seconds", 0, MOST_SECONDS),
    ...Object.entries(tmpfsMb).flatMap(([path, mb]) => tmpfsProblems(path, mb)),
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

const FOLDER = /^(\/(?!\.\.?(\/|$))[^/:,]+)+$/;

function tmpfsProblems(path: string, mb: number): string[] {
  if (!FOLDER.test(path)) return [`tmpfsMb: ${path} is no folder of the container: give one like /tmp`];
  return path === SECRETS_PATH
    ? [`tmpfsMb: ${path} is where the secrets are: leave it out`]
    : whole(`tmpfsMb.${path}`, mb, "give MiB", 1);
}

/** Names that a container gets: of its settings, and of the files with its secrets. */
function nameProblems({ env = {}, secrets = {}, composed = {} }: Given): string[] {
  const files = [...Object.keys(secrets), ...Object.keys(composed)];
  return [
    ...Object.keys(env)
      // As Docker takes what follows the first = for the value.
      .filter((setting) => !/^[^\s=\0]+$/.test(setting))
      .map((setting) => `env: ${JSON.stringify(setting)} is no name of a setting: give one like API_URL`),
    ...("DRAIN_SECONDS" in env ? ["env.DRAIN_SECONDS: is drainSeconds: give that"] : []),
    ...Object.keys(secrets)
      .filter((secret) => !/^\w[\w.-]*$/.test(secret))
      .map((secret) => `secrets: ${JSON.stringify(secret)} is no name of a secret: give one like API_KEY`),
    ...files.flatMap((name, index) => {
      const other = files.slice(0, index).find((before) => before.toLowerCase() === name.toLowerCase());
      return other === undefined ? [] : [`secrets: ${name} and ${other} would be one file: give one another name`];
    }),
    ...files
      .filter((name) => `${name}_FILE` in env)
      .map((name) => `env.${name}_FILE: is where the file of ${name} is: leave it out`),
  ];
}

/** Docker's provider takes no argument that is empty. */
function commandProblems(key: string, command: readonly unknown[]): string[] {
  if (command.length === 0) return [`${key}: is empty: give the program and its arguments, or leave it out`];
  return command.flatMap((argument, index) =>
    argument === "" ? [`${key}[${index}]: is empty, which cannot be passed on: leave it out`] : [],
  );
}

function healthProblems({ test, intervalSeconds, timeoutSeconds, retries, deadlineSeconds }: Health): string[] {
  const [kind, ...rest] = test;
  const isCommand = kind === "CMD" ? rest.length > 0 : kind === "CMD-SHELL" && rest.length === 1;
  return [
    ...(isCommand && !rest.includes("")
      ? []
      : ['health.test: is no command: give one like ["CMD", "app", "health"], each of its words with text']),
    ...Object.entries({ intervalSeconds, timeoutSeconds, retries, deadlineSeconds }).flatMap(([key, value]) =>
      value === undefined ? [] : whole(`health.${key}`, value, key === "retries" ? "give one" : "give seconds", 1),
    ),
  ];
}

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
    ...(command.length === 0
      ? ["preDeploy.command: is empty: give the program and its arguments"]
      : commandProblems("preDeploy.command", command)),
    ...whole("preDeploy.deadlineSeconds", deadlineSeconds, "give seconds", 1),
    ...(limits ? limitProblems("preDeploy.limits", limits) : []),
  ];
}
