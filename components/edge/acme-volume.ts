import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import type { Exception as PolicyException } from "../../policy/exceptions.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { Job } from "../host/job.ts";

/**
 * Certificates from the CA outlive every container, and no mistake without a word that says so deletes them.
 *
 * @param edge the edge's name. uid: its user
 */
export function acmeVolume(
  name: string,
  { host, uid }: { host: DockerHost; uid: string },
  { parent }: { parent: pulumi.Resource },
): { name: pulumi.Output<string>; path: string; writable: true } {
  const volume = new docker.Volume(
    `${name}-acme`,
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
    `${name}-acme-file`,
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
  return {
    name: pulumi.all([volume.name, file.name]).apply(([volumeName]) => volumeName),
    path: "/acme",
    writable: true,
  };
}

function fileOf(uid: string): string {
  return `
umask 077
[ -e /acme/acme.json ] || { : > /acme/acme.json && chown ${uid}:${uid} /acme/acme.json; } || exit 1
finish
`;
}
