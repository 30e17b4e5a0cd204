// An update with a key of the stack file set for databases or volumes. The file is as it was if that fails.
import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { say } from "../../toolchain/steps.ts";
import { deployFile } from "../deploy-file.ts";
import { configKey } from "../stack/program.ts";
import { committedFile, type Stack } from "../stack/stack.ts";

export interface Change {
  key: "restore" | "upgrade";
  /** By the name of the database or volume in the program. */
  of: Record<string, object>;
}

/** @param failed what is said first where it failed, like "Not restored". */
export async function updateWith(stack: Stack, name: string, change: Change, failed: string): Promise<number> {
  const path = committedFile(name);
  const text = changed(await readFile(path, "utf8"), change);
  const { code, isDeployed } = await deployFile(stack, path, text, { yes: true }, { asks: true });
  say(isDeployed ? `${path} says so now: commit it.` : `${failed}: ${path} is as it was, and what runs is what ran.`);
  return code;
}

/** The text of a stack file with that key. Its comments stay. */
export function changed(text: string, { key, of }: Change): string {
  const document = parseDocument(text);
  for (const [name, value] of Object.entries(of))
    document.setIn(["config", configKey(key), name], document.createNode(value));
  return String(document);
}
