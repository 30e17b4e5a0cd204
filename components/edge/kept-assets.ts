import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../host/docker-host.ts";
import { Job } from "../host/job.ts";

export interface KeptAssetsArgs {
  host: DockerHost;
  /** Name of the site. */
  worksFor: string;
  /** The image of a release, with what never changes in /srv/immutable. */
  image: pulumi.Input<string>;
  /** Days that a file stays after the release that took its place. */
  days: number;
  /** MiB beyond which files go sooner. */
  maxMb: number;
}

/**
 * A volume with what never changes of a site's releases, the last and those before it: a page of the release before asks for
 * its assets as long as it is open. A release's own are there before it starts, so the one before it has them too.
 */
export class KeptAssets extends pulumi.ComponentResource {
  /** The volume's name, known when the files of the release are in it. */
  readonly volumeName: pulumi.Output<string>;
  /** `uid:gid` */
  readonly owner = "0:0";

  constructor(name: string, args: KeptAssetsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:KeptAssets", name, {}, { providers: [args.host.provider], ...opts });
    const { host, worksFor, image, days, maxMb } = args;
    const volume = new docker.Volume(
      `${name}-volume`,
      { name: host.named(name), labels: host.labels({ "bulkhead.name": name }) },
      // The fixed name cannot be there twice.
      { parent: this, deleteBeforeReplace: true },
    );
    const job = new Job(
      `${name}-job`,
      {
        host,
        worksFor,
        image,
        script: KEEP,
        user: "0:0",
        exceptions: [
          { rootUser: true, why: "root owns the volume, so the server cannot write there; it has no capabilities" },
        ],
        volumes: [{ name: volume.name, path: "/kept", writable: true, noCopy: true }],
        env: { KEEP_DAYS: String(days), KEEP_MB: String(maxMb) },
        deadlineSeconds: 120,
      },
      { parent: this },
    );
    this.volumeName = pulumi.all([volume.name, job.name]).apply(([volumeName]) => volumeName);
    this.registerOutputs({ volumeName: this.volumeName });
  }
}

/** Without its comments, as it stands in every `docker inspect` of a job. */
const KEEP = readFileSync(join(import.meta.dirname, "site-keep.sh"), "utf8").replace(/^\s*#.*\n/gm, "");
