// What the commands write for a pull request, an issue or the summary of a run.

/** @param rows their cells are Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

export function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}

/** Text that anybody may have chosen, as a cell: one line, not too long, in which nothing is Markdown. */
export function cell(text: string): string {
  const flat = text.replace(/\s+/g, " ").trim();
  const short = flat.length > CELL_MOST ? `${flat.slice(0, CELL_MOST)}…` : flat;
  return short === "" ? "" : code(short).replaceAll("|", "\\|");
}

const CELL_MOST = 200;
