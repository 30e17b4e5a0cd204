// Why a container is another one, in words that name settings and never show a value that may be secret.
import { isDeepStrictEqual } from "node:util";
import { labelOf } from "../../policy/inputs.ts";
import { UNKNOWN } from "./engine-events.ts";
import type { ChangedFiles } from "./secrets.ts";
import { listOf, type ContainerChange } from "./services.ts";

/** What of a container changes, each in a few words. */
export function reasonsOf({ before = {}, after = {} }: ContainerChange, files: ChangedFiles): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const found = keys
    .filter((key) => !OTHERWISE_SAID.has(key) && !isDeepStrictEqual(bare(before[key]), bare(after[key])))
    .flatMap((key) => words[key]?.({ before, after, files }) ?? key);
  return [...new Set(found)];
}

/** What follows from something else that is said. */
const OTHERWISE_SAID = new Set(["__defaults", "name", "memorySwap", "networkMode"]);

interface Both {
  before: NonNullable<ContainerChange["before"]>;
  after: NonNullable<ContainerChange["after"]>;
  files: ChangedFiles;
}

const words: Record<string, (both: Both) => string | string[]> = {
  image: ({ before, after }) => `image ${imageName(before.image)} → ${imageName(after.image)}`,
  envs: ({ before, after }) => {
    const changed = changedKeys(settings(before.envs), settings(after.envs)).filter((key) => !key.startsWith("DRAIN_"));
    const routes = changed.filter((key) => OF_ROUTES.has(key));
    const others = changed.filter((key) => !OF_ROUTES.has(key));
    return [
      ...(routes.length > 0 ? ["routes"] : []),
      ...(others.length > 0 ? [`setting${others.length > 1 ? "s" : ""} ${others.join(", ")}`] : []),
    ];
  },
  command: ({ before, after }) => {
    const changed = changedKeys(settings(before.command), settings(after.command));
    const names = [...new Set(changed.map((key) => key.replace(/^--/, "")))].filter((key) => /^[\w.[\]-]+$/.test(key));
    return names.length > 0 && names.length <= 4 ? `arguments ${names.join(", ")}` : "its arguments";
  },
  entrypoints: () => "its program",
  healthcheck: () => "health check",
  memory: ({ before, after }) => `memory ${before.memory} → ${after.memory} MiB`,
  cpus: ({ before, after }) => `CPU ${Number(before.cpus)} → ${Number(after.cpus)}`,
  destroyGraceSeconds: ({ before, after }) =>
    `time to end ${before.destroyGraceSeconds} → ${after.destroyGraceSeconds} s`,
  labels: ({ before, after }) => {
    const [from, to] = [labelOf(before, "bulkhead.pids"), labelOf(after, "bulkhead.pids")];
    const exceptions = labelOf(before, "bulkhead.exceptions") !== labelOf(after, "bulkhead.exceptions");
    const said = [...(from === to ? [] : [`pids ${from} → ${to}`]), ...(exceptions ? ["exceptions"] : [])];
    return said.length > 0 ? said : "labels";
  },
  ports: ({ before, after }) => `ports ${portsOf(before)} → ${portsOf(after)}`,
  networksAdvanced: () => "networks",
  volumes: ({ before, files }) => {
    const other = listOf(before.volumes).flatMap(({ volumeName }) => files.get(volumeName ?? "") ?? []);
    return other.length > 0 ? other.map((name) => `files of ${name}`) : "volumes";
  },
  user: () => "user",
  readOnly: () => "root file system",
  capabilities: () => "capabilities",
};

/** What a job that writes a route gets by its settings. */
const OF_ROUTES = new Set([
  "ROUTE",
  "ROUTERS",
  "CANDIDATE",
  "CANDIDATE_ROUTERS",
  "RELEASE",
  "CHECK_PATH",
  "ROUTE_FILE",
  "SERVED",
]);

function settings(entries: readonly string[] | undefined): Map<string, string> {
  return new Map(
    listOf(entries)
      .filter((entry) => entry !== UNKNOWN)
      .map((entry) => [entry.replace(/=.*/s, ""), entry]),
  );
}

function changedKeys(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
}

export function imageName(image: unknown): string {
  if (typeof image !== "string" || image === UNKNOWN) return "one that is built in the update";
  const [, name, digest] = /^(.*?)(?:@?sha256:([0-9a-f]{12}).*)?$/.exec(image)!;
  return [name, digest].filter(Boolean).join(" ") || image;
}

function portsOf({ ports }: Both["before"]): string {
  return (
    listOf(ports)
      .map(({ ip, external }) => `${ip}:${external}`)
      .join(" and ") || "none"
  );
}

/** Without what Pulumi notes about values that nobody gave. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  const given = Object.entries(value).filter(([key]) => key !== "__defaults");
  return Object.fromEntries(given.map(([key, inner]) => [key, bare(inner)]));
}
