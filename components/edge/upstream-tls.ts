import { X509Certificate } from "node:crypto";
import { HOSTNAME } from "../settings/fields.ts";

/** How the edge knows a service that speaks TLS itself. */
export interface UpstreamTls {
  /** Certificates of the authorities that it believes, PEM. @default those that its image knows */
  caCertificatePem?: string;
  /** The name that the service's certificate is for. @default the service's name */
  serverName?: string;
  /** @default [] */
  exceptions?: readonly {
    /** Takes any certificate: who gets between the edge and the service on their network reads all. */
    unverifiedUpstream: true;
    why: string;
  }[];
}

/** Traefik's words for it, of a servers transport. */
export function upstreamTransport(service: string, protocol: string, tls: UpstreamTls = {}): object {
  if (protocol !== "https") return {};
  const { caCertificatePem, serverName = service, exceptions = [] } = tls;
  return {
    serverName,
    ...(caCertificatePem !== undefined && { rootCAs: [caCertificatePem] }),
    ...(exceptions.length > 0 && { insecureSkipVerify: true }),
  };
}

export function upstreamProblems(protocol: string, tls: UpstreamTls | undefined): string[] {
  if (!["http", "h2c", "https"].includes(protocol)) return [`protocol: ${protocol} is none: give http, h2c or https`];
  if (tls === undefined) return [];
  if (protocol !== "https") return [`upstreamTls: is for protocol: "https", and it is ${protocol}: leave it out`];
  const { caCertificatePem, serverName, exceptions = [] } = tls;
  return [
    ...(caCertificatePem !== undefined && !isPem(caCertificatePem)
      ? ["upstreamTls.caCertificatePem: is no certificate: give PEM, with a line -----BEGIN CERTIFICATE-----"]
      : []),
    ...(caCertificatePem !== undefined && exceptions.length > 0
      ? ["upstreamTls.exceptions: unverifiedUpstream: makes caCertificatePem count for nothing: leave one of them out"]
      : []),
    ...(serverName !== undefined && !HOSTNAME.test(serverName)
      ? [`upstreamTls.serverName: ${serverName} is not a host name: give the one that the certificate is for`]
      : []),
    ...exceptions
      .filter(({ why }) => why.trim().length <= 5)
      .map(() => "upstreamTls.exceptions: unverifiedUpstream: has no reason: say why"),
  ];
}

function isPem(text: string): boolean {
  try {
    return new X509Certificate(text).raw.length > 0;
  } catch {
    return false;
  }
}
