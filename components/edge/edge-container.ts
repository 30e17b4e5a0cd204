import type * as docker from "@pulumi/docker/volume.js";
import type * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import { restoredEnv } from "../host/data-volume.ts";
import type { Courier } from "../host/file-volume.ts";
import type { Networks } from "../host/networks.ts";
import type { SecretFiles } from "../host/secret.ts";
import type { Certificates } from "../settings/certificates.ts";
import type { AcmeVolume } from "./acme-volume.ts";
import type { Compartments } from "./compartments.ts";
import type { DnsProviderSettings } from "./dns-provider.ts";
import { edgeGraceSeconds, tcpEntryPoint } from "./traefik-arguments.ts";

interface EdgeContainerArgs {
  networks: Networks;
  /** Those of the programs behind it. */
  compartments: Compartments;
  image: string;
  /** Memory limit in MiB. */
  memoryMb: number;
  /** Arguments of traefik: its static settings. */
  command: pulumi.Input<string[]>;
  routes: docker.Volume;
  plugin: Courier;
  secrets: SecretFiles;
  acme: AcmeVolume | undefined;
  provider: DnsProviderSettings | undefined;
  /** Names of its TCP ports. */
  tcp: string[];
  httpRedirect: boolean;
  keepAliveSeconds: number;
}

/**
 * The name of every edge that can read the routes that are written now. Raise it, and the volume's, when an edge of before
 * cannot: such an edge then serves what it has, to the door of before, until both are gone.
 */
export const EDGE_ALIAS = "edge-2";

/** Any user but root; the official image names none. */
export const TRAEFIK_UID = "65532";

/**
 * On a host with cgroup v2 the kernel's buffers of its connections count to its memory, and of an answer that nobody reads
 * they would be megabytes. All that it speaks to is on the host, where no more than this is under way.
 */
const BUFFERS = { "net.ipv4.tcp_rmem": "4096 16384 32768", "net.ipv4.tcp_wmem": "4096 16384 32768" };

/** Traefik, which reads its routes from a volume, its secrets from files, and asks Docker nothing. */
export function edgeContainer(name: string, args: EdgeContainerArgs, parent: pulumi.Resource): Container {
  const { networks, compartments, memoryMb, secrets, acme, provider } = args;
  return new Container(
    name,
    {
      host: networks.host,
      role: "edge",
      image: args.image,
      run: "always",
      user: `${TRAEFIK_UID}:${TRAEFIK_UID}`,
      limits: { memoryMb, cpus: 1, pids: 256 },
      sysctls: BUFFERS,
      // With a tunnel nobody comes there from outside.
      exceptions: networks.tunnel ? [] : exceptionsOf(args),
      networks: [
        { name: networks.door.name, aliases: [EDGE_ALIAS] },
        { name: networks.proxy.name, aliases: [EDGE_ALIAS] },
      ],
      // From its first moment, as it gets requests for all of them from then on. One more, and the edge is replaced.
      laterNetworks: compartments
        .all()
        .apply((networks) => networks.map(({ name }) => ({ name, aliases: [EDGE_ALIAS] }))),
      volumes: [
        { name: args.routes.name, path: "/routes" },
        { name: args.plugin.volumeName, path: "/plugins-local/src/bulkhead" },
        secrets.volume,
        ...(acme ? [acme.mount] : []),
      ],
      env: {
        // What it collects late it has to collect before the limit. The rest is for its code and the kernel's buffers.
        GOMEMLIMIT: `${Math.floor(memoryMb * 0.75)}MiB`,
        ...Object.fromEntries(
          Object.keys(provider?.secrets ?? {}).map((key) => [`${key}_FILE`, secrets.env[`${key}_FILE`]!]),
        ),
        ...provider?.env,
        ...(acme && restoredEnv([acme])),
      },
      entrypoint: ["traefik"],
      command: args.command,
      // Traefik's own health command starts all of Traefik, ten times a processor's work of this.
      health: { test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8082/ping"] },
      graceSeconds: edgeGraceSeconds(args.keepAliveSeconds),
      // The door is gone then, and its clients with it: waiting for them would only put off the next start.
      shutdownSeconds: 1,
    },
    { parent },
  );
}

function exceptionsOf({ tcp, httpRedirect }: EdgeContainerArgs) {
  const ofTcp = tcp.map((port) => ({
    entryPoint: tcpEntryPoint(port),
    why: "what clients send here is TCP of their own: the edge hands it on and reads nothing of it",
  }));
  if (!httpRedirect) return ofTcp;
  const why = "answers nothing but redirects to https://, of the names that it serves";
  return [...ofTcp, { entryPoint: "http", without: "TLS" as const, why }];
}

/** What it reads from files: its certificate, or what it asks a CA for one with. */
export function edgeSecrets(
  certificates: Certificates,
  ofProvider: Record<string, pulumi.Input<string>> = {},
): Record<string, pulumi.Input<string>> {
  if (certificates.kind === "files")
    return { CERTIFICATE: certificates.certificatePem, PRIVATE_KEY: certificates.privateKeyPem };
  const { caCertificatePem } = certificates;
  return {
    ...ofProvider,
    ...(caCertificatePem !== undefined && { CA_CERTIFICATE: caCertificatePem }),
  };
}
