import * as tunnels from "@pulumi/cloudflare/zeroTrustTunnelCloudflared.js";
import * as configs from "@pulumi/cloudflare/zeroTrustTunnelCloudflaredConfig.js";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../settings/certificates.ts";
import type { CloudflareAccount } from "./cloudflare-account.ts";
import { Container } from "../host/container.ts";
import type { Proxy } from "../edge/proxy.ts";
import { SecretFiles } from "../host/secret.ts";
import { SECRETS_PATH } from "../host/secrets-path.ts";

export interface TunnelArgs {
  account: CloudflareAccount;
  /** cloudflared. */
  image: pulumi.Input<string>;
  /** Where it leads. Its networks have one for the tunnel. */
  edge: Proxy;
  /** The edge's: they are checked, as Cloudflare's own servers would. */
  certificates: Certificates;
}

/**
 * The way of clients to a host without an open port: its connector, cloudflared, opens connections to Cloudflare and
 * hands on what comes through them, to the front door and nowhere else. A new one is connected before the old one ends,
 * which still answers what it was asked.
 */
export class Tunnel extends pulumi.ComponentResource {
  /** What the record of a name leads to. Known when the tunnel is open. */
  readonly hostname: pulumi.Output<string>;

  constructor(name: string, args: TunnelArgs, opts?: pulumi.ComponentResourceOptions) {
    const { account, image, edge, certificates } = args;
    const { host, networks, domain } = edge;
    super("bulkhead:index:Tunnel", name, {}, { providers: [account.provider, host.provider], ...opts });
    if (!networks.tunnel)
      throw new Error(`${name}: edge: its networks have none for a tunnel: make them with tunnel: true`);
    const tunnel = new tunnels.ZeroTrustTunnelCloudflared(
      `${name}-tunnel`,
      { accountId: account.id, name: host.stackName, configSrc: "cloudflare" },
      // Two cannot have the same name.
      { parent: this, deleteBeforeReplace: true },
    );
    const authority = privateAuthority(certificates);
    const config = new configs.ZeroTrustTunnelCloudflaredConfig(
      `${name}-config`,
      {
        accountId: account.id,
        tunnelId: tunnel.id,
        source: "cloudflare",
        config: {
          ingresses: [
            {
              hostname: domain,
              service: "https://door:8443",
              originRequest: {
                originServerName: domain,
                ...(authority !== undefined && { caPool: `${SECRETS_PATH}/ca_certificate` }),
              },
            },
            { service: "http_status:404" },
          ],
        },
      },
      { parent: this },
    );
    const secrets = new SecretFiles(
      `${name}-secrets`,
      {
        host,
        readerUid: CLOUDFLARED_UID,
        secrets: {
          TUNNEL_TOKEN: account.tunnelToken(tunnel.id),
          ...(authority !== undefined && { CA_CERTIFICATE: authority }),
        },
      },
      { parent: this },
    );
    const connector = new Container(
      name,
      {
        host,
        role: "tunnel",
        image,
        run: "always",
        user: `${CLOUDFLARED_UID}:${CLOUDFLARED_UID}`,
        limits: { memoryMb: 256, cpus: 1, pids: 64 },
        networks: [{ name: networks.tunnel.name }],
        volumes: [secrets.volume],
        env: { TUNNEL_TOKEN_FILE: secrets.env["TUNNEL_TOKEN_FILE"]! },
        entrypoint: ["cloudflared"],
        command: [
          "tunnel",
          // A container that changes itself is not the one that was reviewed.
          "--no-autoupdate",
          ...["--metrics", METRICS],
          // Else whoever reads the dashboard can take profiles of it.
          "--management-diagnostics=false",
          ...["--grace-period", `${GRACE_SECONDS}s`],
          "run",
        ],
        // Healthy means that Cloudflare has its connection.
        health: { test: ["CMD", "cloudflared", "tunnel", "--metrics", METRICS, "ready"] },
        graceSeconds: GRACE_SECONDS + 5,
      },
      { parent: this, dependsOn: [config, edge.containers.door] },
    );
    this.hostname = pulumi.all([tunnel.id, connector.name]).apply(([id]) => `${id}.cfargotunnel.com`);
    this.registerOutputs({});
  }
}

/** `nonroot`, the user of the official image. */
const CLOUDFLARED_UID = "65532";
/** For its own health check alone. */
const METRICS = "127.0.0.1:2000";
/** For requests that it was asked before it was told to end. */
const GRACE_SECONDS = 30;

/**
 * What cloudflared does not trust by itself, which are the CAs that everybody knows and Cloudflare's own for origins: a
 * CA that the stack names, or the very certificates that it serves.
 */
function privateAuthority(certificates: Certificates): string | undefined {
  return certificates.kind === "files" ? certificates.certificatePem : certificates.caCertificatePem;
}
