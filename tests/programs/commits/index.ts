// Two databases behind one PgBouncer, with backups, and a service that writes without pause and keeps what was acknowledged.
import { Config } from "@pulumi/pulumi";
import { Backup } from "../../../components/data/backup.ts";
import { PgBouncer } from "../../../components/data/pgbouncer.ts";
import { Postgres } from "../../../components/data/postgres.ts";
import { Vault } from "../../../components/data/vault.ts";
import { DataVolume } from "../../../components/host/data-volume.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";
import { psqlConsumer } from "../psql-consumer.ts";

const config = new Config();
const images = config.requireObject<Record<"traefik" | "postgres" | "pgbouncer" | "rclone", string>>("images");
const storage = config.requireObject<{ endpoint: string; bucket: string }>("storage");
/** Another one replaces all that runs. */
const release = config.getNumber("release") ?? 1;
const host = new DockerHost("host", {
  host: config.get("host") ?? "local",
  knownHosts: config.get("knownHosts"),
  jobImage: images.traefik,
});
await host.check({});
const vault = new Vault("vault", {
  ...{ host, image: images.rclone, ...storage },
  accessKeyId: config.requireSecret("accessKeyId"),
  secretAccessKey: config.requireSecret("secretAccessKey"),
});
const db = new Postgres("db", {
  ...{ host, image: images.postgres, vault, connections: 30, limits: { memoryMb: 320, cpus: 1, pids: 80 } },
  ...{ maxMb: 1024, databases: { app: {}, report: {} } },
  // Only another start of the server changes it.
  settings: { shared_buffers: `${64 + release}MB` },
});
new Backup("backup", { database: db });
const pool = new PgBouncer("pool", {
  ...{
    host,
    server: db,
    image: images.pgbouncer,
    drainSeconds: 10,
    clients: config.getNumber("clients") ?? 100 + release,
  },
});
const notes = new DataVolume("notes", {
  ...{ host, owner: "999:999", maxMb: 500, withoutBackup: { why: "a test makes it anew" } },
});
const common = { host, image: images.postgres, notes, network: pool.network, env: { RELEASE: String(release) } };

/** Each line of /notes/acks-1 to -4 is written when the commit of that row was. */
const WRITE = `
until psql -Xqc 'create table if not exists acks (id bigint generated always as identity primary key, nonce uuid default gen_random_uuid())'; do sleep 0.2; done
touch /tmp/works
for each in 1 2 3 4; do
  while :; do
    # Some hundred a second: the test reads all of them after each fault.
    for pause in $(seq 200); do yes 'insert into acks default values returning nonce;' | head -n 10; sleep 0.05; done |
      psql -XqAtv ON_ERROR_STOP=1 >> "/notes/acks-$each" || sleep 0.2
  done &
done
wait
`;
psqlConsumer("writer", {
  ...{ ...common, login: pool.login("writer", { database: "app", rights: "owner" }), script: WRITE },
  ...{ works: "/tmp/works", limits: { memoryMb: 128, cpus: 0.4, pids: 64 } },
});
/** More than PgBouncer may pass on, if it is told to: each line of /tmp/crowd begins one. */
const CROWD = `
touch /tmp/works
while :; do
  [ ! -e /tmp/crowd ] || for each in $(seq 20); do psql -XqAtc 'select pg_sleep(1)' > /dev/null & done
  wait
  sleep 0.2
done
`;
for (const database of ["app", "report"])
  psqlConsumer(`crowd-${database}`, {
    ...{ ...common, login: pool.login(`crowd-${database}`, { database, rights: "read" }), script: CROWD },
    ...{ works: "/tmp/works", limits: { memoryMb: 128, cpus: 0.4, pids: 64 } },
  });
