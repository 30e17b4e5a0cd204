// Databases with consumers that write without pause and keep what was acknowledged, and what failed.
import { Config } from "@pulumi/pulumi";
import { PgBouncer } from "../../../components/data/pgbouncer.ts";
import { Redis } from "../../../components/data/redis.ts";
import { Postgres, type Login, type LoginArgs } from "../../../components/data/postgres.ts";
import { Container } from "../../../components/host/container.ts";
import { DataVolume } from "../../../components/host/data-volume.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";
import { SecretFiles } from "../../../components/host/secret.ts";
import { psqlConsumer } from "../psql-consumer.ts";

const config = new Config();
const images = config.requireObject<Record<"traefik" | "postgres" | "pgbouncer" | "valkey", string>>("images");
const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
/** Two databases behind two PgBouncers, and for each way a container that waits for `docker exec`. */
const crowds = config.getBoolean("crowds") ?? false;
const db = new Postgres("db", {
  ...{ host, image: images.postgres, connections: crowds ? 44 : 20, limits: { memoryMb: 256, cpus: 1, pids: 96 } },
  ...{ maxMb: 1024, withoutBackup: { why: "a test makes it anew" } },
  version: config.getObject<17>("version"),
  databases: { app: { extensions: ["pg_trgm"] }, ...(crowds && { shop: {} }) },
  settings: config.getObject("settings") ?? {},
});

const pool = new PgBouncer("pool", {
  ...{ host, server: db, image: images.pgbouncer, drainSeconds: 20 },
  clients: config.getNumber("clients") ?? 100,
  serverConnections: crowds ? 9 : undefined,
});
const notes = new DataVolume("notes", {
  ...{ host, owner: "999:999", maxMb: 100, withoutBackup: { why: "a test makes it anew" } },
});

/** Each line of /notes/NAME is written when the commit of that row was, and each of /notes/NAME-failed when one was not. */
const WRITE = `
until psql -Xqc 'create table if not exists acks (id bigint generated always as identity primary key, nonce uuid default gen_random_uuid())'; do sleep 0.2; done
while :; do psql -XqAtc 'insert into acks default values returning nonce' >> /notes/writer || sleep 0.2; done
`;
const POOLED = `
until psql -Xqc 'select from acks limit 0'; do sleep 0.2; done
touch /tmp/works
# Another connection for each row, by several at a time, and one that is kept for some seconds, as drivers' pools keep them.
for each in 1 2 3; do
  while :; do psql -XqAtc 'insert into acks default values returning nonce' >> /notes/pooled 2>> /notes/pooled-failed; done &
done
while :; do
  for row in $(seq 100); do echo 'insert into acks default values returning nonce;'; sleep 0.05; done |
    psql -XqAtv ON_ERROR_STOP=1 >> /notes/kept 2>> /notes/kept-failed
done
`;
function consumer(name: string, script: string, login: Login, network: Postgres["network"], works: string) {
  psqlConsumer(name, { host, image: images.postgres, login, network, notes, script, works });
}
const login = (name: string, rights: LoginArgs["rights"]) => db.login(name, { database: "app", rights });
consumer("writer", WRITE, login("writer", "owner"), db.network, "/tmp/pgpass");
consumer("reader", "while :; do sleep 1; done", login("reader", "read"), db.network, "/tmp/pgpass");
const pooled = pool.login("pooled", { database: "app", rights: "read-write" });
consumer("pooled", POOLED, pooled, pool.network, "/tmp/works");
if (crowds) {
  const second = new PgBouncer("second", {
    ...{ host, server: db, image: images.pgbouncer, drainSeconds: 20 },
    clients: config.getNumber("clients"),
  });
  for (const [name, before] of [
    ["first", pool],
    ["second", second],
  ] as const)
    for (const database of ["app", "shop"]) {
      const asked = before.login(`${name}-${database}`, { database, rights: "read" });
      consumer(`crowd-${name}-${database}`, "while :; do sleep 1; done", asked, before.network, "/tmp/pgpass");
    }
}

const cache = new Redis("cache", {
  ...{ host, image: images.valkey, limits: { memoryMb: 64, cpus: 0.5, pids: 32 }, maxMb: 128 },
  withoutBackup: { why: "a test makes it anew" },
  users: { counter: { rights: "read-write", keys: ["acks"] } },
  fsync: config.get<"always">("fsync"),
});
/** /tmp/acknowledged ends with the last number that was answered. */
const COUNT = `
while :; do
  export REDISCLI_AUTH="$(cat "$REDIS_PASSWORD_FILE")"
  while echo 'incr acks'; do :; done | valkey-cli -h "$REDIS_HOST" --no-auth-warning --user "$REDIS_USER" >> /tmp/acknowledged
  sleep 0.1
done
`;
const { env, secrets } = cache.login("counter");
const files = new SecretFiles("counter-secrets", { host, readerUid: "1000", secrets });
new Container("counter", {
  ...{ host, image: images.valkey, role: "worker", run: "always", tmpfsMb: { "/tmp": 64, "/data": 1 } },
  ...{ limits: { memoryMb: 128, cpus: 0.2, pids: 32 }, env: { ...env, ...files.env }, volumes: [files.volume] },
  ...{ networks: [{ name: cache.network.name, aliases: ["counter"] }], command: [] },
  entrypoint: ["/bin/sh", "-c", COUNT],
  health: { test: ["CMD", "test", "-s", "/tmp/acknowledged"] },
  graceSeconds: 1,
});
