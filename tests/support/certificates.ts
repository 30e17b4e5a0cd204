import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { provideLocalCertificate } from "../../cli/stack/local-certificates.ts";

export interface TestCertificates {
  /** PEM, as are the others. */
  ca: string;
  certificate: string;
  privateKey: string;
}

/** A certificate authority of this run's own, and a certificate by it for a domain and for localhost. */
export async function makeCertificates(domain: string): Promise<TestCertificates> {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-certificates-"));
  const [certificate, privateKey] = [join(directory, "leaf.pem"), join(directory, "leaf.key")];
  try {
    const ca = await provideLocalCertificate({ certificate, privateKey, domain });
    const read = (file: string) => readFileSync(file, "utf8");
    return { ca: read(ca), certificate: read(certificate), privateKey: read(privateKey) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
