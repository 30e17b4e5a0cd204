// A database of another major version, by an update of the stack: what `bulkhead upgrade-database` does with the graph.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { DataVolume } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import type { Limits } from "../host/hardening.ts";
import { Job, type JobArgs } from "../host/job.ts";
import { containersNamed } from "../host/containers-named.ts";
import { saidOf } from "../host/named-data.ts";
import { idProblems, serveProblems } from "../host/restore.ts";
import { DATA_PATH, USER } from "./postgres-image.ts";

/** What `bulkhead upgrade-database` writes into the stack file, as `upgrade.NAME`. */
export interface Upgrade {
  /** Another one makes another volume. */
  id: string;
  from: 15 | 16;
  to: 16 | 17;
  /** The image of the server until then. */
  image: string;
  /** The restore whose volume it is made from. Absent: the database's own. */
  restored?: string;
  /** Whether the server has the new volume. Until then a trial of it is made, beside the one that serves. */
  serve?: boolean;
}

/**
 * What the stack file says about a database by this name.
 *
 * @throws Error with all that is wrong with it.
 */
export function upgradeOf(name: string, version: number): Upgrade | undefined {
  const upgrade = saidOf<Upgrade>("upgrade", name);
  if (upgrade === undefined) return undefined;
  const { id, from, to, image, serve } = upgrade;
  const problems = [
    ...idProblems(`upgrade.${name}`, id),
    ...(to === version
      ? []
      : [`upgrade.${name}.to: ${to}, and the program has version: ${version}: give both the same, and its image`]),
    ...(from < to ? [] : [`upgrade.${name}.from: ${from} is not before ${to}: give the version of the old server`]),
    ...(image ? [] : [`upgrade.${name}.image: is missing: give the image of the old server`]),
    ...serveProblems(`upgrade.${name}`, serve),
  ];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return upgrade;
}

export interface UpgradedVolumeArgs {
  host: DockerHost;
  /** Of the new version. */
  image: pulumi.Input<string>;
  upgrade: Upgrade;
  limits: Limits;
  maxMb: number;
  withoutBackup: { why: string } | undefined;
  /** A restore has taken its place since. */
  isLeft: boolean;
  /** The volume of before. */
  old: pulumi.Input<string>;
  /** The socket of the server that serves. */
  socket: { name: pulumi.Input<string>; path: string; writable: true };
}

/** A new volume with all of the old server, by a server of the next version that has read it. */
export function upgradedVolume(
  database: string,
  { host, image, upgrade, limits, maxMb, withoutBackup, isLeft, old, socket }: UpgradedVolumeArgs,
  { parent }: { parent: pulumi.Resource },
): { volume: DataVolume; done?: Job } {
  const { id, serve } = upgrade;
  const name = `${database}-upgraded-${id}`;
  const volume = new DataVolume(
    name,
    { host, owner: USER, maxMb, withoutBackup: serve && !isLeft ? withoutBackup : { why: "it serves nobody" } },
    { parent },
  );
  if (isLeft) return { volume };
  const how = serve ? "still" : "live";
  const target = { name: volume.volumeName, path: "/upgraded", writable: true, noCopy: true };
  const common = {
    ...{ host, user: USER, worksFor: database, deadlineSeconds: 6 * 3600, scriptArguments: [how] },
    limits: { memoryMb: 256, cpus: limits.cpus, pids: 64 },
    labels: { "bulkhead.upgrade": id },
    tmpfsMb: { "/tmp": 32, [DATA_PATH]: 1 },
  } satisfies Partial<JobArgs>;
  const copied = new Job(
    `${name}-copy`,
    {
      ...{ ...common, image: upgrade.image, script: COPY },
      volumes: [target, serve ? { name: old, path: "/old", writable: true, noCopy: true } : socket],
      hooks: serve ? endOldHooks(database, host, name, old) : undefined,
    },
    { parent, dependsOn: volume },
  );
  const done = new Job(
    `${name}-restore`,
    {
      ...{ ...common, image, script: RESTORE, volumes: [target] },
      hooks: serve ? { onError: [startOldHook(`${name}-restore`, database, host)] } : undefined,
    },
    { parent, dependsOn: copied },
  );
  return { volume, done };
}

/** The server with the old volume ends before it is copied: what is written afterwards would be lost. */
function endOldHooks(database: string, host: DockerHost, name: string, old: pulumi.Input<string>) {
  let volume: string | undefined;
  pulumi.output(old).apply((known) => (volume = known));
  return {
    beforeCreate: [
      new pulumi.ResourceHook(`${name}-end-old`, async () => {
        for (const { Id, State, Mounts = [] } of await containersNamed(host, database))
          if (State === "running" && Mounts.some(({ Name }) => Name === volume))
            await host.engine.post(`/containers/${Id}/stop?t=60`);
      }),
    ],
    onError: [startOldHook(name, database, host)],
  };
}

function startOldHook(name: string, database: string, host: DockerHost): pulumi.ErrorHook {
  return new pulumi.ErrorHook(`${name}-old-again`, async () => {
    const [newest, ...rest] = await containersNamed(host, database);
    if (newest !== undefined && ![newest, ...rest].some(({ State }) => State === "running")) {
      await host.engine.post(`/containers/${newest.Id}/start`);
      await pulumi.log.warn(`${database}: it was not upgraded, and the server of before runs again`);
    }
    // Pulumi would try again.
    return false;
  });
}

const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8").replace(/^\s*#.*\n/gm, "");
const SHARED = script("backup-unpack.sh") + script("upgrade-rows.sh");
const COPY = SHARED + script("upgrade-copy.sh");
const RESTORE = SHARED + script("upgrade-restore.sh");
