// One screen of `bulkhead status`.
import { outsideOf } from "../doctor/outside-verdict.ts";
import { bold, red } from "../report/colour.ts";
import { table } from "../report/table.ts";
import { runOf } from "../stack/lock.ts";
import { hostCheck, type Need } from "./judge.ts";
import type { ServingContainer, Status } from "./read-status.ts";

const COLUMNS = ["service", "release", "health", "outside", "since", "restarts", "memory", "cpu"] as const;

export function screen(status: Status, needs: readonly Need[]): string {
  const { containers, missing, seen, now, stack } = status;
  const rows = [
    ...containers.map((container) => rowOf(container, outsideOf(seen, resourceOf(container)), now)),
    ...missing.map((name) => [name, "", "missing", "", "", "", "", ""]),
  ];
  const lines = table([COLUMNS.map((column) => column.toUpperCase()), ...rows]).split("\n");
  const names = [[], ...containers.map((each) => [each.name, resourceOf(each)]), ...missing.map((name) => [name])];
  const shown = lines.map((line, index) =>
    index === 0 ? bold(line) : needs.some(({ about }) => names[index]!.includes(about)) ? red(line) : line,
  );
  const wrong = needs.map(({ about, what, cure }) => `${red(`${about}: ${what}`)}\n  ${cure}`);
  return [
    ...shown,
    "",
    ...about(status),
    "",
    ...(wrong.length > 0 ? wrong : [`All is well with the stack ${stack}.`]),
  ].join("\n");
}

/** What the look from outside calls it. */
function resourceOf({ name, role }: ServingContainer): string {
  return role === "door" ? "door" : name;
}

function rowOf(container: ServingContainer, outside: string, now: Date): string[] {
  const { name, image, state, restarts, memoryMb, memoryLimitMb, cpus, cpuLimit } = container;
  const runs = state.Status === "running";
  return [
    ...[name, shortImage(image), (runs ? state.Health?.Status : undefined) ?? state.Status, outside],
    ...[ago(runs ? state.StartedAt : (state.FinishedAt ?? state.StartedAt), now), String(restarts)],
    memoryMb === undefined ? "" : `${Math.round(memoryMb)} of ${Math.round(memoryLimitMb)} MiB`,
    cpus === undefined ? "" : `${cpus.toFixed(2)} of ${cpuLimit}`,
  ];
}

/** The name without its registry, and the first letters of the digest. */
function shortImage(image: string): string {
  return image.replace(/^.*\/(?=[^/]+$)/, "").replace(/(sha256:.{12}).*/, "$1");
}

/** Like `4 min`, `3 h` or `12 d`. */
export function ago(time: string, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - new Date(time).getTime()) / 60_000));
  if (minutes < 1) return "now";
  return minutes < 120
    ? `${minutes} min`
    : minutes < 2880
      ? `${Math.floor(minutes / 60)} h`
      : `${Math.floor(minutes / 1440)} d`;
}

/** Of a job that is well now, what went wrong within the last week. */
function failedBefore({ name, role, state }: ServingContainer): string[][] {
  if (role !== "scheduled-job" || state.Health?.Status !== "healthy") return [];
  const [, failure] = /^before: (.*)$/m.exec(state.Health.Log?.at(-1)?.Output ?? "") ?? [];
  return failure === undefined ? [] : [[`${name} before`, failure]];
}

function about(status: Status): string[] {
  const { containers, data, release, state, stateProblem = "" } = status;
  const found = (check: Parameters<typeof hostCheck>[0]) => hostCheck(check, status).found;
  // As Pulumi has it, but for the fractions of a second.
  const updated = (state?.updatedAt ?? release?.deployedAt)?.replace(/\.\d+/, "");
  const who = release?.by === undefined ? "" : `, by ${release.by}`;
  const holders = state?.holders ?? [];
  return table([
    ["certificate", found("certificate")],
    ["disk", found("disk")],
    // Of a program that has none, nothing is said.
    ...(data?.length === 0 ? [] : [["data", found("data")]]),
    ["host", found("updates")],
    ...containers.flatMap(failedBefore),
    [
      "last update",
      updated === undefined
        ? "none is recorded"
        : `${updated}${release === undefined ? "" : `; release ${release.number} of ${release.deployedAt}${who}`}`,
    ],
    [
      "waits",
      state === undefined
        ? `not known: the stack's state cannot be read from here: ${stateProblem.trim().split("\n").at(-1)}`
        : holders.length > 0
          ? holders.map((holder) => `${runOf(holder)} works on it`).join("; ")
          : state.pending > 0
            ? `${state.pending} operations of a killed run`
            : "nothing",
    ],
  ]).split("\n");
}
