import { readFile, writeFile } from "node:fs/promises";
import type { Agreement } from "./agreement.ts";
import { deploy, type DeployOptions } from "./deploy.ts";
import type { Stack } from "./stack/stack.ts";

export interface DeployFileOptions extends DeployOptions {
  /** Asked where the update failed: whether it made what matters all the same, so that the file has to say so. */
  isMade?: () => Promise<boolean>;
}

export interface DeployedFile {
  /** What the command ends with. */
  code: number;
  /** Whether the whole update was made. */
  isDeployed: boolean;
}

/**
 * Deploys a stack with another text of its file. The file is as it was if no update was made; it stays when the update
 * was made and something after it failed, because the next update would take back what runs.
 */
export async function deployFile(
  stack: Stack,
  path: string,
  text: string,
  agreement: Agreement,
  { isMade, ...options }: DeployFileOptions = {},
): Promise<DeployedFile> {
  const before = await readFile(path, "utf8");
  let isDeployed = false;
  await writeFile(path, text);
  try {
    const code = await deploy(stack, agreement, { ...options, updated: () => (isDeployed = true) });
    return { code, isDeployed };
  } finally {
    if (!isDeployed && !(await isMade?.())) await writeFile(path, before);
  }
}
