// A PostgreSQL, a Valkey and an app that is healthy when both answer it: the same as compose.yaml beside this file.
import { Config } from "@pulumi/pulumi";
import { Postgres } from "../../components/data/postgres.ts";
import { Redis } from "../../components/data/redis.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Worker } from "../../components/host/worker.ts";

const images = new Config().requireObject<Record<"traefik" | "postgres" | "valkey", string>>("images");
const host = new DockerHost("host", { host: "local", jobImage: images.traefik });
await host.check({});
const withoutBackup = { why: "a bench makes it anew" };
const db = new Postgres("db", {
  ...{ host, image: images.postgres, limits: { memoryMb: 512, cpus: 1, pids: 100 }, maxMb: 1024, withoutBackup },
  databases: { app: {} },
});
const cache = new Redis("cache", {
  ...{ host, image: images.valkey, limits: { memoryMb: 128, cpus: 1, pids: 32 }, maxMb: 256, withoutBackup },
  users: { app: { rights: "read-write" } },
});
const ofDb = db.login("app", { database: "app", rights: "owner" });
const ofCache = cache.login("app");
/** The image has bash, or what stands in for it nc. */
const WORKS = `
ask() {
  if command -v nc >/dev/null; then nc -w 1 "$1" 6379
  else bash -c 'exec 3<>"/dev/tcp/$0/6379"; cat >&3; read -t 1 -r line <&3; echo "$line"' "$1"; fi
}
printf '*:*:*:*:%s\\n' "$(cat "$DATABASE_PASSWORD_FILE")" >/tmp/pgpass && chmod 600 /tmp/pgpass
export PGPASSFILE=/tmp/pgpass
until psql -Xqh "$DATABASE_HOST" -U "$DATABASE_USER" -d "$DATABASE_NAME" -c 'select 1' &&
  echo "auth $REDIS_USER $(cat "$REDIS_PASSWORD_FILE")" | ask "$REDIS_HOST" | grep -q OK; do sleep 0.2; done
touch /tmp/works
while :; do sleep 1; done`;
new Worker("app", {
  ...{ host, image: images.postgres, limits: { memoryMb: 64, cpus: 1, pids: 32 }, user: "999:999", drainSeconds: 1 },
  command: ["/bin/sh", "-c", WORKS],
  tmpfsMb: { "/tmp": 16, "/var/lib/postgresql/data": 1 },
  networks: [db.network, cache.network],
  env: { ...ofDb.env, ...ofCache.env },
  secrets: { ...ofDb.secrets, ...ofCache.secrets },
  health: { test: ["CMD", "test", "-e", "/tmp/works"] },
});
