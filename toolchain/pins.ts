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
  pulumi: {
    /** What the programs here are built and tested with; toolchain/pulumi/go.mod names the same. */
    version: "3.259.0",
    /** The newest release whose checksums could be confirmed; an installed CLI from here on will do as well. */
    release: {
      version: "3.253.0",
      url: (arch: Architecture) => `https://get.pulumi.com/releases/sdk/pulumi-v3.253.0-linux-${arch}.tar.gz`,
      sha256: {
        x64: "33161e521280e6c77395a46344dba5ff9c118a90df254801e662087143b4d1ac",
        arm64: "7d7074d67a76139226c163b2365f14fbd45d8e2251362a2e10dc4602b3b577ea",
      },
    },
  },
  /** Each is the version of its package in package.json. */
  plugins: { docker: "5.2.0", random: "4.21.2" },
  /** For stacks that use Cloudflare: the version of @pulumi/cloudflare in package.json. */
  cloudflarePlugin: "6.22.1",
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
