import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import { Courier } from "../host/file-volume.ts";
import type { Networks } from "../host/networks.ts";
import type { TcpPorts } from "../settings/platform.ts";
import { HTTP_PORT, insidePort, tcpEntryPoint } from "./traefik-arguments.ts";

export interface FrontDoorArgs {
  networks: Networks;
  /** HAProxy. */
  image: pulumi.Input<string>;
  /** Ports of the host, and the address that they are on; TCP ports by name. @default none: a tunnel leads here */
  ports?: { address: string; https: number; tcp: TcpPorts; http?: number };
  /** Addresses, as CIDR, from which alone it takes HTTPS connections; all others end before a byte is read. @default all */
  httpsFrom?: pulumi.Input<string[]>;
  /** Connections that the edge has memory for. A quarter of them is for TCP and http://, where it has ports: in equal parts. */
  connections: number;
  /** Connections that one client may have open at once. */
  connectionsPerClient: number;
  /** Addresses, as CIDR, each of which gets as many times that. */
  sharedAddresses: { range: string; clients: number }[];
  /** Seconds after which a connection without a byte in either direction ends. */
  idleSeconds: number;
}

/**
 * Holds the published ports, so that all else can be replaced behind it. It opens no TLS and reads no request: it hands
 * TCP on to whichever edge serves real routes, and tells it the client's address by the PROXY protocol. Replacing the
 * door itself is the one thing that leaves a gap, so nothing that changes often is in it.
 */
export class FrontDoor extends pulumi.ComponentResource {
  readonly name: pulumi.Output<string>;

  constructor(name: string, args: FrontDoorArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:FrontDoor", name, {}, { providers: [args.networks.host.provider], ...opts });
    const { networks, image, ports, httpsFrom, connections } = args;
    const { host } = networks;
    const tcp = Object.entries(ports?.tcp ?? {});
    const http = ports?.http;
    const plain = tcp.length + (http === undefined ? 0 : 1);
    const forTcp = plain > 0 ? Math.floor(connections / 4) : 0;
    const files = new Courier(
      `${name}-config`,
      {
        host,
        files: {
          "haproxy.cfg": configuration(
            tcp.map(([port]) => port),
            http !== undefined,
          ),
          "https-from.lst": pulumi.output(httpsFrom).apply(listOf),
          "shared-addresses.map": linesOf(args.sharedAddresses.map(({ range, clients }) => `${range} ${clients}`)),
        },
        readerUid: HAPROXY_UID,
      },
      { parent: this },
    );
    const container = new Container(
      name,
      {
        host,
        image,
        run: "always",
        user: `${HAPROXY_UID}:${HAPROXY_UID}`,
        limits: { memoryMb: 64 + Math.ceil((connections * KIB_OF_CONNECTION) / 1024), cpus: 1, pids: 64 },
        networks: [
          { name: networks.door.name },
          ...(networks.tunnel ? [{ name: networks.tunnel.name, aliases: ["door"] }] : []),
        ],
        role: "door",
        ports: ports && [
          { address: ports.address, external: ports.https, internal: 8443 },
          ...tcp.map(([, port], index) => ({ address: ports.address, external: port, internal: insidePort(index) })),
          ...(http === undefined ? [] : [{ address: ports.address, external: http, internal: HTTP_PORT }]),
        ],
        volumes: [{ name: files.volumeName, path: CONFIG_PATH }],
        env: {
          CONNECTIONS: String(connections - forTcp),
          HALF_OF_CONNECTIONS: String(Math.floor((connections - forTcp) / 2)),
          CONNECTIONS_PER_CLIENT: String(args.connectionsPerClient),
          IDLE_SECONDS: String(args.idleSeconds),
          ...(forTcp > 0 && { TCP_CONNECTIONS: String(Math.floor(forTcp / plain)) }),
          ...(httpsFrom !== undefined && { HTTPS_FROM: "1" }),
        },
        entrypoint: ["haproxy"],
        command: ["-W", "-db", "-f", `${CONFIG_PATH}/haproxy.cfg`],
        // Healthy means that it sees an edge which serves: a door to nowhere is no door.
        health: { test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"] },
        graceSeconds: 5,
      },
      { parent: this },
    );
    this.name = container.name;
    this.registerOutputs({ name: this.name });
  }
}

/**
 * Of one whose client reads nothing of a large answer: 20 KiB of HAProxy's own and 80 KiB of the kernel's buffers, which count
 * where the host has cgroup v2. Measured by tests/e2e/hostile.test.ts, with HAProxy 3.2.
 */
const KIB_OF_CONNECTION = 100;

/** The user of the official image. */
const HAPROXY_UID = "99";
const CONFIG_PATH = "/etc/bulkhead";

/** As HAProxy reads it, which has no words for one section a port. */
export function configuration(tcp: readonly string[], http = false): string {
  const port = (entryPoint: string, inside: number) =>
    TCP_PORT.replaceAll("tcp-NAME", entryPoint).replaceAll(":PORT", `:${inside}`);
  const ports = tcp.map((name, index) => port(tcpEntryPoint(name), insidePort(index)));
  // The edge reads it; to the door it is TCP as well.
  if (http) ports.push(port("http", HTTP_PORT));
  return [CONFIGURATION, ...ports].join("");
}

const CONFIGURATION = readFileSync(join(import.meta.dirname, "front-door.cfg"), "utf8");
const TCP_PORT = readFileSync(join(import.meta.dirname, "front-door-tcp.cfg"), "utf8");

/** An empty list would be one that nobody is in. */
function listOf(ranges: string[] | undefined): string {
  if (ranges?.length === 0) throw new Error("httpsFrom: is empty: nobody could connect");
  return linesOf(ranges ?? []);
}

/** Docker's provider carries no empty file. */
function linesOf(lines: string[]): string {
  return ["# one a line", ...lines, ""].join("\n");
}
