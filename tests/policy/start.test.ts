// What is loaded before the pack, and makes it fast.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const project = join(import.meta.dirname, "..", "..");

test("reads the properties of a resource once, however many rules look at them", () => {
  const program = `
    const { createRequire } = require("node:module");
    // As the pack's server does: from within Pulumi's package.
    const { deserializeProperties } = createRequire(require.resolve("@pulumi/policy/server.js"))("./deserialize");
    const resource = () => ({ reads: 0, toJavaScript() { this.reads++; return { image: "a", list: [1] }; } });
    const [one, other] = [resource(), resource()];
    const read = [one, one, other, one].map((each) => deserializeProperties(each, false));
    const forRemedies = [one, one].map((each) => deserializeProperties(each, true));
    console.log(JSON.stringify({ one: one.reads, other: other.reads, read, forRemedies }));`;
  const said = execFileSync(process.execPath, ["--require", join(project, "policy", "start.cjs"), "-e", program], {
    cwd: project,
    encoding: "utf8",
  });
  const properties = { image: "a", list: [1] };
  expect(JSON.parse(said)).toEqual({
    // Once for all rules, and not at all for remedies.
    one: 1,
    other: 1,
    read: [properties, properties, properties, properties],
    forRemedies: [{}, {}],
  });
});

test("has no rule that remedies: what Pulumi would read and say for those is left out", () => {
  const sources = readdirSync(join(project, "policy")).filter((file) => file.endsWith(".ts"));
  for (const file of sources) expect(readFileSync(join(project, "policy", file), "utf8")).not.toMatch(/remediate/i);
});
