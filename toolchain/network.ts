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

/** Fetches a file and keeps it only if it is the one that was pinned. */
export async function download(url: string, sha256: string, file: string): Promise<void> {
  await step(`downloading ${url}`, async () => {
    // Nothing at all for a minute is a dead connection; a slow one may take as long as it needs.
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new Error("no data for 60 s")), 60_000);
    try {
      const answer = await fetch(url, { signal: silence.signal });
      if (!answer.ok || !answer.body) throw new Error(`${url} answered ${answer.status}`);
      // The DOM's and Node's types of the same stream differ.
      const body = Readable.fromWeb(answer.body as ReadableStream);
      body.on("data", () => timer.refresh());
      await pipeline(body, createWriteStream(file));
    } finally {
      clearTimeout(timer);
    }
    const found = await sha256Of(file);
    if (found !== sha256) {
      await rm(file, { force: true });
      throw new Error(`${url} is not what was pinned: its sha256 is ${found}, and ${sha256} was expected`);
    }
  });
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
