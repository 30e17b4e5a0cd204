import "reflect-metadata";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { dirname, join } from "node:path";
import * as x509 from "@peculiar/x509";
import { writeAtomically } from "./atomic-write.ts";

const DAY_MS = 24 * 3600 * 1000;
const CA_DAYS = 3650;
/** Browsers refuse certificates that are valid for longer. */
const LEAF_DAYS = 397;
const RENEW_DAYS = 30;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface LocalCertificate {
  /** Where the chain goes: the leaf, then the CA. */
  certificate: string;
  privateKey: string;
  domain: string;
}

/**
 * Makes a CA of this machine and a certificate for a domain, unless both are there and good for another month.
 *
 * @returns the path of the CA's certificate, for browsers and clients that shall trust it.
 */
export async function provideLocalCertificate(wanted: LocalCertificate): Promise<string> {
  const directory = dirname(wanted.certificate);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const ca = await localCa(directory);
  const names = namesOf(wanted.domain);
  if (!(await isGood(wanted, ca.certificate, names))) await issue(wanted, ca, names);
  return join(directory, "ca.pem");
}

/** What a leaf must certify: the domain, its subdomains, and this machine. */
export function namesOf(domain: string): x509.JsonGeneralNames {
  const own = isIP(domain) ? { names: [], addresses: [domain] } : { names: [domain, `*.${domain}`], addresses: [] };
  const names = new Set([...own.names, "localhost"]);
  const addresses = new Set([...own.addresses, "127.0.0.1", "::1"]);
  return [
    ...[...names].map((value) => ({ type: "dns" as const, value })),
    ...[...addresses].map((value) => ({ type: "ip" as const, value })),
  ];
}

interface Authority {
  certificate: x509.X509Certificate;
  privateKey: CryptoKey;
}

async function localCa(directory: string): Promise<Authority> {
  const [certificatePath, keyPath] = [join(directory, "ca.pem"), join(directory, "ca.key")];
  const kept = await readAuthority(certificatePath, keyPath).catch(() => undefined);
  if (kept && validFor(kept.certificate, LEAF_DAYS) && (await belongTogether(certificatePath, keyPath))) return kept;
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=Bulkhead local CA",
    keys,
    signingAlgorithm: ALGORITHM,
    ...period(CA_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await writeAtomically(keyPath, await privatePem(keys.privateKey), 0o600);
  await writeAtomically(certificatePath, `${certificate.toString("pem")}\n`);
  return { certificate, privateKey: keys.privateKey };
}

async function readAuthority(certificatePath: string, keyPath: string): Promise<Authority> {
  const certificate = new x509.X509Certificate(await readFile(certificatePath, "utf8"));
  const pkcs8 = x509.PemConverter.decodeFirst(await readFile(keyPath, "utf8"));
  return { certificate, privateKey: await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, true, ["sign"]) };
}

async function issue(wanted: LocalCertificate, ca: Authority, names: x509.JsonGeneralNames): Promise<void> {
  const keys = await newKeys();
  const leaf = await x509.X509CertificateGenerator.create({
    subject: `CN=${wanted.domain}`,
    issuer: ca.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: ca.privateKey,
    signingAlgorithm: ALGORITHM,
    ...period(LEAF_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await writeAtomically(wanted.privateKey, await privatePem(keys.privateKey), 0o600);
  await writeAtomically(wanted.certificate, `${leaf.toString("pem")}\n${ca.certificate.toString("pem")}\n`);
}

async function isGood(
  wanted: LocalCertificate,
  ca: x509.X509Certificate,
  names: x509.JsonGeneralNames,
): Promise<boolean> {
  try {
    if (!(await belongTogether(wanted.certificate, wanted.privateKey))) return false;
    const chain = x509.PemConverter.decode(await readFile(wanted.certificate, "utf8"));
    const leaf = new x509.X509Certificate(chain[0]!);
    const certified = leaf.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
    return (
      validFor(leaf, RENEW_DAYS) &&
      JSON.stringify(certified) === JSON.stringify(new x509.GeneralNames(names).toJSON()) &&
      (await leaf.verify({ publicKey: await ca.publicKey.export(), signatureOnly: true }))
    );
  } catch {
    return false;
  }
}

/** A run that was killed may have written the one and not the other. */
async function belongTogether(certificatePath: string, keyPath: string): Promise<boolean> {
  const [certificate, key] = await Promise.all([readFile(certificatePath), readFile(keyPath)]);
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
}

function validFor(certificate: x509.X509Certificate, days: number): boolean {
  return certificate.notAfter.getTime() - Date.now() > days * DAY_MS;
}

/** From an hour ago, for clocks that are not quite right. */
function period(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - 3600 * 1000), notAfter: new Date(now + days * DAY_MS - 3600 * 1000) };
}

function newKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function privatePem(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}
