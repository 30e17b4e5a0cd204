import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import type { RestoreFrom, VolumeVault } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { sharedEgressNetwork } from "../host/networks.ts";
import { GeneratedSecret } from "../host/secret.ts";
import type { Job } from "../host/job.ts";
import { refuse } from "../host/refuse.ts";
import { dataImages } from "./images.ts";
import type { Restore } from "../host/restore.ts";
import { restoreJob, ResticServer, type ResticVault } from "./restic.ts";
import { VaultCopy, type VaultCopyArgs } from "./vault-copy.ts";
import { credential, placeOf, placeProblems, type PlaceArgs } from "./vault-place.ts";

export interface VaultArgs extends PlaceArgs {
  host: DockerHost;
  /**
   * What everything is encrypted with before it leaves the host: at least 32 characters. Who loses it has no backup. The
   * setting `backupKey` (a secret) gives it too, which is how a new host gets the key of the old one.
   *
   * @default a generated one
   */
  key?: pulumi.Input<string>;
  /** A second place for all of it, at another provider or in another account. @default none */
  copy?: VaultCopyArgs;
  /** rclone's official image, by digest. @default dataImages.rclone */
  image?: pulumi.Input<string>;
  /** restic's official image, by digest, for volumes. @default dataImages.restic */
  resticImage?: pulumi.Input<string>;
}

/**
 * Where backups are kept: a folder in a bucket of any S3 storage. Nobody there can read them. Only the containers that
 * send and fetch have its credentials and its key, and they alone are on a network with a way out.
 */
export class Vault extends pulumi.ComponentResource implements VolumeVault {
  readonly host: DockerHost;
  readonly name: string;
  readonly image: pulumi.Input<string>;
  /** The only way out, for what sends and fetches. */
  readonly network: Network;
  /** For the container that runs `script`: ACCESS_KEY_ID, SECRET_ACCESS_KEY and KEY. */
  readonly secrets: Record<string, pulumi.Output<string>>;
  /** The first arguments of `script`. */
  readonly place: pulumi.Input<string>[];
  readonly resticImage: pulumi.Input<string>;
  readonly copy: VaultCopy | undefined;
  #restic: ResticServer | undefined;

  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: VaultArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Vault", name, {}, { providers: [args.host.provider], ...opts });
    const { host, folder = host.stackName, copy } = args;
    refuse(name, placeProblems({ ...args, folder }));
    [this.host, this.name] = [host, name];
    this.resticImage = args.resticImage ?? dataImages.restic;
    this.image = args.image ?? dataImages.rclone;
    this.network = sharedEgressNetwork(host, name, this);
    const given = args.key ?? new pulumi.Config().getSecret("backupKey");
    const key = given === undefined ? new GeneratedSecret(`${name}-key`, {}, { parent: this }).value : checked(given);
    this.secrets = {
      ACCESS_KEY_ID: credential(name, "accessKeyId", args.accessKeyId),
      SECRET_ACCESS_KEY: credential(name, "secretAccessKey", args.secretAccessKey),
      KEY: key,
    };
    this.place = placeOf(name, { ...args, folder });
    this.copy = copy && new VaultCopy(`${name}-copy`, { vault: this, ...copy }, { parent: this });
    this.registerOutputs({});
  }

  /** For volumes, made when the first one wants it. */
  get restic(): ResticServer {
    return (this.#restic ??= new ResticServer(`${this.name}-restic`, { vault: this }, { parent: this }));
  }

  restore(name: string, from: RestoreFrom, opts: pulumi.ComponentResourceOptions): Job {
    return restoreJob(name, this.at(from.from), from, opts);
  }

  /** Where a restore takes it from: the vault itself, or its second place. */
  at(from: Restore["from"]): ResticVault {
    return from === "copy" ? this.copy! : this;
  }

  /** `work` for a POSIX shell, with `fetch` and rclone's remote `vault:` beforehand. Its arguments come after `place`. */
  script(work: string): string {
    return VAULT + work;
  }
}

const VAULT = readFileSync(join(import.meta.dirname, "backup-vault.sh"), "utf8").replace(/^\s*#.*\n/gm, "");

function checked(key: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.secret(
    pulumi.output(key).apply((value) => {
      if (value.length < 32 || /\s/.test(value))
        throw new Error(
          "backupKey: is shorter than 32 characters, or has blanks: give the key that the vault was made with",
        );
      return value;
    }),
  );
}
