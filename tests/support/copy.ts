import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand, type CommandOptions, type CommandResult } from "./command.ts";

/** The repository that these tests are part of. */
export const repository = join(import.meta.dirname, "..", "..");

/** A copy of the repository as it stands, committed or not, in which `make` works as it does for a person. */
export class RepositoryCopy {
  readonly directory = mkdtempSync(join(tmpdir(), "bulkhead-copy-"));

  constructor() {
    copyWorkingTree(this.directory);
  }

  /** Of `bulkhead`, from the sources. */
  get command(): string[] {
    return [process.execPath, "--conditions=bulkhead-source", join(this.directory, "cli/main.ts")];
  }

  bulkhead(args: readonly string[], options: CommandOptions): Promise<CommandResult> {
    const [node, ...main] = this.command as [string, ...string[]];
    return runCommand(node, [...main, ...args], { timeoutMs: 300_000, ...options });
  }

  make(target: string, options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand("make", [target], { cwd: this.directory, timeoutMs: 300_000, ...options });
  }

  /** Puts other text in the place of some that a file has once; gives what undoes it. */
  edit(file: string, from: string, to: string): () => void {
    const path = join(this.directory, file);
    const text = readFileSync(path, "utf8");
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`${file} has this ${parts.length - 1} times: ${from}`);
    writeFileSync(path, parts.join(to));
    return () => writeFileSync(path, text);
  }

  /** Takes the copy away; what was deployed stays. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Puts the repository as it stands, with its npm packages, into an empty folder. */
export function copyWorkingTree(directory: string): void {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  for (const file of execFileSync("git", list, { cwd: repository }).toString().split("\0"))
    if (file !== "" && existsSync(join(repository, file)))
      cpSync(join(repository, file), join(directory, file), { preserveTimestamps: true });
  symlinkSync(join(repository, "node_modules"), join(directory, "node_modules"));
}
