// Why a container is another one, in words that name settings and never show a value that may be secret.
import { isDeepStrictEqual } from "node:util";
import { pathsIn } from "../../components/edge/request-paths.ts";
import { UNKNOWN } from "./engine-events.ts";
import { listOf, settingOf, type ContainerChange } from "./container-change.ts";

/** What a container may have to be replaced for. */
export interface MadeAnew {
  /** Volumes by their names on the host, to what is in them. */
  files: ReadonlyMap<string, string>;
  /** Networks by their names on the host. */
  networks: ReadonlySet<string>;
}

/** What of a container changes, each in a few words. */
export function reasonsOf({ before = {}, after = {} }: ContainerChange, madeAnew: MadeAnew): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const found = keys
    .filter((key) => !OTHERWISE_SAID.has(key) && !isDeepStrictEqual(bare(before[key]), bare(after[key])))
    .flatMap((key) => words[key]?.({ before, after, files: madeAnew.files }) ?? key);
  const networks = listOf(before.networksAdvanced).flatMap(({ name }) => (madeAnew.networks.has(name) ? [name] : []));
  return [...found, ...networks.map((name) => `the network ${name} is made anew`)];
}

/** What follows from something else that is said. */
const OTHERWISE_SAID = new Set(["__defaults", "name", "memorySwap", "networkMode"]);

interface Both {
  before: NonNullable<ContainerChange["before"]>;
  after: NonNullable<ContainerChange["after"]>;
  files: MadeAnew["files"];
}

const words: Record<string, (both: Both) => string | string[]> = {
  image: ({ before, after }) => `image ${imageName(before.image)} → ${imageName(after.image)}`,
  envs: ({ before, after }) => {
    if (settingOf(before, "ROUTE") !== undefined)
      return [
        ...routeReasons(settingOf(before, "ROUTE")!, settingOf(after, "ROUTE")),
        ...checkReasons({ before, after }),
      ];
    // It is told by the time that the container has to end.
    const changed = changedKeys(settings(before.envs), settings(after.envs)).filter((key) => key !== "DRAIN_SECONDS");
    return changed.length > 0 ? `setting${changed.length > 1 ? "s" : ""} ${changed.join(", ")}` : [];
  },
  command: ({ before, after }) => {
    const changed = changedKeys(settings(before.command), settings(after.command));
    const flags = [...new Set(changed)].filter((key) => /^--[\w.[\]-]+$/.test(key)).map((key) => key.slice(2));
    return flags.length > 0 && flags.length <= 4 ? `arguments ${flags.join(", ")}` : "arguments";
  },
  entrypoints: () => "program",
  healthcheck: () => "health check",
  memory: ({ before, after }) => `memory ${before.memory} → ${after.memory} MiB`,
  cpus: ({ before, after }) => `CPU ${Number(before.cpus)} → ${Number(after.cpus)}`,
  destroyGraceSeconds: ({ before, after }) =>
    `time to end ${before.destroyGraceSeconds} → ${after.destroyGraceSeconds} s`,
  labels: ({ before, after }) => {
    const [from, to] = [labels(before), labels(after)];
    return changedKeys(from, to)
      .filter((label) => label !== "bulkhead.publishes")
      .map((label) =>
        label === "bulkhead.pids" ? `pids ${from.get(label)} → ${to.get(label)}` : label.replace("bulkhead.", ""),
      );
  },
  ports: ({ before, after }) => `ports ${portsOf(before)} → ${portsOf(after)}`,
  networksAdvanced: ({ before, after }) => {
    const isProgram = ["service", "worker", "scheduled-job"].includes(labels(before).get("bulkhead.role") ?? "");
    const [went, goes] = [goesOut(before), goesOut(after)];
    if (!isProgram || went === goes) return "networks";
    return ["networks", goes ? "reaches the internet from now on" : "no way to the internet any more"];
  },
  volumes: ({ before, after, files }) => {
    const [from, to] = [listOf(before.volumes), listOf(after.volumes)];
    const other = from.flatMap(({ volumeName }) => files.get(volumeName ?? "") ?? []);
    // Of a name that is not known yet nothing is known to be another.
    const known =
      from.length !== to.length ||
      to.some(({ volumeName }, at) => volumeName !== UNKNOWN && volumeName !== from[at]?.volumeName);
    return other.length > 0 ? other.map((name) => `files of ${name}`) : known ? "volumes" : [];
  },
  // Of volumes with data, which are never made anew.
  mounts: () => "volumes",
  user: () => "user",
  readOnly: () => "root file system",
};

/** By the names of its networks. On proxy and web were programs before they had networks of their own. */
function goesOut({ networksAdvanced }: Both["before"]): boolean {
  return listOf(networksAdvanced).some(({ name }) => /-(proxy|web|egress)$/.test(name));
}

/** What the edge gets to read. None of it is secret. */
function routeReasons(before: string, after: string | undefined): string[] {
  if (after === undefined) return ["routes"];
  const [from, to] = [leaves(JSON.parse(before)), leaves(JSON.parse(after))];
  const changed = [...new Set([...from.keys(), ...to.keys()])].filter((key) => from.get(key) !== to.get(key));
  const said = changed.map((key) => {
    const [was, is] = [from.get(key), to.get(key)];
    if (key.endsWith("-services rule")) return "who uses it";
    if (key.startsWith("tcp ") && key.endsWith(" rule")) return "TCP";
    if (key.endsWith(" rule"))
      return `paths ${pathsIn(was ?? "").join(" ") || "none"} → ${pathsIn(is ?? "").join(" ") || "none"}`;
    return `${key.split(" ").slice(-2).join(".")} ${was ?? "none"} → ${is ?? "none"}`;
  });
  return [...new Set(said)].slice(0, 3);
}

/** How a release is tried before it gets a request. */
function checkReasons({ before, after }: Pick<Both, "before" | "after">): string[] {
  const said = { CHECK_PATH: "health path", CHECK_SECONDS: "seconds for the health path" };
  return Object.entries(said).flatMap(([setting, words]) => {
    const [was, is] = [settingOf(before, setting), settingOf(after, setting)];
    return was === undefined || is === undefined || was === is ? [] : [`${words} ${was || "none"} → ${is || "none"}`];
  });
}

/** Each value by the keys that lead to it. */
function leaves(value: unknown, at = ""): Map<string, string> {
  if (typeof value !== "object" || value === null) return new Map([[at.trim(), String(value)]]);
  return new Map(Object.entries(value).flatMap(([key, inner]) => [...leaves(inner, `${at} ${key}`)]));
}

function settings(entries: readonly string[] | undefined): Map<string, string> {
  const known = listOf(entries).filter((entry) => entry !== UNKNOWN);
  return new Map(known.map((entry) => [entry.replace(/=.*/s, ""), entry]));
}

function labels({ labels }: Both["before"]): Map<string, string> {
  return new Map(listOf(labels).map(({ label, value }) => [label, value]));
}

function changedKeys(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
}

function imageName(image: unknown): string {
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
