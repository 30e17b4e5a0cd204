import * as pulumi from "@pulumi/pulumi";
import type { Network } from "@pulumi/docker/network.js";
import { Container } from "../host/container.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { refuse } from "../host/refuse.ts";
import { SecretFiles } from "../host/secret.ts";
import { wholeNumber } from "./argument-problems.ts";
import { ResticServer, script, type ResticVault } from "./restic.ts";
import { credential, placeOf, placeProblems, type PlaceArgs } from "./vault-place.ts";

export interface VaultCopyArgs extends PlaceArgs {
  /**
   * Of a key that reads the vault's bucket alone, for what copies: whoever takes it deletes nothing in the vault.
   * @default the vault's own
   */
  readWith?: { accessKeyId: pulumi.Input<string>; secretAccessKey: pulumi.Input<string> };
  /** Minutes from one look to the next: about what the copy is behind. @default 5 */
  everyMinutes?: number;
  /** Days for which the copy keeps what the vault has no more. @default 30 */
  keepGoneDays?: number;
}

/**
 * The vault at a second provider, or in another account. What copies has the credentials of both, no key, no volume and no
 * database. It adds, and writes nothing anew.
 */
export class VaultCopy extends pulumi.ComponentResource implements ResticVault {
  readonly host: DockerHost;
  readonly name: string;
  readonly image: pulumi.Input<string>;
  readonly resticImage: pulumi.Input<string>;
  readonly network: Network;
  /** Of the second place, for a restore from there. */
  readonly secrets: Record<string, pulumi.Output<string>>;
  readonly place: pulumi.Input<string>[];
  readonly script: (work: string) => string;
  #restic: ResticServer | undefined;

  /** @throws Error with all that is wrong with the arguments. */
  constructor(
    name: string,
    { vault, ...args }: VaultCopyArgs & { vault: ResticVault },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("bulkhead:index:VaultCopy", name, {}, { providers: [vault.host.provider], ...opts });
    const { host, image, resticImage, network } = vault;
    const { everyMinutes = 5, keepGoneDays = 30, readWith } = args;
    refuse(name, [
      ...placeProblems({ folder: host.stackName, ...args }),
      ...wholeNumber("everyMinutes", everyMinutes, 1, 1440),
      ...wholeNumber("keepGoneDays", keepGoneDays, 1, 3650),
    ]);
    [this.host, this.name, this.image, this.resticImage, this.network] = [host, name, image, resticImage, network];
    this.script = (work) => vault.script(work);
    this.place = placeOf(name, { folder: host.stackName, ...args });
    const ACCESS_KEY_ID = credential(name, "accessKeyId", args.accessKeyId);
    const SECRET_ACCESS_KEY = credential(name, "secretAccessKey", args.secretAccessKey);
    const reads = (key: "accessKeyId" | "secretAccessKey", own: pulumi.Output<string>) =>
      readWith ? credential(name, `readWith.${key}`, readWith[key]) : own;
    this.secrets = { ACCESS_KEY_ID, SECRET_ACCESS_KEY, KEY: vault.secrets["KEY"]! };
    const files = new SecretFiles(
      `${name}-secrets`,
      {
        ...{ host, readerUid: "1000" },
        secrets: {
          ACCESS_KEY_ID: reads("accessKeyId", vault.secrets["ACCESS_KEY_ID"]!),
          SECRET_ACCESS_KEY: reads("secretAccessKey", vault.secrets["SECRET_ACCESS_KEY"]!),
          COPY_ACCESS_KEY_ID: ACCESS_KEY_ID,
          COPY_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY,
        },
      },
      { parent: this },
    );
    const late = String(everyMinutes * 120 + 120);
    const container = new Container(
      name,
      {
        ...{ host, image, role: "backup", run: "always", rollout: "stop-first" },
        labels: { "bulkhead.backup": "copy" },
        limits: { memoryMb: 256, cpus: 1, pids: 64 },
        env: { ...files.env, HOME: "/tmp" },
        networks: [{ name: network.name }],
        volumes: [files.volume],
        entrypoint: ["/bin/sh", "-c", vault.script(script("vault-copy.sh")), "copy"],
        command: [...vault.place, ...this.place, String(everyMinutes), String(keepGoneDays)],
        // A first copy takes what it takes, and an update does not wait for it.
        health: {
          test: ["CMD", "/bin/sh", "-c", script("backup-fresh.sh"), "fresh", "/tmp/good", late, "/tmp/wrong"],
          ...{ intervalSeconds: 15, retries: 1, isAwaited: false },
        },
      },
      { parent: this },
    );
    host.register(name, container);
    this.registerOutputs({ container: container.name });
  }

  /** For a restore of volumes from there, made when one wants it. */
  get restic(): ResticServer {
    return (this.#restic ??= new ResticServer(`${this.name}-restic`, { vault: this }, { parent: this }));
  }
}
