import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
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
  answers: readonly (readonly [shown: string, typed: string])[],
): Promise<{ code: number; text: string }> {
  const copy = new RepositoryCopy();
  const program = project.program.replace(/.*(?=tests\/programs\/)/, "");
  const folder = join(copy.directory, program);
  const file = join(folder, `Pulumi.${project.stack}.yaml`);
  try {
    const { name } = parse(readFileSync(join(project.program, "Pulumi.yaml"), "utf8")) as { name: string };
    const given = parse(readFileSync(project.configFile, "utf8")) as { config: object };
    const asked = Object.entries(ASKED).map(([key, value]) => [`${name}:${key}`, value] as const);
    writeFileSync(file, stringify({ ...given, config: { ...Object.fromEntries(asked), ...given.config } }));
    const main = ["--conditions=bulkhead-source", join(copy.directory, "cli/main.ts")];
    const ended = await atTerminal([process.execPath, ...main, ...args, "--stack", project.stack], {
      ...{ cwd: folder, env: project.env, answers, timeoutMs: 800_000 },
    });
    cpSync(file, project.configFile);
    return ended;
  } finally {
    copy.remove();
  }
}

/** What a command asks of every stack, also where the program has no edge. */
const ASKED = { host: "local", domain: "example.com", certificates: { kind: "acme", email: "ops@example.com" } };
