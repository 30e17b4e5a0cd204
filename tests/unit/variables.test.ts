// What is given to `make`: mistyped names and values are refused, before the program of the target begins.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { variablesOf } from "../../cli/command.ts";
import { bulkhead } from "../../cli/bulkhead.ts";
import { problemsOf, programOf, variablesOfTargets } from "../../scripts/variables.ts";

const project = join(import.meta.dirname, "../..");
const makefile = readFileSync(join(project, "Makefile"), "utf8");

/** What is said of `make <goals>` with a command line and an environment. */
function said(goals: string, commandLine: string, env: Record<string, string> = {}): string[] {
  const typed = [...commandLine.matchAll(/([^ =]+)=(\S*)/g)].map(([, name, value]): [string, string] => [
    name!,
    value!,
  ]);
  const MAKEFLAGS = commandLine === "" ? "s" : `s -- ${commandLine}`;
  return problemsOf(makefile, { ...env, ...Object.fromEntries(typed), MAKECMDGOALS: goals, MAKEFLAGS });
}

describe("on the command line", () => {
  test.each([
    ["up", "STAKC=prod", "STAKC: unknown variable: did you mean STACK?"],
    ["up", "stack=prod", "stack: unknown variable: did you mean STACK?"],
    ["down", "DAAT=keep", "DAAT: unknown variable: did you mean DATA?"],
    ["up", "SOMETHING=else", "SOMETHING: unknown variable: make up takes PROGRAM, STACK, YES, ACKNOWLEDGED, DEBUG"],
    ["check", "STACK=prod", "STACK: not for this command: make check takes DEBUG"],
    ["up", "FORMAT=json", "FORMAT: not for this command: make up takes PROGRAM, STACK, YES, ACKNOWLEDGED, DEBUG"],
  ])("make %s %s: %s", (goal, commandLine, problem) => expect(said(goal, commandLine)).toEqual([problem]));

  test.each([
    ["up", ""],
    ["up", "STACK=prod YES=1"],
    ["up", "PROGRAM=examples/statsboard STACK=local"],
    ["up", "STACK=prod ACKNOWLEDGED=two\\ words=\\ STAKC=none"],
    ["down", "DATA=delete"],
    ["rollback", "TO=7"],
    ["promote", "FROM=staging TO=prod"],
    ["audit", "FORMAT=json DEBUG=1"],
    ["audit", "STACK="],
    // What the tools read for themselves.
    ["up", "PULUMI_BACKEND_URL=file:///state DOCKER_HOST=ssh://host HTTPS_PROXY=http://proxy:1 GOPROXY=off"],
    // What one of two targets takes may be given to both.
    ["doctor audit", "FORMAT=json"],
  ])("make %s %s is fine", (goals, commandLine) => expect(said(goals, commandLine)).toEqual([]));
});

test("the program is that of the command line alone", () => {
  expect(programOf({ MAKEFLAGS: " -- PROGRAM=examples/statsboard", PROGRAM: "examples/statsboard" })).toBe(
    "examples/statsboard",
  );
  expect(programOf({ MAKEFLAGS: "", PROGRAM: "anything" })).toBeUndefined();
});

describe("in the environment", () => {
  test.each([
    ["up", "STAKC", "STACK"],
    ["up", "STACKS", "STACK"],
    ["up", "Stack", "STACK"],
    ["up", "ACKNOWLEGED", "ACKNOWLEDGED"],
    ["audit", "FROMAT", "FORMAT"],
    ["down", "DTAA", "DATA"],
    ["up", "YSE", "YES"],
  ])("%s: %s is %s mistyped", (goal, typed, meant) => {
    expect(said(goal, "", { [typed]: "x" })).toEqual([
      `${typed}: unknown variable: did you mean ${meant}? Else unset it, or give ${meant} too`,
    ]);
    expect(said(goal, "", { [typed]: "" }), "unless it is empty").toEqual([]);
  });

  test("one that is there for something else stops nobody", () => {
    const others = ["HOME", "PATH", "DATE", "HOSTNAME", "LANG", "USER", "TERM", "TZ", "PS1", "DISPLAY", "LOGNAME"];
    const env = Object.fromEntries(others.map((name) => [name, "x"]));
    for (const target of variablesOfTargets(makefile).keys()) expect(said(target, "", env), target).toEqual([]);
    expect(said("up", "", { STACKS: "x", STACK: "prod" }), "nor one that is only like one that is given").toEqual([]);
    expect(said("up", "", { FORMAT: "odd", DATA: "odd" }), "nor what another command takes").toEqual([]);
  });
});

test.each([
  ["audit", { FORMAT: "jsno" }, "FORMAT: is jsno: give json"],
  ["down", { DATA: "delte" }, "DATA: is delte: give delete or keep"],
  ["down", { DATA: "delete keep" }, "DATA: is delete keep: give delete or keep"],
  ["up", { YES: "yes?" }, "YES: is yes?: give 1"],
  ["rollback", { TO: "abc" }, "TO: is abc: give a number"],
  ["rollback", { TO: "0" }, "TO: is 0: give a number"],
])("make %s with %o: %s", (goal, env, problem) => expect(said(goal, "", env)).toEqual([problem]));

test("all that is wrong is said at once", () => {
  expect(said("audit down", "STAKC=prod DATA=delte", { FORMAT: "jsno" })).toEqual([
    "STAKC: unknown variable: did you mean STACK?",
    "FORMAT: is jsno: give json",
    "DATA: is delte: give delete or keep",
  ]);
});

describe("what a target takes is what its verb reads, PROGRAM and DEBUG", () => {
  const takers = variablesOfTargets(makefile);
  test.each(bulkhead.commands.filter((verb) => takers.has(verb.name())).map((verb) => [verb.name(), verb] as const))(
    "%s",
    (target, verb) => {
      const taken = takers.get(target)!.map(({ name }) => name);
      // `make generate` writes what this repository has beside a program's own.
      const program = target === "generate" ? [] : ["PROGRAM"];
      expect(taken.sort()).toEqual([...variablesOf(verb), ...program, "DEBUG"].sort());
    },
  );

  test("and no source reads another variable by itself", () => {
    const sources = ["cli", "scripts"]
      .flatMap((folder) =>
        readdirSync(join(project, folder), { recursive: true, encoding: "utf8" }).map((file) =>
          join(project, folder, file),
        ),
      )
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(file, "utf8"))
      .join("\n");
    const read = [...sources.matchAll(/process\.env\["([A-Z_]+)"\]/g)].map(([, name]) => name!);
    const forTools = /^(PULUMI|DOCKER|CLOUDFLARE|MAKE|GITHUB)|^(NO_COLOR|TERM|USER|LOGNAME)$/;
    expect([...new Set(read.filter((name) => !forTools.test(name)))]).toEqual(["DEBUG"]);
  });
});

test("every program of a target is checked first, and the lines of the table are lines of targets", () => {
  const recipes = makefile.split("\n").filter((line) => line.startsWith("\t") && /\.(ts|cjs)\b/.test(line));
  expect(recipes.filter((line) => !line.startsWith("\t$(RUN) "))).toEqual([]);
  const targets = [...variablesOfTargets(makefile).keys()];
  const lines = [...makefile.matchAll(/^([a-z]+): takes/gm)].map(([, target]) => target);
  expect(lines.filter((target) => !targets.includes(target!))).toEqual([]);
});

describe("make itself", { timeout: 60_000 }, () => {
  /** What `make` does in a shell where nothing of this run's own is set. */
  const make = (args: string[], env: Record<string, string> = {}) => {
    const { PATH, HOME, XDG_CACHE_HOME } = process.env;
    const { status, stderr, stdout } = spawnSync("make", ["--no-print-directory", ...args], {
      cwd: project,
      env: { PATH, HOME, XDG_CACHE_HOME, ...env },
      encoding: "utf8",
    });
    return { status, stdout, errors: stderr.split("\n").filter((line) => line.startsWith("error: ")) };
  };

  // A stack that is not there: were the first error not said, this one would be.
  test("refuses what is mistyped on its command line", () => {
    const { status, stdout, errors } = make(["up", "STACK=no-such-stack", "STAKC=prod", "ACKNOWLEDGED=a b=c"]);
    expect({ status, stdout, errors }).toEqual({
      status: 2,
      stdout: "",
      errors: ["error: STAKC: unknown variable: did you mean STACK?"],
    });
  });

  test("refuses what is mistyped in the environment, and values that are not known", () => {
    expect(make(["audit"], { STAKC: "prod", FORMAT: "jsno" }).errors).toEqual([
      "error: STAKC: unknown variable: did you mean STACK? Else unset it, or give STACK too",
      "error: FORMAT: is jsno: give json",
    ]);
  });

  test("gives the command what it takes", () => {
    const refusal =
      "error: STACK: there is no stack no-such-stack: give one of local, prod, or write Pulumi.no-such-stack.yaml";
    expect(make(["doctor", "STACK=no-such-stack"]).errors).toEqual([refusal]);
    expect(make(["doctor"], { STACK: "no-such-stack" }).errors).toEqual([refusal]);
  });

  test("helps with the same table", () => {
    const { stdout } = make(["help"]);
    for (const [target, variables] of variablesOfTargets(makefile)) {
      const own = variables.filter(({ name }) => name !== "DEBUG").map(({ name, value }) => `${name}=${value}`);
      expect(stdout).toMatch(new RegExp(`^  make ${target} .*${own.length > 0 ? "\\n {16}\\S" : ""}`, "m"));
      expect(stdout).toContain(own.join(" "));
    }
  });
});
