// StatsBoard: teams, matches and live scores. A site, an API, and a PostgreSQL database.
import { Backup, BuiltImage, GeneratedSecret, ObjectStorage, platform } from "bulkhead";
import { Postgres, StaticSite, Vault, WebService } from "bulkhead";
import { settings } from "./settings.ts";

const config = settings.load();
const { images } = config;

// The host, its networks, the edge with certificates, and the domain at Cloudflare if the stack names one.
const { host, edge, account, stackOutputs } = await platform(config);

// Backups, encrypted, in a bucket at R2, for a stack that has one.
const bucket = config.cloudflare?.files;
const storage = bucket && new ObjectStorage("backups", { account: account!, ...bucket });
const vault = storage && new Vault("vault", { host, image: images.rclone, ...storage.s3("backup", "read-write") });

// The database. The API may change rows; tables are changed by the migrations alone.
const database = new Postgres("database", {
  ...{ host, image: images.postgres, vault, limits: config.database, maxMb: 5000 },
  databases: { statsboard: {} },
  withoutBackup: vault ? undefined : { why: "this stack has no bucket for backups: what it keeps is for trying out" },
});
if (vault) new Backup("backup", { database });
const board = database.login("board", { database: "statsboard", rights: "read-write" });
const migrations = database.login("migrations", { database: "statsboard", rights: "owner" });

// Whoever sends this token may change the board.
const boardToken = new GeneratedSecret("board-token", { length: 48 });

const buildArgs = { PYTHON_IMAGE: images.python };
new WebService("backend", {
  edge,
  image: images.backend ?? new BuiltImage("backend", { host, context: "backend", buildArgs }).reference,
  port: 9000,
  healthPath: "/health",
  uses: [database],
  env: board.env,
  secrets: { ...board.secrets, BOARD_TOKEN: boardToken.value },
  preDeploy: { command: ["alembic", "upgrade", "head"], env: migrations.env, secrets: migrations.secrets },
  limits: config.backend,
  ...config.backend,
  tmpfsMb: { "/tmp": 100, "/var/tmp": 50 },
  routes: { paths: ["/api", "/health"] },
});

new StaticSite("site", {
  edge,
  folder: "site",
  limits: config.site,
  routes: { paths: ["/"], contentSecurityPolicy: "default-src 'self'; frame-ancestors 'none'" },
});

export const { url, services } = stackOutputs();
