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
  /** Another database whose backups are to be in the same vault. */
  another?: true;
  onHost?: (host: DockerHost) => void;
  onDatabase?: (database: Postgres) => void;
}

/** A database with a vault and a backup. */
export function recordBackup(
  { vault: ofVault, database: ofDatabase, backup, another, onHost, onDatabase }: Args = {},
  options: RecordOptions = {},
) {
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
      if (another)
        new Backup("backup-2", {
          database: new Postgres("db-2", {
            ...{ host, vault, maxMb: 1024, databases: { app: {} } },
            limits: { memoryMb: 256, cpus: 1, pids: 128 },
          }),
        });
      onHost?.(host);
      onDatabase?.(database);
    },
    { secrets: [SECRET], ...options },
  );
}
