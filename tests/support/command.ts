import { spawn } from "node:child_process";
import { constants } from "node:os";
import { Readable } from "node:stream";

export interface CommandOptions {
  /** Added to this process's own environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  input?: string | Readable;
  /** Infinity for none. @default 120000 */
  timeoutMs?: number;
  /** Told the process id as soon as there is one; it leads a session of its own unless it inherits this terminal. */
  onStart?: (pid: number) => void;
  /** Let the command use this terminal instead of keeping what it prints. @default false */
  inheritStdio?: boolean;
}

export interface CommandResult {
  /** The exit code; 128 and the signal's number when a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
  seconds: number;
  timedOut: boolean;
}

/** Runs a command to its end, whatever its exit code. A time-out ends its whole process group and nothing else. */
export function runCommand(command: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { timeoutMs = 120_000, inheritStdio = false, input } = options;
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: inheritStdio ? "inherit" : [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      // A group of its own can be ended as a whole; on a terminal Ctrl-C must go on reaching the command.
      detached: !inheritStdio,
    });
    if (child.pid !== undefined) options.onStart?.(child.pid);
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    if (child.stdin) {
      // A command that ends before it has read everything is judged by its exit code.
      child.stdin.on("error", () => undefined);
      if (input instanceof Readable) {
        input.on("error", (error) => {
          stderr += `input broke off: ${error.message}\n`;
          end("SIGKILL");
        });
        input.pipe(child.stdin);
      } else {
        child.stdin.end(input);
      }
    }

    const end = (signal: NodeJS.Signals) => {
      if (child.pid === undefined) return;
      try {
        process.kill(inheritStdio ? child.pid : -child.pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    };
    let timedOut = false;
    const timers: NodeJS.Timeout[] = [];
    if (timeoutMs !== Infinity) {
      const expire = () => {
        timedOut = true;
        end("SIGTERM");
      };
      timers.push(
        setTimeout(expire, timeoutMs),
        setTimeout(() => end("SIGKILL"), timeoutMs + 5_000),
      );
    }
    child.on("error", (error) => {
      timers.forEach(clearTimeout);
      reject(new Error(`cannot run ${command}: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      timers.forEach(clearTimeout);
      resolve({
        code: code ?? 128 + (signal ? constants.signals[signal] : 0),
        stdout,
        stderr,
        seconds: (performance.now() - started) / 1000,
        timedOut,
      });
    });
  });
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}
