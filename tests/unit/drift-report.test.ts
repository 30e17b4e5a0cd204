import { describe, expect, test } from "vitest";
import { driftReport, refreshChanges, type Refreshed } from "../../cli/report/drift-report.ts";

const finding = {
  resource: "edge",
  field: "pids",
  promised: "256",
  found: "4000",
  cure: "`bulkhead up` fixes it.",
};
const record: Refreshed = { name: "dns", type: "cloudflare:index/dnsRecord:DnsRecord", properties: ["content", "ttl"] };
const job: Refreshed = { name: "routes-job", type: "docker:index/container:Container", properties: [] };

describe("the report on drift", () => {
  test("says what the audit found and what a refresh would change, each with its cure", () => {
    expect(driftReport("prod", [finding, { ...finding, field: "memory" }], [record, job])).toBe(`\
\`bulkhead audit --stack prod\` finds:

| resource | field | promised | found |
| --- | --- | --- | --- |
| \`edge\` | \`pids\` | \`256\` | \`4000\` |
| \`edge\` | \`memory\` | \`256\` | \`4000\` |

- \`bulkhead up\` fixes it.

\`pulumi refresh --stack prod\` would change in the state:

| resource | properties |
| --- | --- |
| \`dns\` | \`content, ttl\` |
| \`routes-job\` | \`gone\` |

- Put back by hand what nobody meant to change; or \`pulumi refresh\`, and \`bulkhead up\` brings back what the program says.`);
  });

  test("is none where all is well, or only what the audit does not miss is gone", () => {
    expect(driftReport("prod", [], [])).toBeUndefined();
    expect(driftReport("prod", [], [job])).toBeUndefined();
    expect(driftReport("prod", [], [record])).toContain("`dns`");
  });

  test("shows what somebody chose as it is, and no more than a line of it", () => {
    const found = `a|b \`<img src=x>\` @everyone\n# ${"x".repeat(300)}`;
    const row = driftReport("prod", [{ ...finding, found }], [])!.split("\n")[4]!;
    expect(row).toBe(
      `| \`edge\` | \`pids\` | \`256\` | \`a\\|b '<img src=x>' @everyone # ${"x".repeat(200 - 30)}…\` |`,
    );
  });
});

test("of a refresh the names are told, and never a value", () => {
  const urn = (type: string, name: string) => `urn:pulumi:prod::reach::${type}::${name}`;
  const container = "bulkhead:index:WebService$docker:index/container:Container";
  const steps = [
    {
      urn: urn(container, "edge"),
      oldState: { outputs: { memory: 1, a: [1] } },
      newState: { outputs: { memory: 2, a: [1] } },
    },
    {
      urn: urn(container, "same"),
      oldState: { outputs: { a: { b: 1 }, c: null } },
      newState: { outputs: { a: { b: 1 }, c: [], d: [], __e: 1 } },
    },
    { urn: urn(record.type, "dns"), oldState: { outputs: {} } },
  ];
  expect(refreshChanges(JSON.stringify({ steps }))).toEqual([
    { name: "edge", type: "docker:index/container:Container", properties: ["memory"] },
    { name: "dns", type: record.type, properties: [] },
  ]);
});
