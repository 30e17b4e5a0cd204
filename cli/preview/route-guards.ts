// Routes that more people get through than before, told by a label of the job that writes them: what the edge gets to read
// is not known before the containers are made that it leads to.
import type { RouteGuards } from "../../components/edge/route-guards.ts";
import { labelOf } from "../../policy/inputs.ts";
import { listOf, type ContainerChange } from "./container-change.ts";

/** A line for each route that loses what guarded it, or lets more people pass. */
export function weakenedRoutes(containers: readonly ContainerChange[]): string[] {
  return containers.flatMap(({ before, after }) => {
    // Of a service that is new, or gone, there is no route of before, or none of after.
    if (before === undefined || after === undefined) return [];
    const [from, to] = [guardsIn(before), guardsIn(after)];
    const service = labelOf({ labels: listOf(after.labels) }, "bulkhead.for") ?? "";
    return Object.entries(from).flatMap(([place, was]) =>
      lessOf(was, to[place] ?? {}).map((less) => `${service}: ${place} ${less}`),
    );
  });
}

function guardsIn({ labels }: NonNullable<ContainerChange["before"]>): Record<string, RouteGuards> {
  const text = labelOf({ labels: listOf(labels) }, "bulkhead.guards");
  return text === undefined ? {} : (JSON.parse(text) as Record<string, RouteGuards>);
}

function lessOf(was: RouteGuards, is: RouteGuards): string[] {
  const kinds = Object.keys(was) as (keyof RouteGuards)[];
  const more = (before: readonly string[] = [], after: readonly string[] = []) =>
    after.filter((one) => !before.includes(one));
  const said = (what: string[], key: string) => (what.length > 0 ? [`lets ${what.join(", ")} pass too (${key})`] : []);
  return [
    ...kinds
      .filter((kind) => is[kind] === undefined && !(kind === "basicAuth" && is.forwardAuth !== undefined))
      .filter((kind) => !(kind === "forwardAuth" && is.basicAuth !== undefined))
      .map((kind) => `loses ${kind}: whoever it kept out gets through`),
    ...(was.allowFrom && is.allowFrom ? said(more(was.allowFrom, is.allowFrom), "allowFrom") : []),
    ...(was.basicAuth && is.basicAuth ? said(more(was.basicAuth, is.basicAuth), "basicAuth") : []),
    ...(was.basicAuth && is.forwardAuth ? [`asks ${is.forwardAuth} instead of for a password`] : []),
    ...(was.forwardAuth && is.basicAuth ? [`asks for a password instead of ${was.forwardAuth}`] : []),
    ...(was.forwardAuth && is.forwardAuth && was.forwardAuth !== is.forwardAuth
      ? [`asks ${is.forwardAuth} instead of ${was.forwardAuth}`]
      : []),
    ...(was.rateLimit && is.rateLimit && is.rateLimit.requestsPerSecond > was.rateLimit.requestsPerSecond
      ? [
          `takes ${is.rateLimit.requestsPerSecond} requests a second of one client, and not ${was.rateLimit.requestsPerSecond}`,
        ]
      : []),
  ];
}
