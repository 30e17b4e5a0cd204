import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { step } from "./steps.ts";

const PROBE_TIMEOUT_MS = 4_000;

const probes = new Map<string, Promise<boolean>>();

/** Whether the host of a URL answers at all. A host is asked once a run, so that what is out of reach costs seconds once. */
export function reachable(url: string): Promise<boolean> {
  const { origin } = new URL(url);
  const asked =
    probes.get(origin) ??
    fetch(origin, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) }).then(
      () => true,
      () => false,
    );
  probes.set(origin, asked);
  return asked;
}

/** How slow a download may be. */
export interface Patience {
  windowSeconds: number;
  /** Of bytes, in every window. */
  leastPerWindow: number;
}

/** What toolchain/run asks of a download. */
const PATIENCE: Patience = { windowSeconds: 30, leastPerWindow: 30_000 };

/** Fetches a file and keeps it only if it is the one that was pinned. */
export async function download(url: string, sha256: string, file: string, patience?: Patience): Promise<void> {
  await fetchFile(url, file, patience);
  const found = await sha256Of(file);
  if (found !== sha256) {
    await rm(file, { force: true });
    throw new Error(`${url} is not what was pinned: its sha256 is ${found}, and ${sha256} was expected`);
  }
}

/** Fetches a file, whatever it is. A dead connection ends it, and one that would take for ever. */
export async function fetchFile(url: string, file: string, patience: Patience = PATIENCE): Promise<void> {
  await step(`downloading ${url}`, async () => {
    const { windowSeconds, leastPerWindow } = patience;
    const slow = new AbortController();
    let bytes = 0;
    const timer = setInterval(() => {
      if (bytes < leastPerWindow) slow.abort(new Error(`${url}: only ${bytes} bytes in ${windowSeconds} s`));
      bytes = 0;
    }, windowSeconds * 1000);
    try {
      const answer = await fetch(url, { signal: slow.signal });
      if (!answer.ok || !answer.body) throw new Error(`${url} answered ${answer.status}`);
      // The DOM's and Node's types of the same stream differ.
      const body = Readable.fromWeb(answer.body as ReadableStream);
      body.on("data", (chunk: Buffer) => (bytes += chunk.length));
      await pipeline(body, createWriteStream(file));
    } finally {
      clearInterval(timer);
    }
  });
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
