import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./copy.ts";

/** One line of a system's document. */
export interface Point {
  /** The part of the document that it stands in. */
  issue: string;
  point: string;
  met: string;
  /** Each as `file: title`. */
  shownBy: readonly string[];
}

/** A page with every point, for docs/examples. */
export function pointsTable(points: readonly Point[]): string {
  const rows = points.map(({ issue, point, met, shownBy }) => {
    const tests = shownBy.map((each) => each.replace(/^tests\/(\S+)\.test\.ts: /, "`$1`: "));
    return `| ${issue} | ${point} | ${met} | ${tests.join("; ")} |`;
  });
  return `| part | point | how | shown by |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

/** Tests that points name, and that are not there. */
export function missingTests(points: readonly Point[]): string[] {
  return [...new Set(points.flatMap(({ shownBy }) => shownBy))].filter((named) => {
    const [file, title] = named.split(/: (.*)/s) as [string, string];
    const path = join(repository, file);
    return !existsSync(path) || !titlesOf(readFileSync(path, "utf8")).some((pattern) => pattern.test(title));
  });
}

/** A title with %s stands for many. */
function titlesOf(text: string): RegExp[] {
  return [
    ...text.matchAll(
      /\btest(?:\.(?:skipIf|runIf)\([^)]*\))?(?:\.each\((?:\w+|[^]*?\](?: as const)?)\))?\(\s*(["'`])(.*?)(?<!\\)\1/g,
    ),
  ].map(([, , title]) => {
    const parts = title!
      .replaceAll("\\`", "`")
      .split("%s")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".+")}$`);
  });
}
