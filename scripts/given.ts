// Loaded before the program of every `make` target: what is mistyped is refused before anything is touched.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { problemsOf } from "./variables.ts";

const makefile = readFileSync(join(import.meta.dirname, "..", "Makefile"), "utf8");
const problems = problemsOf(makefile, process.env);
if (problems.length > 0) {
  process.stderr.write(problems.map((problem) => `error: ${problem}\n`).join(""));
  process.exit(1);
}
