// Loaded before the program of every `make` target: what is mistyped is refused before anything is touched.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { problemsOf, programOf } from "./variables.ts";

const makefile = readFileSync(join(import.meta.dirname, "..", "Makefile"), "utf8");
const problems = problemsOf(makefile, process.env);
const program = programOf(process.env);
if (program !== undefined && !existsSync(join(program, "Pulumi.yaml")))
  problems.push(`PROGRAM: ${program} has no Pulumi.yaml: give the folder of a program, like examples/statsboard`);
if (problems.length > 0) {
  process.stderr.write(problems.map((problem) => `error: ${problem}\n`).join(""));
  process.exit(1);
}
if (program !== undefined) process.chdir(program);
