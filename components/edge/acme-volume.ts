import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import type { Exception as PolicyException } from "../../policy/exceptions.ts";
import { restoredFiles, type VolumeVault } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { Job } from "../host/job.ts";
import { restoresOf, type Restore } from "../host/restore.ts";

export interface AcmeVolumeArgs {
  host: DockerHost;
  /** The edge's user. */
  uid: string;
  /** Known when the program has said all of it. */
  complete: Promise<unknown>;
}

/**
 * Certificates from the CA, and the account there. They outlive every container, and no mistake without a word that says so
 * deletes them. A VolumeBackup keeps them in a vault: the edge is made before there is one, and waits for the program's end.
 */
export class AcmeVolume {
  /** What `bulkhead backup`, `drill` and `restore` call it. */
  readonly name: string;
  readonly host: DockerHost;
  /** `uid:gid` of what is in it. */
  readonly owner: string;
  /** That of the edge: of before, or one that was restored. */
  readonly volumeName: pulumi.Output<string>;
  /** Which restore made that. */
  readonly restoredBy: string | undefined;
  #isKept = false;
  #restored: pulumi.Output<string> | undefined;

  /** @param edge the edge's name */
  constructor(edge: string, { host, uid, complete }: AcmeVolumeArgs, { parent }: { parent: pulumi.Resource }) {
    [this.name, this.host, this.owner] = [`${edge}-certificates`, host, `${uid}:${uid}`];
    const volume = new docker.Volume(
      `${edge}-acme`,
      {
        name: host.named("acme"),
        labels: host.labels({
          "bulkhead.data": "true",
          "bulkhead.retained": "true",
          "bulkhead.exceptions": JSON.stringify([
            { rule: "stack-data-in-backup", why: "what is lost of it the CA issues again" },
          ] satisfies PolicyException[]),
        }),
      },
      { parent, retainOnDelete: true, deleteBeforeReplace: true },
    );
    const file = new Job(
      `${edge}-acme-file`,
      {
        host,
        script: fileOf(uid),
        user: "0:0",
        exceptions: [
          { rootUser: true, why: "root owns a new volume" },
          { capability: "CHOWN", why: "gives the file to the edge's user; an existing file is left as it is" },
        ],
        volumes: [{ name: volume.name, path: "/acme", writable: true }],
      },
      { parent },
    );
    const own = pulumi.all([volume.name, file.name]).apply(([volumeName]) => volumeName);
    this.restoredBy = restoresOf(this.name, { copy: {} }).served?.id;
    this.volumeName = this.restoredBy === undefined ? own : pulumi.output(complete.then(() => this.#restored ?? own));
  }

  /** For the edge. One that no restore made stays mounted as it was. */
  get mount(): { name: pulumi.Output<string>; path: string; writable: true; noCopy?: true } {
    const { volumeName: name, restoredBy } = this;
    return { name, path: "/acme", writable: true, ...(restoredBy !== undefined && { noCopy: true }) };
  }

  /** For a VolumeBackup: where its files are kept, and where a restore takes them from. */
  keptIn(vault: VolumeVault): void {
    this.#isKept = true;
    const { name, host, owner } = this;
    const { served, tried } = restoresOf(name, vault);
    // Nobody's children: nothing of the edge is on the vault's network.
    const restored = (restore: Restore) => restoredFiles(name, { host, owner, maxMb: MAX_MB, vault }, restore);
    if (tried) restored(tried);
    if (served) this.#restored = restored(served);
  }

  /** At the program's end. @throws Error if the stack file has a restore of it, and no vault keeps it. */
  refuseIdleRestore(): void {
    if (!this.#isKept) restoresOf(this.name, undefined);
  }
}

/** Some hundreds of certificates. */
const MAX_MB = 16;

function fileOf(uid: string): string {
  return `
umask 077
[ -e /acme/acme.json ] || { : > /acme/acme.json && chown ${uid}:${uid} /acme/acme.json; } || exit 1
finish
`;
}
