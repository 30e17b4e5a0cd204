import { exceptionFor } from "./exceptions.ts";
import { judged, ofEach } from "./inputs.ts";
import type { Fault, Resource, Rule, StackRule } from "./rule.ts";

/** The messages of a rule for a resource. */
export function violations(rule: Rule, resource: Resource, today = new Date()): string[] {
  return judged(() =>
    rule.faults(resource.props, resource).flatMap((fault) => {
      return messages(rule, resource, typeof fault === "string" ? { what: fault } : fault, today);
    }),
  );
}

/** The messages of a rule for a stack, each with its resource's URN. */
export function stackViolations(rule: StackRule, resources: readonly Resource[], today = new Date()) {
  return ofEach(
    judged(() => rule.faults(resources)),
    ({ resource, ...fault }) =>
      messages(rule, resource, fault, today).map((message) => ({ message, urn: resource.urn })),
  );
}

function messages(rule: Omit<Rule, "type" | "faults">, resource: Resource, fault: Fault, today: Date): string[] {
  const { exception, isExpired } = exceptionFor(resource, rule.name, fault, today);
  if (exception && !isExpired) return [];
  const expired = exception ? ` (its exception ended on ${exception.until})` : "";
  return [`${resource.name}: ${fault.what}${expired}: ${rule.cure}`];
}
