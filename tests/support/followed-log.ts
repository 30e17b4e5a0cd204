import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, vi } from "vitest";
import type { RepositoryCopy } from "./copy.ts";

/** `bulkhead logs --follow` of a program in a copy of the repository, as it goes on. */
export interface FollowedLog {
  /** All that it has written so far. */
  text: () => string;
  /** Fails when it has not been there for 70 s: a job comes once a minute. */
  until: (pattern: RegExp) => Promise<void>;
  /** Ends it as Ctrl-C does. */
  stop: () => Promise<void>;
}

export function followLog(copy: RepositoryCopy, program: string, name: string): FollowedLog {
  const [node, ...main] = copy.command as [string, ...string[]];
  const child = spawn(node, [...main, "logs", "--follow", name], {
    cwd: program,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return {
    text: () => text,
    until: (pattern) => vi.waitFor(() => expect(text).toMatch(pattern), 70_000),
    stop: async () => {
      child.kill("SIGINT");
      await once(child, "exit");
    },
  };
}
