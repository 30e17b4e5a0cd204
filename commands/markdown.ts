/** A table whose cells are shown as they are: whoever chose their text, nothing of it is Markdown. */
export function markdownTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heading), line(heading.map(() => "---")), ...rows.map((row) => line(row.map(cell)))].join("\n");
}

const CELL_MOST = 200;

function cell(text: string): string {
  const flat = text.replaceAll("`", "'").replace(/\s+/g, " ").trim();
  const short = flat.length > CELL_MOST ? `${flat.slice(0, CELL_MOST)}…` : flat;
  return short === "" ? "" : `\`${short.replaceAll("|", "\\|")}\``;
}
