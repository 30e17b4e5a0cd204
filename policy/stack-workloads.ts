import type { ContainerArgs } from "@pulumi/docker/container.js";
import type { ServiceArgs } from "@pulumi/docker/service.js";
import type { Unwrap } from "@pulumi/pulumi";
import { CONTAINER, workloadOf as ofContainer } from "./containers.ts";
import { ofEach } from "./inputs.ts";
import type { Resource } from "./rule.ts";
import { SERVICE, workloadOf as ofService } from "./services.ts";
import type { Workload } from "./workloads.ts";

/** Of containers and services, each judged by itself. */
export function ofEachWorkload<T>(
  resources: readonly Resource[],
  judge: (found: { resource: Resource; workload: Workload; networks: string[] }) => T[],
): T[] {
  return ofEach(resources, (resource) => {
    const found = workloadAndNetworks(resource);
    return found === undefined ? [] : judge({ resource, ...found });
  });
}

export function workloadAndNetworks({ type, props }: Resource): { workload: Workload; networks: string[] } | undefined {
  if (type === CONTAINER) {
    const given = withoutNull(props) as Unwrap<ContainerArgs>;
    return { workload: ofContainer(given), networks: ofEach(given.networksAdvanced, ({ name }) => [name]) };
  }
  if (type === SERVICE) {
    const workload = ofService(withoutNull(props) as Unwrap<ServiceArgs>);
    return { workload, networks: [...workload.networkModes] };
  }
  return undefined;
}

/** The state says null where a program says nothing. */
function withoutNull(props: object): object {
  return new Proxy(props, { get: (target, key) => (target as Record<PropertyKey, unknown>)[key] ?? undefined });
}
