// What is loaded before the program, and makes its runs fast.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectDirectory } from "./source.ts";

test("Pulumi keeps no stack trace for each promise, and an error of the program has its own", () => {
  const program = `
    const { debuggablePromise } = require("@pulumi/pulumi/runtime/debuggable");
    const promise = Promise.resolve();
    debuggablePromise(promise, "of a property");
    const limit = Error.stackTraceLimit;
    console.log(JSON.stringify({ limit, kept: promise._debugStackTrace, own: new Error("own").stack.split("\\n").length > 1 }));`;
  const start = join(projectDirectory, "toolchain", "node-start.cjs");
  const said = execFileSync(process.execPath, ["--require", start, "-e", program], {
    cwd: projectDirectory,
    encoding: "utf8",
  });
  expect(JSON.parse(said)).toEqual({ limit: 10, kept: "Error", own: true });
});
