import type * as pulumi from "@pulumi/pulumi";
import { DataVolume } from "../host/data-volume.ts";
import { restoresOf, WAS_REPLACED, type Restore } from "../host/restore.ts";
import { beginsBesideOf, refuseToBeginEmpty } from "./begins-empty.ts";
import { dataImages } from "./images.ts";
import type { PostgresArgs } from "./postgres-args.ts";
import { USER } from "./postgres-image.ts";
import { restoredVolume } from "./restore.ts";
import { upgradedVolume, upgradeOf } from "./upgrade.ts";

/** Where the server listens for what is on its own host. */
export interface Socket {
  name: pulumi.Output<string>;
  path: string;
  writable: true;
}

type Serves = ReturnType<typeof whatServes>;

/** What a server is to have, by the stack file: its own volume, one that a restore made, or one that an upgrade made. */
export function whatServes(name: string, args: PostgresArgs) {
  const { served: restore, tried } = restoresOf(name, args.vault);
  const upgrade = upgradeOf(name, args.version ?? 17);
  // The newer of both is what it has.
  const isUpgraded = upgrade?.serve === true && upgrade.restored === restore?.id;
  const newImage = args.image ?? dataImages.postgres;
  const all = { restore, tried, upgrade, isUpgraded, newImage, beginsBeside: beginsBesideOf(name) };
  // As long as a trial is made, the old server serves.
  return upgrade !== undefined && !upgrade.serve
    ? { ...all, image: upgrade.image, version: upgrade.from }
    : { ...all, image: newImage, version: args.version ?? 17 };
}

interface ServerVolumesOptions {
  serves: Serves;
  socket: Socket;
  parent: pulumi.Resource;
}

interface ServerVolumes {
  /** Its own, for whoever backs it up. */
  data: DataVolume;
  /** The one that the server has. */
  served: DataVolume;
  /** What has to have come to its end before the server starts. */
  filled: pulumi.Resource[];
  /** The provider takes another volume for no change (seen in 5.2.0), and another setting for one. */
  env: Record<string, string>;
}

/** The volumes of a server. Each stays until the one that takes its place serves. */
export function serverVolumes(name: string, args: PostgresArgs, options: ServerVolumesOptions): ServerVolumes {
  const { serves, socket, parent } = options;
  const { host, limits, maxMb, withoutBackup, leaves } = args;
  const { restore, tried, upgrade, isUpgraded, newImage, image, beginsBeside } = serves;
  const own = { host, vault: args.vault!, volume: host.named(`${name}-data`), beside: beginsBeside };
  const data = new DataVolume(
    `${name}-data`,
    {
      host,
      owner: USER,
      maxMb,
      withoutBackup: restore || isUpgraded ? { why: WAS_REPLACED } : withoutBackup,
      leaves,
      kind: "postgres",
      beforeCreate: args.vault && !restore && !isUpgraded ? [refuseToBeginEmpty(name, own)] : [],
    },
    { parent },
  );
  const restoredTo = (to: Restore) =>
    restoredVolume(name, { host, image, vault: args.vault!, restore: to, maxMb }, { parent });
  const trial = tried && restoredTo(tried);
  const restored = restore && restoredTo(isUpgraded ? { ...restore, serve: false } : restore);
  const before = restored?.volume ?? data;
  const upgraded =
    upgrade &&
    upgradedVolume(
      name,
      {
        ...{ host, image: newImage, upgrade, limits, maxMb, old: before.volumeName, socket },
        ...{ withoutBackup, isLeft: upgrade.serve === true && !isUpgraded },
      },
      { parent },
    );
  return {
    data,
    served: isUpgraded ? upgraded!.volume : before,
    filled: [(isUpgraded ? upgraded : restored)?.done ?? data, ...(trial ? [trial.done] : [])],
    env: { ...(restore && { RESTORED: restore.id }), ...(isUpgraded && { UPGRADED: upgrade!.id }) },
  };
}
