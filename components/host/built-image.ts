import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import dockerignore from "@balena/dockerignore";
import * as docker from "@pulumi/docker/remoteImage.js";
import * as pulumi from "@pulumi/pulumi";
import { buildSecrets } from "./build-secrets.ts";
import type { DockerHost } from "./docker-host.ts";

export interface BuiltImageArgs {
  host: DockerHost;
  /** Folder with the Dockerfile, from the project's folder. */
  context: string;
  /** Build arguments, such as the pinned base image. They are in the image's history: no secret goes here. @default {} */
  buildArgs?: Record<string, string>;
}

/**
 * An image built on the host that runs it, with no registry between. Another content of the folder is another image;
 * where its packages come from (see `buildSecrets`) is this machine's affair and makes no difference.
 */
export class BuiltImage extends pulumi.ComponentResource {
  /** The image's id: the digest of what it is. */
  readonly reference: pulumi.Output<string>;

  constructor(name: string, args: BuiltImageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:BuiltImage", name, {}, { providers: [args.host.provider], ...opts });
    const { host, context, buildArgs = {} } = args;
    const tag = contentHash(context, buildArgs);
    const image = new docker.RemoteImage(
      `${name}-image`,
      {
        name: `${host.named(name)}:${tag}`,
        // Not by buildx, which would build on the engine of the user's docker context, wherever this stack's host is.
        // What the provider calls legacy is BuildKit too, in the engine itself; the provider hands it the secrets.
        build: {
          context,
          buildArgs,
          forceRemove: true,
          useLegacyBuilder: true,
          labels: { "bulkhead.stack": host.stackName },
          secrets: buildSecrets(),
        },
        // A rollback needs the image of the release before. `bulkhead up` removes what no release needs any more.
        keepLocally: true,
      },
      // The name says what is built. Another machine has its files elsewhere: no reason to build anything anew.
      { parent: this, ignoreChanges: ["build"] },
    );
    this.reference = image.imageId;
    this.registerOutputs({ reference: this.reference });
  }
}

/** Of everything that goes into the image: arguments, and the path and content of each file that .dockerignore leaves. */
function contentHash(context: string, buildArgs: Record<string, string>): string {
  const hash = createHash("sha256").update(JSON.stringify(Object.entries(buildArgs).sort()));
  const ignoreFile = join(context, ".dockerignore");
  const ignore = dockerignore.default().add(existsSync(ignoreFile) ? readFileSync(ignoreFile, "utf8") : "");
  const files = readdirSync(context, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(context, join(entry.parentPath, entry.name)))
    // The builder reads the Dockerfile even where it is ignored.
    .filter((file) => file === "Dockerfile" || !ignore.ignores(file));
  for (const file of files.sort()) hash.update(`\0${file}\0`).update(readFileSync(join(context, file)));
  return hash.digest("hex").slice(0, 16);
}
