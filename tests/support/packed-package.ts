import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { lastLines, runCommand, type CommandResult } from "./command.ts";
import { RepositoryCopy } from "./copy.ts";
import { staticBusybox } from "./small-image.ts";

export const npm = join(dirname(process.execPath), "npm");

/** Of a run of the package: nothing here may lead to the sources. */
export const packageEnv = { NODE_OPTIONS: undefined, STACK: undefined, npm_config_update_notifier: "false" };

/**
 * The package as npm would publish it, packed into a folder; gives the path of the tarball. It is built in a copy of the
 * repository: a build begins by emptying dist/, and another test file may be packing at that moment.
 */
export async function packPackage(directory: string): Promise<string> {
  const copy = new RepositoryCopy();
  const inCopy = { cwd: copy.directory, timeoutMs: 300_000 };
  try {
    await succeed(await runCommand(process.execPath, ["scripts/build.ts"], inCopy));
    const pack = ["pack", "--silent", "--ignore-scripts", "--pack-destination", directory];
    const { stdout } = await succeed(await runCommand(npm, pack, inCopy));
    return join(directory, stdout.trim());
  } finally {
    copy.remove();
  }
}

/** A folder with a Dockerfile: pages on port 8000, built from nothing that would have to be pulled. */
export async function writeSmallApp(folder: string, page: string): Promise<void> {
  mkdirSync(join(folder, "www"), { recursive: true });
  copyFileSync(await staticBusybox(), join(folder, "busybox"));
  writeFileSync(join(folder, "www", "index.html"), page);
  writeFileSync(join(folder, "Dockerfile"), DOCKERFILE);
}

const DOCKERFILE = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY www /www
CMD ["httpd", "-f", "-p", "8000", "-h", "/www"]
`;

export function succeed(result: CommandResult): Promise<CommandResult> {
  if (result.code === 0) return Promise.resolve(result);
  throw new Error(`exit ${result.code}\n${lastLines(result.stdout, 30)}\n${lastLines(result.stderr, 30)}`);
}
