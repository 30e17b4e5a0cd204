import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { DataVolume } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { Job } from "../host/job.ts";
import { SecretFiles } from "../host/secret.ts";
import type { Vault } from "./vault.ts";

/** What `bulkhead restore` writes into the stack file, as `restore.NAME`. */
export interface Restore {
  /** Another one makes another volume. */
  id: string;
  /** "latest", a moment like "2026-01-31 12:00:00+00", or a base backup by its name, to its end. */
  to: string;
  /** Whether the server has the restored volume. Until then its own serves, and the other one is there to be looked at. */
  serve?: boolean;
}

/**
 * What the stack file says about a database by this name.
 *
 * @throws Error with all that is wrong with it.
 */
export function restoreOf(name: string, vault: Vault | undefined): Restore | undefined {
  const restore = new pulumi.Config().getObject<Record<string, Restore>>("restore")?.[name];
  if (restore === undefined) return undefined;
  const problems = [
    ...(vault === undefined ? [`${name}: has no vault to restore from: give it one, { vault: new Vault(…) }`] : []),
    ...(/^[a-z0-9]{1,20}$/.test(restore.id ?? "")
      ? []
      : [`restore.${name}.id: ${restore.id} is none: give letters and digits`]),
    ...(restore.to === "latest" || MOMENT.test(restore.to ?? "") || BASE_BACKUP.test(restore.to)
      ? []
      : [`restore.${name}.to: ${restore.to} is no moment: give latest, or one like "2026-01-31 12:00:00+00"`]),
  ];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return restore;
}

const BASE_BACKUP = /^\d{8}T\d{6}Z_[0-9A-F]{24}$/;
const MOMENT = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\+00$/;

export interface RestoredVolumeArgs {
  host: DockerHost;
  image: pulumi.Input<string>;
  vault: Vault;
  restore: Restore;
  maxMb: number;
}

/** A new volume with the database as of a moment, fetched, verified, replayed and read before anything uses it. */
export function restoredVolume(
  database: string,
  { host, image, vault, restore: { id, to, serve }, maxMb }: RestoredVolumeArgs,
  { parent }: { parent: pulumi.Resource },
): { volume: DataVolume; done: Job } {
  const name = `${database}-restored-${id}`;
  const why = "it was made from the vault, which has it, and serves nobody yet";
  const volume = new DataVolume(
    name,
    { host, owner: USER, maxMb, withoutBackup: serve ? undefined : { why } },
    { parent },
  );
  const folder = { name: volume.volumeName, path: "/restore", writable: true, noCopy: true };
  const secrets = new SecretFiles(`${name}-secrets`, { host, readerUid: "999", secrets: vault.secrets }, { parent });
  const common = { host, user: USER, worksFor: database, deadlineSeconds: 6 * 3600 };
  const fetched = new Job(
    `${name}-fetch`,
    {
      ...{ ...common, image: vault.image, script: vault.script(FETCH) },
      scriptArguments: [...vault.place, to.replace(MOMENT, "$1$2$3T$4$5$6Z")],
      limits: { memoryMb: 256, cpus: 1, pids: 64 },
      env: { ...secrets.env, HOME: "/tmp" },
      networks: [{ name: vault.network.name }],
      volumes: [folder, secrets.volume],
    },
    { parent, dependsOn: volume },
  );
  const done = new Job(
    `${name}-restore`,
    {
      ...{ ...common, image, script: RESTORE, scriptArguments: [to] },
      limits: { memoryMb: 256, cpus: 1, pids: 64 },
      labels: { "bulkhead.restore": id },
      volumes: [folder],
      tmpfsMb: { "/tmp": 32, "/var/lib/postgresql/data": 1 },
    },
    { parent, dependsOn: fetched },
  );
  return { volume, done };
}

const USER = "999:999";
const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8").replace(/^\s*#.*\n/gm, "");
const RESTORE = script("backup-unpack.sh") + script("backup-restore.sh");
/** What was restored already is not fetched again. */
const FETCH = `
[ -e /restore/bulkhead-restored ] && finish
mkdir -p /restore/.fetched
answer=$(fetch /restore/.fetched "$1") || { echo "$answer" >&2; exit 1; }
echo "fetched the base backup $answer"
finish
`;
