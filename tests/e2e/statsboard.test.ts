// StatsBoard as its users have it: one command, a board in a browser, and data that stay.
import { readFileSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import type { LookupFunction } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { startBrowser } from "../support/browser.ts";
import { runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { startLoad } from "../support/load.ts";
import { SOAK } from "../support/soak.ts";
import { points } from "../support/statsboard-points.ts";
import { inspectAll, type ContainerInspect } from "../support/reach.ts";

const STACK = "statsboard-local";
const ADDRESS = "https://statsboard.localhost:8444";
/** The command runs from source. */
const SOURCE = "--conditions=bulkhead-source";
const copy = new RepositoryCopy();
const program = join(copy.directory, "examples/statsboard");
const engine = new Engine(process.env["DOCKER_HOST"]!);
let token: string;

beforeAll(async () => {
  const up = await bulkhead("up");
  expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
  console.log(`From a clean clone to an answer, tools cached: ${up.seconds.toFixed(0)} s.`);
  const found = await bulkhead("exec", "backend", "--", "cat", "/run/secrets/board_token");
  token = found.stdout;
});

afterAll(async () => {
  const down = await bulkhead("down", "--delete-data", "--yes");
  const left = await inspectAll(engine, STACK);
  engine.close();
  copy.remove();
  expect(down, down.stderr).toMatchObject({ code: 0 });
  expect(left).toEqual([]);
});

test("a board in a browser: teams, a match, and each goal as it falls", async () => {
  const browser = await startBrowser({ ca: ca(), hosts: { "statsboard.localhost": "127.0.0.1" } });
  try {
    const { page } = browser;
    await page.goto(ADDRESS);
    await page.getByText("No match yet").waitFor();
    await page.getByText("Change the board").click();
    await page.getByLabel("Token").fill(token);
    for (const name of ["Rovers", "United"]) {
      await page.getByLabel("New team").fill(name);
      await page.getByRole("button", { name: "Add the team" }).click();
      await page.getByLabel("Home").getByText(name).waitFor({ state: "attached" });
    }
    await page.getByLabel("Home").selectOption("Rovers");
    await page.getByLabel("Away").selectOption("United");
    await page.getByRole("button", { name: "Add the match" }).click();
    await page.getByText("0 : 0").waitFor();
    await page.getByTitle("A goal of Rovers").click();
    await page.getByText("1 : 0").waitFor();
    // Another's goal reaches this page by itself.
    await write("PUT", "/matches/1/score", { home_score: 1, away_score: 1 });
    await page.getByText("1 : 1").waitFor();
    await page.screenshot({ path: join(copy.directory, "statsboard.png") });
  } finally {
    await browser.stop();
  }
});

test("nobody changes the board without the token", async () => {
  const refused = await ask("PUT", "/api/matches/1/score", { home_score: 9, away_score: 9 }, "wrong");
  expect(refused.status).toBe(401);
  expect(await score()).toBe("1 : 1");
});

test("no process is root, and none can write but to its own /tmp and /var/tmp", async () => {
  for (const { Id, Config, HostConfig, State } of await inspectAll(engine, STACK)) {
    const name = Config.Labels["bulkhead.name"]!;
    if (!State.Running) continue;
    const { Processes } = await engine.get<{ Processes: string[][] }>(`/containers/${Id}/top?ps_args=-eo%20pid,uid`);
    expect(
      Processes.map(([, uid]) => uid).filter((uid) => uid === "0"),
      name,
    ).toEqual([]);
    expect(HostConfig, name).toMatchObject({
      ...{ ReadonlyRootfs: true, CapAdd: null, CapDrop: ["ALL"], Privileged: false },
      SecurityOpt: ["no-new-privileges:true"],
    });
  }
  const { stdout } = await bulkhead("exec", "backend", "--", "sh", "-c", WRITES);
  expect(stdout.split("\n")).toEqual([
    ...["uid 1000 appuser", "/app refused", "/run refused", "/etc refused", "/tmp written, not run"],
    ...["/var/tmp written, not run", "102400 /tmp", "51200 /var/tmp", ""],
  ]);
});

const WRITES = `
echo uid $(id -u) $(id -un)
for folder in /app /run /etc /tmp /var/tmp; do
  if ! echo 'echo ran' 2>/dev/null >$folder/try; then echo $folder refused; continue; fi
  chmod +x $folder/try
  if $folder/try 2>/dev/null; then echo $folder written and run; else echo $folder written, not run; fi
  rm $folder/try
done
df --output=size,target /tmp /var/tmp | sed 1d | tr -s ' ' | sed 's/^ //'
`;

test("limits and reservations are as the document has them", async () => {
  const { HostConfig } = await container("backend");
  const mb = 1024 * 1024;
  expect(HostConfig).toMatchObject({ Memory: 512 * mb, MemorySwap: 512 * mb, MemoryReservation: 256 * mb });
  expect(HostConfig).toMatchObject({ NanoCpus: 500_000_000, PidsLimit: 64 });
  for (const each of (await inspectAll(engine, STACK)).filter(({ State }) => State.Running)) {
    const { Memory, NanoCpus, PidsLimit } = each.HostConfig as Record<string, number>;
    expect(Math.min(Memory!, NanoCpus!, PidsLimit!), each.Name).toBeGreaterThan(0);
  }
});

test("the image has what runs, pinned, and neither Poetry nor pip's cache, curl, tests or settings", async () => {
  const script = "find / -xdev -not -path '/proc/*' 2>/dev/null; true";
  const { stdout } = await bulkhead("exec", "backend", "--", "sh", "-c", script);
  const files = stdout.split("\n");
  expect(files).toContain("/app/src/statsboard/app.py");
  const unwanted = /\/(poetry|curl|pypoetry|\.cache|tests|pytest|requirements[^/]*\.txt|\.env[^/]*)$/;
  expect(files.filter((file) => !file.includes("-packages/") && unwanted.test(file))).toEqual([]);
});

test("passwords and tokens are in files, and nowhere else", async () => {
  const { stdout: password } = await bulkhead("exec", "backend", "--", "cat", "/run/secrets/database_password");
  expect(password.length).toBeGreaterThan(20);
  const found = await inspectAll(engine, STACK);
  const logs = await bulkhead("logs");
  for (const secret of [password, token]) {
    expect(JSON.stringify(found).includes(secret)).toBe(false);
    expect(logs.stdout.includes(secret)).toBe(false);
  }
  // A service may change rows and no tables.
  const drop = `
import asyncio, os, asyncpg
async def main():
    password = open(os.environ["DATABASE_PASSWORD_FILE"]).read()
    connection = await asyncpg.connect(host=os.environ["DATABASE_HOST"], user=os.environ["DATABASE_USER"],
        database=os.environ["DATABASE_NAME"], password=password)
    await connection.execute("drop table matches")
asyncio.run(main())`;
  const dropped = await bulkhead("exec", "backend", "--", "python", "-c", drop);
  expect(dropped.code).not.toBe(0);
  expect(dropped.stderr).toContain("must be owner of table matches");
});

test("a release under load: no request fails, and what was acknowledged is there", async () => {
  const load = startLoad({
    ...{ url: `${ADDRESS}/api/matches`, address: "127.0.0.1", ca: ca() },
    ...{ connections: 4, requestsPerSecond: 40, seconds: 120 },
  });
  const before = await container("backend");
  await load.advance(20);
  copy.edit("examples/statsboard/backend/src/statsboard/app.py", 'title="StatsBoard"', 'title="StatsBoard 2"');
  const up = await bulkhead("up");
  expect(up, up.stderr).toMatchObject({ code: 0 });
  await load.advance(20);
  const { requests, failed, failures } = await load.stop();
  console.log(JSON.stringify({ release: "under load", requests, failed, seconds: up.seconds }));
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect((await container("backend")).Id).not.toBe(before.Id);
  expect(await score()).toBe("1 : 1");
});

test("what fails its own tests is no release: the old one serves on", async () => {
  const before = await container("backend");
  const undo = copy.edit("examples/statsboard/backend/src/statsboard/app.py", "HTTPException(401", "HTTPException(403");
  const up = await bulkhead("up");
  undo();
  expect(up.code).not.toBe(0);
  expect((await container("backend")).Id).toBe(before.Id);
  expect(await score()).toBe("1 : 1");
});

test("a migration that fails: the old release serves on, and data and tables are as before", async () => {
  const before = await container("backend");
  const file = join(program, "backend/migrations/versions/0002_breaks.py");
  writeFileSync(file, FAILING);
  const up = await bulkhead("up");
  expect(up.code).not.toBe(0);
  expect(up.stdout + up.stderr).toContain("division by zero");
  expect((await container("backend")).Id).toBe(before.Id);
  expect(await score()).toBe("1 : 1");
  // The table that it made before it failed is not there.
  writeFileSync(file, FAILING.replace(/^ {4}op.execute\("select.*\n/m, ""));
  const mended = await bulkhead("up");
  expect(mended, mended.stderr).toMatchObject({ code: 0 });
  expect((await container("backend")).Id).not.toBe(before.Id);
  expect(await score()).toBe("1 : 1");
});

/** It makes a table, and then fails. */
const FAILING = `"""Breaks."""
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("create table half (id int)")
    op.execute("select 1 / 0")
`;

test.each(["backend", "database", "site"])("%s is killed: it is back by itself, with all data", async (name) => {
  const killed = await container(name);
  process.kill(killed.State.Pid, "SIGKILL");
  await vi.waitFor(
    async () => {
      const { State, RestartCount } = await container(name);
      expect(State.Health?.Status).toBe("healthy");
      expect(RestartCount).toBeGreaterThan(killed.RestartCount);
    },
    { timeout: 90_000, interval: 500 },
  );
  await vi.waitFor(async () => expect(await score()).toBe("1 : 1"), { timeout: 30_000, interval: 500 });
  expect((await ask("GET", "/")).status).toBe(200);
});

/** As the document found it: one stage, with Poetry, its cache, curl and all sources. */
const SINGLE_STAGE = `ARG PYTHON_IMAGE
FROM \${PYTHON_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends curl
WORKDIR /app
COPY . .
RUN --mount=type=secret,id=build.env --mount=type=secret,id=ca.pem --mount=type=secret,id=pip.conf \\
    set -a && if [ -e /run/secrets/build.env ]; then . /run/secrets/build.env; fi \\
 && python -m venv .venv && .venv/bin/pip install poetry && .venv/bin/pip install -r requirements-test.txt
ENV PATH=/app/.venv/bin:$PATH PYTHONPATH=/app/src
CMD ["python", "-m", "statsboard"]
`;

// It takes a minute of an index's time.
test.skipIf(!SOAK)("the image is smaller than one of a single stage", async () => {
  const sizeOf = async () => {
    const { Image } = await container("backend");
    return (await engine.get<{ Size: number }>(`/images/${Image}/json`)).Size / 1e6;
  };
  const inStages = await sizeOf();
  writeFileSync(join(program, "backend/Dockerfile.single"), SINGLE_STAGE);
  copy.edit(
    "examples/statsboard/index.ts",
    'context: "backend",',
    'context: "backend", dockerfile: "Dockerfile.single",',
  );
  const up = await bulkhead("up");
  expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
  const single = await sizeOf();
  const share = inStages / single;
  console.log(
    `Image: ${inStages.toFixed(0)} MB, of a single stage ${single.toFixed(0)} MB: ${share.toFixed(2)} of it.`,
  );
  expect(share).toBeLessThan(0.8);
});

test("every point of the document is shown by a test that passed", ({ task }) => {
  // What `make soak` alone runs is told as skipped.
  const passed = task.file.tasks
    .filter(({ mode, result }) => result?.state === "pass" || mode === "skip")
    .map(({ name }) => `${HERE}: ${name}`);
  const named = points.flatMap(({ shownBy }) => shownBy).filter((each) => each.startsWith(HERE));
  expect(named.length).toBeGreaterThan(30);
  expect([...new Set(named)].filter((each) => !passed.includes(each))).toEqual([]);
});

const HERE = "tests/e2e/statsboard.test.ts";

async function score(): Promise<string> {
  const { text } = await ask("GET", "/api/matches");
  const [match] = JSON.parse(text) as { home_score: number; away_score: number }[];
  return `${match!.home_score} : ${match!.away_score}`;
}

async function write(method: string, path: string, body: object): Promise<void> {
  const { status, text } = await ask(method, `/api${path}`, body, token);
  expect(status, text).toBeLessThan(300);
}

function ask(method: string, path: string, body?: object, bearer = ""): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${bearer}` };
    const request = https.request(
      new URL(path, ADDRESS),
      { ...{ method, headers, ca: ca(), agent: false, timeout: 15_000 }, lookup: loopback },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => (text += part));
        answer.on("end", () => resolve({ status: answer.statusCode!, text }));
      },
    );
    request.on("timeout", () => request.destroy(new Error(`${method} ${path}: no answer in 15 s`)));
    request.on("error", reject);
    request.end(body && JSON.stringify(body));
  });
}

const loopback: LookupFunction = (_, { all }, done) => {
  if (all) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
};

function ca(): string {
  return readFileSync(join(program, ".bulkhead/certificates/ca.pem"), "utf8");
}

function bulkhead(...args: string[]): Promise<CommandResult> {
  return runCommand(process.execPath, [SOURCE, join(copy.directory, "cli/main.ts"), ...args], {
    ...{ cwd: program, timeoutMs: 400_000 },
  });
}

async function container(name: string): Promise<ContainerInspect> {
  const found = await inspectAll(engine, STACK);
  return found.find(({ Config }) => Config.Labels["bulkhead.name"] === name)!;
}
