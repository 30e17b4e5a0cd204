// What the invariants ask of a recorded program.
import { containers, label, type ContainerInputs, type Recorded, type Recording } from "./recorder.ts";

export type Container = Recorded<ContainerInputs>;

/** Each gives its complaints, which name the resource. */
export type Invariants = Record<string, (recording: Recording) => string[]>;

export function eachContainer(complain: (container: Container) => string[]): (recording: Recording) => string[] {
  return (recording) => complaintsOf(containers(recording), complain);
}

export function complaintsOf<T extends { name: string }>(
  resources: T[],
  complain: (resource: T) => string[],
): string[] {
  return resources.flatMap((resource) => complain(resource).map((complaint) => `${resource.name}: ${complaint}`));
}

export function isContainer(resource: Recorded): resource is Recorded & Container {
  return resource.type === "docker:index/container:Container";
}

/** Whether one of its ancestors is a component of one of these kinds. */
export function isWithin(recording: Recording, resource: Recorded<object>, ...kinds: string[]): boolean {
  for (let urn = resource.parent; urn !== "";) {
    const parent = recording.resources.find((other) => other.urn === urn);
    if (kinds.some((kind) => parent?.type === `bulkhead:index:${kind}`)) return true;
    urn = parent?.parent ?? "";
  }
  return false;
}

/** Whether it is the one container that a component is named after. */
export function isOwn(recording: Recording, container: Container, kind: string): boolean {
  return recording.resources.some(({ type, name }) => type === `bulkhead:index:${kind}` && name === container.name);
}

/** The names of all components of a kind. */
export function componentsOf(recording: Recording, kind: string): string[] {
  return recording.resources.flatMap(({ type, name }) => (type === `bulkhead:index:${kind}` ? [name] : []));
}

/** The networks of a container, without the stack's name. */
export function networksOf({ stackName }: Recording, { inputs }: Container): string[] {
  return (inputs.networksAdvanced ?? []).map(({ name }) => name.replace(`${stackName}-`, ""));
}

export interface Exception {
  why?: string;
  capability?: string;
  rootUser?: boolean;
  writableRoot?: boolean;
  noInit?: boolean;
  tmpfsExec?: string;
  noHealthCommand?: boolean;
}

export function exceptionsOf(container: Container): Exception[] {
  return JSON.parse(label(container, "bulkhead.exceptions") ?? "[]") as Exception[];
}

export function isRoot(user: string | undefined): boolean {
  return /^(0+|root)?(:|$)/.test(user ?? "");
}

/** Every volume of a container, in whichever form it is asked for. */
export function mountedVolumes({ volumes = [], mounts = [] }: Container["inputs"]) {
  const more = mounts.map(({ source, target, readOnly }) => ({
    ...{ volumeName: source, containerPath: target, readOnly },
    ...{ hostPath: undefined, fromContainer: undefined },
  }));
  return [...volumes, ...more];
}

/** The names of all services, workers and scheduled jobs. */
export function programsOf(recording: Recording): string[] {
  return ["WebService", "Worker", "ScheduledJob"].flatMap((kind) => componentsOf(recording, kind));
}
