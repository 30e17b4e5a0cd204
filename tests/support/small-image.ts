import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPackages, requirePrograms } from "../../toolchain/debian.ts";
import { findProgram, run } from "../../toolchain/steps.ts";
import type { TestEngine } from "./engine.ts";

/** An image of 2 MB with nothing but a static busybox: sh, httpd, wget, nc. It cannot look up host names. */
export async function provideSmallImage(engine: Pick<TestEngine, "exec">): Promise<string> {
  const image = "bulkhead-test/busybox:1";
  const busybox = await staticBusybox();
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-small-image-"));
  try {
    const bin = join(directory, "root", "bin");
    mkdirSync(bin, { recursive: true });
    mkdirSync(join(directory, "root", "tmp"));
    // Not by mkdir, which leaves out what the umask says; an engine gives a tmpfs there the mode of what it covers.
    chmodSync(join(directory, "root", "tmp"), 0o1777);
    copyFileSync(busybox, join(bin, "busybox"));
    for (const applet of (await run(join(bin, "busybox"), ["--list"])).trim().split("\n")) {
      if (applet !== "busybox") symlinkSync("busybox", join(bin, applet));
    }
    const tarball = join(directory, "root.tar");
    await run("tar", ["--create", "--file", tarball, "--directory", join(directory, "root"), "."]);
    const { code, stderr } = await engine.exec("docker", ["import", tarball, image]);
    if (code !== 0) throw new Error(`docker import: ${stderr}`);
    return image;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Path of a busybox that needs no library. Debian has another package of that name, which does not run in an empty image. */
export async function staticBusybox(): Promise<string> {
  await requirePrograms("a small image for the tests", { busybox: "busybox-static" });
  const loadsLibraries = readFileSync(findProgram("busybox")!).includes("/ld-linux");
  if (loadsLibraries) await installPackages(["busybox-static"]);
  return findProgram("busybox")!;
}
