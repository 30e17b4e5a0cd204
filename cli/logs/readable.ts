// A line of a log as a person reads it.
import type { LogLine } from "./lines.ts";

/** The time, the level, the message, and the rest as key=value. What is not a JSON object stays as it is. */
export function readable({ time, text }: Pick<LogLine, "time" | "text">): string {
  return `${time.replace("T", " ").replace(/(\.\d{3})\d*Z$/, "$1")} ${messageIn(time, text)}`;
}

function messageIn(time: string, text: string): string {
  const object = jsonObject(text);
  if (object === undefined) return text;
  const rest = new Map(Object.entries(object));
  const take = (keys: readonly string[]) => {
    const key = keys.find((each) => ["string", "number"].includes(typeof rest.get(each)));
    if (key === undefined) return "";
    const value = String(rest.get(key));
    rest.delete(key);
    return value;
  };
  const own = TIMES.find((key) => rest.has(key));
  // Docker's time is shown. Another one is told, as what happened then is only written now.
  if (own !== undefined && isNear(time, rest.get(own))) rest.delete(own);
  const level = take(LEVELS).toUpperCase();
  const message = take(MESSAGES);
  return [level, message, ...[...rest].map(([key, value]) => `${key}=${shown(value)}`)]
    .filter((part) => part !== "")
    .join(" ");
}

const TIMES = ["time", "timestamp", "ts", "@timestamp", "date"];
const LEVELS = ["level", "severity", "lvl", "log.level"];
const MESSAGES = ["message", "msg", "event"];

function jsonObject(text: string): object | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const parsed = JSON.parse(text, function (this: unknown, _: string, value: unknown, ...more: unknown[]) {
      const { source } = (more[0] ?? {}) as { source?: string };
      // A number of more digits than JavaScript keeps is told as it was written.
      return typeof value === "number" && source !== undefined && source !== String(value) ? source : value;
    }) as object;
    return parsed;
  } catch {
    return undefined;
  }
}

function isNear(time: string, own: unknown): boolean {
  if (typeof own !== "string" && typeof own !== "number") return false;
  const number = Number(own);
  // Seconds or milliseconds since 1970.
  const at = Number.isNaN(number) ? new Date(own).getTime() : number > 1e11 ? number : number * 1000;
  return Math.abs(new Date(time).getTime() - at) < 1000;
}

function shown(value: unknown): string {
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

/** On a terminal: what a client put into a log must not move the cursor or ask the terminal for anything. */
export function harmless(text: string): string {
  return text.replace(CONTROLS, (control) =>
    /^\x1b\[[\d;]*m$/.test(control) ? control : `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Colours are left. */
const CONTROLS = /\x1b\[[\d;]*m|[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
