import type { Certificates } from "../settings/certificates.ts";
import { SECRETS_PATH } from "../host/secrets-path.ts";
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
  /** The largest headers of a request in KiB, all of them together. */
  maxHeaderKb: number;
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
 * @param release name of the edge's container.
 * @param issuer which edge asks for the certificates of its further names: see domainRouters.
 * @param pages where the edge finds the program's pages, by the names of their files.
 * @param health what passes in maintenance too: a host with a path behind it.
 */
export function edgeSettings(
  settings: EdgeSettings,
  release: string,
  doorSubnets: string[],
  serviceSubnets: string[],
  issuer: string | undefined,
  pages: Readonly<Record<string, string>> = {},
  health: readonly string[] = [],
): object {
  const { domain, certificates, clientsThrough, sharedAddresses, maintenance } = settings;
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
        ...domainRouters(settings, issuer),
        ...ofPages.routers,
      },
      middlewares: {
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
        // Says whose request it is, and takes so many at once of each and of all. Traefik's own limit counts each route by
        // itself. See edge-plugin/edge.go.
        client: {
          plugin: {
            bulkhead: {
              ...{ kind: "client", forwarded: clientsThrough !== undefined, shared: sharedAddresses },
              ...{ requests: settings.requests, requestsPerClient: settings.connectionsPerClient },
            },
          },
        },
        "rate-limit": { rateLimit: { ...highestLimit(settings), period: "1s", ...oneClient } },
        ...domainMiddlewares(settings, oneClient),
        // The last of those that the entry point has, and what it has stays while the edge runs.
        maintenance: maintenance
          ? {
              plugin: {
                bulkhead: {
                  ...{ kind: "maintenance", forwarded: clientsThrough !== undefined, health },
                  retryAfterSeconds: maintenance.retryAfterSeconds ?? 300,
                  allowFrom: (maintenance.allowFrom ?? []).map(asCidr),
                  page: pages["maintenance.html"] ?? "",
                },
              },
            }
          : { chain: { middlewares: [] } },
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
