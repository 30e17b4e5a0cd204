// What is loaded before the program, and makes its runs fast.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectDirectory } from "./source.ts";

const start = join(projectDirectory, "toolchain", "node-start.cjs");

test("Pulumi keeps no stack trace for each promise, and an error of the program has its own", () => {
  const program = `
    const { debuggablePromise } = require("@pulumi/pulumi/runtime/debuggable");
    const promise = Promise.resolve();
    debuggablePromise(promise, "of a property");
    const limit = Error.stackTraceLimit;
    console.log(JSON.stringify({ limit, kept: promise._debugStackTrace, own: new Error("own").stack.split("\\n").length > 1 }));`;
  const said = execFileSync(process.execPath, ["--require", start, "-e", program], {
    cwd: projectDirectory,
    encoding: "utf8",
  });
  expect(JSON.parse(said)).toEqual({ limit: 10, kept: "Error", own: true });
});

test("Pulumi tells the engine nothing of each step, unless it is asked to, and all that the program says", () => {
  const program = `
    const settings = require("@pulumi/pulumi/runtime/settings");
    const told = [];
    const engine = { log: (request, done) => (told.push(request.getMessage()), done()) };
    settings.getEngine = () => engine;
    const pulumi = require("@pulumi/pulumi");
    (async () => {
      for (const message of ["RegisterResource RPC prepared: t=x", "Registering resource: t=x", "the program's own"])
        await pulumi.log.debug(message);
      console.log(JSON.stringify(told));
    })();`;
  const told = (DEBUG: string) =>
    JSON.parse(
      execFileSync(process.execPath, ["--require", start, "-e", program], {
        cwd: projectDirectory,
        encoding: "utf8",
        env: { ...process.env, DEBUG },
      }),
    ) as string[];
  expect(told("")).toEqual(["the program's own"]);
  expect(told("1")).toHaveLength(3);
});
