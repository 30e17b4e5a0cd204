import { labelOf, ofEach } from "./inputs.ts";
import type { Fault, Resource, Row } from "./rule.ts";

/**
 * An exception to one rule, declared where the weakening is: in the resource's label `bulkhead.exceptions`, as a JSON
 * list. It is shown in every preview with its reason.
 */
export interface Exception {
  /** Name of the rule, and of no other. */
  rule: string;
  /** For one part alone, like a capability or a path. @default all of the rule */
  part?: string;
  why: string;
  /** The last day on which it holds, like 2027-01-31. @default it stays */
  until?: string;
}

/** How Bulkhead's own components say what they except, and the rule that it is for. */
const SHORT: Record<string, string> = {
  capability: "container-capabilities",
  rootUser: "container-user",
  writableRoot: "container-read-only-root",
  noHealthCommand: "container-health",
  noInit: "container-init",
  tmpfsExec: "container-tmpfs",
  entryPoint: "stack-public-entry-point",
  withoutBackup: "stack-data-in-backup",
  encodedSlashes: "container-route-encoded-slashes",
  unverifiedUpstream: "container-route-upstream",
};

/** What an exception says, which every resource with labels may have. */
export const exceptionRows: Row<Resource>[] = [
  {
    name: "exceptions",
    severity: "mandatory",
    why: "A weakening that nobody can read is one that nobody has agreed to.",
    cure: 'give bulkhead.exceptions a list like [{"rule": "container-user", "why": "…", "until": "2027-01-31"}]',
    faults: (resource) => read(resource).problems,
  },
];

/** The exceptions of a resource that can be read. */
export function exceptionsOf(resource: Resource): Exception[] {
  return read(resource).exceptions;
}

export function exceptionFor(resource: Resource, rule: string, fault: Fault, today: Date) {
  const found = exceptionsOf(resource).filter((exception) => exception.rule === rule && isFor(exception, fault));
  // The one that holds, if there are several.
  const exception = found.find((each) => !hasEnded(each, today)) ?? found[0];
  return { exception, isExpired: exception !== undefined && hasEnded(exception, today) };
}

/** Whether an exception to the rule is for this fault: for all of the rule, for this part, or for what that is a part of. */
export function isFor({ part }: Exception, fault: Fault): boolean {
  return part === undefined || part === fault.part || part === fault.within;
}

export function hasEnded({ until }: Exception, today: Date): boolean {
  return until !== undefined && today.toISOString().slice(0, 10) > until;
}

/** Whether it is a day of the calendar, like 2027-01-31. */
export function isDate(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** Each exception that holds in a stack, said once for all resources that have it. */
export function saidExceptions(resources: readonly Resource[], today = new Date()): string[] {
  const names = new Map<string, string[]>();
  ofEach(resources, (resource) => {
    for (const exception of exceptionsOf(resource).filter((each) => !hasEnded(each, today))) {
      const { rule, part, why, until } = exception;
      const what = [rule, ...(part === undefined ? [] : [part])].join(" ");
      const said = `${what} is excepted${until === undefined ? "" : ` until ${until}`}: ${why}`;
      names.set(said, [...(names.get(said) ?? []), resource.name]);
    }
    return [];
  });
  return [...names].map(([said, of]) => `${of.sort().join(", ")}: ${said}`).sort();
}

function read(resource: Resource): { exceptions: Exception[]; problems: string[] } {
  const text = exceptionsLabel(resource);
  if (text === undefined) return { exceptions: [], problems: [] };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = undefined;
  }
  if (!Array.isArray(list)) return { exceptions: [], problems: ["its exceptions are no list in JSON"] };
  const exceptions = list.map(fromLabel);
  const problems = exceptions.flatMap(({ rule, why, until }) => [
    ...(typeof rule === "string" ? [] : ["an exception names no rule"]),
    ...(typeof why === "string" && why.trim().length > 5 ? [] : [`its exception to ${rule} has no reason`]),
    ...(until === undefined || (typeof until === "string" && isDate(until))
      ? []
      : [`its exception to ${rule} ends on ${JSON.stringify(until)}, which is no date`]),
  ]);
  return { exceptions: problems.length > 0 ? [] : (exceptions as Exception[]), problems };
}

function fromLabel(item: unknown): Partial<Exception> {
  const given = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
  const short = Object.keys(SHORT).find((key) => key in given);
  if (short === undefined) return given;
  const { why, until, without, [short]: of } = given as { why: string; until?: string; [key: string]: unknown };
  const part = typeof of === "string" && typeof without === "string" ? `${of} ${without}` : of;
  return { rule: SHORT[short], why, ...(until !== undefined && { until }), ...(typeof part === "string" && { part }) };
}

/** A Swarm service may have it on itself or on its containers. */
function exceptionsLabel({ type, props }: Resource): string | undefined {
  const own = labelOf(props, LABEL);
  if (own !== undefined || type !== "docker:index/service:Service") return own;
  const { taskSpec } = props as { taskSpec?: { containerSpec?: object } };
  return labelOf(taskSpec?.containerSpec ?? {}, LABEL);
}

const LABEL = "bulkhead.exceptions";
