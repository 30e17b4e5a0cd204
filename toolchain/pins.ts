/** The versions that are provided where nothing newer is installed, and the checksums of what is downloaded for them. */
export const pins = {
  go: {
    version: "1.26.8",
    /** The oldest that the modules here accept. */
    least: "1.26.6",
    url: (arch: Architecture) => `https://go.dev/dl/go1.26.8.linux-${goArchitecture[arch]}.tar.gz`,
    sha256: {
      x64: "d0f743b33e8d8945e6b1f432edd15785c70507121d6e2a723b21285eddf8b57b",
      arm64: "211ffced9dcb9633a55eac6364816ec0ddd951389a740e88fa8b3337971bdda0",
    },
    /** The same toolchain as a Go module, by the hash that go.sum files use. */
    moduleSum: {
      x64: "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
      arm64: "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
    },
  },
  /**
   * Of the CLI: what the programs here are built and tested with; toolchain/pulumi/go.mod names the same. Of the plugins:
   * each the version of its package in package.json. The checksums are of the official archives: `make pin` finds them.
   */
  pulumi: {
    version: "3.259.0",
    sha256: {
      x64: "94ba357acac23d01474084c4b00098dc0f7bc70ce13f34c777459254a5f718e5",
      arm64: "edc8327463a72160bb36cf82cf5062da9c8a244290a706d9980988e7bf486853",
    },
  },
  docker: {
    version: "5.2.0",
    sha256: {
      x64: "cedc3247a844c12f5995c6908d593338454aed36829e0b789f00cdeb88ccbaea",
      arm64: "21b823e5220e42506f364d5738c1a66300d0c691778c3943dcf83c7e46427182",
    },
  },
  random: {
    version: "4.21.2",
    // From one source only. A wrong one costs a build, and nothing else.
    sha256: {
      x64: "b980a23ae949bb38fd4bcd2c89cb7686be5814782f5859efddc92ea3dba64673",
      arm64: "0c5351dd6b75ee231a7bac51d7de94e2ed79262f148967c076f2d3822f4ae174",
    },
  },
  /** For stacks that use Cloudflare. For as long as there is no checksum here, it is built. */
  cloudflare: {
    version: "6.22.1",
    sha256: {},
  },
  /** The oldest installed CLI that will do. */
  leastPulumi: "3.253.0",
  /** For the stand-in image; toolchain/traefik/go.mod names the same. */
  traefik: "3.7.10",
  /** For the stand-in image; toolchain/cloudflared/go.mod names its commit, which has no version there. */
  cloudflared: "2026.7.1",
  /** For the test of the workflows; toolchain/actionlint/go.mod names the same. */
  actionlint: "1.7.12",
  /** Each archive with its own checksum: Renovate moves the two together. */
  trivy: {
    x64: { version: "v0.72.0", sha256: "bbb64b9695866ce4a7a8f5c9592002c5961cab378577fa3f8a040df362b9b2ea" },
    arm64: { version: "v0.72.0", sha256: "2ca2c023109c2db6b2b77366b6717291452d4531167377d95c79547f0c8e3467" },
  },
} as const;

export type Architecture = "x64" | "arm64";

/** Go's names of the architectures, which Docker and Debian use too. */
export const goArchitecture = { x64: "amd64", arm64: "arm64" } as const;

/** This machine's architecture, if it is one that things are pinned for. */
export function architecture(): Architecture | undefined {
  const { arch, platform } = process;
  return platform === "linux" && (arch === "x64" || arch === "arm64") ? arch : undefined;
}

/** Whether a version, such as `v3.259.0` or `go1.26.8`, is at least another. */
export function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => (/\d+(\.\d+)*/.exec(text)?.[0] ?? "").split(".").map(Number));
  if (!have || !want || have.some(Number.isNaN)) return false;
  for (let i = 0; i < want.length; i++) {
    const difference = (have[i] ?? 0) - want[i]!;
    if (difference !== 0) return difference > 0;
  }
  return true;
}
