import type { Point } from "./points.ts";

const HERE = "tests/e2e/statsboard.test.ts";
const ROOT = [`${HERE}: no process is root, and none can write but to its own /tmp and /var/tmp`];
const IMAGE = [`${HERE}: the image has what runs, pinned, and neither Poetry nor pip's cache, curl, tests or settings`];
const TESTS = [`${HERE}: what fails its own tests is no release: the old one serves on`];
const LIMITS = [`${HERE}: limits and reservations are as the document has them`];
const BOARD = [`${HERE}: a board in a browser: teams, a match, and each goal as it falls`];
const KILLED = [`${HERE}: backend is killed: it is back by itself, with all data`];
const MIGRATION = [`${HERE}: a migration that fails: the old release serves on, and data and tables are as before`];
const SECRETS = [`${HERE}: passwords and tokens are in files, and nowhere else`];
const ACME = [
  "tests/e2e/acme.test.ts: the edge gets one certificate for the domain and for all below it, from the CA that it was told",
];
const RENEWED = [
  "tests/e2e/acme.test.ts: while the CA is away, the certificate that is there serves; when it is back, it is renewed without a lost request",
];
const NO_TOKEN = ["tests/e2e/acme.test.ts: no token stands in a container's settings, or in what was printed"];
const MATRIX = [`${HERE}: each container reaches what the program says that it uses, and nothing else`];
const HEALTH = ["tests/unit/statsboard.test.ts: the image asks for its health as the document has it, without curl"];
const SMALLER = [`${HERE}: the image is smaller than one of a single stage`];
const ALL_KILLED = ["backend", "database", "site"].map(
  (name) => `${HERE}: ${name} is killed: it is back by itself, with all data`,
);
const END_TO_END = [
  `${HERE}: a release under load: no request fails, and what was acknowledged is there`,
  "tests/e2e/examples.test.ts: all data are there after a reboot",
  "tests/e2e/examples.test.ts: a fresh stack has all that was written, and a drill of it is green",
];
const PINNED = ["tests/unit/statsboard.test.ts: every image is pinned by tag and digest"];
const IGNORED = ["tests/unit/statsboard.test.ts: .dockerignore has every entry of the document"];
const LOCKED = ["tests/unit/statsboard.test.ts: what is installed is what Poetry locked"];
const LAYERS = ["tests/unit/statsboard.test.ts: dependencies come before sources, in stages"];

const ONE_DOCKERFILE =
  "One Dockerfile takes the place of four: its stage `test` that of Dockerfile.test, the pre-deploy job that of " +
  "Dockerfile.migrations, and `bulkhead up` with the stack `local` that of Dockerfile.dev.";

/** Every point of StatsBoard's document, in its order. */
export const points: readonly Point[] = [
  of("STAB-155: non-root user", [
    ["`appuser` with UID 1000, GID 1000 in all Python Dockerfiles", ONE_DOCKERFILE, ROOT],
    [
      "Install curl for healthchecks",
      "Better: bash asks, or Python. curl would be one tool more for whoever breaks in.",
      IMAGE,
    ],
    ["Fix ownership of /app, /tmp", "/app is root's and read-only; /tmp and /var/tmp are the process's own.", ROOT],
    ["Update Dockerfile.prod, .dev, .test, .migrations", ONE_DOCKERFILE, [...ROOT, ...TESTS, ...MIGRATION]],
    ["WORKDIR and COPY handle permissions", "`chmod a=rX` in the build, whatever the umask of the checkout.", ROOT],
    ["`whoami` returns `appuser`", "Of every process of every container, as the kernel has it.", ROOT],
    ["All Dockerfiles build", "On the host, by `bulkhead up`.", BOARD],
    ["Runs without permission errors", "With a read-only root file system.", BOARD],
    ["All tests pass", "In the image's stage `test`.", TESTS],
  ]),
  of("Issue 2: pinned versions", [
    ["certbot:latest to v2.8.0", "Better: no certbot. The edge gets certificates itself, by DNS-01.", ACME],
    ["postgres:latest to 17.2-alpine", "17.11 on Debian, by digest. Alpine's sorts text otherwise.", PINNED],
    ["python:3.12-slim to 3.12.3-slim", "3.12.15, by digest.", PINNED],
    ["nginx:alpine to 1.27.3-alpine", "Better: no nginx in front. The site's server is pinned by digest.", PINNED],
    ["Version choices in each Dockerfile", "Beside each digest, in `images.ts` and the Dockerfile.", PINNED],
  ]),
  of("Issue 3: healthchecks", [
    ["Dockerfile.prod healthcheck by http", "`GET /health` on port 9000; it asks the database too.", KILLED],
    ["Dockerfile.dev", ONE_DOCKERFILE, KILLED],
    ["Dockerfile.test", "A stage that runs to its end has no health: its exit code says it.", TESTS],
    [
      "Dockerfile.migrations",
      "A job that runs to its end has no health: a release waits for its exit code.",
      MIGRATION,
    ],
    ["curl in all Python Dockerfiles", "Better: none, as above.", IMAGE],
    ["Every 30 s, 3 s of time, 30 s to start, 3 retries", "As given.", HEALTH],
    ["Restart of what is unhealthy", "A process that ends starts again; `revive` for one that hangs.", ALL_KILLED],
  ]),
  of("Issue 4: .dockerignore", [
    ["Git files", "All of them.", IGNORED],
    ["Python cache", "All of them.", IGNORED],
    ["Environment files except .env.example", "There is none to begin with.", IGNORED],
    ["Documentation", "All of it.", IGNORED],
    ["Tests", "What tests leave. The tests go into the stage `test` and not into the image.", [...IGNORED, ...IMAGE]],
    ["Development tools", "All of them.", IGNORED],
    ["Build artifacts", "All of them.", IGNORED],
  ]),
  of("Issue 5: multi-stage builds", [
    ["Dockerfile.prod", "Three stages.", LAYERS],
    ["Dockerfile.dev", ONE_DOCKERFILE, LAYERS],
    ["Dockerfile.test", "A stage.", TESTS],
    ["Build stage installs all dependencies", "Stage `dependencies`.", LAYERS],
    ["Production stage copies only runtime dependencies", "One virtual environment.", IMAGE],
    ["Copy application code", "From the context, so that a change of it repeats no install.", LAYERS],
    ["40 % less than ~300 MB", "255 MB instead of 537 MB, on a stand-in of the base image: 53 % less.", SMALLER],
  ]),
  of("Issue 6: layer caching", [
    ["Deps first, source last", "As it says.", LAYERS],
    [
      "`pyproject.toml` and `poetry.lock` before source",
      "Better: requirements.txt, which Poetry exports with hashes. The image needs no Poetry.",
      [...LAYERS, ...LOCKED],
    ],
    ["Install before copying source", "As it says.", LAYERS],
  ]),
  of("Issue 7: no poetry-cache in production", [
    ["No `poetry-cache` volume", "There is none.", IMAGE],
    ["Not mounted in the backend", "There is none.", IMAGE],
    ["Works without", "It does.", BOARD],
  ]),
  of("Issue 8: resource limits", [
    [
      "statsboards-backend",
      "512 MiB and half a core; 256 MiB reserved. Docker has no reservation of CPU time.",
      LIMITS,
    ],
    ["nginx-ssl", "The edge, by `edge` of the stack file.", LIMITS],
    ["nginx-static", "The site: 64 MiB and a quarter of a core.", LIMITS],
    ["certbot", "Better: there is none.", ACME],
  ]),
  of("Issue 9: certbot script", [
    ["No `set -x`", "No script: tokens are in files, and the log has none.", NO_TOKEN],
    ["Certificate validation", "The update waits for the certificate, and asks for it as a client does.", ACME],
    ["Error handling and logging", "What is there serves on while a CA is away.", RENEWED],
    ["Timeout for renewal", "The edge tries again by itself, 30 days before the end.", RENEWED],
    ["Email and domains configurable", "`certificates.email` and `domain` of the stack file.", ACME],
  ]),
  of("Issue 10: security options", [
    ["`read_only: true`", "Every container.", ROOT],
    ["tmpfs for /tmp and /run", "/tmp 100 MB and /var/tmp 50 MB, noexec and nosuid. Nothing needs /run.", ROOT],
    ["`cap_drop: ALL` for nginx", "Every container.", ROOT],
    ["`no-new-privileges`", "Every container.", ROOT],
  ]),
  of("Issue 11: no .env file", [
    ["No `env_file`", "There is none.", SECRETS],
    ["Explicit environment variables", "In index.ts; secrets are paths of files.", SECRETS],
    ["Document required variables", "One that is missing is named at the start, all at once.", TESTS],
    ["Update deployment documentation", "README.md of the example.", BOARD],
  ]),
  of("Testing checklist", [
    ["All Dockerfiles build", "By `bulkhead up`.", BOARD],
    ["docker-compose.dev.yml up", "`bulkhead up` with the stack `local`.", BOARD],
    ["docker-compose.test.yml up", "The stage `test`.", TESTS],
    ["docker-compose.prod.yml build", "`bulkhead up --stack prod` builds on the host.", BOARD],
    ["All healthchecks respond", "An update ends when they do.", ALL_KILLED],
    ["No container runs as root", "As above.", ROOT],
    ["All tests pass locally", "As above.", TESTS],
    ["Pinned versions only", "As above.", PINNED],
  ]),
  of("Files summary", [
    ["Dockerfile.prod", "`backend/Dockerfile`.", BOARD],
    ["Dockerfile.dev", "`bulkhead up` with the stack `local`.", BOARD],
    ["Dockerfile.test", "The stage `test` of `backend/Dockerfile`.", TESTS],
    ["Dockerfile.migrations", "The pre-deploy job, in the release's own image.", MIGRATION],
    ["Dockerfile.certbot, certbot-entrypoint.sh", "Better: none. The edge has its certificates itself.", ACME],
    ["docker-compose.test.yml", "The stage `test`: SQLite in the place of a server.", TESTS],
    ["docker-compose.prod.yml", "`index.ts` and `Pulumi.prod.yaml`.", [...LIMITS, ...ROOT, ...MATRIX]],
    [".dockerignore", "`backend/.dockerignore`; the site is a folder of its own.", IGNORED],
  ]),
  of("Next steps", [["End-to-end testing", "In a browser, under load, killed, rebooted and restored.", END_TO_END]]),
].flat();

function of(issue: string, rows: [point: string, met: string, shownBy: string[]][]): Point[] {
  return rows.map(([point, met, shownBy]) => ({ issue, point, met, shownBy }));
}
