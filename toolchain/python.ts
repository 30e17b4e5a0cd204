import { readFile } from "node:fs/promises";
import { keyOf, kept } from "./cache.ts";
import { requirePrograms } from "./debian.ts";
import { run, step } from "./steps.ts";

/** The packages of a requirements.txt with hashes, by pip and its settings on this machine: a folder for PYTHONPATH. */
export async function pythonPackages(requirements: string): Promise<string> {
  await requirePrograms("Python's packages", { python3: "python3", pip3: "python3-pip" });
  const key = keyOf(await readFile(requirements, "utf8"), await run("python3", ["--version"]));
  return kept("python-packages", key, (directory) =>
    step("installing the backend's Python packages", async () => {
      const checked = ["--require-hashes", "--no-deps", "--only-binary", ":all:"];
      const where = ["--disable-pip-version-check", "--target", directory, "--requirement", requirements];
      await run("python3", ["-m", "pip", "install", "--quiet", ...checked, ...where]);
    }),
  );
}
