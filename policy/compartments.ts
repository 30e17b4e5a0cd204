import { NETWORK } from "./networks-and-volumes.ts";
import { judged, labelOf, ofEach } from "./inputs.ts";
import type { Resource, StackRule } from "./rule.ts";
import { ofEachWorkload } from "./stack-workloads.ts";
import type { Workload } from "./workloads.ts";

/** What runs a program of the stack, by the label bulkhead.role. */
const PROGRAMS = ["service", "worker", "scheduled-job"];

/** Who reaches whom, of what Bulkhead's components make. */
export const compartmentRules: StackRule[] = [
  {
    name: "stack-compartment",
    severity: "mandatory",
    why: "Who is on a program's own network reaches every port of it, past the edge and all that a route asks for (OWASP 5, NSA/CISA: network separation).",
    cure: "take it off that network, and name what it reaches in its uses",
    faults: (resources) => {
      const networks = networksOf(resources);
      return ofEachWorkload(resources, ({ resource, workload, networks: on }) =>
        ofEach(on, (name) => {
          const network = networks.get(name);
          const owner = network && labelOf(network.props, "bulkhead.for");
          if (!owner || isOf(workload, owner)) return [];
          const isEdge = workload.label("bulkhead.role") === "edge";
          return isEdge && labelOf(network.props, "bulkhead.role") === "compartment"
            ? []
            : [{ resource, what: `is on the network ${name}, which is for ${owner} alone`, part: name }];
        }),
      );
    },
  },
  {
    name: "stack-egress",
    severity: "mandatory",
    why: "Who breaks into a program fetches tools, and takes data out, by the way to the internet that it has (OWASP 5, NSA/CISA: network separation).",
    cure: "give the network internal: true, and the program egress: true if it has to reach the internet",
    faults: (resources) => {
      const networks = networksOf(resources);
      return ofEachWorkload(resources, ({ resource, workload, networks: on }) => {
        if (!PROGRAMS.includes(workload.label("bulkhead.role") ?? "")) return [];
        return ofEach(on, (name) => {
          const props = networks.get(name)?.props;
          const isInternal = props?.["internal"] === true;
          return isInternal || (props && labelOf(props, "bulkhead.role") === "egress")
            ? []
            : [{ resource, what: `reaches the internet by the network ${name}, and does not say so`, part: name }];
        });
      });
    },
  },
];

/** By name and by id, as a container may name a network by either. */
function networksOf(resources: readonly Resource[]): Map<string, Resource> {
  return new Map(
    ofEach(
      resources.filter(({ type }) => type === NETWORK),
      (resource) =>
        ["name", "id"].flatMap((key) => judged(() => [[String(resource.props[key]), resource] as [string, Resource]])),
    ),
  );
}

/** The program itself, its replicas, or a job for it. */
function isOf(workload: Workload, program: string): boolean {
  return workload.label("bulkhead.name") === program || workload.label("bulkhead.for") === program;
}
