import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requirePrograms } from "../../toolchain/debian.ts";
import { run } from "../../toolchain/steps.ts";

export interface TestCertificates {
  /** PEM, as are the others. */
  ca: string;
  certificate: string;
  privateKey: string;
}

/** A certificate authority of this run's own, and a certificate by it for names and addresses. */
export async function makeCertificates(names: string[]): Promise<TestCertificates> {
  await requirePrograms("certificates for the tests", { openssl: "openssl" });
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-certificates-"));
  const request = (name: string, subject: string, ...more: string[]) =>
    run("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"],
      ...["-subj", `/CN=${subject}`, "-keyout", join(directory, `${name}.key`), "-out", join(directory, `${name}.pem`)],
      ...more,
    ]);
  const read = (file: string) => readFileSync(join(directory, file), "utf8");
  try {
    // Without a configuration file of its own openssl would add this system's idea of extensions.
    const configuration = join(directory, "openssl.cnf");
    writeFileSync(configuration, "[req]\ndistinguished_name = name\n[name]\n");
    const extensions = (...lines: string[]) => lines.flatMap((line) => ["-addext", line]);
    await request(
      "ca",
      "Test CA",
      ...["-config", configuration],
      ...extensions("basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign"),
    );
    const alternatives = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(",");
    await request(
      "leaf",
      names[0]!,
      ...["-config", configuration, "-CA", join(directory, "ca.pem"), "-CAkey", join(directory, "ca.key")],
      ...extensions("basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth"),
      ...extensions(`subjectAltName=${alternatives}`),
    );
    return { ca: read("ca.pem"), certificate: read("leaf.pem"), privateKey: read("leaf.key") };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
