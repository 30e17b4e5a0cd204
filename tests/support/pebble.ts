import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requirePrograms } from "../../toolchain/debian.ts";
import { makeCertificates } from "./certificates.ts";

export interface PebbleOptions {
  /** Where clients reach it. */
  address: string;
  /** The DNS server that it asks about challenges, as address:port. */
  dnsServer: string;
  /** How long its certificates are valid. */
  validitySeconds: number;
}

/** Pebble, the ACME server that Let's Encrypt gives to those who test: it really looks at the challenges. */
export interface Pebble {
  directory: string;
  /** PEM of the authority that certifies Pebble's own address. */
  ca: string;
  /** PEM of the root that its certificates lead to. */
  root: () => Promise<string>;
  /** From now on it cannot be reached, or it can again. */
  goAway: () => Promise<void>;
  comeBack: () => Promise<void>;
  stop: () => Promise<void>;
}

export async function startPebble({ address, dnsServer, validitySeconds }: PebbleOptions): Promise<Pebble> {
  await requirePrograms("the tests' certificate authority", { pebble: "pebble" });
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-pebble-"));
  const { ca, certificate, privateKey } = await makeCertificates(address);
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const config = {
    pebble: {
      listenAddress: `127.0.0.1:${PORT}`,
      managementListenAddress: `127.0.0.1:${MANAGEMENT_PORT}`,
      certificate: file("leaf.pem", certificate),
      privateKey: file("leaf.key", privateKey),
      certificateValidityPeriod: validitySeconds,
    },
  };
  const args = ["-config", file("config.json", JSON.stringify(config)), "-dnsserver", dnsServer];
  // Its waits and its refusals of good nonces are there to find faults of clients, which Traefik's is not tested for here.
  const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "0" };
  const pebble = spawn("pebble", args, { env, stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(pebble, "exit");
  const get = (url: string) => read(url, ca);
  // The relay is what can be taken away: Pebble forgets its accounts when it ends.
  let relay: Server | undefined;
  const calls = new Set<Socket>();
  const comeBack = async () => {
    relay = createServer((caller) => {
      const call = connect(PORT, "127.0.0.1");
      for (const socket of [caller, call]) {
        calls.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => calls.delete(socket));
      }
      caller.pipe(call).pipe(caller);
    }).listen(PORT, address);
    await once(relay, "listening");
  };
  const goAway = async () => {
    for (const socket of calls) socket.destroy();
    relay?.close();
    if (relay) await once(relay, "close");
    relay = undefined;
  };
  const stop = async () => {
    await goAway();
    pebble.kill();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let tries = 0; ; tries++) {
      const error = await get(`https://127.0.0.1:${PORT}/dir`).catch((caught: Error) => caught);
      if (typeof error === "string") break;
      if (tries === 50 || pebble.exitCode !== null) throw error;
      await sleep(100);
    }
    await comeBack();
  } catch (error) {
    await stop();
    throw error;
  }
  const root = () => get(`https://127.0.0.1:${MANAGEMENT_PORT}/roots/0`);
  return { directory: `https://${address}:${PORT}/dir`, ca, root, goAway, comeBack, stop };
}

const PORT = 14000;
const MANAGEMENT_PORT = 15000;

function read(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    https
      .get(url, { ca }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve(text));
      })
      .on("error", reject);
  });
}
