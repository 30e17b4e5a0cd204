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
