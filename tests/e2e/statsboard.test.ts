// StatsBoard as its users have it: one command, a board in a browser, and data that stay.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Example, unshown } from "../support/example.ts";
import { SOAK } from "../support/soak.ts";
import { points } from "../support/statsboard-points.ts";

const HERE = "tests/e2e/statsboard.test.ts";
const board = new Example("statsboard", 8444);
let token: string;
let password: string;

beforeAll(async () => {
  await board.start();
  [token, password] = (await board.secrets("backend", "board_token", "database_password")) as [string, string];
});
afterAll(() => board.remove());

test("a board in a browser: teams, a match, and each goal as it falls", async () => {
  const browser = await board.browser();
  try {
    const { page } = browser;
    await page.goto(board.address);
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
    const drawn = await setScore({ home_score: 1, away_score: 1 }, token);
    expect(drawn.status, drawn.text).toBe(200);
    await page.getByText("1 : 1").waitFor();
    await board.picture(page, "board.png");
  } finally {
    await browser.stop();
  }
});

test("nobody changes the board without the token", async () => {
  const refused = await setScore({ home_score: 9, away_score: 9 }, "wrong");
  expect(refused.status).toBe(401);
  expect(await score()).toBe("1 : 1");
});

test("no process is root, and none can write but to its own /tmp and /var/tmp", async () => {
  await board.hardened();
  const { stdout } = await board.bulkhead("exec", "backend", "--", "sh", "-c", WRITES);
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
  const mb = 1024 * 1024;
  const limits = async (name: string) => (await board.container(name)).HostConfig;
  expect(await limits("backend")).toMatchObject({
    ...{ Memory: 512 * mb, MemorySwap: 512 * mb, MemoryReservation: 256 * mb, NanoCpus: 5e8, PidsLimit: 64 },
  });
  expect(await limits("site")).toMatchObject({ Memory: 64 * mb, NanoCpus: 2.5e8, PidsLimit: 32 });
  expect(await limits("edge")).toMatchObject({ Memory: 512 * mb, NanoCpus: 1e9, PidsLimit: 256 });
});

test("each container reaches what the program says that it uses, and nothing else", async () => {
  // In a network both ends hear each other.
  expect(await board.reachability()).toEqual({
    "edge-door": ["edge management", "host", "internet", "metadata"],
    edge: ["backend:9000", "edge-door:8443", "host", "internet", "metadata", "site:8080"],
    site: [],
    backend: ["database:5432"],
    database: ["backend:9000"],
  });
});

test("the image has what runs, pinned, and neither Poetry nor pip's cache, curl, tests or settings", async () => {
  const script = "find / -xdev -not -path '/proc/*' 2>/dev/null; true";
  const { stdout } = await board.bulkhead("exec", "backend", "--", "sh", "-c", script);
  const files = stdout.split("\n");
  expect(files).toContain("/app/src/statsboard/app.py");
  const unwanted = /\/(poetry|curl|pypoetry|\.cache|tests|pytest|requirements[^/]*\.txt|\.env[^/]*)$/;
  expect(files.filter((file) => !file.includes("-packages/") && unwanted.test(file))).toEqual([]);
});

test("passwords and tokens are in files, and nowhere else", async () => {
  await board.hidden(token, password);
  // A service may change rows and no tables.
  const drop = `
import asyncio, os, asyncpg
async def main():
    password = open(os.environ["DATABASE_PASSWORD_FILE"]).read()
    connection = await asyncpg.connect(host=os.environ["DATABASE_HOST"], user=os.environ["DATABASE_USER"],
        database=os.environ["DATABASE_NAME"], password=password)
    await connection.execute("drop table matches")
asyncio.run(main())`;
  const dropped = await board.bulkhead("exec", "backend", "--", "python", "-c", drop);
  expect(dropped.code).not.toBe(0);
  expect(dropped.stderr).toContain("must be owner of table matches");
});

test("a release under load: no request fails, and what was acknowledged is there", async () => {
  board.edit("backend/src/statsboard/app.py", 'title="StatsBoard"', 'title="StatsBoard 2"');
  await board.releasedUnderLoad("backend", "/api/matches", 40);
  expect(await score()).toBe("1 : 1");
});

test("what fails its own tests is no release: the old one serves on", async () => {
  const undo = board.edit("backend/src/statsboard/app.py", "HTTPException(401", "HTTPException(403");
  await board.refusedRelease("backend");
  undo();
  expect(await score()).toBe("1 : 1");
});

// In each run ProfileDoctor shows it.
test.skipIf(!SOAK)("a migration that fails: the old release serves on, and data and tables are as before", async () => {
  await board.failedMigration("backend", "statsboard");
  expect(await score()).toBe("1 : 1");
});

test.each(["backend", "database", "site"])("%s is killed: it is back by itself, with all data", async (name) => {
  await board.killed(name);
  await vi.waitFor(async () => expect(await score()).toBe("1 : 1"), { timeout: 30_000, interval: 500 });
  expect((await board.ask("GET", "/")).status).toBe(200);
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
    const { Image } = await board.container("backend");
    return (await board.engine.get<{ Size: number }>(`/images/${Image}/json`)).Size / 1e6;
  };
  const inStages = await sizeOf();
  writeFileSync(join(board.program, "backend/Dockerfile.single"), SINGLE_STAGE);
  board.edit("index.ts", 'context: "backend",', 'context: "backend", dockerfile: "Dockerfile.single",');
  const up = await board.bulkhead("up");
  expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
  const single = await sizeOf();
  const share = inStages / single;
  console.log(
    `Image: ${inStages.toFixed(0)} MB, of a single stage ${single.toFixed(0)} MB: ${share.toFixed(2)} of it.`,
  );
  // What the document aims at: 40 % less.
  expect(share).toBeLessThan(0.6);
});

test("every point of the document is shown by a test that passed", ({ task }) => {
  expect(unshown(points, HERE, task.file.tasks)).toEqual([]);
});

async function score(): Promise<string> {
  const { text } = await board.ask("GET", "/api/matches");
  const [match] = JSON.parse(text) as { home_score: number; away_score: number }[];
  return `${match!.home_score} : ${match!.away_score}`;
}

function setScore(to: object, bearer: string): ReturnType<typeof board.ask> {
  return board.ask("PUT", "/api/matches/1/score", to, { Authorization: `Bearer ${bearer}` });
}
