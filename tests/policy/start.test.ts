// What is loaded before the pack, and makes it fast.
import { execFileSync } from "node:child_process";
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
    const withSecrets = [one, one].map((each) => deserializeProperties(each, true));
    console.log(JSON.stringify({ one: one.reads, other: other.reads, read, withSecrets }));`;
  const said = execFileSync(process.execPath, ["--require", join(project, "policy", "start.cjs"), "-e", program], {
    cwd: project,
    encoding: "utf8",
  });
  const properties = { image: "a", list: [1] };
  expect(JSON.parse(said)).toEqual({
    // Once for all rules, and each time where Pulumi wraps what is secret.
    one: 1 + 2,
    other: 1,
    read: [properties, properties, properties, properties],
    withSecrets: [properties, properties],
  });
});
