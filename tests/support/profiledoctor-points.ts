import type { Point } from "./points.ts";

const HERE = "tests/e2e/profiledoctor.test.ts";
const PAGE = [`${HERE}: a profile in a browser: findings come, are listed, and a link leads to them`];
const KEPT = [`${HERE}: a check is kept in the database, answered from the cache, and shown to its visitor alone`];
const PATHS = [`${HERE}: paths of the page lead to it; what is no file and no API is told as such`];
const HARDENED = [`${HERE}: no process is root, all is read-only and limited, and nothing has a capability`];
const HIDDEN = [`${HERE}: URLs and passwords are in files, and nowhere else`];
const KILLED = ["backend", "frontend", "database", "cache"].map(
  (name) => `${HERE}: ${name} is killed: it is back by itself, with all data`,
);
const RELEASE = [
  `${HERE}: a profile is checked again as the API is released under load: no request fails, and what was kept is there`,
];
const STAGES = ["tests/unit/profiledoctor.test.ts: dependencies come before sources, in stages, with hashes"];
const IGNORED = ["tests/unit/profiledoctor.test.ts: .dockerignore has every entry of the document"];
const PINNED = ["tests/unit/profiledoctor.test.ts: every image is pinned by tag and digest"];
const ACME = [
  "tests/e2e/acme.test.ts: the edge gets one certificate for the domain and for all below it, from the CA that it was told",
];
const REACH = [`${HERE}: each container reaches what the program says that it uses, and nothing else`];
const HASHES = ["tests/unit/profiledoctor.test.ts: dependencies come before sources, in stages, with hashes"];
const IMPORTED = ["tests/unit/profiledoctor.test.ts: every dependency is one that the sources use"];
const HEALTH = ["tests/unit/profiledoctor.test.ts: what has to be healthy asks as the document has it, without curl"];
const LIMITED = ["tests/unit/profiledoctor.test.ts: the API has a rate limit"];
const BACK = [
  "all data are there after the daemon got SIG%s",
  "all data are there after a reboot",
  "all data are there after a reboot in which its parts start %s",
].map((title) => `tests/e2e/examples.test.ts: ${title}`);
const FRESH = ["tests/e2e/examples.test.ts: a fresh stack has all that was written, and a drill of it is green"];
const SCAN = [
  "tests/unit/vulnerabilities.test.ts: a scan asks for critical and high vulnerabilities that have a fix, and tells each",
];
const UPGRADE = [
  "tests/e2e/upgrade-database.test.ts: a trial changes nothing, and the upgrade loses no acknowledged commit",
];
const LOGS = ["tests/e2e/operate.test.ts: logs --follow goes through a rollout: of each container every line, once"];
const PAGES = ["tests/unit/docs.test.ts: every link leads to a page, and to a heading that it has"];
const MIGRATION = [`${HERE}: a migration that fails: the old release serves on, and data and tables are as before`];

const SIGNING =
  "Better: what is built here never leaves the host that runs it. What is pulled is pulled by the digest that was " +
  "reviewed: any other image is refused, signed or not. Check a publisher's signature, by cosign, when you pin a digest.";
const LOG_AGGREGATION =
  "`bulkhead logs --follow --json` is one stream of all containers, by time, for a collector to read: nothing of it runs on " +
  "the host. Docker keeps 30 MB of each.";

/** Every point of ProfileDoctor's document, in its order. */
export const points: readonly Point[] = [
  of("Executive summary", [
    ["Backend Dockerfile: basic", "In stages, tested, not root.", [...STAGES, ...HARDENED]],
    ["Frontend Dockerfile: missing", "There is one.", PAGE],
    ["Docker Compose: no frontend service", "`index.ts` has it.", PAGE],
    ["Health checks: missing", "Every part has one.", [...HEALTH, ...KILLED]],
    ["Restart policies: missing", "`always`.", [...KILLED, ...BACK]],
    ["Hard-coded secrets", "None: all are generated.", HIDDEN],
    ["Build optimization: poor", "Dependencies are a layer of their own.", STAGES],
    ["Security: multiple concerns", "As below.", [...HARDENED, ...HIDDEN, ...REACH]],
  ]),
  of("Backend Dockerfile", [
    ["Multi-stage build", "Three stages: dependencies, tests, what runs.", STAGES],
    [".dockerignore", "Every entry of the document.", IGNORED],
    ["Hard-coded environment variables", "None: URLs are composed of generated secrets.", HIDDEN],
    ["HEALTHCHECK with curl", "Better: bash asks `/health`, which asks the database. No curl.", [...HEALTH, ...KILLED]],
    ["EXPOSE 8000, uvicorn on 8000", "As given.", PATHS],
    ["requirements.txt without pip's cache", "As given, and each package by its hash.", HASHES],
  ]),
  of("Frontend Dockerfile", [
    ["Missing", "Vite builds it in one, with `npm ci` and its tests; nginx serves it.", PAGE],
    ["`npm ci` before the sources", "As given, and no package runs a script.", STAGES],
    ["http-server or nginx", "nginx, of StaticSite: pinned, not root, read-only.", [...PINNED, ...HARDENED]],
    ["nginx with SPA fallback", "`singlePage: true`. A missing script stays a 404.", PATHS],
    ["/api/ behind the same name", "The edge leads /api to the API: no CORS, no VITE_API_URL.", PATHS],
  ]),
  of("Issue 1: missing frontend service", [
    ["frontend in the stack", "A StaticSite.", PAGE],
    ["Port 5173", "Better: no port of its own. The edge's 443 leads to it.", PATHS],
    ["depends_on backend", "It needs none to serve: the page says when the API is away.", PAGE],
    ["VITE_API_URL", "Better: /api of the same name, so that one build serves every stack.", PATHS],
  ]),
  of("Issue 2: hard-coded variables", [
    ["DATABASE_URL", "Better: `composed` of a generated password, and exported in the container alone.", HIDDEN],
    ["POSTGRES_USER", "Better: a login for each consumer, with its own rights.", HIDDEN],
    ["POSTGRES_PASSWORD", "Better: generated, a file in the one container that has it.", HIDDEN],
  ]),
  of("Issue 3: health checks", [
    ["backend", "`GET /health`, every 30 s, 3 retries.", [...HEALTH, ...KILLED]],
    ["db", "A query, not only pg_isready.", KILLED],
    ["all services", "An update fails when one is not healthy.", KILLED],
  ]),
  of("Issue 4: restart policies", [
    ["all services", "`always`: after a crash, a restart of Docker and a reboot.", [...KILLED, ...BACK]],
    ["on-failure, 3 attempts", "Better: no end to the attempts. Docker waits longer before each.", KILLED],
  ]),
  of("Issue 5: volumes", [
    ["No sources mounted in production", "They are in the image.", HARDENED],
    ["Read-only sources in development", "Better: `bulkhead up` builds what is edited, as production has it.", PAGE],
  ]),
  of("Issue 6: networks", [
    ["Explicit network", "Better: one for each part, without a way out, also to the host itself.", REACH],
  ]),
  of("Issue 7: resource limits", [
    ["backend 1 CPU, 512 M, 256 M reserved", "As given. Docker reserves no CPU time.", HARDENED],
    ["frontend 0.5 CPU, 256 M, 128 M reserved", "As given.", HARDENED],
    ["db 1 CPU, 512 M, 256 M reserved", "As given.", HARDENED],
    ["redis 0.5 CPU, 256 M, 128 M reserved", "As given.", HARDENED],
  ]),
  of("Recommended compose file", [
    ["depends_on with service_healthy", "A release starts when what it needs is healthy.", PAGE],
    ["container_name of each", "Better: names that begin with the stack's, so that two fit on a host.", PAGE],
    ["DEBUG, ENVIRONMENT", "Better: none. No mode of the program shows more than it may.", HIDDEN],
    [
      "postgres:15-alpine",
      "17 on Debian, by digest: Alpine's sorts text otherwise, and 15 ends in November 2027. One that runs 15 is moved by " +
        "`bulkhead upgrade-database db --to 17`.",
      [...PINNED, ...UPGRADE],
    ],
    ["redis:7-alpine with appendonly", "Valkey 9 with its append-only file; Redis works too.", [...KEPT, ...PINNED]],
    [
      "postgres_data",
      "A volume that is retained; backups for a stack that has a bucket.",
      [...KILLED, ...BACK, ...FRESH],
    ],
    ["redis_data", "A volume that is retained.", [...KILLED, ...BACK]],
    ["db: pg_isready every 10 s", "A query in its place.", KILLED],
    ["redis: redis-cli ping", "As given, by its own login.", KILLED],
    ["networks: internal", "As issue 6.", REACH],
    ["Ports of each service on the host", "Better: the edge's alone.", PATHS],
  ]),
  of("Configuration files", [
    [".env file", "Better: none. Stack files, and generated secrets.", HIDDEN],
    ["BACKEND_PORT, FRONTEND_PORT, POSTGRES_PORT, REDIS_PORT", "Better: the edge's port alone.", PATHS],
    ["DATABASE_URL, REDIS_URL", "Composed in a file of generated passwords.", HIDDEN],
    ["SECRET_KEY", "Generated; it signs visitors' cookies.", KEPT],
    ["POSTGRES_USER, POSTGRES_PASSWORD", "As issue 2.", HIDDEN],
    [".dockerignore (backend)", "Every entry.", IGNORED],
    [".dockerignore (frontend)", "Every entry.", IGNORED],
    ["nginx.conf: try_files", "`singlePage: true`.", PATHS],
    ["nginx.conf: /api/ to the backend", "Better: the edge has it, with Host and upgrades as they come.", PATHS],
  ]),
  of("Image security", [
    ["python:3.11-slim", "3.12 on bookworm, by digest.", PINNED],
    ["No image signing", SIGNING, [...PINNED, ...HASHES]],
    ["No vulnerability scanning", "`bulkhead scan`: Trivy, by checksum.", SCAN],
    ["Node 18 outdated", "24, by digest.", PINNED],
  ]),
  of("Running container security", [
    ["Root", "No process.", HARDENED],
    ["Read-only filesystem", "Every container.", HARDENED],
    ["Network policy", "Each part is a compartment.", REACH],
    ["Secrets in env vars", "Files; exported to the process alone.", HIDDEN],
  ]),
  of("Network security", [
    ["All ports exposed", "The edge's alone.", [...PATHS, ...REACH]],
    ["No TLS", "At the edge, by ACME or files.", [...PAGE, ...ACME]],
    ["No rate limiting", "At the edge, by client.", LIMITED],
  ]),
  of("Recommendations, phase 1", [
    ["Create frontend/Dockerfile", "As above.", PAGE],
    ["Add frontend service", "As above.", PAGE],
    ["Add health checks to all services", "As above.", [...HEALTH, ...KILLED]],
    ["Add restart policies to all services", "As above.", [...KILLED, ...BACK]],
    ["Remove hard-coded credentials", "As above.", HIDDEN],
    ["Create .env file", "Better: none is needed.", HIDDEN],
  ]),
  of("Recommendations, phase 2", [
    ["Create multi-stage Dockerfiles", "As above.", STAGES],
    ["Add .dockerignore files", "As above.", IGNORED],
    ["Add resource limits", "As above.", HARDENED],
    ["Add network configuration", "As above.", REACH],
    ["Add non-root user", "As above.", HARDENED],
  ]),
  of("Recommendations, phase 3", [
    [
      "Add image scanning to CI/CD",
      "`bulkhead scan` in any workflow; `.github/workflows/images.yml` is one, each week.",
      SCAN,
    ],
    ["Add image signing", SIGNING, [...PINNED, ...HASHES]],
    ["Implement SSL/TLS with reverse proxy", "The edge.", [...PAGE, ...ACME]],
    ["Add log aggregation setup", LOG_AGGREGATION, LOGS],
    ["Document container security", "[What protects you](../concepts/security.md).", PAGES],
  ]),
  of("Risk assessment", [
    ["Frontend not containerized", "It is.", PAGE],
    ["Missing health checks", "None is.", KILLED],
    ["No restart policies", "All have one.", [...KILLED, ...BACK]],
    ["Hardcoded secrets", "None.", HIDDEN],
    ["No multi-stage builds", "Both are.", STAGES],
    ["No resource limits", "All have memory, CPU and processes limited.", HARDENED],
  ]),
  of("Critical findings", [
    ["No version pinning in dependencies", "Each by version and hash.", HASHES],
    ["Hardcoded credentials in 5 locations", "In none.", HIDDEN],
    ["Pydantic v1 syntax", "Written for Pydantic 2; its warnings fail the image's tests.", IMPORTED],
    ["No .env file handling", "Secrets are files; one that is missing is named at the start.", HIDDEN],
    ["Frontend not containerized", "It is.", PAGE],
    ["No health checks or restart policies", "All have both.", [...KILLED, ...BACK]],
    ["4 unused npm packages", "None.", IMPORTED],
    ["3-5 unused Python packages", "None.", IMPORTED],
  ]),
  of("Beyond the document", [
    ["A release under load", "0 failed.", RELEASE],
    ["A migration that fails", "The old release serves on.", MIGRATION],
  ]),
].flat();

function of(issue: string, rows: [point: string, met: string, shownBy: string[]][]): Point[] {
  return rows.map(([point, met, shownBy]) => ({ issue, point, met, shownBy }));
}
