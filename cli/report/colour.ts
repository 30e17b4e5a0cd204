// Colours where stdout is a terminal that shows them, and NO_COLOR is not set: styleText looks for itself.
import { styleText } from "node:util";

export const bold = (text: string) => coloured("bold", text);
export const red = (text: string) => coloured("red", text);
export const yellow = (text: string) => coloured("yellow", text);
export const green = (text: string) => coloured("green", text);

type Colour = Exclude<Parameters<typeof styleText>[0], readonly unknown[]>;

/** Those that are read on light and on dark; red is for what is wrong. */
export const PALETTE: readonly Colour[] = [
  ...(["cyan", "yellow", "green", "magenta", "blue"] as const),
  ...(["cyanBright", "yellowBright", "greenBright", "magentaBright", "blueBright"] as const),
];

/** @param terminal whether it is one, for what is not written to stdout. @default whether stdout is */
export function coloured(colour: Colour, text: string, terminal?: boolean): string {
  if (terminal === undefined) return styleText(colour, text, { stream: process.stdout });
  return terminal && !process.env["NO_COLOR"] ? styleText(colour, text, { validateStream: false }) : text;
}
