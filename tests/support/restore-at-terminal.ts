import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { RepositoryCopy } from "./copy.ts";
import type { TestProject } from "./pulumi.ts";
import { atTerminal } from "./terminal.ts";

/**
 * `bulkhead restore` as a person types it, in the folder of the program. The project's stack file is afterwards what the
 * command made of it.
 */
export async function restoreAtTerminal(
  project: TestProject,
  args: readonly string[],
  answers: readonly (readonly [shown: string, typed: string])[],
): Promise<{ code: number; text: string }> {
  const copy = new RepositoryCopy();
  const program = project.program.replace(/.*(?=tests\/programs\/)/, "");
  const folder = join(copy.directory, program);
  const file = join(folder, `Pulumi.${project.stack}.yaml`);
  try {
    const { config } = parse(readFileSync(project.configFile, "utf8")) as { config: object };
    // What the command asks of every stack after an update, also where the program has no edge.
    const asked = { domain: "example.com", certificates: { kind: "acme", email: "ops@example.com" } };
    const keys = Object.entries(asked).map(([key, value]) => [`${project.stack}:${key}`, value] as const);
    cpSync(project.configFile, file);
    writeFileSync(
      file,
      stringify({
        ...(parse(readFileSync(file, "utf8")) as object),
        config: { ...config, ...Object.fromEntries(keys) },
      }),
    );
    const main = ["--conditions=bulkhead-source", join(copy.directory, "cli/main.ts")];
    const ended = await atTerminal([process.execPath, ...main, "restore", ...args, "--stack", project.stack], {
      ...{ cwd: folder, env: project.env, answers, timeoutMs: 400_000 },
    });
    cpSync(file, project.configFile);
    return ended;
  } finally {
    copy.remove();
  }
}
