import { spawn } from "node:child_process";

export interface TerminalOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** In order: what the command shows, and what is typed then, each with Return. */
  answers: readonly (readonly [shown: string, typed: string])[];
  /** @default 60000 */
  timeoutMs?: number;
}

/** Runs a command at a terminal of its own (a pseudo terminal, by util-linux's `script`), and types answers. */
export function atTerminal(
  command: readonly string[],
  { cwd, env, answers, timeoutMs = 60_000 }: TerminalOptions,
): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    // In place of the shell, which would end by Ctrl-C too. A new terminal is as wide as nothing.
    const line = `stty cols 120 rows 40 && exec ${quoted}`;
    const child = spawn("script", ["--quiet", "--flush", "--return", "--command", line, "/dev/null"], {
      cwd,
      env: { ...process.env, SHELL: "/bin/sh", TERM: "xterm", ...env },
    });
    const waiting = [...answers];
    let [text, read] = ["", 0];
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const [shown, typed] = next;
        const at = text.indexOf(shown, read);
        if (at === -1) return;
        read = at + shown.length;
        waiting.shift();
        child.stdin.write(`${typed}\r`);
      }
    });
    // A command that ends before all is typed is judged by its exit code.
    child.stdin.on("error", () => undefined);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      if (waiting.length === 0) return resolve({ code: code ?? -1, text });
      reject(new Error(`was never shown: ${waiting[0]![0]}\n${text}`));
    });
  });
}
