// Whether the buckets of the backups keep what is deleted: a host that was captured has the credentials.
import aws4 from "aws4";
import type { Engine } from "../../components/docker-engine/client.ts";
import { outputOf } from "../backup/parts.ts";
import { labelFilter } from "../stack/containers.ts";

/** A bucket, and for how long S3's object lock keeps each version in it; or why that is not known. */
export type VaultLock = { bucket: string } & (
  { mode: "COMPLIANCE" | "GOVERNANCE"; days: number } | { mode: "none" } | { mode: "unknown"; why: string }
);

/** Of all places that containers of the stack send backups to. They are asked from this machine, with the stack's keys. */
export async function vaultLocks(engine: Engine, label: string): Promise<VaultLock[]> {
  const containers = await engine.get<{ Id: string; Labels: Record<string, string>; State: string }[]>(
    `/containers/json?filters=${labelFilter(label, ["bulkhead.backup"])}`,
  );
  const found = new Map<string, VaultLock>();
  for (const { Id, Labels } of containers) {
    const part = Labels["bulkhead.backup"] ?? "";
    if (!["shipper", "restic-server", "copy"].includes(part)) continue;
    const { Config } = await engine.get<{ Config: { Cmd: string[] } }>(`/containers/${Id}/json`);
    // What copies has the place that it reads from first.
    const [endpoint, path, region] = Config.Cmd.slice(part === "copy" ? 3 : 0) as [string, string, string];
    const bucket = path.split("/")[0]!;
    if (found.has(`${endpoint} ${bucket}`)) continue;
    const names = ["access_key_id", "secret_access_key"].map((name) => (part === "copy" ? `copy_${name}` : name));
    const lock = await Promise.all(names.map((name) => outputOf(engine, Id, ["cat", `/run/secrets/${name}`])))
      .then(([accessKeyId, secretAccessKey]) =>
        lockOf({ endpoint, bucket, region, accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! }),
      )
      .catch((error: Error) => ({ bucket, mode: "unknown" as const, why: error.message }));
    found.set(`${endpoint} ${bucket}`, lock);
  }
  return [...found.values()];
}

interface Bucket {
  endpoint: string;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** As the storage says it. */
export async function lockOf({ endpoint, bucket, region, ...credentials }: Bucket): Promise<VaultLock> {
  const { origin, host } = new URL(endpoint);
  const unknown = (why: string): VaultLock => ({ bucket, mode: "unknown", why });
  if (host.endsWith(".r2.cloudflarestorage.com"))
    return unknown("R2 tells no S3 key of its lock rules: see that `lockDays` of the ObjectStorage names the folder");
  const path = `/${bucket}?object-lock`;
  const { headers } = aws4.sign({ host, path, region, service: "s3" }, credentials);
  const answer = await fetch(origin + path, {
    headers: headers as Record<string, string>,
    signal: AbortSignal.timeout(5_000),
  }).catch((error: Error) => error);
  if (answer instanceof Error) return unknown(`${host} does not answer this machine`);
  const text = await answer.text();
  const [, code] = /<Code>(\w+)<\/Code>/.exec(text) ?? [];
  if (code === "ObjectLockConfigurationNotFoundError") return { bucket, mode: "none" };
  if (answer.status === 403) return unknown("the key may not ask for it: give it s3:GetBucketObjectLockConfiguration");
  if (!answer.ok) return unknown(`${host} answers ${answer.status} ${code ?? ""}`.trim());
  const [, mode] = /<Mode>(COMPLIANCE|GOVERNANCE)<\/Mode>/.exec(text) ?? [];
  const [, length, unit] = /<(?:Days|Years)>(\d+)<\/(Days|Years)>/.exec(text) ?? [];
  if (mode === undefined || length === undefined) return { bucket, mode: "none" };
  return {
    bucket,
    mode: mode as "COMPLIANCE" | "GOVERNANCE",
    days: Number(length) * (unit === "Years" ? 365 : 1),
  };
}
