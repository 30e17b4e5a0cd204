// `bulkhead generate`: what is made from a program's settings, so that it cannot say anything else than they do.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { Command, Option } from "commander";
import { examples, exitsWith } from "./command.ts";
import { DONE, FAILED } from "./exit-codes.ts";
import { settingsPage, stackSchema } from "./report/settings-page.ts";
import { writeAtomically } from "./stack/atomic-write.ts";
import { programDirectory, projectName } from "./stack/program.ts";
import { programSettings } from "./stack/program-settings.ts";

interface Options {
  page?: string;
  check?: boolean;
}

export const generate = new Command("generate")
  .description("write what follows from settings.ts: the schema of stack files for editors, and a page for people")
  .addOption(new Option("--page <file>", "write the page there too, as Markdown"))
  .addOption(new Option("--check", "change nothing; end with 1 if something is not what the settings say"))
  .addHelpText(
    "after",
    examples(
      ["bulkhead generate", "writes stack.schema.json beside Pulumi.yaml"],
      ["bulkhead generate --page docs/settings.md --check", "in a workflow"],
    ),
  )
  .action(exitsWith(write));

async function write({ page, check = false }: Options): Promise<number> {
  const [project, settings] = [projectName(), await programSettings()];
  const files = [
    [join(programDirectory, "stack.schema.json"), `${JSON.stringify(stackSchema(project, settings), undefined, 2)}\n`],
    ...(page === undefined ? [] : [[page, settingsPage(project, settings)] as const]),
  ] as const;
  let stale = 0;
  for (const [file, content] of files) {
    const shown = relative(process.cwd(), file);
    if (existsSync(file) && readFileSync(file, "utf8") === content) continue;
    stale++;
    if (!check) await writeAtomically(file, content);
    console.log(`${shown} ${check ? "is not what settings.ts says: run `bulkhead generate`" : "written"}`);
  }
  return check && stale > 0 ? FAILED : DONE;
}
