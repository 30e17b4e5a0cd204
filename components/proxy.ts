import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../config.ts";
import { Container } from "./container.ts";
import type { DockerHost } from "./docker-host.ts";
import { FrontDoor } from "./front-door.ts";
import type { Networks } from "./networks.ts";
import { RouteFile } from "./route-file.ts";
import { SecretFiles, SECRETS_PATH } from "./secret.ts";

export interface ProxyArgs {
  networks: Networks;
  images: { traefik: string; haproxy: string };
  /** The name that the edge serves. */
  domain: string;
  /** Address of the host to listen on. */
  address: string;
  httpsPort: number;
  /** Where clients of the backend's tunnels connect. */
  tunnelPort: number;
  certificates: Certificates;
  /** The token that edits the zone's DNS; only for certificates of kind acme. */
  dnsApiToken?: pulumi.Input<string>;
  /** Requests a second that one client may keep up. */
  requestsPerSecond: number;
  /** Requests that one client may send at once. */
  burst: number;
  /** The largest request body in MiB. */
  maxBodyMb: number;
}

/**
 * The edge: Traefik without Docker's socket, without a capability, behind a door that holds the ports. It serves what
 * lies in a volume of route files, which the services' cutover jobs write.
 */
export class Proxy extends pulumi.ComponentResource {
  readonly host: DockerHost;
  readonly networks: Networks;
  readonly domain: string;
  readonly url: string;
  /** Settings that every service's cutover job needs. */
  readonly routeFiles: {
    host: DockerHost;
    doorNetwork: pulumi.Output<string>;
    routesVolume: pulumi.Output<string>;
  };
  readonly containers: { edge: Container; door: FrontDoor };

  constructor(name: string, args: ProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Proxy", name, {}, { providers: [args.networks.host.provider], ...opts });
    const { networks, images, domain, address, httpsPort, tunnelPort, certificates } = args;
    const { host } = networks;
    this.host = host;
    this.networks = networks;
    this.domain = domain;
    this.url = `https://${domain}${httpsPort === 443 ? "" : `:${httpsPort}`}`;

    const routes = new docker.Volume(
      `${name}-routes`,
      { name: host.named("routes"), labels: host.labels() },
      { parent: this, deleteBeforeReplace: true },
    );
    this.routeFiles = { host, doorNetwork: networks.door.name, routesVolume: routes.name };

    const secrets = new SecretFiles(
      `${name}-secrets`,
      { host, readerUid: TRAEFIK_UID, secrets: edgeSecrets(certificates, args.dnsApiToken) },
      { parent: this },
    );
    const acme = certificates.kind === "acme" ? this.acmeVolume(name) : undefined;
    const doorSubnet = networks.door.ipamConfigs.apply((configs) => configs.flatMap(({ subnet }) => subnet ?? []));
    const edge = new Container(
      name,
      {
        host,
        image: images.traefik,
        run: "always",
        user: `${TRAEFIK_UID}:${TRAEFIK_UID}`,
        limits: { memoryMb: 256, cpus: 1, pids: 256 },
        // Where a request's body waits until it is whole, so that its size can be refused.
        tmpfsMb: { "/tmp": 64 },
        networks: [
          { name: networks.door.name, aliases: ["edge"] },
          { name: networks.proxy.name, aliases: ["edge"] },
        ],
        volumes: [{ name: routes.name, path: "/routes" }, secrets.volume, ...(acme ? [acme] : [])],
        env: certificates.kind === "acme" ? { CF_DNS_API_TOKEN_FILE: secrets.env["CF_DNS_API_TOKEN_FILE"]! } : {},
        entrypoint: ["traefik"],
        command: doorSubnet.apply((subnets) => traefikArguments(subnets, certificates)),
        health: {
          test: [
            "CMD",
            "traefik",
            "healthcheck",
            "--ping=true",
            "--ping.entrypoint=release",
            "--entrypoints.release.address=:8082",
          ],
          intervalSeconds: 1,
        },
        graceSeconds: 20,
      },
      { parent: this },
    );
    const settings = new RouteFile(
      `${name}-settings`,
      {
        ...this.routeFiles,
        content: edge.name.apply((release) => edgeSettings(args, release)),
        release: edge.name,
        checkPath: "/release/edge",
      },
      { parent: this },
    );
    const door = new FrontDoor(
      `${name}-door`,
      { networks, image: images.haproxy, address, ports: { https: httpsPort, tunnel: tunnelPort } },
      { parent: this, dependsOn: settings },
    );
    this.containers = { edge, door };
    this.registerOutputs({ url: this.url });
  }

  /** Certificates from the CA outlive every container, and no mistake without a word that says so deletes them. */
  private acmeVolume(name: string) {
    const volume = new docker.Volume(
      `${name}-acme`,
      { name: this.host.named("acme"), labels: this.host.labels({ "bulkhead.data": "true" }) },
      { parent: this, retainOnDelete: true, deleteBeforeReplace: true },
    );
    const file = new Container(
      `${name}-acme-file`,
      {
        host: this.host,
        image: this.host.jobImage,
        run: "once",
        limits: { memoryMb: 16, cpus: 0.1, pids: 8 },
        user: "0:0",
        exceptions: [
          { rootUser: true, why: "root owns a new volume" },
          { capability: "CHOWN", why: "gives the file to the edge's user; an existing file is left as it is" },
        ],
        volumes: [{ name: volume.name, path: "/acme", writable: true }],
        entrypoint: ["/bin/sh", "-c", ACME_FILE],
        command: [],
        health: {
          test: ["CMD", "test", "-e", "/tmp/made"],
          intervalSeconds: 0.3,
          startSeconds: 0,
          deadlineSeconds: 20,
        },
        graceSeconds: 1,
      },
      { parent: this },
    );
    return {
      name: pulumi.all([volume.name, file.name]).apply(([volumeName]) => volumeName),
      path: "/acme",
      writable: true,
    };
  }
}

/** Any user but root; the official image names none. */
const TRAEFIK_UID = "65532";

const ACME_FILE = `
umask 077
[ -e /acme/acme.json ] || { : > /acme/acme.json && chown ${TRAEFIK_UID}:${TRAEFIK_UID} /acme/acme.json; }
touch /tmp/made && sleep 15
`;

function edgeSecrets(
  certificates: Certificates,
  dnsApiToken?: pulumi.Input<string>,
): Record<string, pulumi.Input<string>> {
  if (certificates.kind === "files")
    return { CERTIFICATE: certificates.certificatePem, PRIVATE_KEY: certificates.privateKeyPem };
  return { CF_DNS_API_TOKEN: dnsApiToken! };
}

/** What Traefik reads once, at its start. A change here replaces the container, behind the door. */
function traefikArguments(doorSubnets: string[], certificates: Certificates): string[] {
  const settings: Record<string, string> = {
    "entrypoints.websecure.address": ":8443",
    "entrypoints.websecure.http.tls": "true",
    // On the entry point, so that no route can be without them.
    "entrypoints.websecure.http.middlewares": "security-headers@file,rate-limit@file",
    "entrypoints.websecure.proxyprotocol.trustedips": doorSubnets.join(","),
    "entrypoints.websecure.transport.respondingtimeouts.readtimeout": "60s",
    "entrypoints.websecure.transport.respondingtimeouts.idletimeout": "90s",
    // Kept-alive connections end with "Connection: close" while this edge still serves, and not when it is gone.
    "entrypoints.websecure.transport.keepalivemaxtime": "6s",
    "entrypoints.websecure.transport.lifecycle.requestacceptgracetimeout": "8s",
    "entrypoints.websecure.transport.lifecycle.gracetimeout": "10s",
    "entrypoints.tunnel.address": ":2222",
    "entrypoints.tunnel.proxyprotocol.trustedips": doorSubnets.join(","),
    // From service to service: the same cutover, so that a rollout loses no inner request either.
    "entrypoints.services.address": ":8081",
    "entrypoints.services.transport.lifecycle.requestacceptgracetimeout": "8s",
    // For the door's check and the cutover jobs: it stops first, which takes this edge out of the door.
    "entrypoints.release.address": ":8082",
    "entrypoints.release.observability.accesslogs": "false",
    "entrypoints.release.transport.lifecycle.requestacceptgracetimeout": "0s",
    ping: "true",
    "ping.entrypoint": "release",
    "providers.file.directory": "/routes",
    "providers.file.watch": "true",
    "providers.providersthrottleduration": "100ms",
    "serverstransport.forwardingtimeouts.dialtimeout": "2s",
    "serverstransport.forwardingtimeouts.responseheadertimeout": "60s",
    accesslog: "true",
    "accesslog.format": "json",
    // Query strings and headers carry tokens; paths do not.
    "accesslog.fields.queryparameters.defaultmode": "drop",
    "accesslog.fields.headers.defaultmode": "drop",
    "accesslog.fields.headers.names.User-Agent": "keep",
    "log.level": "INFO",
    "log.format": "json",
    "global.checknewversion": "false",
    "global.sendanonymoususage": "false",
  };
  if (certificates.kind === "acme")
    Object.assign(settings, {
      "entrypoints.websecure.http.tls.certresolver": "acme",
      "certificatesresolvers.acme.acme.email": certificates.email,
      "certificatesresolvers.acme.acme.caserver": certificates.caServer,
      "certificatesresolvers.acme.acme.storage": "/acme/acme.json",
      "certificatesresolvers.acme.acme.dnschallenge.provider": "cloudflare",
    });
  return Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
}

/** What Traefik takes while it runs: TLS, and the middlewares that routes share. */
function edgeSettings(
  { domain, requestsPerSecond, burst, maxBodyMb, certificates }: ProxyArgs,
  release: string,
): object {
  return {
    http: {
      routers: {
        "release-edge": {
          entryPoints: ["release"],
          rule: "Path(`/release/edge`)",
          service: "ping@internal",
          middlewares: ["release-edge"],
        },
      },
      middlewares: {
        "release-edge": { headers: { customResponseHeaders: { "X-Release": release } } },
        "security-headers": {
          headers: {
            // A browser would hold localhost to HTTPS on every port, also for the other things that run there.
            ...(domain.includes(".") ? { stsSeconds: 63072000, stsIncludeSubdomains: true } : {}),
            frameDeny: true,
            contentTypeNosniff: true,
            referrerPolicy: "strict-origin-when-cross-origin",
            permissionsPolicy: "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
            customResponseHeaders: { Server: "", "X-Powered-By": "", "X-Release": "" },
          },
        },
        "rate-limit": { rateLimit: { average: requestsPerSecond, burst, period: "1s" } },
        // A compressed stream would wait for its buffer to fill.
        compress: { compress: { excludedContentTypes: ["text/event-stream"] } },
        "body-limit": { buffering: { maxRequestBodyBytes: maxBodyMb * 1024 * 1024, memRequestBodyBytes: 1024 * 1024 } },
      },
    },
    tls: {
      options: {
        default: {
          minVersion: "VersionTLS12",
          // TLS 1.3 has only good ones. For 1.2: forward secrecy and authenticated encryption, nothing else.
          cipherSuites: [
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
          ],
          curvePreferences: ["X25519MLKEM768", "X25519", "CurveP256"],
        },
      },
      ...(certificates.kind === "files" && {
        stores: {
          default: {
            defaultCertificate: { certFile: `${SECRETS_PATH}/certificate`, keyFile: `${SECRETS_PATH}/private_key` },
          },
        },
      }),
    },
  };
}
