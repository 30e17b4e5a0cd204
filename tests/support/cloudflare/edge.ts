import { spawn } from "node:child_process";
import { once } from "node:events";
import * as http from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { builtCloudflared } from "../../../toolchain/stand-ins.ts";
import { makeCertificates } from "../certificates.ts";
import type { CloudflareEmulator } from "./emulator.ts";
import type { Zone } from "./zones.ts";

/**
 * Cloudflare's edge, of which tunnels are served: cloudflared connects to it by its own protocol, and clients reach by it
 * what a proxied name leads to. The program is toolchain/cloudflared/edge.
 */
export interface CloudflareEdge {
  /** What makes an image's cloudflared connect here: lines of a Dockerfile. */
  connectorLines: string[];
  /** Where clients reach it on 127.0.0.1, by plain HTTP. */
  clientsPort: number;
  /** One request of a client, who comes from that address of this machine. */
  request: (host: string, path: string, options?: EdgeRequest) => Promise<EdgeAnswer>;
  stop: () => Promise<void>;
}

export interface EdgeRequest {
  /** @default "127.0.0.1" */
  from?: string;
  headers?: Record<string, string>;
}

export interface EdgeAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** @param address where connectors reach it */
export async function startCloudflareEdge(
  emulator: CloudflareEmulator,
  zone: Zone,
  address: string,
): Promise<CloudflareEdge> {
  const program = join(await builtCloudflared(), "edge");
  // The name that cloudflared expects where it speaks HTTP/2.
  const { ca, certificate, privateKey } = await makeCertificates("h2.cftunnel.com");
  const permissions = ["DNS Read", "Zone Read", "Cloudflare Tunnel Write"];
  const edge = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(edge, "exit");
  edge.stdin.write(
    JSON.stringify({
      ...{ Connectors: `${address}:${CONNECTORS_PORT}`, Clients: `127.0.0.1:${CLIENTS_PORT}` },
      ...{ Certificate: certificate, PrivateKey: privateKey },
      ...{ API: emulator.baseUrl, APIToken: emulator.addToken({ name: "edge", permissions }).value },
      ...{ Account: emulator.account.id, Zone: zone.id },
    }),
  );
  const lines = createInterface(edge.stdout);
  lines.on("line", (line) => {
    const { tunnel, connections } = JSON.parse(line) as { tunnel?: string; connections: number };
    const told = tunnel === undefined ? undefined : emulator.tunnels.all.get(tunnel);
    if (told) told.connections = connections;
  });
  await Promise.race([
    once(lines, "line"),
    exited.then(() => Promise.reject(new Error("the edge of Cloudflare did not start"))),
  ]);
  const encoded = Buffer.from(ca).toString("base64");
  return {
    clientsPort: CLIENTS_PORT,
    connectorLines: [
      "USER root",
      `RUN echo ${encoded} | base64 -d > /etc/edge-ca.pem && chmod 444 /etc/edge-ca.pem`,
      "USER 65532:65532",
      `ENV TUNNEL_EDGE=${address}:${CONNECTORS_PORT} TUNNEL_CACERT=/etc/edge-ca.pem TUNNEL_TRANSPORT_PROTOCOL=http2`,
      // Looks for Cloudflare itself.
      "ENV TUNNEL_NO_PRECHECKS=true",
    ],
    request: (host, path, { from = "127.0.0.1", headers = {} } = {}) =>
      new Promise((resolve, reject) => {
        const call = http.get(
          {
            host: "127.0.0.1",
            port: CLIENTS_PORT,
            path,
            localAddress: from,
            headers: { host, ...headers },
            agent: false,
          },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("error", reject);
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("end", () =>
              resolve({
                status: response.statusCode!,
                headers: response.headers,
                text: Buffer.concat(chunks).toString(),
              }),
            );
          },
        );
        call.on("error", reject);
        call.setTimeout(15_000, () => call.destroy(new Error(`${path}: no answer in 15 s`)));
      }),
    stop: async () => {
      edge.stdin.end();
      await exited;
    },
  };
}

const CONNECTORS_PORT = 7844;
const CLIENTS_PORT = 18080;
