// `bulkhead init`: a program in this folder, of one service or as an example has it.
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Command, Option } from "commander";
import { examples, exitsWith } from "./command.ts";
import { DONE } from "./exit-codes.ts";
import { answered, folderProblems, problemsOf, suggestedName, type InitOptions } from "./init/answers.ts";
import { exampleFiles, exampleNames, exampleOf } from "./init/example-files.ts";
import { commonFiles, programFiles } from "./init/program-files.ts";
import { packageFile } from "./init/package-file.ts";

export const init = new Command("init")
  .description("write a program of one service, or an example, into this folder; deploys nothing")
  .addOption(new Option("--dockerfile <folder>", "the service is built from this folder, which has a Dockerfile"))
  .addOption(new Option("--image <image>", "the service is this image: name:tag@sha256:…").conflicts("dockerfile"))
  .addOption(
    new Option("--from <example>", `begin with an example: ${exampleNames().join(", ")}`).conflicts([
      ...["dockerfile", "image", "service", "port", "healthPath", "domain"],
    ]),
  )
  .option("--name <name>", "the project's name, which every name on the host begins with (default: this folder's)")
  .option("--service <name>", "the service's name (default: that of its folder or image)")
  .option("--port <port>", "the port in the container that speaks HTTP")
  .option("--health-path <path>", "a path that answers 2xx when the service can serve (default: /)")
  .option("--domain <domain>", "the name that the edge serves (default: localhost)")
  .option("--workflows", "write workflows for GitHub too: checks, previews, deploys and a look for drift")
  .addHelpText(
    "after",
    examples(
      ["bulkhead init", "asks, at a terminal, for what is not given"],
      ["bulkhead init --dockerfile ./app --port 3000 --health-path /health", "builds it on the host"],
      ["bulkhead init --image ghcr.io/me/app:1.4@sha256:… --port 8080", "takes it from a registry"],
      ["bulkhead init --from hello", "a service that says Hello, with all that belongs to it"],
    ),
  )
  .action(exitsWith(write));

async function write(given: InitOptions): Promise<number> {
  const directory = process.cwd();
  const files = given.from === undefined ? await ofOneService(given, directory) : await ofExample(given, directory);
  for (const [file, content] of Object.entries(files)) {
    const path = join(directory, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  console.log(`Written: ${Object.keys(files).sort().join(", ")}\n`);
  console.log(["Next:", ...nextSteps(directory)].join("\n"));
  return DONE;
}

async function ofOneService(given: InitOptions, directory: string): Promise<Record<string, string>> {
  const options = await answered(given, suggestedName(directory));
  refuse(problemsOf(options, directory));
  return { ...(await programFiles(options)), "package.json": await packageFile(options, directory) };
}

async function ofExample(given: InitOptions, directory: string): Promise<Record<string, string>> {
  const example = exampleOf(given.from!);
  const name = given.name ?? (suggestedName(directory) || example);
  const own = await exampleFiles(example, name);
  refuse(folderProblems(name, directory, Object.keys(own)));
  return { ...(await commonFiles(given)), ...own, "package.json": await packageFile({ name }, directory) };
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(`nothing was written:\n${problems.map((line) => `  ${line}`).join("\n")}`);
}

function nextSteps(directory: string): string[] {
  const isInstalled = existsSync(join(directory, "node_modules", "bulkhead"));
  return [
    ...(isInstalled ? [] : ["  npm install        # the package, at the version that wrote these files"]),
    "  npx bulkhead up    # deploys to this machine's Docker; index.ts is what runs",
    "  npm test           # what the program asks Docker for, without a Docker",
  ];
}
