// The containers of a stack, found by what their labels say of them.
import type { Role } from "../../components/host/container.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { nearestTo } from "../../components/settings/parse.ts";
import { stackLabel } from "./program.ts";

/** `docker ps`, as far as these commands read it. */
export interface ListedContainer {
  Id: string;
  /** Seconds since 1970. */
  Created: number;
  Image: string;
  State: string;
  Labels: Record<string, string>;
}

/** All of a stack, newest first. */
export async function listContainers(engine: Engine, stack: string): Promise<ListedContainer[]> {
  const found = await engine.get<ListedContainer[]>(`/containers/json?all=1&filters=${stackFilter(stack)}`);
  return found.sort((one, other) => other.Created - one.Created);
}

/**
 * The value of `filters=` for what is a stack's own.
 *
 * @param labels which it has besides. @default []
 * @param more other filters of Docker's. @default {}
 */
export function stackFilter(stack: string, labels: readonly string[] = [], more: object = {}): string {
  return labelFilter(stackLabel(stack), labels, more);
}

/** The same by what the label bulkhead.stack says. */
export function labelFilter(label: string, labels: readonly string[] = [], more: object = {}): string {
  return encodeURIComponent(JSON.stringify({ ...more, label: [`bulkhead.stack=${label}`, ...labels] }));
}

export function nameOf({ Labels }: Pick<ListedContainer, "Labels">): string {
  return Labels["bulkhead.name"] ?? "";
}

/** Whether it is to run for ever. */
export function serves({ Labels }: Pick<ListedContainer, "Labels">): boolean {
  return SERVING.has(Labels["bulkhead.role"] ?? "");
}

const SERVING = new Set<string>([
  "door",
  "edge",
  "service",
  "worker",
  "database",
  "scheduled-job",
  "backup",
  "tunnel",
] satisfies Role[]);

/** @throws Error with the nearest known name and all of them, unless each is known. */
export function ensureKnown(what: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const lines = unknown.map((name) => {
    const nearest = nearestTo(name, known);
    const all =
      known.length === 0
        ? "there is none: `bulkhead up` deploys what the program has"
        : `there ${known.length === 1 ? "is" : "are"} ${[...known].sort().join(", ")}`;
    return `${name}: no such ${what}: ${nearest === undefined ? "" : `did you mean ${nearest}? `}${all}`;
  });
  throw new Error(lines.join("\n"));
}
