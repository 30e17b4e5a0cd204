import { existsSync } from "node:fs";
import { chmod, cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { keyOf, kept } from "./cache.ts";
import { installPackages, canInstallPackages } from "./debian.ts";
import { download, reachable } from "./network.ts";
import { architecture, goArchitecture, isAtLeast, pins } from "./pins.ts";
import { findProgram, run, say, step } from "./steps.ts";

export interface GoBuild {
  /** What is built, for people. */
  title: string;
  /** The directory of go.mod. */
  module: string;
  /** Import paths of programs; each becomes a file of its last element's name. */
  programs: readonly string[];
  linkerFlags: string;
  /** The directory that gets the programs. */
  output: string;
  /** Whether it is built with the pinned Go and with no other, newer or older. @default false */
  pinnedGo?: boolean;
}

/**
 * Builds programs from a pinned module: every dependency is checked against its committed go.sum. They need no C
 * library, so that they run in any image and a machine needs no C compiler.
 */
export async function goBuild(build: GoBuild): Promise<void> {
  const go = await provideGo(build.pinnedGo ?? false);
  const flags = ["-trimpath", "-buildvcs=false", "-ldflags", `-s -w ${build.linkerFlags}`];
  await step(`building ${build.title} from the Go module proxy (the first time takes minutes)`, () =>
    run(go, ["build", ...flags, "-o", `${build.output}/`, ...build.programs], {
      cwd: build.module,
      // Settings of the user's that would change what is built; an empty GOFLAGS would let `go env -w` speak.
      env: { GOFLAGS: "-mod=readonly", GOWORK: "off", GOTOOLCHAIN: "local", CGO_ENABLED: "0", GOOS: "", GOARCH: "" },
    }),
  );
}

/** The path of a `go` that is new enough, or of the pinned one. */
async function provideGo(pinned: boolean): Promise<string> {
  const installed = findProgram("go");
  const version = installed && (await versionOf(installed)).trim();
  if (version && (pinned ? version === `go${pins.go.version}` : isAtLeast(version, pins.go.least))) return installed;
  const arch = architecture();
  if (!arch) throw new Error(noGo(pinned));
  const directory = await kept("go", keyOf(pins.go.version, arch), async (partial) => {
    const url = pins.go.url(arch);
    if (await reachable(url)) {
      try {
        const archive = join(partial, "go.tar.gz");
        await download(url, pins.go.sha256[arch], archive);
        await run("tar", ["-xzf", archive, "-C", partial]);
        return await rm(archive);
      } catch (error) {
        say(`${(error as Error).message}; taking Go from the Go module proxy`);
      }
    }
    await fetchAsModule(installed, join(partial, "go"), pinned);
  });
  return join(directory, "go", "bin", "go");
}

function noGo(pinned: boolean): string {
  const needed = pinned ? pins.go.version : `>= ${pins.go.least}`;
  return `Go ${needed} is needed: install it from https://go.dev/dl and run this again`;
}

async function versionOf(go: string): Promise<string> {
  return run(go, ["env", "GOVERSION"], { env: { GOTOOLCHAIN: "local" } }).catch(() => "");
}

/** Go toolchains are modules too, which any older Go can fetch; Debian has such a Go. */
async function fetchAsModule(installed: string | undefined, directory: string, pinned: boolean): Promise<void> {
  if (!installed && canInstallPackages()) await installPackages(["golang-go", "ca-certificates"]);
  const go = installed ?? findProgram("go");
  if (!go) throw new Error(noGo(pinned));
  const arch = architecture()!;
  const module = `golang.org/toolchain@v0.0.1-go${pins.go.version}.linux-${goArchitecture[arch]}`;
  const answer = await step(`fetching Go ${pins.go.version} from the Go module proxy`, () =>
    run(go, ["mod", "download", "-json", module], {
      cwd: "/",
      env: { GOFLAGS: "-mod=mod", GOWORK: "off", GOTOOLCHAIN: "local", GO111MODULE: "on" },
    }),
  );
  const { Dir, Sum } = JSON.parse(answer) as { Dir: string; Sum: string };
  if (Sum !== pins.go.moduleSum[arch]) throw new Error(`${module} is not what was pinned: its sum is ${Sum}`);
  await cp(Dir, directory, { recursive: true });
  // Modules carry neither the right to execute nor, in the module cache, that to write.
  await run("chmod", ["-R", "u+w", directory]);
  const tools = join(directory, "pkg", "tool", `linux_${goArchitecture[arch]}`);
  const programs = [join(directory, "bin"), ...(existsSync(tools) ? [tools] : [])];
  for (const folder of programs) for (const file of await readdir(folder)) await chmod(join(folder, file), 0o755);
}
