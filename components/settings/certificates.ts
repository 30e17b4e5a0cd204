import { createPrivateKey, X509Certificate } from "node:crypto";
import { z } from "zod";
import { fault, text, wholeNumber } from "./fields.ts";
import type { Platform } from "./platform.ts";

const PEM = "give the path of a PEM file, from the project's folder";
export const filesCertificate = z.strictObject({
  kind: z.literal("files"),
  certificate: text(/./, "is not a path", PEM).describe("Path of the certificate chain, PEM."),
  privateKey: text(/./, "is not a path", PEM).describe("Path of its private key, PEM. It is read, never shown."),
});
export const acmeCertificate = z.strictObject({
  kind: z.literal("acme"),
  email: text(
    /^[^\s@]+@[^\s@]+\.[^\s@]+$/,
    "is not an e-mail address",
    "give the address that the CA may write to",
  ).describe("Address that the CA may write to."),
  caServer: text(/^https:\/\/\S+$/, "is not an https URL", "give the CA's ACME directory, or leave the key out")
    .default("https://acme-v02.api.letsencrypt.org/directory")
    .describe("ACME directory. Default: Let's Encrypt."),
  caCertificate: text(/./, "is not a path", PEM)
    .optional()
    .describe("Path of the certificate, PEM, of a CA that machines do not know by themselves."),
  validityHours: wholeNumber(1, 87600, "give the hours for which the CA's certificates are valid")
    .default(2160)
    .describe("Hours for which the CA's certificates are valid; when they are renewed follows. Default 2160."),
  resolvers: z
    .array(
      text(/^[\da-f.:[\]]+:\d+$/, "is not a DNS server", "give an address and a port, like 1.1.1.1:53"),
      fault("is not a list", "give DNS servers, like [1.1.1.1:53]"),
    )
    .min(1, fault("is empty", "give DNS servers, or leave the key out"))
    .optional()
    .describe("DNS servers that are asked whether the CA can see the challenge. Default: the zone's own."),
});

/** Where the edge's certificate comes from, as a stack file says it. */
export const certificatesField = z
  .discriminatedUnion("kind", [filesCertificate, acmeCertificate], {
    error: ({ input }) => {
      const cure = "give kind: files with certificate and privateKey, or kind: acme with email";
      if (typeof input !== "object" || input === null) return fault("is not an object", cure).error({ input });
      return fault("is no known kind", cure).error({ input: (input as { kind?: unknown }).kind });
    },
  })
  .describe("Where the edge's certificate comes from.");

/** The same with every file read. */
export type Certificates =
  | { kind: "files"; certificatePem: string; privateKeyPem: string }
  | (Omit<z.output<typeof acmeCertificate>, "caCertificate"> & { caCertificatePem?: string });

/** What the stack file only names: certificates are read, and a list of known hosts is looked at. */
export function readFiles(
  config: Partial<Pick<Platform, "host" | "knownHosts" | "certificates">>,
  readFile: (path: string) => string,
  isSecret: (key: string) => boolean,
): { certificates?: Certificates; problems: string[] } {
  const { host, knownHosts, certificates } = config;
  const problems: string[] = [];
  const at = (key: string, path: string) => `${key}: ${isSecret(key.split(".")[0]!) ? "the secret" : path}`;
  const content = (key: string, path: string, cure: string): string | undefined => {
    try {
      return readFile(path);
    } catch (error) {
      problems.push(`${at(key, path)} cannot be read (${(error as NodeJS.ErrnoException).code}): ${cure}`);
      return undefined;
    }
  };
  if (knownHosts !== undefined && host !== "local")
    content("knownHosts", knownHosts, "give a file that is there; `ssh-keyscan` prints what belongs in it");
  const pem = <T>(key: string, path: string, label: string, parse: (pem: string) => T) => {
    const text = content(
      `certificates.${key}`,
      path,
      "give a file that is there; `bulkhead up` makes those of the local stack",
    );
    if (text === undefined) return undefined;
    try {
      return { text, parsed: parse(text) };
    } catch {
      const cure = `give a PEM file, with a line -----BEGIN ${label}-----`;
      problems.push(`${at(`certificates.${key}`, path)} holds no ${label.toLowerCase()} that can be read: ${cure}`);
      return undefined;
    }
  };
  const parseCertificate = (text: string) => new X509Certificate(text);
  if (certificates?.kind === "acme") {
    const { caCertificate, ...given } = certificates;
    if (caCertificate === undefined) return { certificates: given, problems };
    const ca = pem("caCertificate", caCertificate, "CERTIFICATE", parseCertificate);
    return { certificates: { ...given, caCertificatePem: ca?.text }, problems };
  }
  if (certificates === undefined) return { problems };

  const certificate = pem("certificate", certificates.certificate, "CERTIFICATE", parseCertificate);
  const privateKey = pem("privateKey", certificates.privateKey, "PRIVATE KEY", createPrivateKey);
  if (!certificate || !privateKey) return { problems };
  if (!certificate.parsed.checkPrivateKey(privateKey.parsed)) {
    const wrong = `${at("certificates.privateKey", certificates.privateKey)} is not the key of the certificate`;
    problems.push(`${wrong}: give the one that the certificate was issued for`);
  }
  return {
    certificates: { kind: "files", certificatePem: certificate.text, privateKeyPem: privateKey.text },
    problems,
  };
}
