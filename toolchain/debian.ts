import { existsSync, readFileSync } from "node:fs";
import { findProgram, run, say, step } from "./steps.ts";

/** Debian, Ubuntu or one of their kin, and somebody who may install packages there. */
export function canInstallPackages(): boolean {
  return isDebian() && findProgram("apt-get") !== undefined && asRoot() !== undefined;
}

/** Makes sure that programs are there; on Debian and Ubuntu the missing ones are installed, and that is said aloud. */
export async function requirePrograms(purpose: string, packageOf: Record<string, string>): Promise<void> {
  const missing = Object.keys(packageOf).filter((program) => findProgram(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => packageOf[program]!))];
  const wanted = `${purpose}: ${missing.join(", ")} not found`;
  if (!canInstallPackages()) {
    throw new Error(`${wanted}: install what your system calls ${packages.join(", ")}, and run this again`);
  }
  say(wanted);
  await installPackages(packages);
  const still = missing.filter((program) => findProgram(program) === undefined);
  if (still.length > 0)
    throw new Error(`${purpose}: no ${still.join(", ")} even after installing ${packages.join(" ")}`);
}

/** Installs packages without their recommendations. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  const rootRun = asRoot();
  if (!rootRun) throw new Error(`nobody here may install packages: run sudo apt-get install ${packages.join(" ")}`);
  const apt = (...args: string[]) => rootRun("env", ["DEBIAN_FRONTEND=noninteractive", "apt-get", ...args]);
  // Another installation may be under way: wait for it.
  const options = ["--yes", "--no-install-recommends", "--option", "DPkg::Lock::Timeout=300"];
  await step(`installing ${packages.join(" ")} with apt-get`, async () => {
    try {
      await apt("install", ...options, ...packages);
    } catch {
      // The usual reason is a package list that is old, or was never fetched.
      await apt("update", "--option", "DPkg::Lock::Timeout=300");
      await apt("install", ...options, ...packages);
    }
  });
}

export type RootRun = (command: string, args: readonly string[]) => Promise<string>;

/** Runs a program as root, directly or with sudo; undefined if neither can be had without a password. */
export function asRoot(): RootRun | undefined {
  if (process.getuid?.() === 0) return (command, args) => run(command, args);
  if (findProgram("sudo") === undefined) return undefined;
  // A terminal lets sudo ask; without one it must not hang.
  const quiet = process.stdin.isTTY ? [] : ["-n"];
  return (command, args) => run("sudo", [...quiet, command, ...args]);
}

function isDebian(): boolean {
  if (!existsSync("/etc/os-release")) return false;
  return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync("/etc/os-release", "utf8"));
}
