import { beforeEach, expect, test } from "vitest";
import { recordBackup } from "../unit/backup-stack.ts";
import { violationsIn } from "./compliant.ts";
import type { Resource } from "../../policy/rule.ts";

let resources: Resource[];
beforeEach(async () => {
  resources = (await recordBackup()).resources.map(({ type, name, urn, inputs, options: { protect } }) => ({
    ...{ type, name, urn, props: inputs, opts: { protect } },
  }));
});

test("a database with its backup keeps every rule", () => {
  expect(violationsIn(resources)).toEqual([]);
});

test("without the label that says whose data is safe the database is in no backup", () => {
  const { props } = resources.find(({ name, type }) => name === "backup" && type.startsWith("docker:"))!;
  const labels = props["labels"] as { label: string }[];
  props["labels"] = labels.filter(({ label }) => label !== "bulkhead.backs-up");
  expect(violationsIn(resources)).toEqual([
    expect.stringMatching(/^stack-data-in-backup: db-data-volume: holds data and is in no backup: /),
  ]);
});

test("a receiver with a way out is refused, as it has the database's image", () => {
  const { props } = resources.find(({ name, type }) => name === "backup-receiver" && type.startsWith("docker:"))!;
  props["networksAdvanced"] = [{ name: "reach-test-vault-egress" }];
  expect(violationsIn(resources)).toEqual([
    expect.stringMatching(
      /^stack-database-internal: backup-receiver: is a database and on the network reach-test-vault-egress/,
    ),
    expect.stringMatching(
      /^stack-backup-apart: backup-receiver: reads data for a backup, and has a way out by the network reach-test-vault-e/,
    ),
  ]);
});
