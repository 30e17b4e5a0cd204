import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import type { RestoreFrom } from "../host/data-volume.ts";
import type { DockerHost } from "../host/docker-host.ts";
import type { Exception } from "../host/hardening.ts";
import { Job } from "../host/job.ts";
import { dataNetwork } from "../host/networks.ts";
import { compactMoment } from "../host/restore.ts";
import { GeneratedSecret, SecretFiles } from "../host/secret.ts";

/** Without its comments, as it stands in every `docker inspect`. */
export const script = (name: string) =>
  readFileSync(join(import.meta.dirname, name), "utf8").replace(/^\s*#.*\n/gm, "");

/** What it needs of a Vault. */
export interface ResticVault {
  readonly host: DockerHost;
  readonly image: pulumi.Input<string>;
  readonly resticImage: pulumi.Input<string>;
  readonly network: Network;
  readonly secrets: Record<string, pulumi.Output<string>>;
  readonly place: pulumi.Input<string>[];
  readonly restic: ResticServer;
  script(work: string): string;
}

/**
 * Stands between what reads volumes and the storage. It has the storage's credentials and a way out, no key and no volume;
 * what asks it has the key, and no way out. Nothing is deleted through it but by who knows a password.
 */
export class ResticServer extends pulumi.ComponentResource {
  /** Its name in the network. */
  readonly name: string;
  /** For what asks it. It has no way out. */
  readonly network: Network;
  /** Of old snapshots' removal. */
  readonly prunePassword: pulumi.Output<string>;
  readonly #container: Container;

  constructor(name: string, { vault }: { vault: ResticVault }, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:ResticServer", name, {}, { providers: [vault.host.provider], ...opts });
    const { host, image, place, network } = vault;
    this.name = name;
    this.network = dataNetwork(host, name, this);
    this.prunePassword = new GeneratedSecret(`${name}-prune`, {}, { parent: this }).value;
    const secrets = {
      ACCESS_KEY_ID: vault.secrets["ACCESS_KEY_ID"]!,
      SECRET_ACCESS_KEY: vault.secrets["SECRET_ACCESS_KEY"]!,
      PRUNE: this.prunePassword,
    };
    const files = new SecretFiles(`${name}-secrets`, { host, readerUid: "1000", secrets }, { parent: this });
    const fresh = ["/bin/sh", "-c", script("backup-fresh.sh"), "fresh", "/tmp/good", "120", "/tmp/wrong"];
    this.#container = new Container(
      name,
      {
        ...{ host, image, role: "worker", run: "always", rollout: "stop-first" },
        labels: { "bulkhead.backup": "restic-server" },
        limits: { memoryMb: 256, cpus: 1, pids: 64 },
        env: { ...files.env, HOME: "/tmp" },
        networks: [
          { name: network.name, aliases: [`${name}-out`] },
          { name: this.network.name, aliases: [name] },
        ],
        volumes: [files.volume],
        entrypoint: ["/bin/sh", "-c", vault.script(script("restic-server.sh")), "serve"],
        command: place,
        health: { test: ["CMD", ...fresh], intervalSeconds: 15 },
      },
      { parent: this },
    );
    host.register(name, this.#container);
    this.registerOutputs({ container: this.#container.name });
  }

  /** Where a repository is, known when the server answers. */
  repository(volume: string, port: 8000 | 8001 = 8000): pulumi.Output<string> {
    return this.#container.name.apply(() => `rest:http://${this.name}:${port}/${volume}/`);
  }
}

/** The settings of what reads or writes a volume's repository. */
export function repositoryEnv({ restic }: ResticVault, volume: string) {
  return {
    RESTIC_REPOSITORY: restic.repository(volume),
    RESTIC_PASSWORD_FILE: "/run/secrets/key",
    SERVER: restic.name,
  };
}

/** Root only where the volume's files are root's. */
export function exceptionsOf(owner: string): Exception[] {
  return owner.startsWith("0:") ? [{ rootUser: true, why: "the files of the volume are root's" }] : [];
}

/** Fills a volume with what was in another, compared with the checksums of then. */
export function restoreJob(
  name: string,
  vault: ResticVault,
  { volume, into, owner, id, to }: RestoreFrom,
  opts: pulumi.ComponentResourceOptions,
): Job {
  const { host, secrets } = vault;
  const [readerUid] = owner.split(":") as [string];
  const files = new SecretFiles(`${name}-secrets`, { host, readerUid, secrets: { KEY: secrets["KEY"]! } }, opts);
  return new Job(
    name,
    {
      ...{ host, image: vault.resticImage, user: owner, worksFor: volume, exceptions: exceptionsOf(owner) },
      script: script("restic-repository.sh") + script("restic-restore.sh"),
      scriptArguments: [volume, compactMoment(to)],
      limits: { memoryMb: 256, cpus: 1, pids: 64 },
      labels: { "bulkhead.restore": id },
      env: repositoryEnv(vault, volume),
      networks: [{ name: vault.restic.network.name }],
      volumes: [{ name: into, path: "/volume", writable: true, noCopy: true }, files.volume],
      deadlineSeconds: 6 * 3600,
    },
    opts,
  );
}
