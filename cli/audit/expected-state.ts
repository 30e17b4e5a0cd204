import type { Role } from "../../components/host/container.ts";
import type { ContainerArgs } from "@pulumi/docker/container.js";
import type { NetworkArgs } from "@pulumi/docker/network.js";
import type * as pulumi from "@pulumi/pulumi";
import type { DaemonSettings } from "../../components/docker-engine/daemon-settings.ts";
import { labelOf } from "../../policy/inputs.ts";

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

export interface ExpectedContainer {
  /** The name that the program gave it. */
  name: string;
  id: string;
  /** Its name on the host. */
  hostName: string;
  inputs: ContainerInputs;
}

/** Whether a container is this, by its label. */
export function hasRole(inputs: ContainerInputs, role: Role): boolean {
  return labelOf(inputs, "bulkhead.role") === role;
}

/** A record, a setting, a bucket… at Cloudflare. */
export interface ExpectedAtCloudflare {
  name: string;
  /** Like `DnsRecord`. */
  type: string;
  id: string;
  inputs: Readonly<Record<string, unknown>>;
  /** What was given back when it was made, or looked at last. */
  outputs: Readonly<Record<string, unknown>>;
}

export interface ExpectedCloudflare {
  /** A secret. */
  apiToken: string;
  /** @default Cloudflare's own */
  apiUrl?: string;
  all: readonly ExpectedAtCloudflare[];
}

/** What a stack has deployed, by its own state. */
export interface ExpectedState {
  containers: readonly ExpectedContainer[];
  /** Ids of containers that the next update takes away: the stack's own all the same. */
  leaving: readonly string[];
  networks: readonly { name: string; id: string; inputs: NetworkInputs }[];
  volumes: readonly {
    name: string;
    id: string;
    /** What the label bulkhead.stack of it says. */
    stackLabel?: string;
  }[];
  /** Docker's settings as the last update found them, and the name of the host. */
  daemon?: { name: string; settings: DaemonSettings };
  /** Absent for a stack that has nothing there. */
  cloudflare?: ExpectedCloudflare;
}

export function promises({ resources = [] }: Deployment): ExpectedState {
  const there = resources
    .filter((resource) => !resource.delete)
    .map(({ urn, type, id, inputs, outputs }) => ({
      ...{ name: urn.slice(urn.lastIndexOf("::") + 2), type, id },
      inputs: inClear(inputs ?? {}) as never,
      outputs: inClear(outputs ?? {}) as Record<string, unknown>,
    }));
  const ofType = (type: string) =>
    there.flatMap((resource) =>
      resource.type === type && resource.id !== undefined ? [{ ...resource, id: resource.id }] : [],
    );
  return {
    daemon: daemonOf(there.find(({ type }) => type === "bulkhead:index:DockerHost")),
    cloudflare: cloudflareOf(there),
    containers: ofType("docker:index/container:Container").map(({ name, id, inputs, outputs }) => ({
      ...{ name, id, inputs },
      hostName: String(outputs["name"]),
    })),
    leaving: resources.flatMap(({ type, id, delete: leaves }) =>
      leaves && type === "docker:index/container:Container" && id !== undefined ? [id] : [],
    ),
    networks: ofType("docker:index/network:Network").map(({ name, id, inputs }) => ({ name, id, inputs })),
    volumes: ofType("docker:index/volume:Volume").map(({ name, id, inputs }) => ({
      ...{ name, id, stackLabel: labelOf(inputs, "bulkhead.stack") },
    })),
  };
}

function daemonOf(host: { name: string; outputs: Record<string, unknown> } | undefined): ExpectedState["daemon"] {
  const settings = host?.outputs["daemon"] as DaemonSettings | undefined;
  return settings && { name: host!.name, settings };
}

interface Resource {
  name: string;
  type: string;
  id?: string;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}

function cloudflareOf(resources: readonly Resource[]): ExpectedCloudflare | undefined {
  const provider = resources.find(({ type }) => type === "pulumi:providers:cloudflare");
  if (provider === undefined) return undefined;
  const { apiToken, baseUrl } = provider.inputs as { apiToken: string; baseUrl?: string };
  const all = resources.flatMap(({ type, id, ...resource }) => {
    const [, kind] = /^cloudflare:index\/\w+:(\w+)$/.exec(type) ?? [];
    return kind === undefined || id === undefined ? [] : [{ ...resource, id, type: kind }];
  });
  return { apiToken, ...(baseUrl === undefined ? {} : { apiUrl: baseUrl }), all };
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
