// What is loaded before the program, and makes its runs fast.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
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

test("a program gets Pulumi's debugger when it has a function to serialize, and not before", () => {
  const program = `
    const inspector = require("inspector");
    const { Session } = inspector;
    let sessions = 0;
    inspector.Session = class extends Session { constructor() { super(); sessions++; } };
    const pulumi = require("@pulumi/pulumi");
    (async () => {
      await require("@pulumi/pulumi/runtime/closure/v8Hooks").isInitializedAsync();
      const before = sessions;
      const captured = 42;
      const { text } = await pulumi.runtime.serializeFunction(() => captured);
      console.log(JSON.stringify({ before, after: sessions, isWhole: text.includes("captured: 42") }));
    })();`;
  const said = execFileSync(process.execPath, ["--require", start, "-e", program], {
    cwd: projectDirectory,
    encoding: "utf8",
  });
  expect(JSON.parse(said)).toEqual({ before: 0, after: 1, isWhole: true });
});

test("what measures calls, and what runs pulumi, is loaded when it is used", () => {
  const program = `
    const Module = require("node:module");
    const { join } = require("node:path");
    const run = join(require.resolve("@pulumi/pulumi"), "../cmd/run");
    const pulumi = require("@pulumi/pulumi");
    const tracing = Module._load("./tracing", { filename: join(run, "run.js"), id: "run", paths: [], exports: {} }, false);
    const loaded = () => Object.keys(require.cache).filter((file) => /sdk-trace-base|[/]automation[/]index/.test(file)).length;
    const span = tracing.newSpan("a");
    span.setAttribute("a", 1), span.addEvent("b"), span.end();
    const before = loaded();
    console.log(JSON.stringify({ before, automation: typeof pulumi.automation.LocalWorkspace, more: loaded() > before }));`;
  const said = execFileSync(process.execPath, ["--require", start, "-e", program], {
    cwd: projectDirectory,
    encoding: "utf8",
  });
  expect(JSON.parse(said)).toEqual({ before: 0, automation: "function", more: true });
});

test("a property becomes an output when it is read, before or after it is known, and can be put in its place", () => {
  const program = `
    const pulumi = require("@pulumi/pulumi");
    let made = 0;
    const { transferProperties } = require("@pulumi/pulumi/runtime/rpc");
    const resource = Object.assign(Object.create(pulumi.CustomResource.prototype), { __pulumiResource: true });
    const properties = { early: 1, late: 2, failed: 3, own: 4, id: "its own", unread: 5 };
    const resolvers = transferProperties(resource, "a", properties);
    const isMade = (key) => Object.getOwnPropertyDescriptor(resource, key).get === undefined;
    const before = Object.keys(properties).filter((key) => key in resource && isMade(key));
    resource.own = "the program's";
    const early = resource.early;
    resolvers.early("E", true, true, []);
    resolvers.late("L", true, false, []);
    resolvers.failed(undefined, true, false, [], new Error("it failed"));
    resolvers.unread("U", true, false, []);
    (async () => {
      const failure = await resource.failed.promise().catch((error) => error.message);
      await Promise.allSettled([resource.failed.isKnown, resource.failed.isSecret, resource.failed.allResources()]);
      console.log(JSON.stringify({
        before, failure,
        values: [await early.promise(), await resource.late.promise(), resource.own],
        secret: [await early.isSecret, await resource.late.isSecret],
        same: resource.early === early && resource.late === resource.late,
        after: Object.keys(properties).filter((key) => key in resource && isMade(key)),
        resolvers: Object.keys(resolvers),
      }));
      try { transferProperties(resource, "a", { own: 1 }); } catch (error) { console.log(error.message); }
    })();`;
  const said = execFileSync(process.execPath, ["--require", start, "-e", program], {
    cwd: projectDirectory,
    encoding: "utf8",
  }).split("\n");
  expect(JSON.parse(said[0]!)).toEqual({
    before: [],
    failure: "it failed",
    values: ["E", "L", "the program's"],
    secret: [true, false],
    same: true,
    after: ["early", "late", "failed", "own"],
    resolvers: ["early", "late", "failed", "own", "unread"],
  });
  expect(said[1]).toBe("Property 'own' is already initialized on target 'a");
});

test.each([
  ["20.20.2", false],
  ["22.17.9", false],
  ["22.18.0", true],
  ["24.0.0", true],
])("Node %s will do: %s", (version, will) => {
  const faked = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });`;
  const program = `${faked} require(${JSON.stringify(start)});`;
  const { status, stderr } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
  const error = `error: Node ${version} (${process.execPath}): too old: install 22.18 or newer, https://nodejs.org\n`;
  expect({ status, stderr }).toEqual(will ? { status: 0, stderr: "" } : { status: 1, stderr: error });
  const { engines } = JSON.parse(readFileSync(join(projectDirectory, "package.json"), "utf8")) as {
    engines: { node: string };
  };
  expect(engines.node).toBe(">=22.18");
});
