// `make scan`: the known holes of the images that Bulkhead runs and builds, by Trivy. Ends with 1 if one can be closed.
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { buildSecrets } from "../components/host/build-secrets.ts";
import { images } from "../images.ts";
import { findDocker } from "../toolchain/docker.ts";
import { run, step } from "../toolchain/steps.ts";
import { provideTrivy } from "../toolchain/trivy.ts";
import { holesIn, scanReport } from "./report/vulnerabilities.ts";
import { runCommand } from "./stack/stack.ts";
import { programDirectory } from "./stack/program.ts";

await runCommand(async () => {
  const trivy = await provideTrivy();
  const env = { DOCKER_HOST: await findDocker() };
  const built = await Promise.all(
    Object.entries({ backend: `PYTHON_IMAGE=${images.python}`, frontend: `NODE_IMAGE=${images.node}` }).map(
      ([app, base]) => build(app, base, env),
    ),
  );
  const scanned = [...Object.values(images), ...built];
  const holes = [];
  for (const image of scanned) holes.push(...(await step(`looking at ${image}`, () => holesIn(trivy, image, env))));
  const report = scanReport(scanned, holes);
  console.log(report);
  const file = process.env["REPORT"];
  if (file) await appendFile(file, report);
  return holes.length > 0 ? 1 : 0;
});

async function build(app: string, base: string, env: NodeJS.ProcessEnv): Promise<string> {
  const tag = `bulkhead.local/${app}:scan`;
  const context = join(programDirectory, "apps", app);
  const secrets = buildSecrets().flatMap(({ id, src }) => ["--secret", `id=${id},src=${src}`]);
  const args = ["build", "--tag", tag, "--build-arg", base, ...secrets, context];
  // Which an older CLI has to be asked for.
  await step(`building ${tag}`, () => run("docker", args, { env: { ...env, DOCKER_BUILDKIT: "1" } }));
  return tag;
}
