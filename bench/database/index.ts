// A PostgreSQL with PgBouncer and backups, and for each way to it a container that waits for `docker exec`.
import { Config } from "@pulumi/pulumi";
import { Backup } from "../../components/data/backup.ts";
import { PgBouncer } from "../../components/data/pgbouncer.ts";
import { Postgres } from "../../components/data/postgres.ts";
import { Vault } from "../../components/data/vault.ts";
import { DataVolume } from "../../components/host/data-volume.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { psqlConsumer } from "../../tests/programs/psql-consumer.ts";

const config = new Config();
const images = config.requireObject<Record<"traefik" | "postgres" | "pgbouncer" | "rclone", string>>("images");
const storage = config.requireObject<{ endpoint: string; bucket: string }>("storage");
const limits = config.requireObject<{ memoryMb: number; cpus: number; pids: number }>("limits");

const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
const vault = new Vault("vault", {
  ...{ host, image: images.rclone, ...storage },
  accessKeyId: config.requireSecret("accessKeyId"),
  secretAccessKey: config.requireSecret("secretAccessKey"),
});
const db = new Postgres("db", {
  ...{ host, image: images.postgres, vault, limits, connections: 100, maxMb: 4096, databases: { app: {} } },
});
new Backup("backup", { database: db });
const pool = new PgBouncer("pool", { host, server: db, image: images.pgbouncer, clients: 1100 });
const notes = new DataVolume("notes", { host, owner: "999:999", maxMb: 100, withoutBackup: { why: "it is empty" } });
const waits = { host, image: images.postgres, notes, works: "/tmp/pgpass", script: "while :; do sleep 1; done" };
const client = { ...waits, limits: { memoryMb: 512, cpus: 2, pids: 64 } };
const login = { database: "app", rights: "owner" } as const;
psqlConsumer("direct", { ...client, login: db.login("direct", login), network: db.network });
psqlConsumer("pooled", { ...client, login: pool.login("pooled", login), network: pool.network });
