import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { comment, issue, repository } from "../../cli/ci/github.ts";
import { projectDirectory } from "./source.ts";
import { runCommand } from "../support/command.ts";
import { BOT, GitHub, type Issue } from "../support/github.ts";

let github: GitHub;
let pullRequest: Issue;
beforeEach(async () => {
  github = await GitHub.start();
  pullRequest = github.add(7, "someone", "", true);
  for (const [name, value] of Object.entries(github.env)) vi.stubEnv(name, value);
});
afterEach(() => {
  github.stop();
  vi.unstubAllEnvs();
});

const say = (text: string, stack = "prod") => comment(repository(), 7, `preview of ${stack}`, text);
const bodies = () => pullRequest.comments.map(({ body }) => body);

describe("the comment on a pull request", () => {
  test("is made once and then put in its place, one for each stack", async () => {
    await say("first");
    await say("of staging", "staging");
    await say("second");
    expect(bodies()).toEqual([
      "<!-- bulkhead: preview of prod -->\nsecond",
      "<!-- bulkhead: preview of staging -->\nof staging",
    ]);
    expect(github.asked.filter((each) => !each.startsWith("GET"))).toEqual([
      "POST /issues/7/comments",
      "POST /issues/7/comments",
      `PATCH /issues/comments/${pullRequest.comments[0]!.id}`,
    ]);
  });

  test("is nobody else's, whatever that one says", async () => {
    const mark = "<!-- bulkhead: preview of prod -->\n";
    github.addComment(pullRequest, "someone", `${mark}mine`);
    github.addComment(pullRequest, "another[bot]", `${mark}mine too`);
    github.addComment(pullRequest, BOT, `A quote of ${mark}`);
    await say("ours");
    expect(bodies()).toEqual([`${mark}mine`, `${mark}mine too`, `A quote of ${mark}`, `${mark}ours`]);
  });

  test("is found behind pages of others", async () => {
    for (let i = 0; i < 200; i++) github.addComment(pullRequest, "someone", `number ${i}`);
    await say("first");
    await say("second");
    expect(bodies().slice(200)).toEqual(["<!-- bulkhead: preview of prod -->\nsecond"]);
  });

  test("is cut to what GitHub takes, and says so", async () => {
    await say(`## Title\n\n\`\`\`\n${"a line of a diff\n".repeat(10_000)}`);
    const [body] = bodies();
    expect(body).toHaveLength(65_536);
    expect(body).toMatch(
      /a line[^]*\n```\n\n\*\*The rest is left out: GitHub takes no more. All of it is in the log of the run.\*\*\n$/,
    );
    await say(`${"a word ".repeat(10_000)}`);
    expect(bodies()[0]).not.toContain("```");
  });

  test("fails with one message that names what was asked, and the cure", async () => {
    github.denied.add("pull-requests");
    await expect(say("no")).rejects.toThrow(
      `POST ${github.env.GITHUB_API_URL}/repos/you/reach/issues/7/comments answered 403, Resource not accessible by ` +
        "integration: the job needs the permission for it, or is over GitHub's limit: docs/how-to/github.md",
    );
    await expect(comment(repository(), 8, "mark", "no")).rejects.toThrow(
      /issues\/8\/comments\S+ answered 404, Not Found: it is not there, or the job has no permission to see it/,
    );
    vi.stubEnv("GITHUB_TOKEN", "ghs_of-yesterday");
    await expect(say("no")).rejects.toThrow(/answered 401, Bad credentials: GITHUB_TOKEN is not valid/);
    vi.stubEnv("GITHUB_TOKEN", "");
    await expect(async () => say("no")).rejects.toThrow("GITHUB_TOKEN: missing: GitHub Actions sets it");
    vi.stubEnv("GITHUB_TOKEN", "x");
    vi.stubEnv("GITHUB_API_URL", "http://127.0.0.1:9");
    await expect(say("no")).rejects.toThrow(/no answer \(.+\): run the job again/);
  });
});

describe("the issue", () => {
  const told = (text: string, stack = "prod") =>
    issue(repository(), `drift of ${stack}`, { title: `${stack} is not as it was deployed`, text });
  const well = () => issue(repository(), "drift of prod", { closingComment: "All is well." });
  const marked = (text: string) => `<!-- bulkhead: drift of prod -->\n${text}`;

  test("is opened once, kept up to date, and closed with a word; the next one is a new one", async () => {
    expect(await well()).toBeUndefined();
    expect(await told("one")).toMatchObject({ what: "opened", issue: { number: 8 } });
    expect(await told("of staging", "staging")).toMatchObject({ what: "opened", issue: { number: 9 } });
    expect(await told("two")).toMatchObject({ what: "updated", issue: { number: 8 } });
    const opened = github.issues[1]!;
    expect(opened).toMatchObject({ state: "open", title: "prod is not as it was deployed", body: marked("two") });
    expect(await well()).toMatchObject({ what: "closed", issue: { number: 8 } });
    expect(opened.state).toBe("closed");
    expect(opened.comments.map(({ body }) => body)).toEqual(["All is well."]);
    expect(await well()).toBeUndefined();
    expect(await told("three")).toMatchObject({ what: "opened", issue: { number: 10 } });
    expect(github.issues.find(({ number }) => number === 9)!.state).toBe("open");
  });

  test("is nobody else's, and no pull request", async () => {
    github.add(20, "someone", marked("mine"));
    github.add(21, BOT, marked("a pull request"), true);
    for (let number = 100; number < 220; number++) github.add(number, BOT, "another");
    expect(await told("ours")).toMatchObject({ what: "opened", issue: { number: 220 } });
    expect(await well()).toMatchObject({ what: "closed", issue: { number: 220 } });
    expect(github.issues.filter(({ state }) => state === "open")).toHaveLength(123);
  });

  test("fails with one message where it may not be written", async () => {
    github.denied.add("issues");
    await expect(told("no")).rejects.toThrow(/^POST \S+\/issues answered 403, Resource not accessible/);
  });
});

describe("the command that comments", { timeout: 60_000 }, () => {
  const run = (env: Record<string, string | undefined>) =>
    runCommand(process.execPath, ["cli/main.ts", "ci", "comment"], {
      cwd: projectDirectory,
      env: { ...github.env, STACK: "prod", PULL_REQUEST: "7", COMMIT: "0123456789abcdef", REPORT: report, ...env },
    });
  let report: string;
  beforeEach(() => {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-comment-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    report = join(directory, "preview.md");
  });

  test("says what the preview wrote, of which commit, and where it ran", async () => {
    writeFileSync(report, "## Preview of prod\n\nNothing changes.\n");
    expect(await run({})).toMatchObject({ code: 0, stderr: "" });
    const link = "[this run](https://github.com/you/reach/actions/runs/4711)";
    expect(bodies()).toEqual([
      `<!-- bulkhead: preview of prod -->\n## Preview of prod\n\nNothing changes.\n\n---\n01234567, in ${link}\n`,
    ]);
  });

  test("does not leave the words of an earlier push where the preview wrote none", async () => {
    await say("of an earlier push");
    expect(await run({})).toMatchObject({ code: 0 });
    expect(bodies()).toHaveLength(1);
    expect(bodies()[0]).toContain("The preview of prod came to no end: what it said is in the log.");
  });

  test.each([
    [
      { PULL_REQUEST: "seven" },
      "option '--pull-request <number>' value 'seven' from env 'PULL_REQUEST' is invalid. Give a whole number from 1 on.",
    ],
    [{ STACK: "nowhere" }, "STACK: there is no stack nowhere: give one of local, prod, or write Pulumi.nowhere.yaml"],
    [
      { COMMIT: undefined },
      "required option '--commit <sha>' not specified: `bulkhead ci comment --help` says what it takes",
    ],
    [{ COMMIT: "" }, "required option '--commit <sha>' not specified: `bulkhead ci comment --help` says what it takes"],
    [{ GITHUB_TOKEN: undefined }, "GITHUB_TOKEN: missing: GitHub Actions sets it, or the workflow's step has to"],
  ])("is refused with %o", async (env, message) => {
    expect(await run(env)).toMatchObject({ code: 1, stderr: `error: ${message}\n` });
    expect(github.asked).toEqual([]);
  });
});
