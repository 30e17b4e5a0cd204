import { existsSync } from "node:fs";
import { cp, lstat, mkdir, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { fetchArchive, pinnedArchives, type Archive, type ArchiveName, type Archives } from "./archives.ts";
import { filesUnder, keyOf, kept } from "./cache.ts";
import { goBuild } from "./go.ts";
import { architecture, isAtLeast, pins } from "./pins.ts";
import { findProgram, run } from "./steps.ts";

export interface ToolchainOptions {
  /** The plugin for Cloudflare too, whose build takes longer than that of all else. @default false */
  cloudflare?: boolean;
  /** The official archives. @default those with a pinned checksum; a test has its own */
  archives?: Archives;
}

/**
 * The environment in which `pulumi` works: the CLI and its Node language host on PATH, the plugins installed. Each is
 * what is installed and new enough; else the official archive, if it is the one that is pinned; else built from the Go
 * module proxy.
 */
export async function provideToolchain(options: ToolchainOptions = {}): Promise<{ env: Record<string, string> }> {
  const archives = options.archives ?? pinnedArchives(architecture());
  const cli = await provideCli(archives.pulumi);
  const path = process.env["PATH"] ?? "";
  const PATH = path.split(delimiter).includes(cli) ? path : `${cli}${delimiter}${path}`;
  const home = await providePlugins(join(cli, "pulumi"), options.cloudflare ?? false, archives);
  return {
    env: {
      PATH,
      ...home,
      // Everything that is needed is there: Pulumi need not look for plugins, nor for a newer CLI, on the network.
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      // Resources are compared with their states side by side, not one after the other.
      PULUMI_PARALLEL_DIFF: process.env["PULUMI_PARALLEL_DIFF"] || "true",
      // The CLI and its plugins live for seconds: collecting garbage as often as a server does is a tenth of their work.
      GOGC: process.env["GOGC"] || "400",
    },
  };
}

const module = join(import.meta.dirname, "pulumi");
const cloudflareModule = join(import.meta.dirname, "cloudflare");

/** The directory of `pulumi` and `pulumi-language-nodejs`. */
async function provideCli(archive: Archive | undefined): Promise<string> {
  const { version } = pins.pulumi;
  const installed = findProgram("pulumi");
  if (installed && findProgram("pulumi-language-nodejs") && isAtLeast(await versionOf(installed), pins.leastPulumi)) {
    return dirname(installed);
  }
  // Whether it was fetched or built makes no difference to what uses it.
  const key = keyOf(version, pins.leastPulumi, process.platform, process.arch, await filesUnder(module));
  return kept("pulumi", key, async (directory) => {
    const file = join(directory, "pulumi.tar.gz");
    if (await fetchArchive(archive, file)) {
      await run("tar", ["-xzf", file, "-C", directory, "--strip-components=1"]);
      return rm(file);
    }
    await goBuild({
      title: `the Pulumi CLI ${version}`,
      module,
      programs: ["github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "./pulumi-language-nodejs"],
      linkerFlags: `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${version}`,
      output: directory,
    });
  });
}

async function versionOf(pulumi: string): Promise<string> {
  return run(pulumi, ["version"], { env: { PULUMI_SKIP_UPDATE_CHECK: "true" } }).catch(() => "");
}

/** What a Pulumi home with the plugins sets in the environment: nothing, if the user's own has them. */
async function providePlugins(
  pulumi: string,
  cloudflare: boolean,
  archives: Archives,
): Promise<Record<string, string>> {
  const usersHome = process.env["PULUMI_HOME"] || join(homedir(), ".pulumi");
  const wanted: PluginName[] = ["docker", "random", ...(cloudflare ? (["cloudflare"] as const) : [])];
  if (wanted.every((name) => existsSync(pluginDirectory(usersHome, name)))) return {};
  const versions = { docker: pins.docker.version, random: pins.random.version };
  const key = keyOf(versions, process.platform, process.arch, await filesUnder(module));
  const home = await kept("pulumi-home", key, (directory) =>
    installPlugins(pulumi, directory, module, ["docker", "random"], archives),
  );
  await keepNoLog(home);
  const chosen = cloudflare ? await withCloudflare(pulumi, home, usersHome, archives) : home;
  if (chosen !== home) await keepNoLog(chosen);
  // Logins stay where they are.
  return {
    PULUMI_HOME: chosen,
    PULUMI_CREDENTIALS_PATH: process.env["PULUMI_CREDENTIALS_PATH"] || usersHome,
  };
}

/**
 * Pulumi logs every call with all of its properties, encrypted, into the folder `logs` of its home, whoever wants it or
 * not: more than half of the CLI's work. It does without where a file has that name. What it prints with `-v` is the same.
 */
async function keepNoLog(home: string): Promise<void> {
  const logs = join(home, "logs");
  const isFile = (await lstat(logs).catch(() => undefined))?.isFile() ?? false;
  if (isFile) return;
  try {
    await rm(logs, { recursive: true, force: true });
    await writeFile(logs, "");
  } catch {
    // A cache that may only be read serves as well, and so does one in which another command has just begun a log.
  }
}

type PluginName = Exclude<ArchiveName, "pulumi">;

/** A home with the Cloudflare plugin besides: the user's, if there is one. */
async function withCloudflare(pulumi: string, home: string, usersHome: string, archives: Archives): Promise<string> {
  const usersOwn = pluginDirectory(usersHome, "cloudflare");
  const parts = existsSync(usersOwn) ? [usersOwn] : [await filesUnder(cloudflareModule)];
  const key = keyOf(pins.cloudflare.version, basename(home), process.platform, process.arch, ...parts);
  return kept("pulumi-home-cloudflare", key, async (directory) => {
    await cp(home, directory, { recursive: true });
    if (existsSync(usersOwn)) {
      await cp(usersOwn, pluginDirectory(directory, "cloudflare"), { recursive: true });
    } else {
      await installPlugins(pulumi, directory, cloudflareModule, ["cloudflare"], archives);
    }
  });
}

function pluginDirectory(home: string, name: PluginName): string {
  return join(home, "plugins", `resource-${name}-v${pins[name].version}`);
}

/** Installs plugins into a Pulumi home: each from its official archive; those for which that fails are built. */
async function installPlugins(
  pulumi: string,
  home: string,
  sources: string,
  names: readonly PluginName[],
  archives: Archives,
): Promise<void> {
  const work = join(home, "work");
  await mkdir(work);
  const toBuild: PluginName[] = [];
  for (const name of names) {
    const file = join(work, `${name}.tar.gz`);
    if (await fetchArchive(archives[name], file)) await installPlugin(pulumi, home, name, file);
    else toBuild.push(name);
  }
  if (toBuild.length > 0) {
    await goBuild({
      title: `the Pulumi ${toBuild.length === 1 ? "plugin" : "plugins"} ${toBuild.map((name) => `${name} ${pins[name].version}`).join(" and ")}`,
      module: sources,
      programs: toBuild.map((name) => `./pulumi-resource-${name}`),
      linkerFlags: "",
      output: work,
    });
    for (const name of toBuild) await installPlugin(pulumi, home, name, join(work, `pulumi-resource-${name}`));
  }
  await rm(work, { recursive: true });
}

/** @param file an archive, or the program itself */
async function installPlugin(pulumi: string, home: string, name: PluginName, file: string): Promise<void> {
  await run(pulumi, ["plugin", "install", "resource", name, pins[name].version, "--file", file], {
    env: { PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
  });
}
