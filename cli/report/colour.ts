/** Colours of a terminal, by their numbers. */
export const RED = 31;
export const BOLD = 1;

/** Those that are read on light and on dark; red is for what is wrong. */
export const PALETTE = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94] as const;

/** On a terminal alone, and not where the user wants none: https://no-color.org. */
export function coloured(colour: number, text: string, terminal = process.stdout.isTTY): string {
  return terminal && !process.env["NO_COLOR"] ? `\x1b[${colour}m${text}\x1b[0m` : text;
}
