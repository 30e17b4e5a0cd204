import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { resourceRules, stackRules } from "../../policy/rules.ts";
import { rowsOfAuditPage } from "../support/audit-page.ts";
import { projectDirectory } from "./source.ts";

const pages = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "apps/README.md", "bench/README.md"],
  ...["bench/results.md", "tests/support/README.md"],
  ...readdirSync(join(projectDirectory, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];
const texts = Object.fromEntries(pages.map((page) => [page, readFileSync(join(projectDirectory, page), "utf8")]));

test("every link leads to a page, and to a heading that it has", () => {
  expect(brokenLinks(texts)).toEqual([]);
  const broken = { "docs/a.md": "[gone](gone.md) [b](b.md#no-such) [self](#here)\n# Here\n", "docs/b.md": "# B\n" };
  expect(brokenLinks(broken)).toEqual(["docs/a.md: gone.md is not there", "docs/a.md: docs/b.md has no #no-such"]);
});

test("every page is in the index", () => {
  const linked = linksIn(texts["docs/README.md"]!).map((link) => `docs/${link}`);
  expect(Object.keys(texts).filter((page) => /^docs\/(?!README)/.test(page) && !linked.includes(page))).toEqual([]);
});

test("a page on a task has at most 80 lines", () => {
  const lines = (text: string): number => text.trimEnd().split("\n").length;
  const long = Object.entries(texts).filter(([page, text]) => page.startsWith("docs/how-to/") && lines(text) > 80);
  expect(long.map(([page, text]) => `${page}: ${lines(text)} lines`)).toEqual([]);
});

test("every file that a page names is there, tests above all", () => {
  expect(missingFiles(texts)).toEqual([]);
  const page =
    "`tests/e2e/gone.test.ts`, `edge.test.ts` and `no.test.ts`; `cli/main.ts`, `apps/backend`, `tests/e2e/r2.test.ts -t x`";
  expect(missingFiles({ "docs/a.md": page })).toEqual([
    "docs/a.md: tests/e2e/gone.test.ts is not there",
    "docs/a.md: no.test.ts is not there",
  ]);
});

test("every end-to-end test stands behind a guarantee", () => {
  const files = readdirSync(join(projectDirectory, "tests/e2e")).filter((file) => file.endsWith(".test.ts"));
  expect(files.filter((file) => !texts["docs/reference/guarantees.md"]!.includes(file))).toEqual([]);
});

test("what the README counts is what there is", () => {
  // And the one that tells of exceptions.
  const policies = resourceRules.length + stackRules.length + 1;
  expect(texts["README.md"]).toContain(`and ${policies} policies judge each preview`);
  const found = rowsOfAuditPage("At Cloudflare").length;
  expect(texts["README.md"]).toContain(`\`audit\` finds ${found} of ${found} changes made by hand at Cloudflare`);
  const [, commits, gone] = /^Of ([\d,]+) in that run, .* (\d+) were lost\./m.exec(texts["docs/reference/faults.md"]!)!;
  expect(texts["README.md"]).toContain(`${commits} acknowledged commits ${gone} were lost`);
  const [, failed, requests] = /^\| Bulkhead +\| +(\d+) of (\d+) /m.exec(texts["bench/results.md"]!)!;
  const [, lost] = /^\| docker compose up -d +\| +(\d+) of /m.exec(texts["bench/results.md"]!)!;
  const thousands = Number(requests).toLocaleString("en");
  expect(texts["README.md"]).toMatch(
    new RegExp(`${failed} of ${thousands} requests failed in the bench, where .docker compose up. lost ${lost}\\.`),
  );
});

function brokenLinks(texts: Readonly<Record<string, string>>): string[] {
  return Object.entries(texts).flatMap(([page, text]) =>
    linksIn(text).flatMap((link) => {
      const [path, heading] = link.split("#", 2) as [string, string | undefined];
      const target = path === "" ? page : relative("/", join("/", dirname(page), path));
      if (texts[target] === undefined && !existsSync(join(projectDirectory, target)))
        return [`${page}: ${path} is not there`];
      if (heading === undefined || texts[target] === undefined) return [];
      return headingsIn(texts[target]).includes(heading) ? [] : [`${page}: ${target} has no #${heading}`];
    }),
  );
}

/** Of this repository, in code. A test is also named without its folder. */
function missingFiles(texts: Readonly<Record<string, string>>): string[] {
  const folders = readdirSync(projectDirectory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  // `apps` is the reader's own, too.
  const names = folders.map(({ name }) => name.replace(".", "\\.")).filter((name) => name !== "apps");
  const ours = new RegExp(`^(?:${names.join("|")})/[\\w./-]+$`);
  const tests = ["unit", "e2e", "policy"].map((kind) => `tests/${kind}`);
  return Object.entries(texts).flatMap(([page, text]) =>
    [...text.matchAll(/`([^`\n]+)`/g)]
      .map(([, code]) => code!.split(" ")[0]!)
      .flatMap((file) => {
        const places = /^[\w-]+\.test\.ts$/.test(file) ? tests.map((folder) => join(folder, file)) : [file];
        if (places.length === 1 && !ours.test(file)) return [];
        return places.some((place) => existsSync(join(projectDirectory, place)))
          ? []
          : [`${page}: ${file} is not there`];
      }),
  );
}

/** Within the repository. */
function linksIn(text: string): string[] {
  const plain = text.replace(/^```.*?^```/gms, "").replace(/`[^`\n]*`/g, "");
  return [...plain.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!).filter((link) => !/^[a-z]+:/.test(link));
}

/** As GitHub names them. */
function headingsIn(text: string): string[] {
  const plain = text.replace(/^```.*?^```/gms, "");
  return [...plain.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
