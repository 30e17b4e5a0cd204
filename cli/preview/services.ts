import type { Role } from "../../components/host/container.ts";
import { CONTAINER } from "../../policy/containers.ts";
import { NETWORK } from "../../policy/networks-and-volumes.ts";
import { listOf, settingOf, type ContainerChange } from "./container-change.ts";
import type { Change } from "./engine-events.ts";
import { reasonsOf, type MadeAnew } from "./reasons.ts";

export interface ServiceForecast {
  name: string;
  /**
   * `rolled`: the new container is healthy before the old one goes. `restarted`: the old one goes first. `updated`: the
   * container that runs gets other limits. `rerouted`: only what the edge does for it changes.
   */
  what: "created" | "rolled" | "restarted" | "updated" | "rerouted" | "removed" | "same";
  /** What of it changes. */
  reasons: readonly string[];
  /** How long nobody answers, about. 0: no request is lost. Undefined: until the next one is healthy. */
  downtimeSeconds: number | undefined;
  /** Ports of the host that are closed in the gap. */
  ports: readonly number[];
  /** Those that are closed from then on. */
  closedPorts: readonly number[];
  /** Whether the edge sends requests there: then a rollout loses none. */
  isRouted: boolean;
  /** How long open requests and streams have to end. */
  drainSeconds?: number;
  /** Whether a job runs before it. */
  preDeploy: boolean;
}

/** What all services may use together. */
export interface Limits {
  /** `duringRollout`: while old and new containers run side by side. */
  memoryMb: { before: number; after: number; duringRollout: number };
  cpus: { before: number; after: number };
}

export function containersOf(changes: readonly Change[]): ContainerChange[] {
  return changes.filter(({ type }) => type === CONTAINER);
}

/** Containers that run for ever. */
export function servicesAmong(containers: readonly ContainerChange[]): ContainerChange[] {
  return containers.filter(({ before, after }) => (after ?? before)?.restart === "always");
}

/** What becomes of each service. */
export function servicesOf(changes: readonly Change[], files: MadeAnew["files"]): ServiceForecast[] {
  const containers = containersOf(changes);
  const madeAnew: MadeAnew = { files, networks: changedNetworks(changes) };
  return servicesAmong(containers).map((service) => ofService(service, containers, madeAnew));
}

function changedNetworks(changes: readonly Change[]): ReadonlySet<string> {
  const networks = changes.filter(({ type, op }) => type === NETWORK && op === "replace");
  return new Set(networks.map(({ before }) => String(before?.["name"])));
}

function ofService(
  service: ContainerChange,
  containers: readonly ContainerChange[],
  madeAnew: MadeAnew,
): ServiceForecast {
  const { name, op, deleteBeforeReplace, before, after } = service;
  const job = (role: Role) =>
    containers.find(
      (each) =>
        each.op !== "delete" && labelOf(each, "bulkhead.role") === role && labelOf(each, "bulkhead.for") === name,
    );
  const runs = (found: ContainerChange | undefined) => found?.op === "create" || found?.op === "replace";
  const route = job("route");
  const [had, has] = [before, after].map((inputs) => listOf(inputs?.ports).map(({ external }) => external!));
  const drainSeconds = Number(settingOf(before, "DRAIN_SECONDS"));
  const common = {
    ...{ name, downtimeSeconds: 0, ports: [], reasons: [], isRouted: route !== undefined },
    closedPorts: had!.filter((port) => !has!.includes(port)),
    preDeploy: runs(job("job")),
  };
  const reasons = reasonsOf(service, madeAnew);
  if (op === "create") return { ...common, what: "created" };
  if (op === "delete") return { ...common, what: "removed" };
  if (op === "update") return { ...common, what: "updated", reasons };
  if (op === "same")
    return runs(route)
      ? { ...common, what: "rerouted", reasons: reasonsOf(route!, madeAnew) }
      : { ...common, what: "same" };
  // Pulumi deletes the old one last, and a hook stops it first.
  if (deleteBeforeReplace || labelOf(service, "bulkhead.rollout") === "stop-first")
    return {
      ...common,
      what: "restarted",
      reasons,
      ports: had!,
      downtimeSeconds: had!.length > 0 ? DOOR_GAP_SECONDS : undefined,
    };
  return { ...common, what: "rolled", reasons, ...(drainSeconds > 0 && { drainSeconds }) };
}

/** Measured under load: 0.4 to 0.9 s on a host that has nothing else to do, 2 s on a busy one (tests/e2e/edge.test.ts). */
const DOOR_GAP_SECONDS = 1;

/** A label of a container as it is to be, or as it was where it goes. */
function labelOf({ before, after }: ContainerChange, name: string): string | undefined {
  return listOf((after ?? before)?.labels).find(({ label }) => label === name)?.value;
}

export function limitsOf(services: readonly ContainerChange[]): Limits {
  const sum = (numbers: readonly unknown[]) => numbers.reduce<number>((total, each) => total + (Number(each) || 0), 0);
  const memoryMb = (each: readonly ContainerChange[], when: "before" | "after") =>
    sum(each.map((change) => change[when]?.memory));
  const rolled = services.filter(({ op, deleteBeforeReplace }) => op === "replace" && !deleteBeforeReplace);
  const gone = services.filter(({ op }) => op === "delete");
  const after = memoryMb(services, "after");
  return {
    memoryMb: {
      ...{ before: memoryMb(services, "before"), after },
      // Pulumi deletes what is replaced or gone when all else is in place.
      duringRollout: after + memoryMb([...rolled, ...gone], "before"),
    },
    cpus: {
      before: sum(services.map(({ before }) => before?.cpus)),
      after: sum(services.map(({ after }) => after?.cpus)),
    },
  };
}
