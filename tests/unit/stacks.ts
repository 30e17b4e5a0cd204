import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { parse } from "yaml";
import { makeCertificates } from "../support/certificates.ts";
import { record, type Recording } from "../../testing/recorder.ts";
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
export const TEST_SECRET = "test-secret-0123456789abcdef-0123456789abcdef";

/** A stack with a tunnel, as its file would be: production without what is for open ports. */
export function withTunnel(given: Record<string, unknown>): Record<string, unknown> {
  const { accountId, zone } = given["reach:cloudflare"] as Record<string, unknown>;
  return { ...given, "reach:edge": {}, "reach:cloudflare": { accountId, zone, tunnel: true } };
}

/**
 * Runs index.ts as a preview of a stack: the stack's file, no host, secrets and certificates of the test's own.
 *
 * @param change what becomes of the file's configuration. @default it is taken as it is
 */
export async function recordStack(
  stack: string,
  change: (given: Record<string, unknown>) => Record<string, unknown> = (given) => given,
): Promise<Recording> {
  const given = change(readStack(stack).config);
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-unit-"));
  try {
    const { certificates, secrets } = await withCertificates(given["reach:certificates"], directory);
    // What a stack file does not hold because its owner sets it: Pulumi.prod.yaml says how.
    const tokens = {
      ...("reach:cloudflare" in given
        ? { "reach:cloudflareApiToken": { secure: "" } }
        : (certificates as { kind?: string }).kind === "acme"
          ? { "reach:dnsApiToken": { secure: "" } }
          : {}),
    };
    const here = { "reach:certificates": certificates, "reach:host": "local" };
    const { config, secretKeys } = decrypted({ ...tokens, ...given, ...here });
    vi.resetModules();
    return await record(() => import("../../index.ts"), { stack, config, secretKeys, secrets });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Configuration as Pulumi hands it over: everything as text, secrets decrypted, and which keys have some in them. */
export function decrypted(given: Record<string, unknown>): { config: Record<string, string>; secretKeys: string[] } {
  const values = Object.entries(given).map(([key, value]) => [key, withSecrets(value)] as const);
  return {
    config: Object.fromEntries(
      values.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
    ),
    secretKeys: values
      .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(given[key]))
      .map(([key]) => key),
  };
}

function withSecrets(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) return TEST_SECRET;
  if (Array.isArray(value)) return value.map(withSecrets);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withSecrets(inner)]));
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
