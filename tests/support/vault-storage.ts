import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startMoto } from "./cloudflare/s3.ts";

/** What the storage does instead of serving. */
export type Trouble = "credentials expired" | "503" | "slow" | "hangs" | "full" | undefined;

/** An S3 storage for a vault, at an address that containers reach, with trouble and damage on demand. */
export interface VaultStorage {
  endpoint: string;
  bucket: string;
  trouble: (what: Trouble) => void;
  /** The names of what is stored. */
  list: (prefix?: string) => Promise<string[]>;
  read: (name: string) => Promise<Buffer>;
  write: (name: string, content: Buffer) => Promise<void>;
  remove: (name: string) => Promise<void>;
  /** Another bucket, whose objects nobody deletes or replaces for so many days (S3's object lock, COMPLIANCE). */
  makeLocked: (bucket: string, days: number) => Promise<void>;
  makeBucket: (bucket: string) => Promise<void>;
  stop: () => Promise<void>;
}

const BUCKET = "backups";

/** @param address one of this machine's that containers reach. */
export async function startVaultStorage(address: string): Promise<VaultStorage> {
  const moto = await startMoto();
  await moto.ensureBucket(BUCKET);
  let trouble: Trouble;
  const server = createServer((request, response) => {
    const refuse = (status: number, code: string) => {
      request.resume();
      response.writeHead(status, { "content-type": "application/xml" });
      response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
    };
    void (async () => {
      if (trouble === "credentials expired") return refuse(403, "InvalidAccessKeyId");
      if (trouble === "503") return refuse(503, "SlowDown");
      if (trouble === "full" && ["PUT", "POST"].includes(request.method!)) return refuse(507, "QuotaExceeded");
      if (trouble === "slow") await sleep(3_000);
      // Nobody gets an answer, and whoever waits for one finds out by a clock of its own.
      if (trouble === "hangs") return void request.resume();
      await moto.forward(request, response);
    })().catch(() => response.destroy());
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const inner = `http://127.0.0.1:${port}`;
  const call = (path: string, options: RequestInit = {}) => ask(`/${BUCKET}${path}`, options);
  const ask = async (path: string, options: RequestInit) => {
    const before = trouble;
    trouble = undefined;
    try {
      const answer = await fetch(inner + path, options);
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return Buffer.from(await answer.arrayBuffer());
    } finally {
      trouble = before;
    }
  };
  return {
    endpoint: `http://${address}:${port}`,
    bucket: BUCKET,
    trouble: (what) => (trouble = what),
    list: async (prefix = "") => {
      const names: string[] = [];
      for (let more = ""; ;) {
        const text = String(await call(`?list-type=2&prefix=${encodeURIComponent(prefix)}${more}`));
        names.push(...[...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!));
        const [, next] = /<NextContinuationToken>([^<]*)</.exec(text) ?? [];
        if (next === undefined) return names;
        more = `&continuation-token=${encodeURIComponent(next)}`;
      }
    },
    read: (name) => call(`/${name}`),
    write: async (name, content) => void (await call(`/${name}`, { method: "PUT", body: new Uint8Array(content) })),
    remove: async (name) => void (await call(`/${name}`, { method: "DELETE" })),
    makeBucket: (bucket) => moto.ensureBucket(bucket),
    makeLocked: async (bucket, days) => {
      await ask(`/${bucket}`, { method: "PUT", headers: { "x-amz-bucket-object-lock-enabled": "true" } });
      const rule = `<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>${days}</Days></DefaultRetention></Rule>`;
      const lock = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`;
      await ask(`/${bucket}?object-lock`, { method: "PUT", body: lock });
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await moto.stop();
    },
  };
}
