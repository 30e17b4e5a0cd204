// What `bulkhead scan` builds: all that the program builds, as the program says it.
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { programBuilds } from "../../cli/scan/program-builds.ts";
import { programSettings } from "../../cli/stack/program-settings.ts";
import { images } from "../../images.ts";
import { projectDirectory } from "./source.ts";

test("the program in this folder says what it builds, and from what, whatever a stack takes instead", async () => {
  // Another test may have run the program before, and a module runs once.
  vi.resetModules();
  const config = { "reach:images": { backend: `registry.test/backend:1@sha256:${"0".repeat(64)}` } };
  const builds = await programBuilds(await programSettings(), { config });
  const dockerfile = "Dockerfile";
  expect(builds.sort((one, other) => one.name.localeCompare(other.name))).toEqual([
    {
      ...{ name: "backend", context: join(projectDirectory, "apps/backend"), dockerfile },
      buildArgs: { PYTHON_IMAGE: images.python },
    },
    {
      ...{ name: "frontend", context: join(projectDirectory, "apps/frontend"), dockerfile },
      buildArgs: { NODE_IMAGE: images.node },
    },
  ]);
});
