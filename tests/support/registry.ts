import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { requirePrograms } from "../../toolchain/debian.ts";
import { run } from "../../toolchain/steps.ts";
import { freePort } from "./free-port.ts";
import type { RemoteHost } from "./remote-host.ts";

/** A registry that keeps what is pushed to it. */
export interface Registry {
  /** Tags an image of the test engine and pushes it; gives the reference by tag and digest. */
  push: (image: string, name: string) => Promise<string>;
  stop: () => Promise<void>;
}

/** Whom a registry lets in, and the certificate that it shows. */
export interface Guard {
  user: string;
  token: string;
  certificate: string;
  privateKey: string;
}

/**
 * The engine here and all these hosts find it at the same address, which is each one's own.
 *
 * @param guard for TLS and a login. @default plain HTTP for everybody
 */
export async function startRegistry(hosts: readonly RemoteHost[], guard?: Guard): Promise<Registry> {
  await requirePrograms("the tests' registry", { "docker-registry": "docker-registry" });
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-registry-"));
  const config = join(folder, "config.yml");
  // Engines speak plain HTTP to a registry on 127.0.0.1.
  const address = `127.0.0.1:${await freePort()}`;
  const storage = { filesystem: { rootdirectory: folder } };
  const guarded = guard && (await guardIn(folder, guard));
  const http = { addr: address, ...guarded?.http };
  writeFileSync(config, stringify({ version: 0.1, storage, http, ...(guarded && { auth: guarded.auth }) }));
  writeFileSync(join(folder, "config.json"), guard ? loginFile(address, guard) : "{}");
  const registry = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  const exited = once(registry, "exit");
  const ways: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    await Promise.all(ways.map((close) => close()));
    registry.kill();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (
      const started = Date.now();
      !(guard ? await listens(address) : await answers(`http://${address}/v2/`));
      await sleep(50)
    )
      if (registry.exitCode !== null || Date.now() - started > 30_000) throw new Error("the registry does not answer");
    for (const host of hosts) ways.push(await openWay(host, address));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    stop,
    push: async (image, name) => {
      const reference = `${address}/${name}`;
      await run("docker", ["tag", image, reference]);
      try {
        const [digest] = /sha256:[0-9a-f]{64}/.exec(await run("docker", ["--config", folder, "push", reference])) ?? [];
        return `${reference}@${digest!}`;
      } finally {
        await run("docker", ["rmi", reference]);
      }
    },
  };
}

/** What `docker login` leaves in a folder's config.json. */
export function loginFile(address: string, { user, token }: Pick<Guard, "user" | "token">): string {
  return JSON.stringify({ auths: { [address]: { auth: Buffer.from(`${user}:${token}`).toString("base64") } } });
}

async function guardIn(folder: string, { user, token, certificate, privateKey }: Guard) {
  const [users, pem, key] = ["htpasswd", "certificate.pem", "key.pem"].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  // Perl's crypt knows bcrypt, which is all that the registry takes.
  const hash = await run("perl", ["-e", "print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))", token]);
  writeFileSync(users, `${user}:${hash}\n`);
  writeFileSync(pem, certificate);
  writeFileSync(key, privateKey, { mode: 0o600 });
  return {
    http: { tls: { certificate: pem, key } },
    auth: { htpasswd: { realm: "the tests' registry", path: users } },
  };
}

async function listens(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`tcp://${address}`);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Lets a host reach an address of this machine's as one of its own, for as long as it is not closed. */
async function openWay(host: RemoteHost, address: string): Promise<() => Promise<unknown>> {
  const options = [
    ...["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"],
    ...["-R", `${address}:${address}`],
  ];
  const way = spawn("ssh", [...options, host.url, "echo open; cat"], {
    env: { ...process.env, ...host.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(way, "exit");
  const refused = exited.then(() => Promise.reject(new Error(`${host.url}: no way to ${address}`)));
  await Promise.race([once(way.stdout, "data"), refused]);
  refused.catch(() => undefined);
  return () => {
    way.stdin.end();
    return exited;
  };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** A registry that an engine asks for images which cannot be had. */
export interface BadRegistry {
  /** A reference whose digest it does not know. */
  missing: string;
  /** A reference under whose digest it has something else. */
  wrong: string;
  close: () => void;
}

export async function startBadRegistry(): Promise<BadRegistry> {
  const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
  const type = "application/vnd.docker.distribution.manifest.v2+json";
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: type, config: {}, layers: [] });
  const server = createServer((request, response) => {
    if (request.url === "/v2/") return response.end();
    if (request.url === `/v2/wrong/manifests/${digest}`) {
      const headers = { "content-type": type, "content-length": manifest.length, "docker-content-digest": digest };
      return response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : manifest);
    }
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }));
  });
  // Engines speak plain HTTP to a registry on 127.0.0.1.
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const reference = (name: string) => `127.0.0.1:${port}/${name}:1@${digest}`;
  return {
    missing: reference("missing"),
    wrong: reference("wrong"),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
