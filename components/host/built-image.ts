import * as docker from "@pulumi/docker/remoteImage.js";
import * as pulumi from "@pulumi/pulumi";
import { buildContext } from "./build-context.ts";
import { buildSecrets, secretFiles } from "./build-secrets.ts";
import type { DockerHost } from "./docker-host.ts";

export interface BuiltImageArgs extends Build {
  host: DockerHost;
}

/** What is built, and how. */
export interface Build {
  /** Folder that the build reads, from the project's folder. A folder that is not there is refused. */
  context: string;
  /** The Dockerfile, from the context. One that is not there is refused. @default "Dockerfile" */
  dockerfile?: string;
  /** The stage that becomes the image. @default the last one */
  target?: string;
  /** Build arguments, such as the pinned base image. They are in the image's history: no secret goes here. @default {} */
  buildArgs?: Record<string, string>;
  /**
   * Id to value, for lines with `RUN --mount=type=secret,id=ID`. They are in no layer, no history and no state. Another value
   * alone builds nothing anew. An id that Bulkhead gives itself (see `buildSecrets`) is refused.
   * @default {}
   */
  secrets?: Record<string, pulumi.Input<string>>;
}

/**
 * An image built on the host that runs it, with BuildKit and no registry between. Another content of the folder is another
 * image; where its packages come from (see `buildSecrets`) is this machine's affair and makes no difference.
 */
export class BuiltImage extends pulumi.ComponentResource {
  /** The image's id: the digest of what it is. */
  readonly reference: pulumi.Output<string>;

  constructor(name: string, args: BuiltImageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:BuiltImage", name, {}, { providers: [args.host.provider], ...opts });
    const { host, context, dockerfile = "Dockerfile", target, buildArgs = {}, secrets = {} } = args;
    const settings = Object.entries(buildArgs).sort();
    const {
      directory,
      dockerfile: file,
      hash,
    } = buildContext(name, context, dockerfile, target === undefined ? settings : [settings, target]);
    const image = new docker.RemoteImage(
      `${name}-image`,
      {
        name: `${host.named(name)}:${hash}`,
        // Not by buildx, which would build in the user's docker context, wherever this stack's host is.
        // What the provider calls legacy is BuildKit too, in Docker itself; the provider hands it the secrets.
        build: {
          context: directory,
          dockerfile: file,
          target,
          buildArgs,
          forceRemove: true,
          useLegacyBuilder: true,
          labels: { "bulkhead.stack": host.stackName },
          secrets: secretFiles(name, secrets).apply((own) => [...buildSecrets(), ...own]),
        },
        // A rollback needs the image of the release before. `bulkhead up` removes what no release needs any more.
        keepLocally: true,
      },
      // The name says what is built. Another machine has its files elsewhere: no reason to build anything anew.
      { parent: this, ignoreChanges: ["build"], hooks: host.hooksOfBuilds },
    );
    this.reference = image.imageId;
    this.registerOutputs({ reference: this.reference });
  }
}
