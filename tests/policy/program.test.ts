import { beforeAll, describe, expect, test } from "vitest";
import { saidExceptions } from "../../policy/exceptions.ts";
import { resourceRules, stackRules } from "../../policy/rules.ts";
import type { Resource } from "../../policy/rule.ts";
import type { Recording } from "../../testing/recorder.ts";
import { recordStack, stacks, withTunnel } from "../unit/stacks.ts";
import { violationsIn } from "./compliant.ts";

function resourcesOf({ resources }: Recording): Resource[] {
  return resources.map(({ type, name, urn, inputs, options: { protect } }) => ({
    type,
    name,
    urn,
    props: inputs,
    opts: { protect },
  }));
}

const advisory = [...resourceRules, ...stackRules].filter(({ severity }) => severity === "advisory");
const isAdvisory = (violation: string) => advisory.some(({ name }) => violation.startsWith(`${name}: `));

const programs: [name: string, recorded: () => Promise<Recording>][] = [
  ...stacks.map((stack): [string, () => Promise<Recording>] => [stack, () => recordStack(stack)]),
  ["prod, with a tunnel", () => recordStack("prod", withTunnel)],
];

describe.each(programs)("the program in the stack %s", (_, recorded) => {
  let resources: Resource[];
  beforeAll(async () => {
    resources = resourcesOf(await recorded());
  });

  test("keeps every rule that is mandatory", () => {
    expect(violationsIn(resources).filter((violation) => !isAdvisory(violation))).toEqual([]);
  });

  test("is told of nothing but a token that does not expire", () => {
    const told = violationsIn(resources).filter((violation) => !violation.startsWith("account-token-expiry: "));
    expect(told).toEqual([]);
  });

  test("needs each of its exceptions", () => {
    const without = resources.map((resource) => ({ ...resource, props: withoutExceptions(resource.props) }));
    const refused = new Set(violationsIn(without).map((violation) => violation.split(": ")[1]));
    const excepted = saidExceptions(resources).flatMap((said) => said.split(": ")[0]!.split(", "));
    expect(excepted.filter((name) => !refused.has(name))).toEqual([]);
    expect(excepted.length).toBeGreaterThan(3);
  });
});

test("the exceptions of production are said, each once with its reason", async () => {
  expect(saidExceptions(resourcesOf(await recordStack("prod")))).toEqual([
    "backend-route-job, edge-settings-job, frontend-route-job: container-user is excepted: " +
      "root owns the volume with the routes; without capabilities it can do nothing more",
    "backend-secrets-courier, edge-door-config-courier, edge-plugin-courier, edge-secrets-courier: container-read-only-root is excepted: " +
      "never started, and the engine uploads no file past a read-only root",
    "backend-secrets-courier, edge-door-config-courier, edge-plugin-courier, edge-secrets-courier: container-user is excepted: " +
      "never started, and the engine gives the files to any user that is named",
    "edge-acme-file: container-capabilities CHOWN is excepted: " +
      "gives the file to the edge's user; an existing file is left as it is",
    "edge-acme-file: container-user is excepted: root owns a new volume",
    "edge-acme: stack-data-in-backup is excepted: what is lost of it the CA issues again",
    "edge: stack-public-entry-point tcp-clients is excepted: " +
      "what clients send here is TCP of their own: the edge hands it on and reads nothing of it",
    "routes-job: container-user is excepted: root owns the volume with the routes",
  ]);
});

function withoutExceptions(props: Record<string, unknown>): Record<string, unknown> {
  const { labels } = props as { labels?: { label: string }[] };
  return labels ? { ...props, labels: labels.filter(({ label }) => label !== "bulkhead.exceptions") } : props;
}
