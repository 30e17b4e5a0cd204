import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import { bold } from "./colour.ts";

/**
 * Lines of columns as wide as their widest cell; the first row is the heading. On a terminal that is not as wide, the
 * widest columns become narrower, and their cells go on in the next line.
 *
 * @param columns how wide it may be. @default as stdout if that is a terminal, else as wide as the cells are
 */
export function table(rows: readonly (readonly string[])[], columns = terminalColumns()): string {
  const [heading = [], ...rest] = rows;
  const widths = narrowed(
    heading.map((_, column) => Math.max(...rows.map((row) => stringWidth(row[column] ?? "")))),
    columns,
  );
  return [heading.map(bold), ...rest].flatMap((row) => linesOf(row, widths)).join("\n");
}

/** How wide stdout is; without an end if it is no terminal, or one that does not say. */
export function terminalColumns(): number {
  return (process.stdout.isTTY && process.stdout.columns) || Infinity;
}

const GAP = 2;
/** Below this a column cannot be read. */
const LEAST = 8;

/** Takes from the widest column what is too much, over and over. */
function narrowed(widths: readonly number[], columns: number): number[] {
  const result = [...widths];
  const tooWide = () => result.reduce((sum, width) => sum + width, GAP * (result.length - 1)) - columns;
  while (tooWide() > 0) {
    const widest = result.indexOf(Math.max(...result));
    if (result[widest]! <= LEAST) break;
    result[widest]!--;
  }
  return result;
}

function linesOf(row: readonly string[], widths: readonly number[]): string[] {
  const cells = row.map((cell, column) =>
    stringWidth(cell) > widths[column]! ? wrapAnsi(cell, widths[column]!, { hard: true }).split("\n") : [cell],
  );
  const height = Math.max(...cells.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) =>
    cells
      .map((lines, column) => padded(lines[line] ?? "", widths[column]!))
      .join(" ".repeat(GAP))
      .trimEnd(),
  );
}

function padded(cell: string, width: number): string {
  return cell + " ".repeat(Math.max(0, width - stringWidth(cell)));
}
