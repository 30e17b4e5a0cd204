import { createPrivateKey, X509Certificate } from "node:crypto";
import { z } from "zod";
import { dnsProviderFields } from "./dns-providers.ts";
import { covers } from "../edge/hosts.ts";
import type { aliasesField, domainsField } from "./domains.ts";
import { fault, text, wholeNumber } from "./fields.ts";

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
  ...dnsProviderFields,
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

/** The certificate of a further domain, which has files of its own. */
export type DomainCertificates = Record<string, { certificatePem: string; privateKeyPem: string }>;

/** The settings that name files, and those that say what the files are for. */
export interface NamesFiles {
  host?: string;
  knownHosts?: string;
  domain?: string;
  certificates?: z.output<typeof certificatesField>;
  domains?: z.output<typeof domainsField>;
  aliases?: z.output<typeof aliasesField>;
}

/** What the stack file only names: certificates are read, and a list of known hosts is looked at. */
export function readFiles(
  config: NamesFiles,
  readFile: (path: string) => string,
  isSecret: (key: string) => boolean,
): { certificates?: Certificates; domainCertificates: DomainCertificates; problems: string[] } {
  const { host, knownHosts, certificates, domains = [], aliases = [] } = config;
  const domainCertificates: DomainCertificates = {};
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
    const text = content(key, path, "give a file that is there; `bulkhead up` makes those of the local stack");
    if (text === undefined) return undefined;
    try {
      return { text, parsed: parse(text) };
    } catch {
      const cure = `give a PEM file, with a line -----BEGIN ${label}-----`;
      problems.push(`${at(key, path)} holds no ${label.toLowerCase()} that can be read: ${cure}`);
      return undefined;
    }
  };
  const parseCertificate = (text: string) => new X509Certificate(text);
  /** A certificate with its key, and what it is for. */
  const pair = (at_: string, files: { certificate: string; privateKey: string }) => {
    const certificate = pem(`${at_}certificate`, files.certificate, "CERTIFICATE", parseCertificate);
    const privateKey = pem(`${at_}privateKey`, files.privateKey, "PRIVATE KEY", createPrivateKey);
    if (!certificate || !privateKey) return undefined;
    if (!certificate.parsed.checkPrivateKey(privateKey.parsed)) {
      const wrong = `${at(`${at_}privateKey`, files.privateKey)} is not the key of the certificate`;
      problems.push(`${wrong}: give the one that the certificate was issued for`);
    }
    const names = namesOf(certificate.parsed);
    return { certificatePem: certificate.text, privateKeyPem: privateKey.text, names };
  };
  const known: string[] = [];
  let all = true;
  for (const [index, { name, certificate, privateKey }] of domains.entries()) {
    if (certificate === undefined || privateKey === undefined) continue;
    const read = pair(`domains.${index}.`, { certificate, privateKey });
    if (read === undefined) {
      all = false;
      continue;
    }
    const { names, ...pems } = read;
    known.push(...names);
    domainCertificates[name] = pems;
    if (!names.some((one) => covers(one, name)))
      problems.push(
        `${at(`domains.${index}.certificate`, certificate)} is not for ${name}: give one that is issued for that name`,
      );
  }
  if (certificates?.kind === "acme") {
    const { caCertificate, ...given } = certificates;
    if (caCertificate === undefined) return { certificates: given, domainCertificates, problems };
    const ca = pem("certificates.caCertificate", caCertificate, "CERTIFICATE", parseCertificate);
    return { certificates: { ...given, caCertificatePem: ca?.text }, domainCertificates, problems };
  }
  if (certificates === undefined) return { domainCertificates, problems };

  const read = pair("certificates.", certificates);
  if (read === undefined) return { domainCertificates, problems };
  const { names, ...pems } = read;
  known.push(...names);
  const uncovered = (path: string, name: string, cure: string) => {
    if (all && !known.some((one) => covers(one, name)))
      problems.push(`${path}: ${isSecret(path.split(".")[0]!) ? "the secret" : name} is in no certificate: ${cure}`);
  };
  for (const [index, { name, certificate }] of domains.entries())
    if (certificate === undefined)
      uncovered(`domains.${index}.name`, name, "give certificate and privateKey beside it, or one for all names");
  for (const [index, { name }] of aliases.entries())
    uncovered(`aliases.${index}.name`, name, "give certificates that are for it too");
  return { certificates: { kind: "files", ...pems }, domainCertificates, problems };
}

/** The names that a certificate is for. */
function namesOf({ subjectAltName = "" }: X509Certificate): string[] {
  return subjectAltName.split(", ").flatMap((name) => /^DNS:(.+)/.exec(name)?.[1] ?? []);
}
