// What the commands write for a pull request, an issue or the summary of a run, as GitHub shows it.

/** A title and what there is of it; nothing where there is none. */
export function list(title: string, items: readonly string[]): string {
  return items.length > 0 ? `**${title}:**\n\n${bullets(items)}` : "";
}

export function bullets(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join("\n");
}

/** @param rows their cells are Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

export function folded(title: string, text: string): string {
  return text === "" ? "" : `<details><summary>${title}</summary>\n\n${text}\n\n</details>`;
}

/** A box that stands out. */
export function alert(kind: "WARNING" | "CAUTION", text: string): string {
  return [`[!${kind}]`, ...text.split("\n")].map((line) => `> ${line}`.trimEnd()).join("\n");
}

export function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}

/** More backticks than any message has. */
export function block(lines: readonly string[]): string {
  return ["````text", ...lines, "````"].join("\n");
}

/** Text from elsewhere, in which nothing is Markdown or HTML but code. */
export function plain(text: string): string {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll(/\s*\n\s*/g, " ");
}

/** `a`, `a and b`, `a, b and c`. */
export function enumerated(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** Text that anybody may have chosen, as a cell: one line, not too long, in which nothing is Markdown. */
export function cell(text: string): string {
  const flat = text.replace(/\s+/g, " ").trim();
  const short = flat.length > CELL_MOST ? `${flat.slice(0, CELL_MOST)}…` : flat;
  return short === "" ? "" : code(short).replaceAll("|", "\\|");
}

const CELL_MOST = 200;
