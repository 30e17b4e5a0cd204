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
const REACH = ["tests/e2e/compartments.test.ts: a service reaches what it uses, and nothing else"];

/** Every point of ProfileDoctor's document, in its order. */
export const points: readonly Point[] = [
  of("Backend Dockerfile", [
    ["Multi-stage build", "Three stages: dependencies, tests, what runs.", STAGES],
    [".dockerignore", "Every entry of the document.", IGNORED],
    ["Hard-coded environment variables", "None: URLs are composed of generated secrets.", HIDDEN],
    ["HEALTHCHECK with curl", "Better: Python asks `/health`, which asks the database. No curl.", KILLED],
  ]),
  of("Frontend Dockerfile", [
    ["Missing", "Vite builds it in one, with `npm ci` and its tests; nginx serves it.", PAGE],
    ["nginx with SPA fallback", "`singlePage: true`. A missing script stays a 404.", PATHS],
    ["/api/ behind the same name", "The edge leads /api to the API: no CORS, no VITE_API_URL.", PATHS],
  ]),
  of("Issue 1: missing frontend service", [["frontend in the stack", "A StaticSite.", PAGE]]),
  of("Issue 2: hard-coded variables", [
    ["DATABASE_URL", "Better: `composed` of a generated password, and exported in the container alone.", HIDDEN],
    ["POSTGRES_USER, POSTGRES_PASSWORD", "Better: a login for each consumer, generated.", HIDDEN],
  ]),
  of("Issue 3: health checks", [
    ["backend", "`GET /health`.", KILLED],
    ["db", "A query, not only pg_isready.", KILLED],
    ["all services", "An update fails when one is not healthy.", KILLED],
  ]),
  of("Issue 4: restart policies", [["all services", "`always`: also after a reboot.", KILLED]]),
  of("Issue 5: volumes", [["No sources mounted", "They are in the image.", HARDENED]]),
  of("Issue 6: networks", [
    ["Explicit network", "Better: one for each pair that has to talk, without a way out.", REACH],
  ]),
  of("Issue 7: resource limits", [
    ["backend 1 CPU, 512 M, 256 M reserved", "As given. Docker reserves no CPU time.", HARDENED],
    ["frontend 0.5 CPU, 256 M, 128 M reserved", "As given.", HARDENED],
    ["db 1 CPU, 512 M, 256 M reserved", "As given.", HARDENED],
    ["redis 0.5 CPU, 256 M, 128 M reserved", "As given.", HARDENED],
  ]),
  of("Recommended compose file", [
    ["depends_on with service_healthy", "A release starts when what it needs is healthy.", PAGE],
    [
      "postgres:15-alpine",
      "17 on Debian, by digest: Alpine's sorts text otherwise, and 17 is supported longer.",
      PINNED,
    ],
    ["redis:7-alpine with appendonly", "Valkey 9 with its append-only file; Redis works too.", [...KEPT, ...PINNED]],
    ["Volumes for data", "Retained when the program goes.", KILLED],
    ["Ports of each service on the host", "Better: the edge's alone.", PATHS],
  ]),
  of("Configuration files", [
    [".env file", "Better: none. Stack files, and generated secrets.", HIDDEN],
    ["SECRET_KEY", "Generated; it signs visitors' cookies.", KEPT],
    [".dockerignore (backend)", "Every entry.", IGNORED],
    [".dockerignore (frontend)", "Every entry.", IGNORED],
    ["nginx.conf", "Better: StaticSite and the edge have it.", PATHS],
  ]),
  of("Image security", [
    ["python:3.11-slim", "3.12 on bookworm, by digest.", PINNED],
    ["Node 18 outdated", "24, by digest.", PINNED],
  ]),
  of("Running container security", [
    ["Root", "No process.", HARDENED],
    ["Read-only filesystem", "Every container.", HARDENED],
    ["Network policy", "Each program is a compartment.", REACH],
    ["Secrets in env vars", "Files; exported to the process alone.", HIDDEN],
  ]),
  of("Network security", [
    ["All ports exposed", "The edge's alone.", PATHS],
    ["No TLS", "At the edge, by ACME or files.", [...PAGE, ...ACME]],
    ["No rate limiting", "At the edge, by client.", ["tests/unit/profiledoctor.test.ts: the API has a rate limit"]],
  ]),
  of("Recommendations", [
    ["Phase 1", "All six, as above.", [...PAGE, ...KILLED, ...HIDDEN]],
    ["Phase 2", "All five, as above.", [...STAGES, ...IGNORED, ...HARDENED, ...REACH]],
    ["Zero downtime", "A release under load.", RELEASE],
  ]),
].flat();

function of(issue: string, rows: [point: string, met: string, shownBy: string[]][]): Point[] {
  return rows.map(([point, met, shownBy]) => ({ issue, point, met, shownBy }));
}
