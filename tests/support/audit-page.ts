import { readFileSync } from "node:fs";

/** The rows of the table in a section of docs/reference/audit-coverage.md. */
export function rowsOfAuditPage(heading: string): string[] {
  const text = readFileSync(new URL("../../docs/reference/audit-coverage.md", import.meta.url), "utf8");
  const section = text.split(/^(?=#+ )/m).find((part) => part.replace(/^#+ /, "").startsWith(`${heading}\n`)) ?? "";
  const rows = section.split("\n").filter((line) => /\| (yes|no) *\|$/.test(line));
  return rows.map((line) => line.replace(/ +/g, " "));
}

/** A change by hand, and whether `pulumi refresh` sees it too. */
export function row(what: string, seenByRefresh: boolean): string {
  return `| ${what} | ${seenByRefresh ? "yes" : "no"} |`;
}
