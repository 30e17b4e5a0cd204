import { createInterface } from "node:readline/promises";

/** Asks the person at the terminal; where nobody is, that is an error which says how a script answers. */
export async function ask(question: string, forScripts: string): Promise<string> {
  if (!process.stdin.isTTY) throw new Error(`nobody is here to answer: ${forScripts}`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question(question)).trim();
  } finally {
    terminal.close();
  }
}
