import { readFileSync } from "node:fs";
import { join } from "node:path";
import type * as pulumi from "@pulumi/pulumi";
import { DataVolume } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { Job } from "../host/job.ts";
import { compactMoment, NOT_SERVED_YET, type Restore } from "../host/restore.ts";
import { SecretFiles } from "../host/secret.ts";
import type { Vault } from "./vault.ts";
import { DATA_PATH, USER } from "./postgres-image.ts";

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
  { host, image, vault: whole, restore: { id, to, serve, from }, maxMb }: RestoredVolumeArgs,
  { parent }: { parent: pulumi.Resource },
): { volume: DataVolume; done: Job } {
  const name = `${database}-restored-${id}`;
  const vault = whole.at(from);
  const volume = new DataVolume(
    name,
    { host, owner: USER, maxMb, withoutBackup: serve ? undefined : { why: NOT_SERVED_YET } },
    { parent },
  );
  const folder = { name: volume.volumeName, path: "/restore", writable: true, noCopy: true };
  const secrets = new SecretFiles(`${name}-secrets`, { host, readerUid: "999", secrets: vault.secrets }, { parent });
  const common = { host, user: USER, worksFor: database, deadlineSeconds: 6 * 3600 };
  const fetched = new Job(
    `${name}-fetch`,
    {
      ...{ ...common, image: vault.image, script: vault.script(FETCH) },
      scriptArguments: [...vault.place, compactMoment(to)],
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
      tmpfsMb: { "/tmp": 32, [DATA_PATH]: 1 },
    },
    { parent, dependsOn: fetched },
  );
  return { volume, done };
}

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
