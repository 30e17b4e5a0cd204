import { link, rename, rm, writeFile } from "node:fs/promises";

/** A reader sees the old file or the new one, whenever this run is killed; a secret is never open to others. */
export async function writeAtomically(path: string, content: string, mode = 0o644): Promise<void> {
  await rename(await partial(path, content, mode), path);
}

/** Makes a file that is not there yet, and leaves one that is. */
export async function writeIfAbsent(path: string, content: string, mode: number): Promise<void> {
  const written = await partial(path, content, mode);
  await link(written, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  await rm(written);
}

async function partial(path: string, content: string, mode: number): Promise<string> {
  const file = `${path}.${process.pid}.partial`;
  await writeFile(file, content, { mode });
  return file;
}
