// A PostgreSQL server with backups, and a consumer that writes without pause and keeps what was acknowledged.
import { Config } from "@pulumi/pulumi";
import { Backup } from "../../../components/data/backup.ts";
import { Postgres } from "../../../components/data/postgres.ts";
import { Vault } from "../../../components/data/vault.ts";
import { Container } from "../../../components/host/container.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";
import { SecretFiles } from "../../../components/host/secret.ts";

const config = new Config();
const images = config.requireObject<{ traefik: string; postgres: string; rclone: string }>("images");
const storage = config.requireObject<{ endpoint: string; bucket: string }>("storage");
const copy = config.getObject<{ endpoint: string; bucket: string }>("copy");
const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
const vault = new Vault("vault", {
  ...{ host, image: images.rclone, ...storage },
  accessKeyId: config.requireSecret("accessKeyId"),
  secretAccessKey: config.requireSecret("secretAccessKey"),
  copy: copy && {
    ...{ ...copy, everyMinutes: 1, accessKeyId: "AKIDSECOND" },
    secretAccessKey: config.requireSecret("copySecretAccessKey"),
  },
});
const db = new Postgres("db", {
  ...{ host, image: images.postgres, vault, connections: 20, limits: { memoryMb: 256, cpus: 1, pids: 64 } },
  maxMb: config.getNumber("maxMb") ?? 1024,
  version: config.getObject<15 | 16 | 17>("version"),
  settings: config.getObject("settings"),
  databases: { app: { extensions: ["pg_trgm"] } },
});
new Backup("backup", { database: db, walEverySeconds: 2, spoolMb: 64 });

/** Each line of /tmp/acknowledged, with the time, is written when the commit of that row was. */
const WRITE = `
export PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER" PGCONNECT_TIMEOUT=2
printf '*:*:*:*:%s\\n' "$(cat "$DATABASE_PASSWORD_FILE")" > /tmp/pgpass
chmod 600 /tmp/pgpass
export PGPASSFILE=/tmp/pgpass
until psql -Xqc 'create table if not exists acks (id bigint generated always as identity primary key, nonce uuid default gen_random_uuid())'; do sleep 0.2; done
while :; do
  nonce=$(psql -XqAtc 'insert into acks default values returning nonce') && echo "$nonce $(date +%s)" >> /tmp/acknowledged || sleep 0.2
done
`;
const { env, secrets } = db.login("writer", { database: "app", rights: "owner" });
const files = new SecretFiles("writer-secrets", { host, readerUid: "999", secrets });
new Container("writer", {
  ...{ host, image: images.postgres, role: "service", run: "always", user: "999:999" },
  ...{ limits: { memoryMb: 64, cpus: 0.5, pids: 32 }, env: { ...env, ...files.env }, volumes: [files.volume] },
  // Where the image declares a volume, Docker would make one without a name.
  tmpfsMb: { "/tmp": 16, "/var/lib/postgresql/data": 1 },
  networks: [{ name: db.network.name, aliases: ["writer"] }],
  entrypoint: ["/bin/sh", "-c", WRITE],
  command: [],
  health: { test: ["CMD", "test", "-e", "/tmp/pgpass"] },
});

/** For the commands, which say what of it is served: nothing. */
export const [url, services] = ["", {}];
