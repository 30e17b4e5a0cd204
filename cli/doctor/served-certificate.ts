import { X509Certificate } from "node:crypto";
import { keyOf } from "../../components/edge/domain-settings.ts";
import { covers } from "../../components/edge/hosts.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { labelFilter } from "../stack/containers.ts";

interface DescribedCertificate {
  kind: "files" | "acme";
  names: readonly string[];
  from: Date;
  until: Date;
}

/** What the edge shows to clients. */
export type ServedCertificate =
  | DescribedCertificate
  /** ACME has not brought one yet, and the edge shows a certificate of its own. */
  | "none yet";

/**
 * That of a domain, or what is shown where there is none for it. Reads it where the edge has it: beyond a door that takes connections from Cloudflare alone, nobody else is shown it.
 * Undefined where no edge of the stack runs.
 *
 * @param domain a name that the edge serves. Without it: the first certificate
 */
export async function servedCertificate(
  engine: Engine,
  stackLabel: string,
  domain?: string,
): Promise<ServedCertificate | undefined> {
  const path = `/containers/json?filters=${labelFilter(stackLabel, ["bulkhead.role=edge"], { status: ["running"] })}`;
  const [edge] = await engine.get<{ Id: string }[]>(path);
  if (edge === undefined) return undefined;
  const read = async (file: string) => (await engine.files(edge.Id, file))?.[0]?.content.toString();
  const isFor = ({ names }: DescribedCertificate) => domain === undefined || names.some((name) => covers(name, domain));
  const own = domain && (await read(`/run/secrets/certificate_${keyOf(domain)}`));
  if (own) return described("files", own);
  const store = await read("/acme/acme.json");
  if (store !== undefined) return certificatesIn(store).find(isFor) ?? "none yet";
  const chain = await read("/run/secrets/certificate");
  return chain === undefined ? undefined : described("files", chain);
}

/** Traefik's store: the account, and certificates as base64 beside their keys. It is empty until there is an account. */
function certificatesIn(store: string): DescribedCertificate[] {
  const { acme } = (store.trim() === "" ? {} : JSON.parse(store)) as {
    acme?: { Certificates?: { certificate: string }[] | null };
  };
  return (acme?.Certificates ?? []).map(({ certificate }) =>
    described("acme", Buffer.from(certificate, "base64").toString()),
  );
}

function described(kind: "files" | "acme", pem: string): DescribedCertificate {
  const { subjectAltName = "", validFromDate: from, validToDate: until } = new X509Certificate(pem);
  const names = subjectAltName.split(", ").flatMap((name) => /^DNS:(.+)/.exec(name)?.[1] ?? []);
  return { kind, names, from, until };
}
