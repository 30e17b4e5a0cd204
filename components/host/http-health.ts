import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Health } from "./health.ts";

/**
 * A health check that asks a path over HTTP: by wget, curl, Node or Python, whichever the image has. It needs /bin/sh in
 * the image. For one that has none, give a `test` of its own.
 */
export function httpHealth(port: number, path: string, times: Omit<Health, "test"> = {}): Health {
  return { test: ["CMD", "/bin/sh", "-c", SCRIPT, "http-health", `http://127.0.0.1:${port}${path}`], ...times };
}

/** Without its comments, as it stands in every `docker inspect` of a service. */
const SCRIPT = readFileSync(join(import.meta.dirname, "http-health.sh"), "utf8").replace(/^\s*#.*\n/gm, "");
