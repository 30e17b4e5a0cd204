import { Backup, type BackupArgs } from "../../components/data/backup.ts";
import { Postgres, type PostgresArgs } from "../../components/data/postgres.ts";
import { Vault, type VaultArgs } from "../../components/data/vault.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { hex, record, type RecordOptions } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
export const SECRET = "s".repeat(40);

export interface Args {
  vault?: Partial<VaultArgs>;
  database?: Partial<PostgresArgs>;
  backup?: Partial<BackupArgs>;
}

/** A database with a vault and a backup. */
export function recordBackup({ vault: ofVault, database: ofDatabase, backup }: Args = {}, options: RecordOptions = {}) {
  return record(
    () => {
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
      const vault = new Vault("vault", {
        ...{ host, endpoint: "https://storage.example.com", bucket: "backups" },
        ...{ accessKeyId: "id", secretAccessKey: SECRET, ...ofVault },
      });
      const database = new Postgres("db", {
        ...{ host, vault, maxMb: 1024, databases: { app: {} } },
        limits: { memoryMb: 256, cpus: 1, pids: 128 },
        ...ofDatabase,
      });
      new Backup("backup", { database, ...backup });
    },
    { secrets: [SECRET], ...options },
  );
}
