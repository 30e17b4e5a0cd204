// `bulkhead scan`: the known vulnerabilities of the images that Bulkhead runs and builds, by Trivy. Ends with 1 if one has a fix.
import { existsSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { Command, Option } from "commander";
import { findDocker } from "../toolchain/docker.ts";
import { run, step } from "../toolchain/steps.ts";
import { provideTrivy } from "../toolchain/trivy.ts";
import { examples, exitsWith } from "./command.ts";
import { DONE, FAILED } from "./exit-codes.ts";
import { vulnerabilitiesIn, scanReport } from "./report/vulnerabilities.ts";
import type { Build } from "./scan/program-builds.ts";
import { programSettings } from "./stack/program-settings.ts";
import { committedFile, readStackFile, type StackFile } from "./stack/stack.ts";

interface Options {
  report?: string;
}

export const scan = new Command("scan")
  .description("list the known vulnerabilities of the images that run and are built from, by Trivy")
  .addOption(new Option("--report <file>", "append what was found to that file too").env("REPORT"))
  .addHelpText(
    "after",
    examples(
      ["bulkhead scan", "ends with 1 if an update closes a critical or high hole"],
      ['bulkhead scan --report "$GITHUB_STEP_SUMMARY"', "in a workflow"],
    ),
  )
  .action(exitsWith(look));

async function look({ report: file }: Options): Promise<number> {
  const settings = await programSettings();
  const { images } = settings;
  // Not before it is needed: it brings all of Pulumi with it.
  const { programBuilds } = await import("./scan/program-builds.ts");
  const trivy = await provideTrivy();
  const env = { DOCKER_HOST: await findDocker() };
  const builds = await programBuilds(settings, await stackFileHere());
  const built = await Promise.all(builds.map((each) => build(each, env)));
  const scanned = [...Object.values(images), ...built];
  const found = [];
  for (const image of scanned)
    found.push(...(await step(`looking at ${image}`, () => vulnerabilitiesIn(trivy, image, env))));
  const report = scanReport(scanned, found);
  console.log(report);
  if (file !== undefined) await appendFile(file, report);
  return found.length > 0 ? FAILED : DONE;
}

/** The keys of the program's own, which the stack `local` has like any other. */
async function stackFileHere(): Promise<StackFile> {
  const file = committedFile("local");
  return existsSync(file) ? await readStackFile(file) : {};
}

async function build(
  { name, context, dockerfile, target, buildArgs, secrets }: Build,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const tag = `bulkhead.local/${name}:scan`;
  const args = [
    ...["build", "--tag", tag, "--file", dockerfile],
    ...secrets.flatMap(({ id, src }) => ["--secret", `id=${id},src=${src}`]),
    ...Object.entries(buildArgs).flatMap(([arg, value]) => ["--build-arg", `${arg}=${value}`]),
    ...(target === undefined ? [] : ["--target", target]),
    context,
  ];
  // Which an older CLI has to be asked for.
  await step(`building ${tag}`, () => run("docker", args, { env: { ...env, DOCKER_BUILDKIT: "1" } }));
  return tag;
}
