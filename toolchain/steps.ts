import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const CI_LINE_MS = 15_000;
/** How much of the output of a program that failed is shown. */
const LINES_SHOWN = 20;

/** What people read goes to stderr: stdout is for what programs read. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Does something long while it shows what it is and for how long: one changing line on a terminal, else a line now and then. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const start = Date.now();
  const elapsed = () => formatSeconds((Date.now() - start) / 1000);
  const terminal = process.stderr.isTTY;
  const show = () => process.stderr.write(terminal ? `\r\x1b[K${title} … ${elapsed()}` : `${title} … ${elapsed()}\n`);
  show();
  const timer = setInterval(show, terminal ? 1_000 : CI_LINE_MS);
  const end = (word: string) => {
    clearInterval(timer);
    process.stderr.write(`${terminal ? "\r\x1b[K" : ""}${title}: ${word} after ${elapsed()}\n`);
  };
  try {
    const result = await work();
    end("done");
    return result;
  } catch (error) {
    end("failed");
    throw error;
  }
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
}

/** Runs a program to its end and gives its standard output. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      timeout: options.timeoutMs,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let all = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      all += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => (all += chunk.toString()));
    child.on("error", (error) => reject(new Error(`${command}: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(output);
      const last = all.trimEnd().split("\n").slice(-LINES_SHOWN).join("\n");
      const shown = [command, ...args].join(" ").replace(/\n[^]*/, " …");
      reject(new Error(`${shown.slice(0, 200)}: ended with ${code ?? signal}\n${last}`));
    });
  });
}

/** The path of a program on PATH, or in the system's own directories, which a user's PATH may leave out. */
export function findProgram(program: string): string | undefined {
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== "");
  return [...path, "/usr/local/sbin", "/usr/sbin", "/sbin"]
    .map((directory) => join(directory, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** `4 s`, `2 min 48 s`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
