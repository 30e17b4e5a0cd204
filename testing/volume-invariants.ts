// What is kept, and what of the host is mounted.
import type { VolumeArgs } from "@pulumi/docker/volume.js";
import type * as pulumi from "@pulumi/pulumi";
import { complaintsOf, isOwn, mountedVolumes, type Container, type Invariants } from "./recorded.ts";
import { containers, label, ofType } from "./recorder.ts";

export const volumeInvariants: Invariants = {
  "nothing of the host is mounted": (recording) => {
    const volumes = ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume").map(
      ({ name, inputs }) => inputs.name ?? name,
    );
    return complaintsOf(containers(recording), ({ inputs }) => [
      ...(inputs.mounts ?? [])
        .filter(({ type, volumeOptions }) => type !== "volume" || volumeOptions?.driverOptions !== undefined)
        .map(({ source }) => `mounts ${source}`),
      ...mountedVolumes(inputs).flatMap((mount) => [
        ...(mount.hostPath === undefined && mount.fromContainer === undefined
          ? []
          : [`mounts ${mount.hostPath ?? mount.fromContainer}`]),
        ...(volumes.some((volume) => volume === mount.volumeName || isAutonamed(mount.volumeName, volume))
          ? []
          : [`mounts ${mount.volumeName}, which is no volume of the stack`]),
        ...(/docker\.sock|^\/(proc|sys|dev)?(\/|$)/.test(mount.containerPath ?? "/")
          ? [`has a mount at ${mount.containerPath}`]
          : []),
      ]),
    ]);
  },

  "a service writes to no volume but one with data, which is retained, and a scheduled job to its schedule": (
    recording,
  ) => {
    const data = ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume")
      .filter(({ inputs, options }) => options.retainOnDelete && hasLabel(inputs.labels, "bulkhead.data"))
      .map(({ inputs }) => inputs.name);
    const isOwnFolder = (container: Container, path: string | undefined) =>
      (path === "/run/schedule" && label(container, "bulkhead.role") === "scheduled-job") ||
      (path === "/var/run/postgresql" && isOwn(recording, container, "Postgres")) ||
      // The folders between the containers of a backup.
      (["/spool", "/sent", "/restore", "/state"].includes(path ?? "") &&
        label(container, "bulkhead.backup") !== undefined);
    return complaintsOf(containers(recording), (container) =>
      mountedVolumes(container.inputs)
        .filter(({ readOnly, volumeName }) => !readOnly && container.inputs.mustRun && !data.includes(volumeName))
        .filter(({ containerPath }) => !isOwnFolder(container, containerPath))
        .map(({ volumeName, containerPath }) => `may write to ${volumeName} at ${containerPath}`),
    );
  },

  "a volume with data is mounted as it is, with nothing of an image copied into it": (recording) => {
    const data = ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume")
      .filter(({ parent }) => recording.resources.some(({ urn, type }) => urn === parent && /:DataVolume$/.test(type)))
      .map(({ inputs }) => inputs.name);
    return complaintsOf(containers(recording), ({ inputs }) => [
      ...(inputs.volumes ?? [])
        .filter(({ volumeName }) => inputs.mustRun && data.includes(volumeName))
        .map(({ volumeName }) => `mounts ${volumeName}, into which Docker copies what the image has there`),
      ...(inputs.mounts ?? [])
        .filter(({ volumeOptions }) => volumeOptions?.noCopy !== true)
        .map(({ source }) => `mounts ${source}, into which Docker copies what the image has there`),
    ]);
  },

  "a volume with data is retained, and no volume is elsewhere": (recording) =>
    complaintsOf(
      ofType<pulumi.Unwrap<VolumeArgs>>(recording, "docker:index/volume:Volume"),
      ({ inputs: { labels, driver, driverOpts }, options }) => [
        ...(labels?.some(({ label, value }) => label === "bulkhead.data" && value === "true") &&
        !options.retainOnDelete &&
        !options.protect
          ? ["holds data and is deleted with the stack"]
          : []),
        // The policies believe it.
        ...(labels?.some(({ label }) => label === "bulkhead.retained") && !options.retainOnDelete
          ? ["says that it is retained, and is deleted with the stack"]
          : []),
        ...(driver === undefined && driverOpts === undefined ? [] : [`has the driver ${driver ?? "of the options"}`]),
      ],
    ),
};

function hasLabel(labels: VolumeLabels, name: string): boolean {
  return labels?.some(({ label, value }) => label === name && value === "true") ?? false;
}

type VolumeLabels = pulumi.Unwrap<VolumeArgs>["labels"];

function isAutonamed(name: string | undefined, logicalName: string): boolean {
  return name !== undefined && new RegExp(`-${logicalName}-[0-9a-f]{7}$`).test(name);
}
