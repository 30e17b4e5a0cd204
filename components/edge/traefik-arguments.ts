import { SECRETS_PATH } from "../host/secrets-path.ts";
import { EDGE_ITSELF } from "./route-auth.ts";
import type { EdgeSettings } from "./edge-settings.ts";

/** What Traefik reads once, at its start. A change here replaces the container, behind the door. */
export function traefikArguments(
  doorSubnets: string[],
  settings: Pick<
    EdgeSettings,
    "domain" | "certificates" | "clientsThrough" | "keepAliveSeconds" | "maxHeaderKb" | "tcp" | "httpRedirect"
  >,
): string[] {
  const { domain, certificates, clientsThrough, keepAliveSeconds } = settings;
  const maxHeaderBytes = String(settings.maxHeaderKb * 1024);
  const stopsAfter = `${acceptGraceSeconds(keepAliveSeconds)}s`;
  const options: Record<string, string> = {
    "entrypoints.websecure.address": ":8443",
    "entrypoints.websecure.http.tls": "true",
    // On the entry point, so that no route can be without them.
    "entrypoints.websecure.http.middlewares": "security-headers@file,client@file,rate-limit@file,maintenance@file",
    "entrypoints.websecure.proxyprotocol.trustedips": doorSubnets.join(","),
    // Go takes 1 MiB: some hundred connections that send so much, and no end of it, were more than the edge has.
    "entrypoints.websecure.http.maxheaderbytes": maxHeaderBytes,
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
      "entrypoints.http.http.middlewares": "client@file,rate-limit@file,maintenance@file",
      "entrypoints.http.proxyprotocol.trustedips": doorSubnets.join(","),
      "entrypoints.http.http.maxheaderbytes": maxHeaderBytes,
      "entrypoints.http.transport.respondingtimeouts.readtimeout": `${HEADER_SECONDS}s`,
      "entrypoints.http.transport.respondingtimeouts.idletimeout": "10s",
      "entrypoints.http.transport.keepalivemaxtime": `${keepAliveSeconds}s`,
      "entrypoints.http.transport.lifecycle.requestacceptgracetimeout": stopsAfter,
    }),
    // From service to service: the same cutover, so that a rollout loses no inner request either.
    "entrypoints.services.address": ":8081",
    "entrypoints.services.http.maxheaderbytes": maxHeaderBytes,
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
    // Who is refused, or has left, has a line for each client: one for each request is what others would wait for.
    "accesslog.filters.statuscodes": "100-428,430-498,500-599",
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
