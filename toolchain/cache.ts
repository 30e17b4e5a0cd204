import { createHash, randomBytes } from "node:crypto";
import { existsSync, readlinkSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { say } from "./steps.ts";

/** Where fetched and built things are kept between runs and clones. */
export function cacheDirectory(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "bulkhead");
}

/**
 * The directory `<name>-<key>` of the cache, filled by `make` if it is not there. It is filled beside its place and
 * moved there when it is whole, so that an interrupted run leaves nothing that could be taken for a finished one.
 */
export async function kept(name: string, key: string, make: (directory: string) => Promise<void>): Promise<string> {
  const place = join(cacheDirectory(), `${name}-${key}`);
  if (existsSync(place)) {
    // Says that it is in use; a cache that may only be read serves as well.
    await utimes(place, new Date(), new Date()).catch(() => undefined);
    return place;
  }
  await mkdir(cacheDirectory(), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `${cacheDirectory()}: cannot be made (${error.code}): let yourself write there, or set XDG_CACHE_HOME to a folder that you can write`,
    );
  });
  const unlock = await lock(`${place}.lock`, name);
  try {
    if (existsSync(place)) return place;
    await removeLeftovers(name, place);
    const partial = `${place}.partial-${randomBytes(4).toString("hex")}`;
    await mkdir(partial);
    try {
      await make(partial);
      await rename(partial, place);
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
    return place;
  } finally {
    await unlock();
  }
}

/** A key that changes when anything of what it is made from does. */
export function keyOf(...parts: unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** The paths and contents of all files under a directory, in a fixed order: material for a key. */
export async function filesUnder(directory: string): Promise<[path: string, content: string][]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    paths
      .sort()
      .map(async (path): Promise<[string, string]> => [path.slice(directory.length), await readFile(path, "utf8")]),
  );
}

/**
 * Keeps a second run from doing the same long work at the same time, and from taking away what the first has half done.
 * Where the cache is shared by containers or by test engines, another's process id says nothing: its owner touches the
 * lock for as long as it works.
 */
async function lock(path: string, name: string): Promise<() => Promise<void>> {
  for (let waiting = false; ; waiting = true) {
    try {
      await writeFile(path, `${process.pid} ${pidNamespace()}`, { flag: "wx" });
      const touching = setInterval(
        () => void utimes(path, new Date(), new Date()).catch(() => undefined),
        TOUCHED_EVERY_MS,
      ).unref();
      return () => {
        clearInterval(touching);
        return rm(path, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const [holder = "", namespace = ""] = (await readFile(path, "utf8").catch(() => "")).split(" ");
    if (!(await isHeld(path, Number(holder), namespace))) {
      await rm(path, { force: true });
      continue;
    }
    if (!waiting) say(`${name}: another run (process ${holder}) is making it; waiting for it`);
    await delay(500);
  }
}

const TOUCHED_EVERY_MS = 2_000;
/** A machine that is busy with the work may be late. */
const ABANDONED_AFTER_MS = 20_000;

async function isHeld(path: string, holder: number, namespace: string): Promise<boolean> {
  const touchedMsAgo =
    Date.now() -
    (await stat(path).then(
      (file) => file.mtimeMs,
      () => 0,
    ));
  // Between its creation and the write of the process id the file is empty for a moment.
  if (!holder) return touchedMsAgo < 5_000;
  if (namespace !== pidNamespace()) return touchedMsAgo < ABANDONED_AFTER_MS;
  try {
    process.kill(holder, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Empty where there is no /proc, as on macOS. */
function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

/** What interrupted runs left, and things of the same name under older keys that nobody has used for a month. */
async function removeLeftovers(name: string, place: string): Promise<void> {
  const monthAgo = Date.now() - 30 * 24 * 3600 * 1000;
  for (const entry of await readdir(cacheDirectory())) {
    const path = join(cacheDirectory(), entry);
    const partial = path.startsWith(`${place}.partial-`);
    const other = new RegExp(`^${name}-[0-9a-f]{16}$`).test(entry) && (await stat(path)).mtimeMs < monthAgo;
    if (partial || other) await rm(path, { recursive: true, force: true });
  }
}
