import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { parse } from "yaml";
import { makeCertificates } from "../support/certificates.ts";
import { record, type Recording } from "./recorder.ts";
import { projectDirectory } from "./source.ts";

/** Every stack that the repository has a file for. */
export const stacks = readdirSync(projectDirectory).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);

export interface StackFile {
  config: Record<string, unknown>;
}

export function readStack(stack: string): StackFile {
  return parse(readFileSync(join(projectDirectory, `Pulumi.${stack}.yaml`), "utf8")) as StackFile;
}

/** Stands for every secret of a stack file that only its owner can read. */
export const TEST_SECRET = "test-secret-0123456789abcdef";

/** Runs index.ts as a preview of a stack: the stack's file, secrets and certificates of the test's own. */
export async function recordStack(stack: string): Promise<Recording> {
  const { config } = readStack(stack);
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-unit-"));
  try {
    const { certificates, secrets } = await withCertificates(config["reach:certificates"], directory);
    const given = { ...config, "reach:certificates": certificates };
    const secretKeys = Object.keys(given).filter((key) => isEncrypted(given[key as keyof typeof given]));
    const values = Object.entries(given).map(([key, value]) => [key, secretKeys.includes(key) ? TEST_SECRET : value]);
    const text = values.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
    const options = { stack, config: Object.fromEntries(text) as Record<string, string>, secretKeys, secrets };
    // What a stack file does not hold because its owner sets it: Pulumi.prod.yaml says how.
    if ((certificates as { kind?: string }).kind === "acme" && !("reach:dnsApiToken" in given)) {
      options.config["reach:dnsApiToken"] = TEST_SECRET;
      secretKeys.push("reach:dnsApiToken");
    }
    vi.resetModules();
    return await record(() => import("../../index.ts"), options);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Certificates from files that no checkout has, from files that this test makes. */
async function withCertificates(
  given: unknown,
  directory: string,
): Promise<{ certificates: unknown; secrets: string[] }> {
  if ((given as { kind?: string }).kind !== "files") return { certificates: given, secrets: [] };
  const made = await makeCertificates("localhost");
  const [certificate, privateKey] = [join(directory, "certificate.pem"), join(directory, "private.key")];
  writeFileSync(certificate, made.certificate);
  writeFileSync(privateKey, made.privateKey);
  return { certificates: { kind: "files", certificate, privateKey }, secrets: [made.privateKey] };
}

function isEncrypted(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return "secure" in value || Object.values(value).some(isEncrypted);
}
