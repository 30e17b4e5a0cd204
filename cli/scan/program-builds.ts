import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { RemoteImageArgs } from "@pulumi/docker/remoteImage.js";
import { platform, PLATFORM_SECRETS } from "../../components/settings/platform.ts";
import type { Settings } from "../../components/settings/settings.ts";
import { ofType, record } from "../../testing/recorder.ts";
import { configKey, programDirectory } from "../stack/program.ts";
import { holdsSecret, type StackFile } from "../stack/stack.ts";

/** An image that a program builds. */
export interface Build {
  /** The name that the program gave it. */
  name: string;
  context: string;
  dockerfile: string;
  target?: string;
  buildArgs: Record<string, string>;
  /** Files with secrets: this machine's settings of pip and npm, and the program's own. */
  secrets: { id: string; src: string }[];
}

/**
 * The images that the program in this folder builds: it runs as in a test, with nothing behind it, and what it asks for is
 * looked at.
 *
 * @param settings what its stack files may say.
 * @param file a stack file of it, for the program's own keys. The platform's are stand-ins: no host is needed.
 */
export async function programBuilds(settings: Settings<object>, { config = {} }: StackFile): Promise<Build[]> {
  // An image that a stack takes instead is none that the program does not build.
  const own = Object.keys(settings.shape).filter((key) => !(key in platform) && key !== "images");
  const given = own.flatMap((key) => {
    const value = config[configKey(key)];
    return value === undefined || holdsSecret(value) ? [] : [[key, value] as const];
  });
  const secrets = settings.secretKeys.filter((key) => !(PLATFORM_SECRETS as readonly string[]).includes(key));
  const recording = await record(() => import(pathToFileURL(join(programDirectory, "index.ts")).href), {
    stack: "scan",
    settings: { ...Object.fromEntries(given), ...STAND_IN_SETTINGS },
    secretSettings: Object.fromEntries(["dnsApiToken", ...secrets].map((key) => [key, STAND_IN_SECRET])),
  });
  return ofType<RemoteImageArgs>(recording, "docker:index/remoteImage:RemoteImage").flatMap(({ name, inputs }) => {
    const { context, target, buildArgs = {}, secrets = [], ...given } = (inputs.build ?? {}) as Partial<Build>;
    if (context === undefined) return [];
    const folder = resolve(programDirectory, context);
    const inFolder = join(folder, given.dockerfile ?? "Dockerfile");
    // One outside of the folder is told from the program's own.
    const dockerfile = existsSync(inFolder) ? inFolder : resolve(programDirectory, given.dockerfile!);
    return [{ name: name.replace(/-image$/, ""), context: folder, dockerfile, target, buildArgs, secrets }];
  });
}

const STAND_IN_SETTINGS = {
  host: "local",
  domain: "example.com",
  certificates: { kind: "acme", email: "you@example.com" },
};
const STAND_IN_SECRET = "no-secret-but-as-long-as-one".padEnd(40, "-");
