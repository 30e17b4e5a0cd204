import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyWorkingTree, repository } from "./copy.ts";

/** A folder with the program of another commit, which becomes the working tree's by `update`, as a user's clone does. */
export class Clone {
  readonly directory = mkdtempSync(join(tmpdir(), "bulkhead-clone-"));

  constructor(commit: string) {
    requireCommit(commit);
    const archive = git(["archive", "--format=tar", commit]);
    execFileSync("tar", ["--extract", "--directory", this.directory], { input: archive });
    symlinkSync(join(repository, "node_modules"), join(this.directory, "node_modules"));
  }

  update(): void {
    for (const entry of readdirSync(this.directory)) rmSync(join(this.directory, entry), { recursive: true });
    copyWorkingTree(this.directory);
  }

  /** What was deployed stays. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The commit that people run, and that the next release has to take over. */
export function lastRelease(): string {
  return readFileSync(join(repository, "tests/last-release"), "utf8").trim();
}

function requireCommit(commit: string): void {
  try {
    git(["cat-file", "-e", `${commit}^{commit}`]);
  } catch {
    throw new Error(
      `this clone has no commit ${commit}, the last release (tests/last-release): run git fetch --unshallow`,
    );
  }
}

function git(args: string[]): Buffer {
  // Tests run as root, and the clone may be somebody else's.
  const options = ["-c", `safe.directory=${repository}`];
  return execFileSync("git", [...options, ...args], {
    cwd: repository,
    maxBuffer: 256 * 1024 ** 2,
    stdio: ["ignore", "pipe", "pipe"],
  });
}
