import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
} from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative } from "node:path";
import dockerignore from "@balena/dockerignore";

/** What a build reads. */
export interface BuildContext {
  /** Folder that is sent to Docker. */
  directory: string;
  /** The Dockerfile, in that folder or as an absolute path. */
  dockerfile: string;
  /** Another text for other content. */
  hash: string;
}

/**
 * The files of a folder that its ignore file leaves: `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore`.
 *
 * @param dockerfile its path, from the folder or absolute.
 * @param settings what else makes another image, such as build arguments.
 * @throws Error if the folder or the Dockerfile is not there.
 */
export function buildContext(name: string, context: string, dockerfile: string, settings: unknown): BuildContext {
  const file = isAbsolute(dockerfile) ? dockerfile : join(context, dockerfile);
  if (!existsSync(context))
    throw new Error(`${name}: context: there is no folder ${context}: give one, from the project's folder`);
  if (!existsSync(file))
    throw new Error(`${name}: dockerfile: there is no ${file}: give its path from the context, ${context}`);
  const inContext = relative(context, file);
  const own = `${file}.dockerignore`;
  const ignoreFile = [own, join(context, ".dockerignore")].find((path) => existsSync(path));
  const ignore = dockerignore.default().add(ignoreFile === undefined ? "" : readFileSync(ignoreFile, "utf8"));
  // The builder reads the Dockerfile even where it is ignored.
  const kept = (path: string) => path === inContext || !ignore.ignores(path);
  const hash = createHash("sha256").update(JSON.stringify(settings));
  if (inContext.startsWith("..")) hash.update("\0").update(readFileSync(file));
  for (const path of pathsUnder(context).filter(kept).sort()) {
    const at = join(context, path);
    const file = lstatSync(at);
    hash.update(`\0${path}\0${kindOf(file)}`).update(file.isSymbolicLink() ? readlinkSync(at) : readFileSync(at));
  }
  return {
    // The provider knows .dockerignore alone.
    directory: ignoreFile === own ? copied(context, kept) : context,
    dockerfile: inContext.startsWith("..") ? file : inContext,
    hash: hash.digest("hex").slice(0, 16),
  };
}

/** Files and links. A folder is there for what is in it. */
function pathsUnder(context: string): string[] {
  return readdirSync(context, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => relative(context, join(entry.parentPath, entry.name)));
}

/** Empty for a plain file. The group's rights differ between machines by their umask, and say nothing. */
function kindOf(file: Stats): string {
  if (file.isSymbolicLink()) return "link\0";
  const rights = file.mode & 0o7107;
  return rights === 0o004 ? "" : `${rights.toString(8)}\0`;
}

/** A copy of what is kept, which is gone when this program is. */
function copied(context: string, kept: (path: string) => boolean): string {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-context-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  for (const path of pathsUnder(context))
    if (kept(path) && path !== ".dockerignore")
      cpSync(join(context, path), join(directory, path), { verbatimSymlinks: true, preserveTimestamps: true });
  return directory;
}
