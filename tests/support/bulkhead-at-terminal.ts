import { cpSync } from "node:fs";
import { join } from "node:path";
import { RepositoryCopy } from "./copy.ts";
import type { TestProject } from "./pulumi.ts";
import { atTerminal } from "./terminal.ts";

/**
 * A command of `bulkhead` as a person types it, in the folder of the program. The project's stack file is afterwards what
 * the command made of it.
 */
export async function bulkheadAtTerminal(
  project: TestProject,
  args: readonly string[],
  answers: readonly (readonly [shown: string, typed: string])[] = [],
): Promise<{ code: number; text: string }> {
  const copy = new RepositoryCopy();
  const program = project.program.replace(/.*(?=tests\/programs\/)/, "");
  const folder = join(copy.directory, program);
  const file = join(folder, `Pulumi.${project.stack}.yaml`);
  try {
    cpSync(project.configFile, file);
    const ended = await atTerminal([...copy.command, ...args, "--stack", project.stack], {
      ...{ cwd: folder, env: project.env, answers, timeoutMs: 800_000 },
    });
    cpSync(file, project.configFile);
    return ended;
  } finally {
    copy.remove();
  }
}
