// The pack: every rule as a policy of Pulumi's.
import { PolicyPack, validateResourceOfType, type Policies, type ReportViolation } from "@pulumi/policy";
import type { CustomResource } from "@pulumi/pulumi";
import { saidExceptions } from "./exceptions.ts";
import { resourceRules, stackRules } from "./rules.ts";
import type { Resource } from "./rule.ts";
import { stackViolations, violations } from "./violations.ts";

const policies: Policies = [
  ...resourceRules.map((rule) => ({
    name: rule.name,
    description: rule.why,
    enforcementLevel: rule.severity,
    validateResource: validateResourceOfType(classOf(rule.type), (_, args, report) => {
      for (const message of violations(rule, args)) report(message);
    }),
  })),
  ...stackRules.map((rule) => ({
    name: rule.name,
    description: rule.why,
    enforcementLevel: rule.severity,
    validateStack: ({ resources }: { resources: Resource[] }, report: ReportViolation) => {
      for (const { message, urn } of stackViolations(rule, resources)) report(message, urn);
    },
  })),
  {
    name: "stack-exceptions",
    description: "Weakenings that are declared, with their reasons.",
    enforcementLevel: "advisory",
    validateStack: ({ resources }, report) => {
      const said = saidExceptions(resources);
      if (said.length > 0) report(said.join("\n"));
    },
  },
];

new PolicyPack("bulkhead", { policies });

/** Pulumi knows a type by a class's token. The class itself would have to be loaded, and installed with its provider. */
function classOf(type: string): new () => CustomResource {
  return { __pulumiType: type } as never;
}
