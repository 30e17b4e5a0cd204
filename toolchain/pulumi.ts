import { existsSync } from "node:fs";
import { cp, mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { filesUnder, keyOf, kept } from "./cache.ts";
import { goBuild } from "./go.ts";
import { download, reachable } from "./network.ts";
import { architecture, isAtLeast, pins } from "./pins.ts";
import { findProgram, run, say } from "./steps.ts";

export interface ToolchainOptions {
  /** The plugin for Cloudflare too, whose build takes longer than that of all else. @default false */
  cloudflare?: boolean;
}

/**
 * The environment in which `pulumi` works: the CLI and its Node language host on PATH, the plugins installed. Each is
 * what is installed and new enough; else, for the CLI, the official release; else built from the Go module proxy.
 */
export async function provideToolchain(options: ToolchainOptions = {}): Promise<{ env: Record<string, string> }> {
  const cli = await provideCli();
  const path = process.env["PATH"] ?? "";
  const PATH = path.split(delimiter).includes(cli) ? path : `${cli}${delimiter}${path}`;
  const home = await providePlugins(join(cli, "pulumi"), options.cloudflare ?? false);
  return {
    env: {
      PATH,
      ...home,
      // Everything that is needed is there: the engine need not look for plugins, nor for a newer CLI, on the network.
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      PULUMI_SKIP_UPDATE_CHECK: "true",
    },
  };
}

const module = join(import.meta.dirname, "pulumi");
const cloudflareModule = join(import.meta.dirname, "cloudflare");

/** The directory of `pulumi` and `pulumi-language-nodejs`. */
async function provideCli(): Promise<string> {
  const { version, release } = pins.pulumi;
  const installed = findProgram("pulumi");
  if (installed && findProgram("pulumi-language-nodejs") && isAtLeast(await versionOf(installed), release.version)) {
    return dirname(installed);
  }
  const arch = architecture();
  const key = keyOf(version, release.version, process.platform, process.arch, await filesUnder(module));
  return kept("pulumi", key, async (directory) => {
    if (arch && (await reachable(release.url(arch)))) {
      try {
        const archive = join(directory, "pulumi.tar.gz");
        await download(release.url(arch), release.sha256[arch], archive);
        await run("tar", ["-xzf", archive, "-C", directory, "--strip-components=1"]);
        return await rm(archive);
      } catch (error) {
        say(`${(error as Error).message}; building the Pulumi CLI instead`);
      }
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
async function providePlugins(pulumi: string, cloudflare: boolean): Promise<Record<string, string>> {
  const usersHome = process.env["PULUMI_HOME"] || join(homedir(), ".pulumi");
  const wanted = { ...pins.plugins, ...(cloudflare ? { cloudflare: pins.cloudflarePlugin } : {}) };
  if (Object.entries(wanted).every(([name, version]) => existsSync(pluginDirectory(usersHome, name, version))))
    return {};
  // Their releases come without published checksums, so they are built.
  const key = keyOf(pins.plugins, process.platform, process.arch, await filesUnder(module));
  const home = await kept("pulumi-home", key, (directory) => installBuilt(pulumi, directory, module, pins.plugins));
  // Logins stay where they are.
  return {
    PULUMI_HOME: cloudflare ? await withCloudflare(pulumi, home, usersHome) : home,
    PULUMI_CREDENTIALS_PATH: process.env["PULUMI_CREDENTIALS_PATH"] || usersHome,
  };
}

/** A home with the Cloudflare plugin besides: the user's, if there is one. */
async function withCloudflare(pulumi: string, home: string, usersHome: string): Promise<string> {
  const version = pins.cloudflarePlugin;
  const usersOwn = pluginDirectory(usersHome, "cloudflare", version);
  const parts = existsSync(usersOwn) ? [usersOwn] : [await filesUnder(cloudflareModule)];
  const key = keyOf(version, basename(home), process.platform, process.arch, ...parts);
  return kept("pulumi-home-cloudflare", key, async (directory) => {
    await cp(home, directory, { recursive: true });
    if (existsSync(usersOwn)) {
      await cp(usersOwn, pluginDirectory(directory, "cloudflare", version), { recursive: true });
    } else {
      await installBuilt(pulumi, directory, cloudflareModule, { cloudflare: version });
    }
  });
}

function pluginDirectory(home: string, name: string, version: string): string {
  return join(home, "plugins", `resource-${name}-v${version}`);
}

/** Builds plugins, each the program `pulumi-resource-<name>` of the module, into a Pulumi home. */
async function installBuilt(
  pulumi: string,
  home: string,
  fromModule: string,
  plugins: Record<string, string>,
): Promise<void> {
  const built = join(home, "built");
  const names = Object.entries(plugins).map(([name, version]) => `${name} ${version}`);
  await mkdir(built);
  await goBuild({
    title: `the Pulumi ${names.length === 1 ? "plugin" : "plugins"} ${names.join(" and ")}`,
    module: fromModule,
    programs: Object.keys(plugins).map((name) => `./pulumi-resource-${name}`),
    linkerFlags: "",
    output: built,
  });
  for (const [name, version] of Object.entries(plugins)) {
    const file = join(built, `pulumi-resource-${name}`);
    await run(pulumi, ["plugin", "install", "resource", name, version, "--file", file], {
      env: { PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
    });
  }
  await rm(built, { recursive: true });
}
