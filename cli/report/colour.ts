// Colours where stdout is a terminal that shows them, and NO_COLOR is not set: styleText looks for itself.
import { styleText } from "node:util";

export const bold = (text: string) => styleText("bold", text, { stream: process.stdout });
export const red = (text: string) => styleText("red", text, { stream: process.stdout });
export const yellow = (text: string) => styleText("yellow", text, { stream: process.stdout });
export const green = (text: string) => styleText("green", text, { stream: process.stdout });
