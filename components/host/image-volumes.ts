import * as pulumi from "@pulumi/pulumi";
import type { Engine } from "../docker-engine/client.ts";
import type { ContainerInputs } from "./container-inputs.ts";

/**
 * Refuses an image that declares a volume which nothing is mounted at. Docker would make one without a name for every
 * container: on the host's disk, writable past a read-only root, without a limit, and gone with the container.
 */
export function imageVolumesHook(hostName: string, { engine }: { engine: Engine }): pulumi.ResourceHook {
  return new pulumi.ResourceHook(`${hostName}-image-volumes`, async ({ name, newInputs }) => {
    const inputs = newInputs as ContainerInputs;
    const find = () => engine.find<{ Config?: { Volumes?: object | null } }>(`/images/${inputs.image}/json`);
    // What cannot be had, or looked at, is told when the container is made.
    const image = await find()
      .then((found) => found ?? engine.pull(inputs.image).then(find))
      .catch(() => undefined);
    const open = Object.keys(image?.Config?.Volumes ?? {}).filter((path) => !mountedAt(inputs).includes(clean(path)));
    if (open.length === 0) return;
    throw new pulumi.RunError(
      open
        .sort()
        .map(
          (path) =>
            `${name}: its image declares a volume at ${path}, which Docker would put on the host's disk without a limit: ` +
            `give tmpfsMb: { "${path}": 64 } for what may be lost, or a DataVolume at ${path}`,
        )
        .join("\n"),
    );
  });
}

function mountedAt({ tmpfs = {}, volumes = [], mounts = [] }: ContainerInputs): string[] {
  const paths = [
    ...Object.keys(tmpfs),
    ...volumes.map(({ containerPath }) => containerPath ?? ""),
    ...mounts.map(({ target }) => target),
  ];
  return paths.map(clean);
}

/** Without a slash at its end. */
function clean(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}
