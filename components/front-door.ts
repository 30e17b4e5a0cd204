import * as pulumi from "@pulumi/pulumi";
import { Container } from "./container.ts";
import { Courier } from "./courier.ts";
import type { Networks } from "./networks.ts";

export interface FrontDoorArgs {
  networks: Networks;
  /** HAProxy. */
  image: pulumi.Input<string>;
  /** Ports of the host by the edge's entry point, and the address that they are on. @default none: a tunnel leads here */
  ports?: { address: string; https: number; tunnel: number };
  /** Addresses, as CIDR, from which alone it takes HTTPS connections; all others end before a byte is read. @default all */
  httpsFrom?: pulumi.Input<string[]>;
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
    const { networks, image, ports, httpsFrom } = args;
    const { host } = networks;
    const files = new Courier(
      `${name}-config`,
      {
        host,
        files: { "haproxy.cfg": pulumi.output(httpsFrom).apply((from) => haproxyCfg(from, ports !== undefined)) },
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
        limits: { memoryMb: 128, cpus: 1, pids: 64 },
        networks: [
          { name: networks.door.name },
          ...(networks.tunnel ? [{ name: networks.tunnel.name, aliases: ["door"] }] : []),
        ],
        isDoor: ports !== undefined,
        ports: ports && [
          { address: ports.address, external: ports.https, internal: 8443 },
          { address: ports.address, external: ports.tunnel, internal: 2222 },
        ],
        volumes: [{ name: files.volumeName, path: CONFIG_PATH }],
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

/** The user of the official image. */
const HAPROXY_UID = "99";
const CONFIG_PATH = "/etc/bulkhead";

/** HAProxy's configuration. An empty list would be one that nobody is in, so it is none. */
function haproxyCfg(httpsFrom: string[] | undefined, takesTcp: boolean): string {
  if (httpsFrom?.length === 0) throw new Error("httpsFrom: is empty: nobody could connect");
  const rule = httpsFrom ? `  tcp-request connection reject unless { src ${httpsFrom.join(" ")} }\n` : "";
  const config = HAPROXY_CFG.replace("  bind :8443\n", `  bind :8443\n${rule}`);
  return takesTcp ? config : config.replaceAll(/^(front|back)end tunnel.*\n( .*\n)+/gm, "");
}

/**
 * The most connections follow from the open files that the engine grants. The check is a real route of the edge: one
 * that listens but has no routes yet gets nothing, and one that is about to end refuses the check's connection and is
 * left within 250 ms. `init-state` makes a new one wait for its first check: without it, it would count as well from the
 * moment its name resolves. An edge that is only slow to answer, as on a busy host, is not left; and where no edge is
 * seen to be well, any that is there is asked all the same, because a door that refuses everybody helps nobody. Those
 * are backends of their own: in one, no two servers get the same address.
 */
const HAPROXY_CFG = `
global
  fd-hard-limit 65536
  log stdout format raw local0 notice
defaults
  mode tcp
  log global
  balance leastconn
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 5s
  option redispatch
  option clitcpka
  retries 3
  option httpchk
  http-check send meth GET uri /release/edge ver HTTP/1.1 hdr Host edge
  http-check expect status 200
  default-server inter 250ms fall 1 rise 2 resolvers docker init-addr none
resolvers docker
  nameserver dns 127.0.0.11:53
  resolve_retries 3
  timeout resolve 200ms
  timeout retry 200ms
  hold valid 200ms
  hold obsolete 10s
frontend https
  bind :8443
  use_backend https-any if { nbsrv(https-edges) lt 1 }
  default_backend https-edges
frontend tunnel
  bind :2222
  use_backend tunnel-any if { nbsrv(tunnel-edges) lt 1 }
  default_backend tunnel-edges
frontend health
  mode http
  bind 127.0.0.1:8080
  timeout client 5s
  monitor-uri /health
  monitor fail if { nbsrv(edges) lt 1 }
backend https-edges
  server-template edge 4 edge:8443 check port 8082 init-state down send-proxy-v2
backend https-any
  server-template edge 4 edge:8443 send-proxy-v2
backend tunnel-edges
  server-template edge 4 edge:2222 check port 8082 init-state down send-proxy-v2
backend tunnel-any
  server-template edge 4 edge:2222 send-proxy-v2
backend edges
  server-template edge 4 edge:8082 check init-state down
`.trimStart();
