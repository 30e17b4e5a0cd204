import { X509Certificate } from "node:crypto";
import type { Engine } from "../../components/docker-engine/client.ts";

/** What the edge shows to clients. */
export type ServedCertificate =
  | { kind: "files" | "acme"; names: readonly string[]; from: Date; until: Date }
  /** ACME has not brought one yet, and the edge shows a certificate of its own. */
  | "none yet";

/**
 * Reads it where the edge has it: beyond a door that takes connections from Cloudflare alone, nobody else is shown it.
 * Undefined where no edge of the stack runs.
 */
export async function servedCertificate(engine: Engine, stackLabel: string): Promise<ServedCertificate | undefined> {
  const filters = { label: [`bulkhead.stack=${stackLabel}`, "bulkhead.role=edge"], status: ["running"] };
  const path = `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`;
  const [edge] = await engine.get<{ Id: string }[]>(path);
  if (edge === undefined) return undefined;
  const read = async (file: string) => (await engine.files(edge.Id, file))?.[0]?.content.toString();
  const store = await read("/acme/acme.json");
  if (store !== undefined) {
    const pem = firstCertificate(store);
    return pem === undefined ? "none yet" : described("acme", pem);
  }
  const chain = await read("/run/secrets/certificate");
  return chain === undefined ? undefined : described("files", chain);
}

/** Traefik's store: the account, and certificates as base64 beside their keys. It is empty until there is an account. */
function firstCertificate(store: string): string | undefined {
  const { acme } = (store.trim() === "" ? {} : JSON.parse(store)) as {
    acme?: { Certificates?: { certificate: string }[] | null };
  };
  const encoded = acme?.Certificates?.[0]?.certificate;
  return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString();
}

function described(kind: "files" | "acme", pem: string): ServedCertificate {
  const { subjectAltName = "", validFromDate: from, validToDate: until } = new X509Certificate(pem);
  const names = subjectAltName.split(", ").flatMap((name) => /^DNS:(.+)/.exec(name)?.[1] ?? []);
  return { kind, names, from, until };
}
