// The commands of the documents: each of `bulkhead` and of `make` is read by the real command line, and each of another
// program is declared below with who runs it. No verb does its work here.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CommanderError } from "commander";
import { expect, onTestFinished, test, vi } from "vitest";
import { variablesOf } from "../../cli/command.ts";
import { bulkhead } from "../../cli/bulkhead.ts";
import { problemsOf, variablesOfTargets } from "../../scripts/variables.ts";
import { projectDirectory } from "./source.ts";

interface Typed {
  page: string;
  line: string;
  /** In a block, to be typed as it is; else in a sentence, which may leave out the values. */
  isWhole: boolean;
}

/** Commands of other programs: how each begins, and the test or script that runs it, or why nothing does. */
const OTHERS: readonly (readonly [start: string, runBy: string])[] = [
  ["npm install bulkhead", "tests/e2e/start.test.ts"],
  ["pulumi stack init", "tests/e2e/environments.test.ts"],
  ["pulumi config set --secret", "tests/e2e/environments.test.ts"],
  ["pulumi config set maintenance true", "tests/e2e/routes.test.ts"],
  ["pulumi config set --path", "tests/e2e/environments.test.ts"],
  ["docker run --rm --network none --user 0:0", "tests/e2e/images.test.ts"],
  ["pulumi login", "tests/e2e/start.test.ts"],
  ["pulumi preview --policy-pack", "tests/e2e/policy.test.ts"],
  ["export AWS_", "tests/e2e/r2.test.ts"],
  ["TEST_ENGINE=mine bash toolchain/run tests/support/run-e2e.ts", "scripts/suites.ts"],
  ["bash toolchain/run bench/", "nothing: each takes minutes of a machine of its own"],
  ["pulumi import ", "tests/e2e/cloudflare.test.ts"],
  ["docker exec $(docker ps", "tests/e2e/operate.test.ts"],
  ["iptables ", "tests/e2e/remote.test.ts"],
  ["ssh-keyscan ", "tests/e2e/remote.test.ts"],
  ["ssh-keygen ", "tests/e2e/remote.test.ts"],
  ["cat host-key ", "tests/e2e/remote.test.ts"],
  ['echo \'{"live-restore"', "tests/e2e/faults.test.ts"],
  ["systemctl reload docker", "tests/e2e/faults.test.ts"],
  ["ssh root@", "tests/e2e/start.test.ts"],
  ["cd apps/backend", "nothing: needs a package index"],
  [`rclone copy "copy,version_at=`, "tests/e2e/backup.test.ts"],
];

const READ = new Error("read as far as its action");
/** While a command line is read. Other tests have the same commands: one module graph serves all. */
let isReading = false;
bulkhead.hook("preAction", () => {
  if (isReading) throw READ;
});

const makefile = readFileSync(join(projectDirectory, "Makefile"), "utf8");
const pages = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "apps/README.md", "bench/README.md"],
  ...readdirSync(join(projectDirectory, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];
const typed = pages.flatMap((page) => commandsOf(page, readFileSync(join(projectDirectory, page), "utf8")));

test("every command of a document is one that there is", async () => {
  expect(typed.length).toBeGreaterThan(100);
  // The page on the tools shows two that are refused.
  expect(await mistakesIn(typed)).toEqual([
    expect.stringMatching(/^docs\/contributing\/toolchain\.md: `STAKC=prod make up`: .*did you mean STACK\?$/),
    expect.stringMatching(/^docs\/contributing\/toolchain\.md: `FORMAT=jsno make audit`: .*give json$/),
  ]);
});

test("every command of another program is declared, and no declaration is left over", () => {
  const lines = typed.filter(({ line }) => !isOurs(line)).map(({ line }) => line);
  expect(lines.filter((line) => OTHERS.every(([start]) => !line.startsWith(start)))).toEqual([]);
  expect(OTHERS.filter(([start]) => !lines.some((line) => line.startsWith(start)))).toEqual([]);
  const files = OTHERS.map(([, runBy]) => runBy).filter((runBy) => !runBy.startsWith("nothing: "));
  expect(files.filter((file) => !existsSync(join(projectDirectory, file)))).toEqual([]);
});

test.each([
  ["bulkhead upp", "unknown command 'upp'"],
  ["npx bulkhead up --stak prod", "unknown option '--stak'"],
  ["bulkhead exec backend --tty -- sh", "unknown option '--tty'"],
  ["bulkhead rotate", "missing required argument 'name'"],
  ["bulkhead up prod", "too many arguments"],
  ["make upp", "there is no target upp"],
  ["make up STAKC=prod", "STAKC"],
  ['eval "$(bulkhead envv --stack prod)"', "unknown command 'envv'"],
])("in a block `%s` is refused", async (line, problem) => {
  const found = commandsOf("page.md", `# Page\n\n\`\`\`sh\n${line}\n\`\`\`\n`);
  expect(await mistakesIn(found)).toEqual([expect.stringContaining(problem)]);
});

test("in a sentence a command may leave out its values, and is refused for its verb and its options", async () => {
  const found = commandsOf(
    "page.md",
    "Run `bulkhead rotate`, `bulkhead upp` or `make  VERB`; `bulkhead up --stak x`.\n",
  );
  expect(found).toHaveLength(4);
  expect(await mistakesIn(found)).toHaveLength(2);
});

/** Those in blocks line by line, without the output that a block of console shows; and those in sentences. */
function commandsOf(page: string, text: string): Typed[] {
  const found: Typed[] = [];
  const rest = text.replaceAll(/^ *```(\w*)\n(.*?)^ *```$/gms, (_, language: string, block: string) => {
    for (const each of block.replaceAll("\\\n", " ").split("\n")) {
      const isTyped = ["sh", "bash"].includes(language) || (language === "console" && each.startsWith("$ "));
      // The help of a verb has its examples.
      const isExample = language === "text" && /^ {2}(bulkhead|eval) [^…]*$/.test(each);
      const line = withoutComment(each.trim().replace(/^\$ /, ""));
      if ((isTyped || isExample) && line !== "")
        found.push(...parts(line).map((part) => ({ page, line: part, isWhole: true })));
    }
    return "";
  });
  for (const [, code] of rest.matchAll(/`([^`\n]+)`/g))
    if (/(^| )(make|bulkhead) [a-z-]/.test(code!) && isOurs(code!.replaceAll(/ {2,}/g, " ")))
      found.push({ page, line: code!, isWhole: false });
    else if (/^(make|bulkhead) +VERB/.test(code!)) found.push({ page, line: code!, isWhole: false });
  return found;
}

function withoutComment(line: string): string {
  return line.replace(/(^|\s)#\s.*$/, "").trim();
}

/** What is joined by `&&`, and what is within `eval "$(…)"`. A command in quotes is another machine's. */
function parts(line: string): string[] {
  const inner = /^eval "\$\((.*)\)"$/.exec(line)?.[1] ?? line;
  return /^(npm|npx|make|bulkhead)\b/.test(inner) ? inner.split(" && ") : [inner];
}

function isOurs(line: string): boolean {
  return /^([A-Z]+=\S* )*((npx |\.\/)?bulkhead|make) /.test(line);
}

async function mistakesIn(all: readonly Typed[]): Promise<string[]> {
  const mistakes: string[] = [];
  for (const { page, line, isWhole } of all) {
    if (!isOurs(line)) continue;
    const [problem] =
      line.includes("make ") && !/bulkhead /.test(line) ? ofMake(line) : await ofBulkhead(line, isWhole);
    if (problem !== undefined) mistakes.push(`${page}: \`${line}\`: ${problem}`);
  }
  return mistakes;
}

function ofMake(line: string): string[] {
  const words = line.split(/\s+/).filter((word) => word !== "-s");
  const goals = words.filter((word) => word !== "make" && !word.includes("="));
  const unknown = goals.filter((goal) => goal !== "VERB" && !variablesOfTargets(makefile).has(goal));
  if (unknown.length > 0) return unknown.map((goal) => `there is no target ${goal}`);
  const given = words.filter((word) => word.includes("="));
  const values = Object.fromEntries(given.map((word) => /^(.*?)=(.*)$/s.exec(word)!.slice(1)) as [string, string][]);
  const flags = ` -- ${given.join(" ")}`;
  return goals.includes("VERB")
    ? []
    : problemsOf(makefile, { ...values, MAKECMDGOALS: goals.join(" "), MAKEFLAGS: flags });
}

async function ofBulkhead(line: string, isWhole: boolean): Promise<string[]> {
  const words = line.replace(/^.*?bulkhead\s+/, "").match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  if (words[0] === "VERB") return [];
  for (const variable of bulkhead.commands.flatMap((verb) => [verb, ...verb.commands]).flatMap(variablesOf))
    vi.stubEnv(variable, undefined);
  const silent = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  onTestFinished(() => {
    silent.mockRestore();
    vi.unstubAllEnvs();
  });
  isReading = true;
  try {
    await bulkhead.parseAsync(words, { from: "user" });
    return ["was not read to its end"];
  } catch (error) {
    if (error === READ) return [];
    if (!(error instanceof CommanderError)) throw error;
    if (/^commander\.(help|version)/.test(error.code)) return [];
    const isLeftOut = /^commander\.(missingArgument|optionMissingArgument)$/.test(error.code);
    return isLeftOut && !isWhole ? [] : [error.message];
  } finally {
    isReading = false;
    silent.mockRestore();
  }
}
