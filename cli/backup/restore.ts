// What `bulkhead restore` writes into a stack file.
import type { Document } from "yaml";
import { configKey } from "../stack/program.ts";

export interface Wanted {
  id: string;
  to: string;
  serve?: boolean;
  from?: "copy";
  /** The restore whose volume serves until this one's does. */
  before?: Omit<Wanted, "before">;
}

/** The restore whose volume serves, by the stack file. Undefined: the volume that no restore made. */
export function servedRestore(document: Document, name: string): Wanted["before"] {
  const { config = {} } = (document.toJS() ?? {}) as { config?: Record<string, Record<string, Wanted>> };
  const last = config[configKey("restore")]?.[name];
  if (last?.serve !== true) return last?.before;
  const { id, to, serve, from } = last;
  return { id, to, serve, ...(from && { from }) };
}

/**
 * A moment as the stack file has it, from what a person types: "2026-01-31 12:00", with seconds or without, in UTC.
 *
 * @throws Error if it is none, or is still to come.
 */
export function momentOf(given: string, now: Date): string {
  const [, day, time, seconds = ":00"] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?Z?$/.exec(given.trim()) ?? [];
  const at = new Date(`${day}T${time}${seconds}Z`);
  if (day === undefined || Number.isNaN(at.getTime()) || !at.toISOString().startsWith(`${day}T${time}`))
    throw new Error(`--to: ${given} is no moment: give one in UTC like "2026-01-31 12:00"`);
  if (at > now)
    throw new Error(`--to: ${given} is still to come, and times are in UTC: now it is ${now.toISOString()}`);
  return `${day} ${time}${seconds}+00`;
}
