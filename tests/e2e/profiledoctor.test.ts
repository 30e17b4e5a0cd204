// ProfileDoctor as its users have it: one command, a profile checked in a browser, and findings that stay.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Example, unshown } from "../support/example.ts";
import { SOAK } from "../support/soak.ts";
import { points } from "../support/profiledoctor-points.ts";

const HERE = "tests/e2e/profiledoctor.test.ts";
const doctor = new Example("profiledoctor", 8445);
/** What the first test's visitor is known by, and the check that he made. */
let cookie: string;
let made: { id: string; title: string; findings: { id: string }[] };

beforeAll(() => doctor.start());
afterAll(() => doctor.remove());

test("a profile in a browser: findings come, are listed, and a link leads to them", async () => {
  const browser = await doctor.browser();
  try {
    const { page } = browser;
    await page.goto(doctor.address);
    await page.getByText("None yet").waitFor();
    await page.getByLabel("Your profile").fill("Ada Lovelace\nA team player who thinks outside the box.");
    await page.getByRole("button", { name: "Check it" }).click();
    await page.getByText("Give figures").waitFor();
    await doctor.picture(page, "page.png");
    // A path of the page's own, which no file is.
    const link = page.url();
    expect(new URL(link).pathname).toMatch(/^\/checks\/\w{32}$/);
    await page.reload();
    await page.getByText("Give figures").waitFor();
    await page.goto(doctor.address);
    await page.getByRole("link", { name: "Ada Lovelace" }).click();
    await page.getByText("Give figures").waitFor();
    const [visitor] = await page.context().cookies();
    expect(visitor).toMatchObject({ name: "visitor", httpOnly: true, secure: true, sameSite: "Strict" });
    cookie = `visitor=${visitor!.value}`;
    made = (await checks())[0]!;
    expect(link).toContain(made.id);
  } finally {
    await browser.stop();
  }
});

test("a check is kept in the database, answered from the cache, and shown to its visitor alone", async () => {
  const path = `/api/checks/${made.id}`;
  const answer = await doctor.ask("GET", path, undefined, { Cookie: cookie });
  expect({ status: answer.status, cache: answer.headers["x-cache"] }).toEqual({ status: 200, cache: "hit" });
  expect(JSON.parse(answer.text)).toEqual(made);
  expect((await doctor.ask("GET", path)).status).toBe(404);
  expect((await doctor.ask("GET", "/api/checks")).text).toBe("[]");
});

test("paths of the page lead to it; what is no file and no API is told as such", async () => {
  const answers = await Promise.all(
    ["/", "/checks/any", "/assets/none.js", "/api/none", "/health"].map((path) => doctor.ask("GET", path)),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 404, 200]);
  const [asset] = /\/assets\/[^"]+\.js/.exec(answers[0]!.text)!;
  expect((await doctor.ask("GET", asset)).headers["cache-control"]).toContain("immutable");
});

test("no process is root, all is read-only and limited, and nothing has a capability", async () => {
  await doctor.hardened();
  const mb = 1024 * 1024;
  const limits = async (name: string) => (await doctor.container(name)).HostConfig;
  expect(await limits("backend")).toMatchObject({ Memory: 512 * mb, MemoryReservation: 256 * mb, NanoCpus: 1e9 });
  expect(await limits("frontend")).toMatchObject({ Memory: 256 * mb, MemoryReservation: 128 * mb, NanoCpus: 5e8 });
  expect(await limits("database")).toMatchObject({ Memory: 512 * mb, MemoryReservation: 256 * mb, NanoCpus: 1e9 });
  expect(await limits("cache")).toMatchObject({ Memory: 256 * mb, MemoryReservation: 128 * mb, NanoCpus: 5e8 });
});

test("each container reaches what the program says that it uses, and nothing else", async () => {
  // In a network both ends hear each other.
  expect(await doctor.reachability()).toEqual({
    "edge-door": ["edge management", "host", "internet", "metadata"],
    edge: ["backend:8000", "edge-door:8443", "frontend:8080", "host", "internet", "metadata"],
    frontend: [],
    backend: ["cache:6379", "database:5432"],
    database: ["backend:8000"],
    cache: ["backend:8000"],
  });
});

test("URLs and passwords are in files, and nowhere else", async () => {
  const files = ["database_password", "redis_password", "secret_key", "database_url", "redis_url"];
  await doctor.hidden(...(await doctor.secrets("backend", ...files)));
});

// In each run StatsBoard shows it.
test.skipIf(!SOAK)(
  "a profile is checked again as the API is released under load: no request fails, and what was kept is there",
  async () => {
    doctor.edit("backend/src/profiledoctor/app.py", 'title="ProfileDoctor"', 'title="ProfileDoctor 2"');
    await doctor.releasedUnderLoad("backend", "/api/checks");
    expect(await checks()).toEqual([made]);
  },
);

test("a migration that fails: the old release serves on, and data and tables are as before", async () => {
  await doctor.failedMigration("backend", "profiles");
  expect(await checks()).toEqual([made]);
});

test.each(["backend", "frontend", "database", "cache"])(
  "%s is killed: it is back by itself, with all data",
  async (name) => {
    await doctor.killed(name);
    await vi.waitFor(async () => expect(await checks()).toEqual([made]), { timeout: 30_000, interval: 500 });
    expect((await doctor.ask("GET", "/checks/any")).status).toBe(200);
  },
);

test("every point of the document is shown by a test that passed", ({ task }) => {
  expect(unshown(points, HERE, task.file.tasks)).toEqual([]);
});

async function checks(): Promise<(typeof made)[]> {
  const { text } = await doctor.ask("GET", "/api/checks", undefined, { Cookie: cookie });
  return JSON.parse(text) as (typeof made)[];
}
