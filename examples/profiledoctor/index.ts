// ProfileDoctor: a page of React, an API, a PostgreSQL database and a cache.
import { Backup, BuiltImage, GeneratedSecret, ObjectStorage, platform } from "bulkhead";
import { Postgres, Redis, StaticSite, Vault, WebService } from "bulkhead";
import { settings } from "./settings.ts";

const config = settings.load();
const { images } = config;
const { host, edge, account, stackOutputs } = await platform(config);

// Backups, encrypted, in a bucket at R2, for a stack that has one.
const bucket = config.cloudflare?.files;
const storage = bucket && new ObjectStorage("backups", { account: account!, ...bucket });
const vault = storage && new Vault("vault", { host, image: images.rclone, ...storage.s3("backup", "read-write") });

// What is kept. The API may change rows; tables are changed by the migrations alone.
const database = new Postgres("database", {
  ...{ host, image: images.postgres, vault, limits: config.database, maxMb: 5000, databases: { profiles: {} } },
  withoutBackup: vault ? undefined : { why: "this stack has no bucket for backups: what it keeps is for trying out" },
});
if (vault) new Backup("backup", { database });
const doctor = database.login("doctor", { database: "profiles", rights: "read-write" });
const migrations = database.login("migrations", { database: "profiles", rights: "owner" });

// What is answered faster. It outlives a crash, and what is lost comes from the database again.
const cache = new Redis("cache", {
  ...{ host, image: images.valkey, limits: config.cache, maxMb: 1024, eviction: "allkeys-lru" },
  withoutBackup: { why: "all of it is in the database too" },
  users: { doctor: { rights: "read-write", keys: ["check:*"] } },
});
const cached = cache.login("doctor");

const python = { PYTHON_IMAGE: images.python };
new WebService("backend", {
  ...{ edge, uses: [database, cache], limits: config.backend, ...config.backend },
  image: images.backend ?? new BuiltImage("backend", { host, context: "backend", buildArgs: python }).reference,
  command: ["python", "-m", "profiledoctor"],
  port: 8000,
  healthPath: "/health",
  env: { ...doctor.env, ...cached.env },
  secrets: { ...doctor.secrets, ...cached.secrets, SECRET_KEY: new GeneratedSecret("secret-key").value },
  composed: {
    DATABASE_URL: "postgresql+asyncpg://{DATABASE_USER}:{DATABASE_PASSWORD}@{DATABASE_HOST}/{DATABASE_NAME}",
    REDIS_URL: "redis://{REDIS_USER}:{REDIS_PASSWORD}@{REDIS_HOST}:{REDIS_PORT}",
  },
  exportSecrets: ["DATABASE_URL", "REDIS_URL", "SECRET_KEY"],
  preDeploy: { command: ["alembic", "upgrade", "head"], env: migrations.env, secrets: migrations.secrets },
  routes: { paths: ["/api", "/health"], maxBodyMb: 1, rateLimit: { requestsPerSecond: 50, burst: 100 } },
});

new StaticSite("frontend", {
  ...{ edge, limits: config.frontend, singlePage: true, immutable: ["/assets"] },
  build: { context: "frontend", buildArgs: { NODE_IMAGE: images.node }, output: "/app/dist" },
  routes: { paths: ["/"], contentSecurityPolicy: "default-src 'self'; frame-ancestors 'none'" },
});

export const { url, services } = stackOutputs();
