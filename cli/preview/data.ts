import { holdsData, VOLUME } from "../../policy/networks-and-volumes.ts";
import type { Change } from "./engine-events.ts";
import { listOf, type ContainerChange } from "./container-change.ts";

/** Something that only a backup would bring back. */
export interface DataAtRisk {
  /** As it is called where it is: what an acknowledgement has to name. */
  name: string;
  /** What is about to happen to it, as the end of a sentence. */
  fate: string;
}

export function dataAtRisk(changes: readonly Change[], services: readonly ContainerChange[]): DataAtRisk[] {
  // What a service writes to is data, said to be so or not.
  const written = new Set(
    services.flatMap(({ before }) =>
      listOf(before?.volumes).flatMap(({ readOnly, volumeName }) => (readOnly ? [] : [volumeName])),
    ),
  );
  return changes.flatMap((change) => {
    const { type, op, id, retained, name, before = {} } = change;
    const called = textOf(before["name"]) ?? id ?? name;
    const goes = op === "delete" || op === "replace";
    if (type === VOLUME && goes && (holdsData(before) || written.has(id)))
      return { name: called, fate: retained ? letGo("on the host") : deleted(op) };
    if (type === BUCKET && goes) return { name: called, fate: retained ? letGo("at Cloudflare") : deleted(op) };
    return keptShorter(change).map((fate) => ({ name: textOf(before["bucketName"]) ?? name, fate }));
  });
}

/** The line that a person writes to say that it may be lost. */
export function acknowledgementOf({ name }: Pick<DataAtRisk, "name">): string {
  return `I accept the loss of ${name}`;
}

/** Those for which no line of the text has the words. */
export function unacknowledged(risks: readonly DataAtRisk[], text: string): DataAtRisk[] {
  const lines = new Set(text.split("\n").map((line) => line.trim().replace(/\.$/, "")));
  return risks.filter((risk) => !lines.has(acknowledgementOf(risk)));
}

const BUCKET = "cloudflare:index/r2Bucket:R2Bucket";

function letGo(where: string): string {
  return `is retained ${where} but no longer managed by this stack`;
}

function deleted(op: Change["op"]): string {
  return `is deleted with all that is in it${op === "replace" ? ", and made anew" : ""}`;
}

interface KeepingRule {
  enabled?: boolean;
  prefix?: string;
  conditions?: { prefix?: string };
  condition?: { maxAgeSeconds?: number };
  deleteObjectsTransition?: { condition?: { maxAge?: number } };
}

/** Objects that are deleted sooner than before, or that may be. */
function keptShorter({ type, op, before, after }: Change): string[] {
  if (op === "same" || before === undefined) return [];
  const rules = (inputs: Change["before"]) => listOf(inputs?.["rules"] as KeepingRule[] | undefined);
  if (type === "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle") {
    const days = (inputs: Change["before"]) =>
      new Map(
        rules(inputs).flatMap(({ enabled, conditions, deleteObjectsTransition }) => {
          const seconds = deleteObjectsTransition?.condition?.maxAge;
          return enabled !== false && seconds !== undefined ? [[conditions?.prefix ?? "", seconds / DAY_SECONDS]] : [];
        }),
      );
    const had = days(before);
    return [...days(after)]
      .filter(([prefix, now]) => now < (had.get(prefix) ?? Infinity))
      .map(([prefix, now]) => `deletes ${under(prefix)} that is older than ${now} days`);
  }
  if (type === "cloudflare:index/r2BucketLock:R2BucketLock") {
    const days = (inputs: Change["before"]) =>
      new Map(
        rules(inputs).map(({ prefix, condition }) => [prefix ?? "", (condition?.maxAgeSeconds ?? 0) / DAY_SECONDS]),
      );
    const has = days(after);
    return [...days(before)]
      .filter(([prefix, then]) => (has.get(prefix) ?? 0) < then)
      .map(
        ([prefix, then]) => `keeps ${under(prefix)} from deletion for ${has.get(prefix) ?? 0} days and not for ${then}`,
      );
  }
  return [];
}

const DAY_SECONDS = 86_400;

function under(prefix: string): string {
  return prefix === "" ? "everything" : `everything under ${prefix}`;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
