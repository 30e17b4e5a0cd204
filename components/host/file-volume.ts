import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "./container.ts";
import type { DockerHost } from "./docker-host.ts";

export interface CourierArgs {
  host: DockerHost;
  /** File name to content. Secret content stays secret: it is in no inspect, log or environment. */
  files: Record<string, pulumi.Input<string>>;
  /** The uid and gid that own the files. Nobody else can read them (0400). */
  readerUid: string;
}

/**
 * A volume with files in it, for one reader. A container that never starts carries them there. Other content means
 * another volume, and so another reader: nothing changes under a running process.
 */
export class Courier extends pulumi.ComponentResource {
  /** The volume's name, known when the files are in it. */
  readonly volumeName: pulumi.Output<string>;

  constructor(name: string, args: CourierArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Courier", name, {}, { providers: [args.host.provider], ...opts });
    const { host, files, readerUid } = args;
    const volume = new docker.Volume(
      `${name}-files`,
      { labels: host.labels({ "bulkhead.name": name }) },
      // A fingerprint, because Pulumi forgets a trigger that is secret (seen in 3.259).
      { parent: this, replacementTrigger: host.fingerprint(files), deleteBeforeReplace: false },
    );
    const courier = new Container(
      `${name}-courier`,
      {
        host,
        role: "file-volume",
        image: host.jobImage,
        run: "never",
        // Not every image names a command, and Docker makes no container without one.
        command: ["true"],
        limits: { memoryMb: 16, cpus: 0.1, pids: 8 },
        // Docker gives every uploaded file to the container's user, and keeps each file's own owner if there is none.
        user: "",
        exceptions: [
          { writableRoot: true, why: "never started, and Docker uploads no file past a read-only root" },
          { rootUser: true, why: "never started, and Docker gives the files to any user that is named" },
        ],
        volumes: [{ name: volume.name, path: FOLDER, writable: true }],
        uploads: Object.entries(files).map(([file, content]) => ({
          path: `${FOLDER}/${file}`,
          content,
          mode: "0400",
          uid: readerUid,
        })),
      },
      { parent: this },
    );
    this.volumeName = pulumi.all([volume.name, courier.name]).apply(([volumeName]) => volumeName);
    this.registerOutputs({ volumeName: this.volumeName });
  }
}

/** A folder that no image has, so that Docker copies nothing from the image into the volume. */
const FOLDER = "/bulkhead";
