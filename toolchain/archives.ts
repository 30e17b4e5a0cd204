import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { download, fetchFile, reachable, sha256Of, type Patience } from "./network.ts";
import { goArchitecture, pins, type Architecture } from "./pins.ts";
import { say } from "./steps.ts";

/** The official archives of Pulumi: of the CLI, which has the language hosts in it, and of a plugin each. */
export const archiveNames = ["pulumi", "docker", "random", "cloudflare"] as const;
export type ArchiveName = (typeof archiveNames)[number];

/** Where archives come from. A test has servers of its own. */
export interface ArchiveHosts {
  releases: string;
  github: string;
  githubApi: string;
}

const officialHosts: ArchiveHosts = {
  releases: "https://get.pulumi.com/releases",
  github: "https://github.com",
  githubApi: "https://api.github.com",
};

export interface Archive {
  /** Each serves the same bytes; the first that does is enough. */
  addresses: readonly string[];
  sha256: string;
}

export type Archives = Partial<Record<ArchiveName, Archive>>;

/** The archives with a pinned checksum for an architecture. */
export function pinnedArchives(arch: Architecture | undefined): Archives {
  if (arch === undefined) return {};
  const pinned = archiveNames.flatMap((name): [ArchiveName, Archive][] => {
    const { version, sha256 }: Pin = pins[name];
    const sum = sha256[arch];
    return sum ? [[name, { addresses: addressesOf(name, version, arch), sha256: sum }]] : [];
  });
  return Object.fromEntries(pinned);
}

interface Pin {
  version: string;
  sha256: Checksums;
}

type Checksums = Partial<Record<Architecture, string>>;

/**
 * Fetches an archive from the first of its addresses that serves what is pinned. Gives whether one did: what differs, or
 * does not come, is said and is no error, since there is another way to the same.
 */
export async function fetchArchive(archive: Archive | undefined, file: string, patience?: Patience): Promise<boolean> {
  for (const url of archive?.addresses ?? []) {
    if (!(await reachable(url))) continue;
    try {
      await download(url, archive!.sha256, file, patience);
      return true;
    } catch (error) {
      say((error as Error).message);
      await rm(file, { force: true });
    }
  }
  return false;
}

/**
 * The checksums of a release for every architecture, believed only if two agree: GitHub's digest, which it made when the
 * file was uploaded, and that of what the release host serves now. Neither is taken over one that is pinned for the same
 * version, since a release does not change.
 */
export async function findChecksums(
  name: ArchiveName,
  version: string,
  hosts: ArchiveHosts = officialHosts,
): Promise<Record<Architecture, string>> {
  const digests = await digestsAtGithub(name, version, hosts.githubApi);
  const found: Checksums = {};
  for (const arch of Object.keys(goArchitecture) as Architecture[]) {
    const file = fileOf(name, version, arch);
    const digest = digests.get(file);
    if (!digest) throw new Error(`refused: GitHub has no sha256 digest of ${file}`);
    const [url] = addressesOf(name, version, arch, hosts);
    const served = await sha256At(url);
    if (served !== digest) throw new Error(`refused: GitHub's digest of ${file} is ${digest}, but ${url} is ${served}`);
    const pin: Pin = pins[name];
    const pinned = pin.version === version ? pin.sha256[arch] : undefined;
    if (pinned && pinned !== digest)
      throw new Error(
        `refused: ${file} was pinned as ${pinned} and is ${digest} now: find out why, and then take the old one away by hand`,
      );
    found[arch] = digest;
  }
  return found as Record<Architecture, string>;
}

/** The text of pins.ts with the version and the checksums of an archive. */
export function withChecksums(
  text: string,
  name: ArchiveName,
  version: string,
  sha256: Record<Architecture, string>,
): string {
  const place = new RegExp(`(\\n  ${name}: \\{\\n    version: )"[^"]*"(,\\n(?:    //.*\\n)?    sha256: )\\{[^}]*\\}`);
  if (!place.test(text)) throw new Error(`toolchain/pins.ts: no place for the checksums of ${name}`);
  const lines = Object.entries(sha256).map(([arch, sum]) => `      ${arch}: "${sum}",\n`);
  return text.replace(
    place,
    (_, before: string, between: string) =>
      // A comment there is on the old ones.
      `${before}"${version}"${between.replace(/ {4}\/\/.*\n/, "")}{\n${lines.join("")}    }`,
  );
}

async function digestsAtGithub(name: ArchiveName, version: string, api: string): Promise<Map<string, string>> {
  const url = `${api}/repos/${repositoryOf(name)}/releases/tags/v${version}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(15_000) });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const { assets } = (await answer.json()) as { assets: { name: string; digest?: string | null }[] };
  return new Map(
    assets.flatMap(({ name, digest }) => {
      const sum = /^sha256:([0-9a-f]{64})$/.exec(digest ?? "")?.[1];
      return sum ? [[name, sum] as const] : [];
    }),
  );
}

async function sha256At(url: string): Promise<string> {
  const file = join(tmpdir(), `bulkhead-archive-${randomBytes(8).toString("hex")}`);
  try {
    await fetchFile(url, file);
    return await sha256Of(file);
  } finally {
    await rm(file, { force: true });
  }
}

function addressesOf(
  name: ArchiveName,
  version: string,
  arch: Architecture,
  { releases, github }: ArchiveHosts = officialHosts,
): [string, string] {
  const file = fileOf(name, version, arch);
  return [
    `${releases}/${name === "pulumi" ? "sdk" : "plugins"}/${file}`,
    `${github}/${repositoryOf(name)}/releases/download/v${version}/${file}`,
  ];
}

function fileOf(name: ArchiveName, version: string, arch: Architecture): string {
  return name === "pulumi"
    ? `pulumi-v${version}-linux-${arch}.tar.gz`
    : `pulumi-resource-${name}-v${version}-linux-${goArchitecture[arch]}.tar.gz`;
}

function repositoryOf(name: ArchiveName): string {
  return name === "pulumi" ? "pulumi/pulumi" : `pulumi/pulumi-${name}`;
}
