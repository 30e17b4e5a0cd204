// What a check of `bulkhead doctor` says.

/** `bad`: the stack cannot run there, or should not. `unknown`: it could not be learned. */
export type Verdict = "ok" | "warn" | "bad" | "unknown";

export interface Finding {
  found: string;
  verdict: Verdict;
  /** What it means and what to run, for what is not ok. */
  cure: readonly string[];
}

export function ok(found: string): Finding {
  return { found, verdict: "ok", cure: [] };
}

export function warn(found: string, cure: readonly string[]): Finding {
  return { found, verdict: "warn", cure };
}

export function bad(found: string, cure: readonly string[]): Finding {
  return { found, verdict: "bad", cure };
}

export function unknown(found: string): Finding {
  return { found, verdict: "unknown", cure: [] };
}

export function inDaemonJson(setting: string, verb: "reload" | "restart"): string[] {
  return [`  In /etc/docker/daemon.json, as root: ${setting}`, `  systemctl ${verb} docker`];
}
