// A volume of files, and a Valkey, each with snapshots in a vault.
import { Config } from "@pulumi/pulumi";
import { Redis } from "../../../components/data/redis.ts";
import { Vault } from "../../../components/data/vault.ts";
import { VolumeBackup } from "../../../components/data/volume-backup.ts";
import { Worker } from "../../../components/host/worker.ts";
import { DataVolume } from "../../../components/host/data-volume.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";

const config = new Config();
const images = config.requireObject<Record<"traefik" | "rclone" | "restic" | "valkey", string>>("images");
const storage = config.requireObject<{ endpoint: string; bucket: string }>("storage");
const copy = config.getObject<{ endpoint: string; bucket: string }>("copy");
const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
const vault = new Vault("vault", {
  ...{ host, image: images.rclone, resticImage: images.restic, ...storage },
  accessKeyId: config.requireSecret("accessKeyId"),
  secretAccessKey: config.requireSecret("secretAccessKey"),
  copy: copy && {
    ...{ ...copy, everyMinutes: 1, accessKeyId: "AKIDSECOND" },
    secretAccessKey: config.requireSecret("copySecretAccessKey"),
  },
});
const limits = { memoryMb: 64, cpus: 0.5, pids: 32 };
const uploads = new DataVolume("uploads", { host, maxMb: 100, vault });
new VolumeBackup("uploads-backup", { volume: uploads });
new VolumeBackup("releases-backup", {
  volume: new DataVolume("releases", { host, maxMb: 16, vault, holds: "releases" }),
});
const cache = new Redis("cache", {
  ...{ host, image: images.valkey, limits, maxMb: 256, vault, users: { client: { rights: "read-write" } } },
});
new VolumeBackup("cache-backup", { volume: cache.data });
new Worker("client", {
  ...{ host, image: images.valkey, limits, drainSeconds: 1, uses: [cache], ...cache.login("client") },
  volumes: [{ volume: uploads, path: "/uploads", writable: true }],
  tmpfsMb: { "/tmp": 16, "/data": 1 },
  command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"],
  health: { test: ["CMD", "true"] },
});

/** For the commands, which say what of it is served: nothing. */
export const [url, services] = ["", {}];
