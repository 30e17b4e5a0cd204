import type { ContainerArgs } from "@pulumi/docker/container.js";
import type { NetworkArgs } from "@pulumi/docker/network.js";
import type * as pulumi from "@pulumi/pulumi";

/** What `pulumi stack export --show-secrets` gives, as far as it is read here. */
export interface Deployment {
  resources?: readonly {
    urn: string;
    type: string;
    id?: string;
    /** Of a resource that is about to go. */
    delete?: boolean;
    inputs?: Record<string, unknown>;
    outputs?: Record<string, unknown>;
  }[];
}

export type ContainerInputs = Unwrapped<ContainerArgs>;
export type NetworkInputs = Unwrapped<NetworkArgs>;
/** As they stand in a state: every value is there. */
type Unwrapped<T> = { [Key in keyof T]: pulumi.Unwrap<T[Key]> };

export interface PromisedContainer {
  /** The name that the program gave it. */
  name: string;
  id: string;
  /** Its name on the host. */
  hostName: string;
  inputs: ContainerInputs;
}

/** What a stack has deployed, by its own state. */
export interface Promised {
  containers: readonly PromisedContainer[];
  networks: readonly { name: string; id: string; inputs: NetworkInputs }[];
  volumes: readonly { name: string; id: string }[];
}

export function promises({ resources = [] }: Deployment): Promised {
  const there = resources.filter((resource) => !resource.delete && resource.id !== undefined);
  const ofType = (type: string) =>
    there
      .filter((resource) => resource.type === type)
      .map(({ urn, id, inputs, outputs }) => ({
        name: urn.slice(urn.lastIndexOf("::") + 2),
        id: id!,
        inputs: inClear(inputs) as never,
        outputs: outputs ?? {},
      }));
  return {
    containers: ofType("docker:index/container:Container").map(({ outputs, ...container }) => ({
      ...container,
      hostName: String(outputs["name"]),
    })),
    networks: ofType("docker:index/network:Network").map(({ name, id, inputs }) => ({ name, id, inputs })),
    volumes: ofType("docker:index/volume:Volume").map(({ name, id }) => ({ name, id })),
  };
}

/** A secret is an object with its value as JSON. */
function inClear(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inClear);
  if (typeof value !== "object" || value === null) return value;
  const { plaintext } = value as { plaintext?: string };
  if (plaintext !== undefined && SECRET in value) return JSON.parse(plaintext) as unknown;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inClear(inner)]));
}

/** The key by which Pulumi marks its special values. */
const SECRET = "4dabf18193072939515e22adb298388d";
