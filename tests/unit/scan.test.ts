// What `bulkhead scan` builds: all that the program builds, as the program says it.
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { programBuilds } from "../../cli/scan/program-builds.ts";
import { buildSecrets } from "../../components/host/build-secrets.ts";
import { programSettings } from "../../cli/stack/program-settings.ts";
import { images } from "../../images.ts";
import { projectDirectory } from "./source.ts";

test("the program in this folder says what it builds, and from what, whatever a stack takes instead", async () => {
  // Another test may have run the program before, and a module runs once.
  vi.resetModules();
  const config = { "reach:images": { backend: `registry.test/backend:1@sha256:${"0".repeat(64)}` } };
  const builds = await programBuilds(await programSettings(), { config });
  const of = (app: string) => ({
    ...{ name: app, context: join(projectDirectory, "apps", app), target: undefined },
    dockerfile: join(projectDirectory, "apps", app, "Dockerfile"),
    secrets: buildSecrets().map(({ id }) => expect.objectContaining({ id }) as object),
  });
  expect(builds.sort((one, other) => one.name.localeCompare(other.name))).toEqual([
    { ...of("backend"), buildArgs: { PYTHON_IMAGE: images.python } },
    { ...of("frontend"), buildArgs: { NODE_IMAGE: images.node } },
  ]);
});
