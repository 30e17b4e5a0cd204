import { cloudflareRules } from "./cloudflare.ts";
import { CONTAINER, containerRules } from "./containers.ts";
import { exceptionRows, exceptionsOf, isFor } from "./exceptions.ts";
import { NETWORK, networkAndVolumeRules, VOLUME } from "./networks-and-volumes.ts";
import { routeRules } from "./routes.ts";
import type { Resource, Rule } from "./rule.ts";
import { judged } from "./inputs.ts";
import { SERVICE, serviceRules } from "./services.ts";
import { stackRules } from "./stack.ts";

const judging = [...containerRules, ...routeRules, ...serviceRules, ...networkAndVolumeRules, ...cloudflareRules];

/** What may have labels, and so exceptions. */
const labelled = { container: CONTAINER, service: SERVICE, network: NETWORK, volume: VOLUME };

const exceptionRules: Rule[] = Object.entries(labelled).flatMap(([prefix, type]) => [
  ...exceptionRows.map((row) => ({
    ...row,
    name: `${prefix}-${row.name}`,
    type,
    faults: (_: unknown, resource: Resource) => row.faults(resource),
  })),
  {
    name: `${prefix}-exception-of-nothing`,
    severity: "advisory" as const,
    why: "An exception that nothing needs any more lets the weakening come back unseen.",
    cure: "take the exception away",
    type,
    faults: (_: unknown, resource: Resource) => exceptionsOfNothing(resource),
  },
]);

/** Every rule of a resource. */
export const resourceRules: readonly Rule[] = [...judging, ...exceptionRules];

/** Every rule of a whole stack. */
export { stackRules };

function exceptionsOfNothing(resource: Resource): string[] {
  return exceptionsOf(resource).flatMap((exception) => {
    const { rule: name, part } = exception;
    const said = part === undefined ? name : `${name} ${part}`;
    const rule = judging.find((each) => each.name === name && each.type === resource.type);
    if (rule === undefined)
      return stackRules.some((each) => each.name === name) ? [] : [`excepts ${said}, which is no rule for it`];
    const isNeeded = judged(() => [
      rule
        .faults(resource.props, resource)
        .some((fault) => isFor(exception, typeof fault === "string" ? { what: fault } : fault)),
    ]);
    return isNeeded[0] === false ? [`excepts ${said}, which it keeps`] : [];
  });
}
