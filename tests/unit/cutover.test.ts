import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DockerHost } from "../../components/host/docker-host.ts";
import { RouteFile } from "../../components/edge/route-file.ts";
import { container, hex, record } from "../../testing/recorder.ts";

const everything = mkdtempSync(join(tmpdir(), "bulkhead-cutover-"));
afterAll(() => rmSync(everything, { recursive: true }));

/** The job's entry point and environment, as Docker gets them. */
let command: string[];
let env: Record<string, string>;
/** What a service's job tries first. */
let candidate: { CANDIDATE: string; CANDIDATE_ROUTERS: string };
beforeAll(async () => {
  const recording = await record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: `example:1@sha256:${hex("example", 64)}` });
    const common = {
      host,
      worksFor: "api",
      doorNetwork: "door",
      routesVolume: "routes",
      release: "api-2",
      checkPath: "/health",
    };
    new RouteFile("api", {
      ...common,
      content: { http: { routers: { api: { rule: "Host(`a`) && '\"$HOME\\n %s" } } }, tcp: { routers: { api: {} } } },
    });
    new RouteFile("tried", {
      ...common,
      content: { http: {} },
      candidate: { http: { routers: { of: "the candidate" } } },
    });
  });
  const { CANDIDATE, CANDIDATE_ROUTERS } = environment(container(recording, "tried-job").inputs.envs!);
  candidate = { CANDIDATE: CANDIDATE!, CANDIDATE_ROUTERS: CANDIDATE_ROUTERS! };
  const { entrypoints, envs } = container(recording, "api-job").inputs;
  command = entrypoints!;
  env = environment(envs!);
});

function environment(envs: string[]): Record<string, string> {
  return Object.fromEntries(envs.map((entry) => entry.split(/=(.*)/s).slice(0, 2))) as Record<string, string>;
}

interface Situation {
  /** What another job did in the routes' folder. */
  before?: string;
  /** What another job does there while this one asks for the first time. */
  meanwhile?: string;
  /** The status that each edge answers, by its address: one after the other, and then the last for ever. */
  edges: Record<string, string[]>;
  /** What each edge says of a route that it has. @default that it is enabled */
  routers?: Record<string, string>;
  /** The first line of what comes with an error. */
  body?: string;
  /** The route file that is there. */
  old?: string;
  /** What the clock goes on from one look to the next. @default 4 */
  tickSeconds?: number;
  /** More of the environment. */
  more?: Record<string, string>;
}

/**
 * Runs the script in a shell, with its folders elsewhere. What it calls is there as functions, which no shell prefers a
 * built-in to: DNS and edges answer as told, and its 15 seconds take none.
 */
async function cutOver({
  edges,
  routers = {},
  body,
  old,
  more,
  tickSeconds = 4,
  before = ":",
  meanwhile = ":",
}: Situation) {
  const directory = mkdtempSync(join(everything, "run-"));
  const [routes, temporary, answers] = ["routes", "tmp", "answers"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [routes, temporary, answers]) mkdirSync(folder);
  const file = join(routes, "api.yml");
  if (old !== undefined) writeFileSync(file, old);
  if (body !== undefined) writeFileSync(join(directory, "body"), `${body}\nmore\n`);
  for (const [address, texts] of Object.entries(edges))
    texts.forEach((text, index) => writeFileSync(join(answers, `${address}.${index + 1}`), text));

  const fakes = `
(cd ${routes}; ${before})
nslookup() {
  printf 'Server:\\t127.0.0.11\\nAddress:\\t127.0.0.11:53\\n\\nNon-authoritative answer:\\n'
  ls ${answers} | grep '[.]1$' | sed 's/[.]1$//' | while read -r address; do printf 'Name:\\tedge\\nAddress: %s\\n' "$address"; done
}
timeout() { shift; "$@"; }
nc() {
  address=$1
  read -r _ path _
  case $path in
${Object.entries(routers)
  .map(([router, answer]) => `    */api/${router}) printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s' '${answer}'; return 0 ;;`)
  .join("\n")}
    */api/*@file) printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${ENABLED}'; return 0 ;;
  esac
  echo "$path" > "${directory}/path.$address"
  case $path in */candidate/*) cp ${file} ${directory}/route.tried 2>/dev/null; cp ${routes}/api.*.candidate.yml ${directory}/candidate.tried ;; esac
  [ -e "${directory}/meanwhile" ] || (cd ${routes}; touch ${directory}/meanwhile; ${meanwhile})
  asked=$(($(cat "${directory}/asked.$address" 2>/dev/null || echo 0) + 1)); echo "$asked" > "${directory}/asked.$address"
  while [ ! -e "${answers}/$address.$asked" ]; do asked=$((asked - 1)); done
  status=$(cat "${answers}/$address.$asked")
  case $status in
    slow) printf 'HTTP/1.0 200 OK\\r\\n'; return 143 ;;
    elsewhere) printf 'HTTP/1.0 301 Moved Permanently\\r\\nLocation: https://example.com/login\\r\\n\\r\\n' ;;
    [2-5]*) printf 'HTTP/1.0 %s\\r\\nContent-Type: text/plain\\r\\n\\r\\n%s' "$status" "$(cat "${directory}/body" 2>/dev/null)" ;;
    *) echo "$status" >&2; return 1 ;;
  esac
}
date() { passed=$(($(cat "${directory}/date" 2>/dev/null || echo 0) + ${tickSeconds})); echo "$passed" | tee "${directory}/date"; }
sleep() { echo "$1" >> "${directory}/slept"; }
`;
  const script = command[2]!
    .replaceAll("/tmp", temporary)
    .replaceAll("/routes", routes)
    .replaceAll("/beside", join(directory, "beside"));
  expect(script).not.toBe(command[2]);
  const shell = spawn(command[0]!, [command[1]!, fakes + script], {
    env: { PATH: process.env["PATH"], ...env, ...more },
  });
  let printed = "";
  for (const stream of [shell.stdout, shell.stderr])
    stream.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const code = await new Promise((resolve) => shell.on("close", resolve));
  const read = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : undefined);
  return {
    code,
    printed: printed.replaceAll(routes, "/routes"),
    /** What the health check sees. */
    done: existsSync(join(temporary, "done")),
    route: read(file),
    /** The route and the candidate when the candidate was asked for. */
    whenTried: [read(join(directory, "route.tried")), read(join(directory, "candidate.tried"))],
    left: readdirSync(routes).sort(),
    mode: existsSync(file) ? (statSync(file).mode & 0o777).toString(8) : undefined,
    asked: (address: string) => Number(read(join(directory, `asked.${address}`)) ?? 0),
    request: (address: string) => read(join(directory, `path.${address}`)),
    slept: read(join(directory, "slept"))?.trim().split("\n") ?? [],
  };
}

const READ = "PathPrefix(`/release/api-2/`) || PathPrefix(`/candidate/api-2/`)";
const ENABLED = JSON.stringify({ status: "enabled", rule: READ });
const REJECTED = JSON.stringify({ error: ["unexpected token"], rule: READ, status: "disabled" });
const OLD = '{"http":"of the old release"}';
const NOT_FOUND = "404 Not Found";

describe.concurrent("a cutover", () => {
  test("writes the route, and is done when the edge serves the new release", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": ["200 OK"] }, old: OLD });
    expect(after).toMatchObject({
      code: 0,
      done: true,
      route: env["ROUTE"],
      left: ["api.turn", "api.yml"],
      mode: "644",
    });
    expect(after.printed).toBe("serving api-2\n");
    expect(after.request("172.21.0.2")).toBe("/release/api-2/health\n");
    // Docker looks once a second; the job has to be there to be seen.
    expect(after.slept).toEqual(["15"]);
  });

  test("of a service that is new writes the first route", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": ["204 No Content"] } });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
  });

  test("waits until the edge has read the file", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": [NOT_FOUND, "502 Bad Gateway", "200 OK"] }, old: OLD });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
    expect(after.asked("172.21.0.2")).toBe(3);
  });

  test("waits for every edge, also the one that is about to go", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": ["200 OK"], "172.21.0.3": [NOT_FOUND, "200 OK"] }, old: OLD });
    expect(after).toMatchObject({ code: 0, done: true });
    expect(after.asked("172.21.0.3")).toBe(2);
  });

  test("asks less often after 3 s", async () => {
    const answers = [...Array<string>(5).fill("502 Bad Gateway"), "200 OK", "200 OK"];
    const after = await cutOver({ edges: { "172.21.0.2": answers }, tickSeconds: 1 });
    expect(after.slept).toEqual(["0.1", "0.1", "0.5", "0.5", "0.5", "15"]);
  });

  test("asks no DNS server for a release", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": ["200 OK"] } });
    expect(after.asked("127.0.0.11")).toBe(0);
  });
});

describe("files beside a route", () => {
  const edges = { "172.21.0.2": ["200 OK"] };
  const before = "mkdir ../beside; echo users > ../beside/api; touch api.0.beside.api other.0.beside.api";
  const more = { BESIDE: "1" };

  test("are there before the route is, and those of before go when it serves", async () => {
    const after = await cutOver({ edges, old: OLD, before, more });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
    expect(after.left).toEqual(["api.1.beside.api", "api.turn", "api.yml", "other.0.beside.api"]);
  });

  test("of before stay when the old route comes back", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": [NOT_FOUND] }, old: OLD, before, more });
    expect(after).toMatchObject({ code: 1, route: OLD });
    expect(after.left).toContain("api.0.beside.api");
  });

  test("go when the new route has none", async () => {
    const after = await cutOver({ edges, old: OLD, before });
    expect(after.left).toEqual(["api.turn", "api.yml", "other.0.beside.api"]);
  });
});

describe("a cutover with a candidate", () => {
  test("tries it before the route is touched, and takes it away", async () => {
    const after = await cutOver({
      edges: { "172.21.0.2": [NOT_FOUND, "200 OK", "200 OK"] },
      old: OLD,
      more: candidate,
    });
    expect(JSON.parse(candidate.CANDIDATE)).toEqual({ http: { routers: { of: "the candidate" } } });
    expect(after.whenTried).toEqual([OLD, candidate.CANDIDATE]);
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"], left: ["api.turn", "api.yml"] });
    expect(after.request("172.21.0.2")).toBe("/release/api-2/health\n");
  });

  test("that does not answer never touches the route", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": ["500 Internal Server Error"] }, old: OLD, more: candidate });
    expect(after).toMatchObject({ code: 1, done: false, route: OLD, left: ["api.turn", "api.yml"] });
    expect(after.printed).toContain("not serving api-2, it got no request.");
    // It asked for nothing but the candidate, and the last time as at first the route was the old one.
    expect(after.request("172.21.0.2")).toBe("/candidate/api-2/health\n");
    expect(after.whenTried).toEqual([OLD, candidate.CANDIDATE]);
  });

  test("that answers, but not as the route, puts the old route back", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": ["200 OK", NOT_FOUND] }, old: OLD, more: candidate });
    expect(after).toMatchObject({ code: 1, done: false, route: OLD, left: ["api.turn", "api.yml"] });
    expect(after.printed).toContain("not serving api-2, the old route is back.");
  });
});

describe("a route that the edge rejects", () => {
  const edges = { "172.21.0.2": ["200 OK"] };

  test.each(["http/routers/api@file", "tcp/routers/api@file"])("puts the old one back: %s", async (router) => {
    const after = await cutOver({ edges, old: OLD, routers: { [router]: REJECTED } });
    expect(after).toMatchObject({ code: 1, done: false, route: OLD, left: ["api.turn", "api.yml"] });
    expect(after.printed).toBe(
      `not serving api-2, the old route is back. The edge 172.21.0.2 rejects the route: ${REJECTED}\n`,
    );
  });

  test("is not switched where it is tried first", async () => {
    const after = await cutOver({
      edges: { "172.21.0.2": [NOT_FOUND] },
      old: OLD,
      routers: { "http/routers/of@file": REJECTED },
      more: candidate,
    });
    expect(after).toMatchObject({ code: 1, done: false, route: OLD, left: ["api.turn", "api.yml"] });
    expect(after.printed).toBe(
      `not serving api-2, it got no request. The edge 172.21.0.2 rejects the route: ${REJECTED}\n`,
    );
    expect(after.whenTried).toEqual([OLD, candidate.CANDIDATE]);
  });

  test("is not one of an edge from before, which says nothing of its routes", async () => {
    const after = await cutOver({ edges, old: OLD, routers: { "http/routers/api@file": "404 page not found" } });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
  });
});

describe("a cutover that a killed run has left", () => {
  const edges = { "172.21.0.2": ["200 OK"] };

  test("never switches the route after a newer one", async () => {
    const meanwhile = "echo another > api.turn; echo newer > api.yml";
    const after = await cutOver({ edges, old: OLD, more: candidate, meanwhile });
    expect(after).toMatchObject({ code: 1, done: false, route: "newer\n", left: ["api.turn", "api.yml"] });
    expect(after.printed).toBe("not serving api-2, it got no request. A newer update switches this route\n");
  });

  test("never puts back what a newer one has replaced", async () => {
    const meanwhile = "echo another > api.turn; echo newer > api.yml";
    const after = await cutOver({ edges: { "172.21.0.2": [NOT_FOUND] }, old: OLD, meanwhile });
    expect(after).toMatchObject({ code: 1, done: false, route: "newer\n" });
  });

  test("leaves no candidate to the next", async () => {
    const after = await cutOver({
      edges,
      old: OLD,
      more: candidate,
      before: "touch api.1.candidate.yml",
    });
    expect(after.whenTried).toEqual([OLD, candidate.CANDIDATE]);
    expect(after).toMatchObject({ code: 0, done: true, left: ["api.turn", "api.yml"] });
  });
});

describe.concurrent("a cutover that fails", () => {
  const said = (address: string, answer: string) =>
    `not serving api-2, the old route is back. Asked for /health, ${address && `the edge ${address} `}${answer}\n`;
  const LONG = ", for a minute: something hangs, or the host has too much to do";
  const refused = "nc: can't connect to remote host (172.21.0.2): Connection refused";
  const failures: [what: string, edges: Record<string, string[]>, printed: string][] = [
    ["the edge knows no such release", { "172.21.0.2": [NOT_FOUND] }, said("172.21.0.2", "answered 404 Not Found")],
    [
      "the new release answers 500",
      { "172.21.0.2": ["500 Internal Server Error"] },
      said("172.21.0.2", "answered 500 Internal Server Error"),
    ],
    [
      "an answer sends it elsewhere, where all is well",
      { "172.21.0.2": ["elsewhere"] },
      said("172.21.0.2", "answered 301 Moved Permanently, to https://example.com/login"),
    ],
    ["an answer takes too long", { "172.21.0.2": ["slow"] }, said("172.21.0.2", `took longer than 5 s${LONG}`)],
    ["the edge is not there", { "172.21.0.2": [refused] }, said("172.21.0.2", `gave no answer: ${refused}`)],
    [
      "one of two edges does not serve",
      { "172.21.0.2": ["200 OK"], "172.21.0.3": ["502 Bad Gateway"] },
      said("172.21.0.3", "answered 502 Bad Gateway"),
    ],
    ["no edge is in the DNS", {}, said("", "there is no edge in the network's DNS")],
  ];

  test("says the first line of what comes with an error", async () => {
    const edges = { "172.21.0.2": ["400 Bad Request"] };
    const { printed } = await cutOver({ edges, old: OLD, body: "Invalid HTTP_HOST header: 'edge:8082'" });
    expect(printed).toContain("answered 400 Bad Request: Invalid HTTP_HOST header: 'edge:8082'");
  });

  test.each(failures)("puts the old route back when %s", async (_, edges, printed) => {
    const after = await cutOver({ edges, old: OLD });
    expect(after).toMatchObject({
      code: 1,
      done: false,
      route: OLD,
      left: ["api.turn", "api.yml"],
      mode: "644",
      printed,
    });
  });

  test.each(failures)("leaves no route of a service that is new when %s", async (_, edges) => {
    const after = await cutOver({ edges });
    expect(after).toMatchObject({ code: 1, done: false, left: ["api.turn"] });
  });

  test("tried for 15 s", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": [NOT_FOUND] } });
    // The clock here takes 4 s from one look to the next: 0, 4, 8 and 12 s, and for the last time 16.
    expect(after.asked("172.21.0.2")).toBe(5);
  });
});

describe("a host that has too much to do gets a minute:", () => {
  const old = JSON.stringify({ status: "enabled", rule: "PathPrefix(`/release/api-1/`)" });
  const unread = { "http/routers/api@file": old, "tcp/routers/api@file": old };
  /** 36 s of it, by the clock here. */
  const then200 = (answer: string) => ({ "172.21.0.2": [...Array<string>(9).fill(answer), "200 OK"] });

  test("an edge that has not read the route", async () => {
    const after = await cutOver({ edges: then200(NOT_FOUND), old: OLD, routers: unread });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
    expect(after.asked("172.21.0.2")).toBe(10);
  });

  test.each(["slow", "504 Gateway Timeout"])("no answer in time: %s", async (answer) => {
    const after = await cutOver({ edges: then200(answer), old: OLD });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
  });

  test("a candidate too, and the route has a time of its own", async () => {
    const edges = { "172.21.0.2": [...then200(NOT_FOUND)["172.21.0.2"], NOT_FOUND, "200 OK"] };
    const routers = { "http/routers/of@file": "404 page not found" };
    const after = await cutOver({ edges, old: OLD, routers, more: candidate });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
  });

  test("and no more", async () => {
    const after = await cutOver({ edges: { "172.21.0.2": [NOT_FOUND] }, old: OLD, routers: unread });
    expect(after).toMatchObject({ code: 1, done: false, route: OLD });
    expect(after.printed).toContain(
      "answered 404 Not Found, for a minute: something hangs, or the host has too much to do",
    );
    expect(after.asked("172.21.0.2")).toBe(16);
  });

  test.each(["500 Internal Server Error", "502 Bad Gateway"])("a release that answers %s gets none", async (answer) => {
    const after = await cutOver({ edges: then200(answer), old: OLD, routers: unread });
    expect(after).toMatchObject({ code: 1, done: false, route: OLD });
    expect(after.asked("172.21.0.2")).toBe(5);
  });

  test("what came true while it was looked for counts", async () => {
    // The edge reads the route between the fourth ask and the look at what it knows.
    const after = await cutOver({ edges: { "172.21.0.2": [...Array<string>(4).fill(NOT_FOUND), "200 OK"] }, old: OLD });
    expect(after).toMatchObject({ code: 0, done: true, route: env["ROUTE"] });
  });
});

test("a route file that cannot be written fails", async () => {
  const directory = mkdtempSync(join(everything, "run-"));
  const script = command[2]!.replaceAll("/tmp", directory).replaceAll("/routes", join(directory, "gone"));
  const head = "nslookup() { :; }\ndate() { echo 100 >> D; wc -l < D; }\nsleep() { :; }\n".replaceAll(
    "D",
    `${directory}/date`,
  );
  const shell = spawn(command[0]!, [command[1]!, head + script], { env: { PATH: process.env["PATH"], ...env } });
  expect(await new Promise((resolve) => shell.on("close", resolve))).toBe(1);
  expect(existsSync(join(directory, "done"))).toBe(false);
});
