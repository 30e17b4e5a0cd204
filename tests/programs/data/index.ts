// A PostgreSQL server with a consumer that writes without pause and keeps what was acknowledged, and one that may read.
import { Config } from "@pulumi/pulumi";
import { Postgres, type LoginArgs } from "../../../components/data/postgres.ts";
import { Container } from "../../../components/host/container.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";
import { SecretFiles } from "../../../components/host/secret.ts";

const config = new Config();
const images = config.requireObject<{ traefik: string; postgres: string }>("images");
const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
const db = new Postgres("db", {
  ...{ host, image: images.postgres, connections: 20, limits: { memoryMb: 256, cpus: 1, pids: 64 } },
  ...{ maxMb: 1024, withoutBackup: { why: "a test makes it anew" } },
  version: config.getObject<17>("version"),
  databases: { app: { extensions: ["pg_trgm"] } },
  settings: config.getObject("settings") ?? {},
});

const CONNECT = `
export PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER" PGCONNECT_TIMEOUT=2
printf '*:*:*:*:%s\\n' "$(cat "$DATABASE_PASSWORD_FILE")" > /tmp/pgpass
chmod 600 /tmp/pgpass
export PGPASSFILE=/tmp/pgpass
`;
/** Each line of /tmp/acknowledged is written when the commit of that row was. */
const WRITE = `${CONNECT}
until psql -Xqc 'create table if not exists acks (id bigint generated always as identity primary key, nonce uuid default gen_random_uuid())'; do sleep 0.2; done
while :; do psql -XqAtc 'insert into acks default values returning nonce' >> /tmp/acknowledged || sleep 0.2; done
`;
function consumer(name: string, script: string, rights: LoginArgs["rights"]) {
  const { env, secrets } = db.login(name, { database: "app", rights });
  const files = new SecretFiles(`${name}-secrets`, { host, readerUid: "999", secrets });
  new Container(name, {
    ...{ host, image: images.postgres, role: "service", run: "always", user: "999:999" },
    ...{ limits: { memoryMb: 64, cpus: 0.5, pids: 32 }, env: { ...env, ...files.env }, volumes: [files.volume] },
    // Where the image declares a volume, Docker would make one without a name.
    tmpfsMb: { "/tmp": 16, "/var/lib/postgresql/data": 1 },
    networks: [{ name: db.network.name, aliases: [name] }],
    entrypoint: ["/bin/sh", "-c", script],
    command: [],
    health: { test: ["CMD", "test", "-e", "/tmp/pgpass"] },
  });
}
consumer("writer", WRITE, "owner");
consumer("reader", `${CONNECT}\nwhile :; do sleep 1; done`, "read");
