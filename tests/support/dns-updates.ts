import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Resolver } from "node:dns/promises";
import { requirePrograms } from "../../toolchain/debian.ts";

export interface UpdatableZone {
  /** What it printed: each update that it took, or refused, by whose key. */
  log: () => string;
  stop: () => Promise<void>;
}

/** BIND as the primary server of a zone, on port 53 of an address: it takes updates (RFC 2136) that a TSIG key signs. */
export async function startUpdatableZone(
  zone: string,
  address: string,
  key: { name: string; secret: string },
): Promise<UpdatableZone> {
  await requirePrograms("the tests' DNS server", { named: "bind9" });
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-zone-"));
  const file = (name: string, text: string) => (writeFileSync(join(folder, name), text), join(folder, name));
  const records = `$TTL 60\n@ SOA ns dns 1 60 60 60 0\n@ NS ns\nns A ${address}\n`;
  const config = `
options { directory "${folder}"; listen-on { ${address}; }; listen-on-v6 { none; }; recursion no; pid-file none;
  session-keyfile "${join(folder, "session.key")}"; managed-keys-directory "${folder}"; };
controls { };
key "${key.name}" { algorithm hmac-sha256; secret "${key.secret}"; };
zone "${zone}" { type primary; file "${file("zone.db", records)}"; allow-update { key "${key.name}"; }; };
`;
  const out: string[] = [];
  const server = spawn("named", ["-g", "-c", file("named.conf", config)], { stdio: ["ignore", "ignore", "pipe"] });
  server.stderr.on("data", (chunk: Buffer) => out.push(chunk.toString()));
  const exited = once(server, "exit");
  const stop = async () => {
    server.kill();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([address]);
  for (let tries = 0; ; tries++) {
    if (await resolver.resolveSoa(zone).catch(() => undefined)) break;
    if (tries === 30 || server.exitCode !== null) {
      await stop();
      throw new Error(`named does not serve ${zone}: ${out.join("")}`);
    }
    await sleep(200);
  }
  return { log: () => out.join(""), stop };
}
