import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Health } from "./health.ts";

/**
 * A health check that brings a service back which hangs: after so many checks in a row without an answer it ends the
 * service's processes, from within, and Docker starts the container again. It needs nothing of Docker's, and /bin/sh in
 * the image. See health.sh.
 */
export function reviving(name: string, health: Health, hangs = DEFAULT_HANGS): Health {
  if (!Number.isInteger(hangs) || hangs < 0)
    throw new Error(`${name}: reviveAfterHangs: ${hangs} is not a whole number from 0: give one, 0 for never`);
  const [kind, ...test] = health.test;
  if (hangs === 0 || kind !== "CMD") return health;
  return { ...health, test: ["CMD", "/bin/sh", "-c", SCRIPT, "health", String(hangs), ...test] };
}

/** With an interval of 10 s and a timeout of 3 s: back within 140 s. Less would end services of a host that is only busy. */
const DEFAULT_HANGS = 10;

/** Without its comments, as it stands in every `docker inspect` of a service. */
const SCRIPT = readFileSync(join(import.meta.dirname, "health.sh"), "utf8").replace(/^\s*#.*\n/gm, "");
