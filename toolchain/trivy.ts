import { rm } from "node:fs/promises";
import { join } from "node:path";
import { keyOf, kept } from "./cache.ts";
import { download, reachable } from "./network.ts";
import { architecture, pins } from "./pins.ts";
import { run } from "./steps.ts";

/**
 * The path of the pinned Trivy, and of no other: in March 2026 its releases, images and actions were replaced by ones
 * that stole secrets, under names that had been good before. A file of another checksum is not run.
 */
export async function provideTrivy(): Promise<string> {
  const arch = architecture();
  if (!arch) throw new Error("Trivy is pinned for Linux on x64 and arm64 only: run this there");
  const { version, sha256 } = pins.trivy[arch];
  const name = `trivy_${version.slice(1)}_Linux-${arch === "x64" ? "64bit" : "ARM64"}.tar.gz`;
  const url = `https://github.com/aquasecurity/trivy/releases/download/${version}/${name}`;
  const directory = await kept("trivy", keyOf(version, sha256), async (partial) => {
    if (!(await reachable(url)))
      throw new Error(`${url}: no answer, and Trivy is taken from nowhere else: try it later`);
    const archive = join(partial, name);
    await download(url, sha256, archive);
    await run("tar", ["-xzf", archive, "-C", partial, "trivy"]);
    await rm(archive);
  });
  return join(directory, "trivy");
}
