// The command line: what is understood, what is refused and how, and what the help says. No verb does its work here.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { exitsWith, variablesOf } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { bulkhead, main } from "../../cli/bulkhead.ts";
import { reportForPrograms, type Report } from "../../cli/preview/report.ts";
import { table } from "../../cli/report/table.ts";
import { helpOf } from "../../scripts/commands-page.ts";
import { projectDirectory } from "./source.ts";

let understood: object | undefined;
/** While a command line is read: the verb ends before its action begins. */
let isReading = false;
bulkhead.hook("preAction", (_, command) => {
  if (!isReading) return;
  understood = { ...command.opts(), ...(command.args.length > 0 && { args: command.args }) };
  throw new Error("as far as this");
});

afterEach(() => {
  isReading = false;
  process.exitCode = undefined;
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** What a command line does where these variables are set and no other of the verbs'. */
async function run(line: string, env: Record<string, string> = {}) {
  for (const variable of bulkhead.commands.flatMap(allOf).flatMap(variablesOf)) vi.stubEnv(variable, undefined);
  vi.stubEnv("DEBUG", undefined);
  for (const [key, value] of Object.entries(env)) vi.stubEnv(key, value);
  const [out, err] = [process.stdout, process.stderr].map((stream) => {
    const parts: string[] = [];
    vi.spyOn(stream, "write").mockImplementation((text) => parts.push(String(text)) > 0);
    return parts;
  });
  understood = undefined;
  await main(line.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? []);
  const result = { code: process.exitCode, stdout: out!.join(""), stderr: err!.join("") };
  vi.restoreAllMocks();
  return result;
}

function allOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allOf)];
}

/** `ci drift-issue` and the like. */
function lineOf(command: Command): string {
  return command.parent === bulkhead ? command.name() : `${lineOf(command.parent!)} ${command.name()}`;
}

const verbs = bulkhead.commands.flatMap(allOf);
const working = verbs.filter(({ commands }) => commands.length === 0);

describe("the help", () => {
  test("names every verb and exit code, wherever it is asked for", async () => {
    const { code, stdout, stderr } = await run("--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const verb of bulkhead.commands) expect(stdout).toMatch(new RegExp(`^  ${verb.name()}( \\S+)*  +\\S`, "m"));
    for (const [code] of exitCodes) expect(stdout).toMatch(new RegExp(`^  ${code}  \\S`, "m"));
    const unasked = await run("");
    expect(unasked).toEqual({ code: 1, stdout: "", stderr: stdout });
  });

  test("--version says that of package.json, and nothing else", async () => {
    const { version } = JSON.parse(readFileSync(join(projectDirectory, "package.json"), "utf8")) as { version: string };
    for (const option of ["--version", "-V"])
      expect(await run(option)).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test.each(verbs.map((verb) => [lineOf(verb), verb] as const))("of %s", async (line, verb) => {
    const { code, stdout } = await run(`${line} --help`);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: bulkhead ${line} `));
    expect(verb.description()).not.toBe("");
    for (const { hidden, long, description } of verb.options) if (!hidden) expect(description, long ?? "").not.toBe("");
  });

  test.each(working.map((verb) => [lineOf(verb), verb] as const))(
    "of %s has examples that hold",
    async (line, verb) => {
      const lines = helpOf(verb).split("\nExamples:\n")[1]!.split("\n");
      const commands = lines.filter((line) => /^ {2}\S/.test(line)).map((line) => line.replace(/ +#.*/, "").trim());
      expect(commands.length).toBeGreaterThan(0);
      isReading = true;
      for (const command of commands) {
        const [, typed] = /(bulkhead [^)]*)/.exec(command)!;
        expect(typed, command).toContain(`bulkhead ${line}`);
        // A value of any kind will do for a variable of the shell.
        await run(typed!.replace("bulkhead ", "").replaceAll(/"?\$\w+"?/g, "x"));
        expect(understood, typed).toBeDefined();
      }
    },
  );

  test("is the same text for a page, whatever the terminal", () => {
    expect(helpOf(bulkhead)).toContain("\nExit codes:\n");
    for (const verb of verbs) expect(helpOf(verb)).not.toMatch(/\x1b/);
  });
});

/** With a variable that says the same, if there is one. */
test.each<[line: string, env: Record<string, string>, options: object]>([
  ["up", {}, { stack: "local" }],
  ["up --stack prod --yes", { STACK: "prod", YES: "1" }, { stack: "prod", yes: true }],
  ["up -s prod -y", {}, { stack: "prod", yes: true }],
  ["up --accept-data-loss a b --yes", {}, { stack: "local", acceptDataLoss: ["a", "b"], yes: true }],
  ["up --acknowledged x", { ACKNOWLEDGED: "x" }, { stack: "local", acknowledged: "x" }],
  ["preview --report a.md --json", { REPORT: "a.md", FORMAT: "json" }, { stack: "local", report: "a.md", json: true }],
  ["audit --json", { FORMAT: "json" }, { stack: "local", json: true }],
  ["doctor --json", { FORMAT: "json" }, { stack: "local", json: true }],
  ["down --delete-data", { DATA: "delete" }, { stack: "local", deleteData: true }],
  ["down --keep-data --yes", { DATA: "keep", YES: "1" }, { stack: "local", keepData: true, yes: true }],
  ["rollback --to 7", { TO: "7" }, { stack: "local", to: 7 }],
  ["promote --from a --to b", { FROM: "a", TO: "b" }, { from: "a", to: "b" }],
  ["unlock --confirm local", { UNLOCK: "local" }, { stack: "local", confirm: "local" }],
  ["scan --report a.md", { REPORT: "a.md" }, { report: "a.md" }],
  [
    "stack --name new --from local --host local --domain a.b --address 192.0.2.1",
    { NAME: "new", FROM: "local", HOST: "local", DOMAIN: "a.b", ADDRESS: "192.0.2.1" },
    { name: "new", from: "local", host: "local", domain: "a.b", address: "192.0.2.1" },
  ],
  ["stack new", {}, { from: "prod", args: ["new"] }],
  [
    "ci comment --report a.md --pull-request 7 --commit abc",
    { REPORT: "a.md", PULL_REQUEST: "7", COMMIT: "abc" },
    { stack: "local", report: "a.md", pullRequest: 7, commit: "abc" },
  ],
])("%s, or %j", async (line, env, options) => {
  isReading = true;
  await run(line);
  expect(understood).toEqual(options);
  if (Object.keys(env).length === 0) return;
  const verb = line.split(/ -/)[0]!;
  await run(verb, env);
  expect(understood).toEqual(options);
});

test.each<[line: string, env: Record<string, string>, options: object]>([
  ["up --stack local", { STACK: "prod" }, { stack: "local" }],
  ["down --keep-data", { DATA: "delete" }, { stack: "local", keepData: true }],
  ["rollback --to 2", { TO: "7" }, { stack: "local", to: 2 }],
  // As `make` and GitHub Actions have them.
  ["down", { STACK: "", YES: "", DATA: "" }, { stack: "local" }],
  ["audit", { FORMAT: "", YES: "1", TO: "odd" }, { stack: "local" }],
])("%s with %j is %j", async (line, env, options) => {
  isReading = true;
  await run(line, env);
  expect(understood).toEqual(options);
});

test.each<[line: string, env: Record<string, string>, error: string]>([
  ["upp", {}, "unknown command 'upp' (Did you mean up?)"],
  ["xyzzy", {}, "unknown command 'xyzzy': `bulkhead --help` lists all"],
  ["deploy", {}, "unknown command 'deploy': here that is `bulkhead up`"],
  ["ci xyzzy", {}, "unknown command 'xyzzy': `bulkhead ci --help` lists all"],
  ["ci driftissue", {}, "unknown command 'driftissue' (Did you mean drift-issue?)"],
  ["up --stakc prod", {}, "unknown option '--stakc' (Did you mean --stack?)"],
  ["up --json", {}, "unknown option '--json': `bulkhead up --help` says what it takes"],
  [
    "up prod",
    {},
    "too many arguments for 'up'. Expected 0 arguments but got 1: prod: `bulkhead up --help` says what it takes",
  ],
  ["up --stack", {}, "option '-s, --stack <name>' argument missing: `bulkhead up --help` says what it takes"],
  ["up --stack prdo", {}, "--stack: there is no stack prdo: did you mean prod? Else give one of local, prod"],
  ["up", { STACK: "prdo" }, "STACK: there is no stack prdo: did you mean prod? Else give one of local, prod"],
  ["up -s xyz", {}, "--stack: there is no stack xyz: give one of local, prod, or write Pulumi.xyz.yaml"],
  ["doctor -s ../../prod", {}, "--stack: there is no stack ../../prod: give one of local, prod"],
  ["audit --stack=", {}, "--stack: missing: give one of local, prod"],
  ["up", { YES: "0" }, "YES: is 0: give 1, or unset it"],
  ["audit", { FORMAT: "jsno" }, "FORMAT: is jsno: give json, or unset it"],
  ["down", { DATA: "delte" }, "DATA: is delte: give delete or keep, or unset it"],
  [
    "down --delete-data --keep-data",
    {},
    "option '--delete-data' cannot be used with option '--keep-data': give one of them",
  ],
  ["rollback --to 0", {}, "option '--to <number>' argument '0' is invalid. Give a whole number from 1 on."],
  [
    "rollback",
    { TO: "abc" },
    "option '--to <number>' value 'abc' from env 'TO' is invalid. Give a whole number from 1 on.",
  ],
  ["promote --to prod", {}, "--from: missing: give one of local, prod"],
  ["promote --from prod", { TO: "prod" }, "TO: is prod too: give the stack that is to get the images"],
  [
    "stack prod --host local --domain a.b",
    {},
    `NAME: there is a stack prod already: ${projectDirectory}/Pulumi.prod.yaml`,
  ],
  [
    "stack",
    { DOMAIN: "a.b" },
    "NAME: missing: give the name of the new stack, like staging\n" +
      "--host: missing: give the new stack's host: local, or ssh://user@address[:port]",
  ],
  [
    "stack ../x --host local --domain a.b",
    {},
    "NAME: ../x is not a name for a stack: give small letters, digits and hyphens",
  ],
  [
    "ci comment --report x --commit y",
    {},
    "required option '--pull-request <number>' not specified: `bulkhead ci comment --help` says what it takes",
  ],
  ["rotate", {}, "missing required argument 'name': `bulkhead rotate --help` says what it takes"],
])("%s with %j is refused: %s", async (line, env, error) => {
  expect(await run(line, env)).toEqual({ code: 1, stdout: "", stderr: `error: ${error}\n` });
});

test("DEBUG shows where an error came from", async () => {
  expect((await run("upp", { DEBUG: "1" })).stderr).toMatch(/unknown command 'upp' \(Did you mean up\?\)\n +at /);
});

test("what a verb gives is the exit code", async () => {
  await exitsWith(() => Promise.resolve(3))();
  expect(process.exitCode).toBe(3);
});

test("where there is no program, that is what is said", { timeout: 60_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-nowhere-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(projectDirectory, "cli/main.ts"), "up"], {
    cwd: directory,
    env: { PATH: process.env["PATH"] },
    encoding: "utf8",
  });
  const error = `error: ${directory}: no Pulumi.yaml here or above: run this in the folder of a program; \`bulkhead init\` writes one\n`;
  expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: "", stderr: error });
});

describe("a table", () => {
  const rows = [
    ["SERVICE", "FOUND", "VERDICT"],
    ["backend", "a long sentence of what was found there", "bad"],
    ["漢字", "short", "\x1b[32mok\x1b[39m"],
  ];

  test("is as wide as its cells are on the screen", () => {
    expect(table(rows)).toBe(
      [
        "SERVICE  FOUND                                    VERDICT",
        "backend  a long sentence of what was found there  bad",
        "漢字     short                                    \x1b[32mok\x1b[39m",
      ].join("\n"),
    );
  });

  test("goes on in the next line on a narrow terminal, and loses nothing", () => {
    expect(table(rows, 36)).toBe(
      [
        "SERVICE  FOUND               VERDICT",
        "backend  a long sentence of  bad",
        "         what was found",
        "         there",
        "漢字     short               \x1b[32mok\x1b[39m",
      ].join("\n"),
    );
  });

  test("stays legible where there is no room at all", () => {
    const digest = "sha256:0123456789abcdef";
    const lines = table(
      [
        ["IMAGE", "X"],
        [digest, "x"],
      ],
      3,
    ).split("\n");
    expect(lines[0]).toBe("IMAGE     X");
    expect(
      lines
        .slice(1)
        .map((line) => line.slice(0, 8).trim())
        .join(""),
    ).toBe(digest);
  });
});

test("a preview for programs has names alone of what changes, and says what nobody can know", () => {
  const change = { urn: "urn", name: "web", type: "docker:index/container:Container", op: "update" } as const;
  const service = {
    name: "web",
    what: "restarted",
    downtimeSeconds: undefined,
    reasons: ["image"],
    isRouted: true,
  } as const;
  const report: Report = {
    ...{ stack: "prod", dataAtRisk: [], unacknowledged: [], secrets: [], cloudflare: [], certificates: [] },
    ...{ findings: [], newExceptions: [], names: [], weakenedRoutes: [], warnings: [], errors: ["no such host"] },
    services: [{ ...service, ports: [], closedPorts: [], preDeploy: false }],
    limits: { memoryMb: { before: 1, after: 1, duringRollout: 1 }, cpus: { before: 1, after: 1 } },
    changes: [{ ...change, deleteBeforeReplace: true, retained: false, after: { envs: ["PASSWORD=kept-out"] } }],
  };
  const json = JSON.stringify(reportForPrograms(report));
  expect(json).not.toContain("kept-out");
  expect(JSON.parse(json)).toMatchObject({
    ...{ stack: "prod", refused: true, errors: ["no such host"], capacity: null },
    services: [{ name: "web", what: "restarted", downtimeSeconds: null }],
    changes: [{ name: "web", type: change.type, op: "update" }],
  });
});
