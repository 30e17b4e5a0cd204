import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import type { Exception } from "./hardening.ts";
import type { ContainerArgs } from "./container.ts";
import type { DockerHost } from "./docker-host.ts";
import { Job } from "./job.ts";
import { NOT_SERVED_YET, restoresOf, WAS_REPLACED, type Restore } from "./restore.ts";
import { declare, refuseLeftData, type DataKind } from "./left-data.ts";

export interface DataVolumeArgs {
  host: DockerHost;
  /**
   * `uid:gid` that its folder belongs to. What is in it already is left as it is. Anything but two numbers is refused.
   * @default "1000:1000"
   */
  owner?: string;
  /**
   * MiB that it may hold. `bulkhead status` and `bulkhead doctor` tell when it nears them. Nothing stops it there: Docker's
   * own volumes have no quota on most file systems.
   */
  maxMb: number;
  /**
   * Why no backup has it, and until when that holds. Absent: a container of the stack has to name it in the label
   * `bulkhead.backs-up`, or the policies refuse the stack.
   */
  withoutBackup?: Pick<Exception, "why" | "until">;
  /** Where a VolumeBackup keeps it, and where `bulkhead restore` takes it from. @default none */
  vault?: VolumeVault;
  /**
   * What Bulkhead itself keeps in it: its record of releases, written anew after each good update, for a VolumeBackup to
   * take it to a vault. On a new host the record goes on from there.
   * @default nothing: it is the program's alone
   */
  holds?: "releases";
  /** For a database's: one that would begin empty beside the data of another is refused. @default files of a program */
  kind?: DataKind;
  /** Volumes of former databases that stay behind on the host, by their names there. @default [] */
  leaves?: string[];
  /** What else is asked before it is made. @default [] */
  beforeCreate?: pulumi.ResourceHook[];
}

/**
 * A named volume for what cannot be made again, such as uploads. It outlives every container and the stack itself: only
 * `bulkhead down --delete-data` deletes it.
 */
export class DataVolume extends pulumi.ComponentResource {
  /** In the program. */
  readonly name: string;
  readonly host: DockerHost;
  readonly vault: VolumeVault | undefined;
  /** What Bulkhead itself keeps in it. */
  readonly holds: DataVolumeArgs["holds"];
  /** Its name on the host, for the label `bulkhead.backs-up` too. */
  readonly volumeName: pulumi.Output<string>;
  /** `uid:gid` */
  readonly owner: string;
  /** Which restore made the volume that it serves. */
  readonly restoredBy: string | undefined;

  constructor(name: string, args: DataVolumeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:DataVolume", name, {}, { providers: [args.host.provider], ...opts });
    const { host, owner = "1000:1000", maxMb, vault, kind, leaves, beforeCreate = [] } = args;
    const problems = [
      ...(isUidGid(owner) ? [] : [`${name}: owner: ${owner} is no uid:gid: give two numbers like "1000:1000"`]),
      ...(Number.isInteger(maxMb) && maxMb > 0 ? [] : [`${name}: maxMb: ${maxMb} is no size: give whole MiB from 1`]),
    ];
    if (problems.length > 0) throw new Error(problems.join("\n"));
    this.owner = owner;
    [this.name, this.host, this.vault, this.holds] = [name, host, vault, args.holds];
    const { served, tried } = restoresOf(name, vault);
    this.restoredBy = served?.id;
    const withoutBackup = this.restoredBy === undefined ? args.withoutBackup : { why: WAS_REPLACED };
    const volumeName = host.named(name);
    declare(host, volumeName);
    const volume = new docker.Volume(
      `${name}-volume`,
      {
        name: volumeName,
        // The same for ever: other labels would be another volume to the provider, and Docker keeps those of the first.
        labels: host.labels({
          "bulkhead.data": "true",
          "bulkhead.retained": "true",
          ...(kind && { "bulkhead.kind": kind }),
        }),
      },
      {
        ...{ parent: this, retainOnDelete: true, deleteBeforeReplace: true },
        hooks: kind && { beforeCreate: [refuseLeftData(name, host, volumeName, kind, leaves), ...beforeCreate] },
      },
    );
    new Job(
      `${name}-owner`,
      {
        host,
        worksFor: name,
        script: OWNER,
        user: "0:0",
        exceptions: [
          { rootUser: true, why: "root owns a new volume" },
          { capability: "CHOWN", why: "gives the folder to its owner; what is in it is left as it is" },
          ...(withoutBackup ? [{ withoutBackup: volumeName, ...withoutBackup }] : []),
        ],
        labels: { "bulkhead.volume": volumeName, "bulkhead.max-mb": String(maxMb) },
        volumes: [{ name: volume.name, path: "/volume", writable: true }],
        env: { OWNER: owner },
      },
      { parent: this },
    );
    const restored = (restore: Restore) =>
      restoredFiles(name, { host, owner, maxMb, vault: vault! }, restore, { parent: this });
    if (tried) restored(tried);
    this.volumeName = served ? restored(served) : volume.name;
    this.registerOutputs({ volumeName: this.volumeName });
  }
}

/** The name of a new volume with the files of another as of a moment, known when they were compared with their checksums. */
export function restoredFiles(
  of: string,
  { host, owner, maxMb, vault }: { host: DockerHost; owner: string; maxMb: number; vault: VolumeVault },
  { id, to, serve, from: place }: Restore,
  opts: pulumi.ComponentResourceOptions = {},
): pulumi.Output<string> {
  const name = `${of}-restored-${id}`;
  const withoutBackup = serve ? undefined : { why: NOT_SERVED_YET };
  const volume = new DataVolume(name, { host, owner, maxMb, withoutBackup }, opts);
  const { volumeName } = volume;
  const from = { volume: of, into: volumeName, owner, id, to, from: place };
  const job = vault.restore(`${name}-restore`, from, { ...opts, dependsOn: volume });
  return pulumi.all([volumeName, job.name]).apply(([known]) => known);
}

/** Where volumes are kept: a Vault. */
export interface VolumeVault {
  /** Its second place. */
  readonly copy?: object | undefined;
  /** A job that fills the volume `into` with what was in the one of that name in the program. */
  restore(name: string, from: RestoreFrom, opts: pulumi.ComponentResourceOptions): Job;
}

export interface RestoreFrom {
  volume: string;
  into: pulumi.Input<string>;
  /** `uid:gid` */
  owner: string;
  id: string;
  to: string;
  from?: "copy" | undefined;
}

/** Whose it is stands outside the folder, so root can see and change it without any capability but CHOWN. */
const OWNER = `
is=$(stat -c %u:%g /volume) || exit 1
if [ "$is" != "$OWNER" ]; then
  if [ "$is" != 0:0 ] && [ -n "$(ls -A /volume 2>&1)" ]; then
    echo "the volume belongs to $is and has files: give it owner: \\"$is\\", or chown what is in it to $OWNER first" >&2
    exit 1
  fi
  chown "$OWNER" /volume || exit 1
fi
finish
`;

/** A DataVolume, or another volume that says whose it is. */
export interface MountedVolume extends pulumi.Resource {
  readonly volumeName: pulumi.Output<string>;
  /** `uid:gid` */
  readonly owner: string;
  /** Which restore made it. @default none did */
  readonly restoredBy?: string | undefined;
}

/** A data volume in a service. */
export interface DataMount {
  volume: MountedVolume;
  /** Folder in the container, like "/app/uploads". What the image has there is not copied into the volume. */
  path: string;
  /** Releases side by side, and all services that say so, write at the same time. @default false */
  writable?: boolean;
}

/**
 * Data volumes as a container of this user takes them.
 *
 * @throws Error with all that is wrong with them.
 */
export function dataMounts(
  name: string,
  mounts: readonly DataMount[],
  { user, taken }: { user: string; taken: readonly string[] },
): NonNullable<ContainerArgs["volumes"]> {
  const problems = mounts.flatMap(({ path, volume, writable = false }, index) => {
    const at = `${name}: volumes: ${path}`;
    if (!isFolder(path)) return [`${at}: is no folder that a volume can have: give one like /app/uploads`];
    const before = mounts.slice(0, index).map((mount) => mount.path);
    const other = [...taken, ...before.filter(isFolder)].find((used) => within(path, used));
    if (other !== undefined) return [`${at}: ${other} is taken by another mount: give another folder`];
    const [uid, gid] = user.split(":");
    const [ownerUid, ownerGid] = volume.owner.split(":");
    return !writable || uid === "0" || uid === ownerUid || gid === ownerGid
      ? []
      : [
          `${at}: belongs to ${volume.owner}, and the service runs as ${user}, which cannot write there: ` +
            `give the service user: "${volume.owner}", or the volume owner: "${user}"`,
        ];
  });
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return mounts.map(({ volume, path, writable }) => ({ name: volume.volumeName, path, writable, noCopy: true }));
}

/** Docker's provider takes another volume at a folder for no change, and another setting for one. */
export function restoredEnv(volumes: readonly Pick<MountedVolume, "restoredBy">[]): Record<string, string> {
  const ids = volumes.flatMap(({ restoredBy }) => restoredBy ?? []);
  return ids.length > 0 ? { RESTORED: ids.join(" ") } : {};
}

export function isUidGid(user: string): boolean {
  return /^(0|[1-9]\d*):(0|[1-9]\d*)$/.test(user);
}

const FOLDER = /^(\/(?!\.\.?(\/|$))[\w.-]+)+$/;
const SYSTEM = /^\/(proc|sys|dev)(\/|$)|^\/(etc|usr|bin|sbin|lib|lib64|run|var|tmp)$/;

function isFolder(path: string): boolean {
  return FOLDER.test(path) && !SYSTEM.test(path);
}

function within(path: string, other: string): boolean {
  return path === other || path.startsWith(`${other}/`) || other.startsWith(`${path}/`);
}
