import type { Certificates } from "../settings/certificates.ts";
import { SECRETS_PATH } from "../host/secret.ts";
import {
  domainCertificates,
  domainMiddlewares,
  domainRouters,
  highestLimit,
  type DomainSettings,
} from "./domain-settings.ts";
import { fromOneOf, LAST_PRIORITY } from "./hosts.ts";
import type { Maintenance } from "../settings/maintenance.ts";
import { pageSettings } from "./pages.ts";
import { EDGE_ITSELF } from "./route-auth.ts";

/** What Traefik reads once, at its start. A change here replaces the container, behind the door. */
export function traefikArguments(
  doorSubnets: string[],
  settings: Pick<
    EdgeSettings,
    "domain" | "certificates" | "clientsThrough" | "keepAliveSeconds" | "tcp" | "httpRedirect"
  >,
): string[] {
  const { domain, certificates, clientsThrough, keepAliveSeconds } = settings;
  const stopsAfter = `${acceptGraceSeconds(keepAliveSeconds)}s`;
  const options: Record<string, string> = {
    "entrypoints.websecure.address": ":8443",
    "entrypoints.websecure.http.tls": "true",
    // On the entry point, so that no route can be without them.
    "entrypoints.websecure.http.middlewares":
      "reset@file,security-headers@file,client@file,rate-limit@file,requests-of-one-client@file,requests-of-all@file",
    "entrypoints.websecure.proxyprotocol.trustedips": doorSubnets.join(","),
    // For the handshake and the headers. A body gets more for as long as it flows: see edge-plugin/edge.go.
    "entrypoints.websecure.transport.respondingtimeouts.readtimeout": `${HEADER_SECONDS}s`,
    "entrypoints.websecure.transport.respondingtimeouts.idletimeout": "90s",
    // Go keeps up to five times as many requests of one connection in memory when a client opens and resets them in a
    // loop: a hundred on each of 200 connections were more than the edge has.
    "entrypoints.websecure.http2.maxconcurrentstreams": "32",
    // Kept-alive connections end with "Connection: close" while this edge still serves, and not when it is gone.
    "entrypoints.websecure.transport.keepalivemaxtime": `${keepAliveSeconds}s`,
    "entrypoints.websecure.transport.lifecycle.requestacceptgracetimeout": stopsAfter,
    "entrypoints.websecure.transport.lifecycle.gracetimeout": `${GRACE_SECONDS}s`,
    ...Object.fromEntries(
      settings.tcp.flatMap((name, index) => [
        [`entrypoints.${tcpEntryPoint(name)}.address`, `:${insidePort(index)}`],
        [`entrypoints.${tcpEntryPoint(name)}.proxyprotocol.trustedips`, doorSubnets.join(",")],
      ]),
    ),
    // Redirects alone. What is nobody's gets the edge's 404, and no client more than its part.
    ...(settings.httpRedirect && {
      "entrypoints.http.address": `:${HTTP_PORT}`,
      "entrypoints.http.http.middlewares":
        "client@file,rate-limit@file,requests-of-one-client@file,requests-of-all@file",
      "entrypoints.http.proxyprotocol.trustedips": doorSubnets.join(","),
      "entrypoints.http.transport.respondingtimeouts.readtimeout": `${HEADER_SECONDS}s`,
      "entrypoints.http.transport.respondingtimeouts.idletimeout": "10s",
      "entrypoints.http.transport.keepalivemaxtime": `${keepAliveSeconds}s`,
      "entrypoints.http.transport.lifecycle.requestacceptgracetimeout": stopsAfter,
    }),
    // From service to service: the same cutover, so that a rollout loses no inner request either.
    "entrypoints.services.address": ":8081",
    // The edge itself, when it asks a service who may pass: what it says then of a request is the truth.
    "entrypoints.services.forwardedheaders.trustedips": `${EDGE_ITSELF}/32`,
    "entrypoints.services.transport.respondingtimeouts.readtimeout": `${HEADER_SECONDS}s`,
    "entrypoints.services.transport.lifecycle.requestacceptgracetimeout": stopsAfter,
    // For the door's check and the cutover jobs: it stops first, which takes this edge out of the door.
    "entrypoints.release.address": ":8082",
    "entrypoints.release.observability.accesslogs": "false",
    "entrypoints.release.transport.lifecycle.requestacceptgracetimeout": "0s",
    // Says which routes it has, and why it has rejected one: a router asks it for the cutover jobs, and nobody else.
    api: "true",
    "api.dashboard": "false",
    ping: "true",
    "ping.entrypoint": "release",
    "providers.file.directory": "/routes",
    "providers.file.watch": "true",
    "providers.providersthrottleduration": "100ms",
    "experimental.localplugins.bulkhead.modulename": "bulkhead",
    // For the route that a cutover tries; each service's own has its own.
    "serverstransport.forwardingtimeouts.dialtimeout": "2s",
    "serverstransport.forwardingtimeouts.responseheadertimeout": "60s",
    accesslog: "true",
    "accesslog.format": "json",
    // Query strings and headers carry tokens; paths do not.
    "accesslog.fields.queryparameters.defaultmode": "drop",
    // Of basicAuth, whatever stands in a request: as long as a client likes, and a password where one was typed too early.
    "accesslog.fields.names.ClientUsername": "drop",
    "accesslog.fields.headers.defaultmode": "drop",
    "accesslog.fields.headers.names.User-Agent": "keep",
    "log.level": "INFO",
    "log.format": "json",
    "global.checknewversion": "false",
    "global.sendanonymoususage": "false",
  };
  if (certificates.kind === "acme")
    Object.assign(options, {
      "entrypoints.websecure.http.tls.certresolver": "acme",
      // One certificate for the name and for all below it, so that no list of certificates tells of another name.
      "entrypoints.websecure.http.tls.domains[0].main": domain,
      "entrypoints.websecure.http.tls.domains[0].sans": `*.${domain}`,
      "certificatesresolvers.acme.acme.email": certificates.email,
      "certificatesresolvers.acme.acme.caserver": certificates.caServer,
      "certificatesresolvers.acme.acme.certificatesduration": String(certificates.validityHours),
      "certificatesresolvers.acme.acme.storage": "/acme/acme.json",
      "certificatesresolvers.acme.acme.dnschallenge.provider": certificates.dnsProvider ?? "cloudflare",
      ...(certificates.resolvers && {
        "certificatesresolvers.acme.acme.dnschallenge.resolvers": certificates.resolvers.join(","),
        "certificatesresolvers.acme.acme.dnschallenge.propagation.requireallrns": "true",
        "certificatesresolvers.acme.acme.dnschallenge.propagation.disableanschecks": "true",
      }),
      ...(certificates.caCertificatePem !== undefined && {
        "certificatesresolvers.acme.acme.cacertificates": `${SECRETS_PATH}/ca_certificate`,
      }),
    });
  if (clientsThrough)
    Object.assign(options, {
      "entrypoints.websecure.forwardedheaders.trustedips": clientsThrough.join(","),
      // Whose request it was, as far as the log can say.
      "accesslog.fields.headers.names.Cf-Connecting-Ip": "keep",
    });
  return Object.entries(options).map(([key, value]) => `--${key}=${value}`);
}

/** Where connections to a TCP port of the host come in, at the door and at the edge. */
export function tcpEntryPoint(name: string): string {
  return `tcp-${name}`;
}

/** On the networks of the door and the edge a TCP port has a number of its own, whatever the host's is. */
export function insidePort(index: number): number {
  return 2222 + index;
}

/** Of http://, on the networks of the door and the edge. */
export const HTTP_PORT = 8088;

/** For a TLS handshake and a request's headers. A browser on a bad line needs less; what takes longer holds memory. */
const HEADER_SECONDS = 10;

/** For requests that are under way when everything else of an edge has ended. */
const GRACE_SECONDS = 10;

/** How long an edge that is replaced takes requests on connections from before: until each of them was told to close. */
function acceptGraceSeconds(keepAliveSeconds: number): number {
  return keepAliveSeconds + 2;
}

/** How long an edge needs to end without losing a request. */
export function edgeGraceSeconds(keepAliveSeconds: number): number {
  return acceptGraceSeconds(keepAliveSeconds) + GRACE_SECONDS + 2;
}

export interface EdgeSettings extends DomainSettings {
  /** The name that the edge serves. */
  domain: string;
  certificates: Certificates;
  /** Requests a second that one client may keep up. */
  requestsPerSecond: number;
  /** Requests that one client may send at once. */
  burst: number;
  /** Connections that one client may have open at once, and requests that it may have under way. */
  connectionsPerClient: number;
  /** Addresses, as CIDR, behind which there are many: each counts as as many clients as it says. */
  sharedAddresses: { range: string; clients: number }[];
  /** Seconds for which a client may send requests on one connection before it needs another. */
  keepAliveSeconds: number;
  /** TCP ports, by name. */
  tcp: readonly string[];
  /** Requests of all clients together that may be under way at once. */
  requests: number;
  /** Clients get 503. @default the services */
  maintenance?: Maintenance;
  /**
   * Addresses, as CIDR, of the proxy through which alone clients come: it is believed who they are, and the door takes
   * nobody else. @default none: clients come themselves
   */
  clientsThrough?: string[];
}

/**
 * What Traefik takes while it runs: TLS, and the middlewares that routes share.
 *
 * @param pages where the edge finds the program's pages, by the names of their files.
 * @param health what passes in maintenance too: a host with a path behind it.
 */
export function edgeSettings(
  settings: EdgeSettings,
  release: string,
  doorSubnets: string[],
  serviceSubnets: string[],
  pages: Readonly<Record<string, string>> = {},
  health: readonly string[] = [],
): object {
  const { domain, certificates, clientsThrough, sharedAddresses, maintenance } = settings;
  const atOnce = { inFlightReq: { amount: settings.requests, sourceCriterion: { requestHost: true } } };
  const ofPages = pageSettings(pages);
  const isShared = sharedAddresses.length > 0;
  const oneClient = ofOneClient(clientsThrough !== undefined, isShared);
  return {
    http: {
      routers: {
        // One for the door's checks, the other for the job that puts these settings in place.
        "release-edge": {
          entryPoints: ["release"],
          rule: `Path(\`/release/edge\`) || Path(\`/release/${release}\`)`,
          service: "ping@internal",
        },
        "release-api": {
          entryPoints: ["release"],
          rule: "PathPrefix(`/api/`)",
          service: "api@internal",
          middlewares: ["door-network-only"],
        },
        // A service is no client: it would come past the door, and past whatever a tunnel leads through. It asks on the
        // entry point for services, for what it says that it uses.
        ...(serviceSubnets.length > 0 && {
          "not-for-services": {
            entryPoints: ["websecure"],
            rule: fromOneOf(serviceSubnets),
            priority: 1_000_000,
            service: "noop@internal",
            middlewares: ["not-found"],
          },
        }),
        // What no service has: with the headers and the limits of all else.
        nothing: {
          entryPoints: ["websecure"],
          rule: "PathPrefix(`/`)",
          priority: LAST_PRIORITY,
          service: "noop@internal",
          middlewares: ["not-found"],
        },
        ...domainRouters(settings, certificates.kind === "acme"),
        ...ofPages.routers,
      },
      middlewares: {
        // First, so that a stream which its client has reset costs nothing more. See edge-plugin/edge.go.
        reset: { plugin: { bulkhead: { kind: "reset" } } },
        "door-network-only": { ipAllowList: { sourceRange: doorSubnets } },
        "security-headers": {
          headers: {
            // A browser would hold localhost to HTTPS on every port, also for the other things that run there.
            ...(domain.includes(".") ? { stsSeconds: 63072000, stsIncludeSubdomains: true } : {}),
            frameDeny: true,
            contentTypeNosniff: true,
            referrerPolicy: "strict-origin-when-cross-origin",
            permissionsPolicy: "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
            customResponseHeaders: { Server: "", "X-Powered-By": "" },
          },
        },
        // Names whose request it is, for the limits of one client, where an address alone does not tell: see
        // edge-plugin/edge.go.
        client: isShared
          ? {
              plugin: {
                bulkhead: { kind: "client", forwarded: clientsThrough !== undefined, shared: sharedAddresses },
              },
            }
          : { headers: { customRequestHeaders: { [CLIENT_HEADER]: "" } } },
        "rate-limit": { rateLimit: { ...highestLimit(settings), period: "1s", ...oneClient } },
        ...domainMiddlewares(settings, oneClient),
        "requests-of-one-client": { inFlightReq: { amount: settings.connectionsPerClient, ...oneClient } },
        ...(maintenance
          ? {
              "requests-at-once": atOnce,
              maintenance: {
                plugin: {
                  bulkhead: {
                    kind: "maintenance",
                    ...{
                      forwarded: clientsThrough !== undefined,
                      retryAfterSeconds: maintenance.retryAfterSeconds ?? 300,
                    },
                    ...{ allowFrom: (maintenance.allowFrom ?? []).map(asCidr), health },
                    page: pages["maintenance.html"] ?? "",
                  },
                },
              },
              // The last of those that the entry point has, and what it has stays while the edge runs.
              "requests-of-all": { chain: { middlewares: ["requests-at-once", "maintenance"] } },
            }
          : { "requests-of-all": atOnce }),
        // What the plugin cut ends with a status that nothing else gets an answer with, as the client was still there.
        "too-large": { errors: { status: ["499"], statusRewrites: { "499": 413 }, service: "noop@internal" } },
        // Goes round it: the answer is read by then.
        linger: { plugin: { bulkhead: { kind: "linger" } } },
        "not-found": {
          plugin: {
            bulkhead: {
              kind: "answer",
              status: 404,
              ...(pages["404.html"] !== undefined && { page: pages["404.html"] }),
            },
          },
        },
        ...ofPages.middlewares,
        compress: { compress: { includedContentTypes: COMPRESSED, encodings: ["zstd", "br", "gzip"] } },
      },
      ...(Object.keys(ofPages.services).length > 0 && { services: ofPages.services }),
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
      ...((settings.domains ?? []).some(({ certificate }) => certificate) && {
        certificates: domainCertificates(settings.domains),
      }),
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

function asCidr(range: string): string {
  if (range.includes("/")) return range;
  return `${range}/${range.includes(":") ? 128 : 32}`;
}

/** Traefik's criterion of whose request it is. */
export function ofOneClient(isForwarded: boolean, isShared: boolean): object {
  // Who has one address of a /64 has them all. The last forwarded address is the one that the proxy saw; those before it
  // are what the client says of itself.
  const ipStrategy = { ipv6Subnet: 64, ...(isForwarded && { depth: 1 }) };
  return { sourceCriterion: isShared ? { requestHeaderName: CLIENT_HEADER } : { ipStrategy } };
}

/** Between the edge's own middlewares: what a client says in it does not count, and no service gets it. */
const CLIENT_HEADER = "Bulkhead-Client";

/**
 * What is the same for everybody. The length of a compressed answer tells of its content, so one with a secret and with
 * something that a client chose gives the secret away, byte by byte (BREACH): no page, and no answer of an API.
 */
const COMPRESSED = [
  "text/css",
  "text/javascript",
  "application/javascript",
  "application/wasm",
  "image/svg+xml",
  "font/ttf",
  "font/otf",
];
