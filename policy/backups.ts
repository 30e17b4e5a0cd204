import type { ContainerArgs } from "@pulumi/docker/container.js";
import type { Unwrap } from "@pulumi/pulumi";
import { CONTAINER } from "./containers.ts";
import { judged, ofEach } from "./inputs.ts";
import { holdsData, NETWORK, VOLUME } from "./networks-and-volumes.ts";
import type { Resource, StackRule } from "./rule.ts";
import { ofEachWorkload } from "./stack-workloads.ts";

/** Parts of a backup, by the label bulkhead.backup: what reads data or has the key to it, and what has a way out. */
const READS = ["receiver", "base", "drill", "watch"];
const SENDS = ["shipper", "restic-server", "copy"];

/** Who reads data for a backup does not send it, and who sends it reads none. */
export const backupRules: StackRule[] = [
  {
    name: "stack-backup-apart",
    severity: "mandatory",
    why: "Who breaks into what sends backups reads no data, and who breaks into what reads data has no way out with it (NSA/CISA: network separation).",
    cure: "let one container read the data, on networks with internal: true alone, and another one send it, without the volume",
    faults: (resources) => {
      const out = namesOf(resources, NETWORK, ({ props }) => props["internal"] !== true);
      const data = namesOf(resources, VOLUME, ({ props }) => holdsData(props));
      return ofEachWorkload(resources, ({ resource, workload, networks }) => {
        const part = workload.label("bulkhead.backup") ?? "";
        if (READS.includes(part))
          return networks
            .filter((name) => out.has(name))
            .map((name) => ({ resource, what: `reads data for a backup, and has a way out by the network ${name}` }));
        if (!SENDS.includes(part)) return [];
        return mounted(resource)
          .filter((name) => data.has(name))
          .map((name) => ({ resource, what: `sends backups, and mounts the volume ${name}, which holds data` }));
      });
    },
  },
];

/** By name and by id, as a container may name a network by either. */
function namesOf(resources: readonly Resource[], type: string, is: (resource: Resource) => boolean): Set<string> {
  return new Set(
    ofEach(
      resources.filter((each) => each.type === type && is(each)),
      ({ props }) => ["name", "id"].flatMap((key) => judged(() => [props[key] as string])),
    ),
  );
}

function mounted({ type, props }: Resource): string[] {
  if (type !== CONTAINER) return [];
  const { volumes, mounts } = props as never as Unwrap<ContainerArgs>;
  return [
    ...ofEach(volumes ?? undefined, ({ volumeName }) => (volumeName ? [volumeName] : [])),
    ...ofEach(mounts ?? undefined, ({ source }) => (source ? [source] : [])),
  ];
}
