import { createHash } from "node:crypto";
import type { ContainerArgs } from "@pulumi/docker/container.js";
import * as pulumi from "@pulumi/pulumi";
import * as state from "@pulumi/pulumi/runtime/state.js";
import { endProgram, forgetProgram } from "../components/program-end.ts";
import { projectName } from "../components/settings/project.ts";
import type { RegisterResourceOutputsRequest, RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";

/** A resource as Pulumi would have been asked for it. Plain data: a test may clone it and break it. */
export interface Recorded<Inputs = Record<string, unknown>> {
  urn: string;
  type: string;
  name: string;
  /** The parent's URN. */
  parent: string;
  /** URN and id of the provider that was given; empty for Pulumi's own default one. */
  provider: string;
  /** With secrets in clear. */
  inputs: Inputs;
  /** Where in inputs secrets stand, like `uploads.0.content`. */
  secretPaths: string[];
  /** What a component, or the stack, says of itself. */
  outputs: Record<string, unknown>;
  options: {
    protect: boolean;
    retainOnDelete: boolean;
    deleteBeforeReplace: boolean;
    replaceOnChanges: string[];
    ignoreChanges: string[];
    /** Names that it had before. */
    aliases: string[];
    replacementTrigger?: { value: unknown; isSecret: boolean };
    dependencies: string[];
    /** Names of the hooks that run before and after it is made, and when that fails. */
    hooks: { beforeCreate: string[]; afterCreate: string[]; onError: string[] };
  };
}

export interface Recording {
  stackName: string;
  resources: Recorded[];
  /** What the program exports. */
  outputs: Record<string, unknown>;
  /** Every value that must stay secret: those that were generated, and those that the test names. */
  secrets: string[];
  /** What Pulumi would call before and after a resource is made, or when that fails, by name. */
  hooks: ReadonlyMap<string, pulumi.ErrorHook | pulumi.ResourceHook>;
}

export type ContainerInputs = pulumi.Unwrap<ContainerArgs>;

export interface RecordOptions {
  /** The project's name. @default that in the Pulumi.yaml of this folder, or of the nearest one above */
  project?: string;
  /** @default "test" */
  stack?: string;
  /** The stack's settings, by keys without the project's name: `{ domain: "example.com" }`. @default {} */
  settings?: Record<string, unknown>;
  /** Those of them that are secret. @default {} */
  secretSettings?: Record<string, string>;
  /** The stack's configuration, as Pulumi hands it over. @default {} */
  config?: Record<string, string>;
  /** Keys of config whose values are secret. @default [] */
  secretKeys?: string[];
  /** More values that must stay secret. @default [] */
  secrets?: string[];
  /** What Cloudflare answers when it is asked for zones and for records. @default one zone of that name, no record */
  cloudflare?: Partial<Record<"getZones" | "getDnsRecords" | "getPermissionGroups", Answer>>;
  /** What asking a server by HTTP comes to. @default an answer */
  fetch?: (url: string, options?: RequestInit) => Promise<Response>;
  /** In a preview no Docker engine has to be there. @default true */
  preview?: boolean;
}

type Answer = (inputs: Record<string, unknown>) => Record<string, unknown>;

/**
 * Runs a program against an engine that only writes down what it is asked for.
 *
 * @throws the first thing that went wrong in it, also in an `.apply` that nobody waits for.
 */
export async function record(program: () => unknown, options: RecordOptions = {}): Promise<Recording> {
  const { project = projectName(), stack = "test", preview = true } = options;
  const { config, secretKeys } = configOf(project, options);
  const { getZones = oneZone, getDnsRecords = () => ({ results: [] }) } = options.cloudflare ?? {};
  const { getPermissionGroups = permissionGroups } = options.cloudflare ?? {};
  const calls: Record<string, Answer> = {
    "cloudflare:index/getZones:getZones": getZones,
    "cloudflare:index/getDnsRecords:getDnsRecords": getDnsRecords,
    "cloudflare:index/getAccountApiTokenPermissionGroupsList:getAccountApiTokenPermissionGroupsList":
      getPermissionGroups,
    "cloudflare:index/getZeroTrustTunnelCloudflaredToken:getZeroTrustTunnelCloudflaredToken": ({ tunnelId }) => {
      const token = hex(`token of the tunnel ${String(tunnelId)}`, 64);
      secrets.push(token);
      return { token };
    },
    "cloudflare:index/getIpRanges:getIpRanges": () => ({ ipv4Cidrs: ["192.0.2.0/24"], ipv6Cidrs: ["2001:db8::/32"] }),
  };
  const resources = new Map<string, Recorded>();
  const secrets = [...(options.secrets ?? []), ...secretKeys.map((key) => config[key] ?? "")];
  // As on the real engine, the first failure ends the run: what waits for a resource that failed would wait for ever.
  let fail!: (reason: unknown) => void;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => undefined);

  const kinds = kindsOf(`${project}-${stack}`, secrets);
  await pulumi.runtime.setMocks(
    {
      call: ({ token, inputs }) => {
        const answer = calls[token];
        if (answer) return answer(inputs as Record<string, unknown>);
        const error = new Error(`the program calls ${token}, which the recorder does not know`);
        fail(error);
        throw error;
      },
      newResource: ({ type, name, inputs, custom }) => {
        if (custom === false) return { id: undefined, state: {} };
        const kind = kinds[type];
        if (kind === undefined) throw new Error(`${name} is a ${type}, which the recorder does not know`);
        return kind(name, inputs as Record<string, unknown>);
      },
    },
    project,
    stack,
    preview,
  );
  const hooks = takeHooks();
  writeDown(pulumi.runtime.getMonitor() as unknown as Monitor, resources, fail);
  // Where loadConfig finds them: what Pulumi's runtime keeps, and the environment.
  pulumi.runtime.setAllConfig(config, secretKeys);
  const environment = process.env["PULUMI_CONFIG_SECRET_KEYS"];
  process.env["PULUMI_CONFIG_SECRET_KEYS"] = JSON.stringify(secretKeys);

  // A throw inside an .apply is a rejection that no caller can catch. Here it is a failure of this run, and of nothing else.
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", fail);
  // Pulumi keeps a stack trace for every promise, which takes most of the time of a run.
  const { stackTraceLimit } = Error;
  const { fetch } = globalThis;
  globalThis.fetch = (options.fetch ?? (() => Promise.resolve(new Response()))) as typeof fetch;
  Error.stackTraceLimit = 4;
  const run = async () => {
    const exported = await program();
    endProgram();
    return exported;
  };
  try {
    await Promise.race([failed, pulumi.runtime.runInPulumiStack(run)]);
    await Promise.race([failed, drained(resources)]);
  } finally {
    await nextTurns();
    forgetProgram();
    Error.stackTraceLimit = stackTraceLimit;
    globalThis.fetch = fetch;
    // What waits for ever after a failure is no leak that Pulumi has to tell of when this process ends.
    getStore().leakCandidates = new Set();
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
    if (environment === undefined) delete process.env["PULUMI_CONFIG_SECRET_KEYS"];
    else process.env["PULUMI_CONFIG_SECRET_KEYS"] = environment;
  }
  const recorded = [...resources.values()];
  const root = recorded.find(({ type }) => type === STACK_TYPE)!;
  return { stackName: `${project}-${stack}`, resources: recorded, outputs: root.outputs, secrets, hooks };
}

/** Configuration as Pulumi hands it over: full keys, everything as text. */
function configOf(
  project: string,
  { config = {}, secretKeys = [], settings = {}, secretSettings = {} }: RecordOptions,
) {
  const given = Object.entries({ ...settings, ...secretSettings });
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return {
    config: { ...config, ...Object.fromEntries(given.map(([key, value]) => [`${project}:${key}`, text(value)])) },
    secretKeys: [...secretKeys, ...Object.keys(secretSettings).map((key) => `${project}:${key}`)],
  };
}

/** All resources of a type, like `docker:index/container:Container`; its last part is enough. */
export function ofType<Inputs = Record<string, unknown>>({ resources }: Recording, type: string): Recorded<Inputs>[] {
  return resources.filter((resource) => resource.type === type || resource.type.endsWith(`:${type}`)) as never;
}

export function containers(recording: Recording): Recorded<ContainerInputs>[] {
  return ofType<ContainerInputs>(recording, "docker:index/container:Container");
}

/** The one container of that logical name. */
export function container(recording: Recording, name: string): Recorded<ContainerInputs> {
  const found = containers(recording).filter((resource) => resource.name === name);
  if (found.length !== 1) throw new Error(`${found.length} containers are called ${name}`);
  return found[0]!;
}

export function label({ inputs }: Recorded<ContainerInputs>, name: string): string | undefined {
  return inputs.labels?.find((entry) => entry.label === name)?.value;
}

const STACK_TYPE = "pulumi:pulumi:Stack";

/** What the real engine would answer, by type. Anything that is not here is refused. */
function kindsOf(stackName: string, secrets: string[]) {
  const autonamed = (name: string) => `${stackName}-${name}-${hex(name, 7)}`;
  let networks = 0;
  const kinds: Record<string, (name: string, inputs: Record<string, unknown>) => { id: string; state: object }> = {
    "pulumi:providers:docker": (name, inputs) => ({ id: hex(name, 8), state: inputs }),
    "docker:index/container:Container": (name, inputs) => ({
      id: hex(name, 64),
      state: { name: autonamed(name), ...inputs },
    }),
    "docker:index/network:Network": (name, inputs) => ({
      id: hex(name, 64),
      state: {
        name: autonamed(name),
        ...inputs,
        ipamConfigs: [{ subnet: `172.${20 + ++networks}.0.0/16`, gateway: `172.${20 + networks}.0.1` }],
      },
    }),
    "docker:index/volume:Volume": (name, inputs) => {
      const volume = typeof inputs["name"] === "string" ? inputs["name"] : autonamed(name);
      return { id: volume, state: { ...inputs, name: volume, driver: "local" } };
    },
    "docker:index/remoteImage:RemoteImage": (name, inputs) => {
      const imageId = `sha256:${hex(name, 64)}`;
      return { id: `${imageId}${String(inputs["name"])}`, state: { ...inputs, imageId } };
    },
    "pulumi:providers:cloudflare": (name, inputs) => ({ id: hex(name, 8), state: inputs }),
    "cloudflare:index/accountToken:AccountToken": (name, inputs) => {
      const value = hex(`token ${name}`, 40);
      secrets.push(value);
      return { id: hex(name, 32), state: { ...inputs, value: pulumi.secret(value) } };
    },
    "cloudflare:index/r2Bucket:R2Bucket": (name, inputs) => ({ id: hex(name, 32), state: inputs }),
    "cloudflare:index/r2BucketCors:R2BucketCors": (name, inputs) => ({ id: hex(name, 32), state: inputs }),
    "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle": (name, inputs) => ({ id: hex(name, 32), state: inputs }),
    "cloudflare:index/r2BucketLock:R2BucketLock": (name, inputs) => ({ id: hex(name, 32), state: inputs }),
    "cloudflare:index/dnsRecord:DnsRecord": (name, inputs) => ({ id: hex(name, 32), state: inputs }),
    "cloudflare:index/ruleset:Ruleset": (name, inputs) => ({ id: hex(name, 32), state: inputs }),
    "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared": (name, inputs) => ({
      id: hex(name, 32),
      state: inputs,
    }),
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig": (name, inputs) => ({
      id: hex(name, 32),
      state: inputs,
    }),
    "cloudflare:index/zoneSetting:ZoneSetting": (_, inputs) => ({ id: String(inputs["settingId"]), state: inputs }),
    "random:index/randomPassword:RandomPassword": (name, inputs) => {
      const result = hex(`generated ${name}`, Number(inputs["length"]));
      secrets.push(result);
      return { id: "none", state: { ...inputs, result: pulumi.secret(result) } };
    },
  };
  return kinds;
}

function permissionGroups() {
  const names = [
    "DNS Write",
    "Workers R2 Storage Bucket Item Read",
    "Workers R2 Storage Bucket Item Write",
    "Zone Read",
  ];
  return { results: names.map((name) => ({ id: hex(name, 32), name })) };
}

function oneZone({ name }: Record<string, unknown>) {
  return { results: [{ id: hex(String(name), 32), name }] };
}

/** Digits as real as an id's or a digest's, and the same in every run. */
export function hex(of: string, length: number): string {
  return createHash("shake256", { outputLength: Math.ceil(length / 2) })
    .update(of)
    .digest("hex")
    .slice(0, length);
}

/** The part of Pulumi's mock monitor that is wrapped, because mocks see neither parents nor options nor secrets. */
interface Monitor {
  newUrn(parent: string, type: string, name: string): string;
  registerResource(request: RegisterResourceRequest, answer: (error: unknown, response?: unknown) => void): unknown;
  registerResourceOutputs(
    request: RegisterResourceOutputsRequest,
    answer: (error: unknown, response?: unknown) => void,
  ): unknown;
}

function writeDown(monitor: Monitor, resources: Map<string, Recorded>, failed: (reason: unknown) => void): void {
  monitor.newUrn = urnOf;
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, answer) => {
    const fail = (error: unknown) => {
      failed(error);
      answer(error);
    };
    const urn = urnOf(request.getParent(), request.getType(), request.getName());
    // The real engine refuses it; Pulumi's mocks do not.
    if (resources.has(urn)) return fail(new Error(`two resources have the URN ${urn}`));
    try {
      resources.set(urn, recordedOf(urn, request));
    } catch (error) {
      return fail(error);
    }
    return register(request, (error, response) => (error ? fail(error) : answer(null, response)));
  };
  const registerOutputs = monitor.registerResourceOutputs.bind(monitor);
  monitor.registerResourceOutputs = (request, answer) => {
    resources.get(request.getUrn())!.outputs = unwrapped(request.getOutputs()?.toJavaScript() ?? {}).value as never;
    return registerOutputs(request, answer);
  };
}

/** Pulumi exports it without its type. */
const { getStore } = state as unknown as { getStore: () => { callbacks?: object; leakCandidates: Set<unknown> } };

/** The runtime would open a port on which Pulumi calls hooks. */
function takeHooks(): ReadonlyMap<string, pulumi.ErrorHook | pulumi.ResourceHook> {
  const hooks = new Map<string, pulumi.ErrorHook | pulumi.ResourceHook>();
  const register = (hook: pulumi.ErrorHook | pulumi.ResourceHook) => {
    if (hooks.has(hook.name)) return Promise.reject(new Error(`two hooks have the name ${hook.name}`));
    hooks.set(hook.name, hook);
    return Promise.resolve();
  };
  getStore().callbacks = {
    registerErrorHook: register,
    registerResourceHook: register,
    awaitStackRegistrations: () => Promise.resolve(),
    shutdown: () => undefined,
  };
  return hooks;
}

/** As Pulumi makes it: with the types of all ancestors, and not only of the parent as Pulumi's mocks do. */
function urnOf(parent: string, type: string, name: string): string {
  const parentType = parent.split("::")[2] ?? STACK_TYPE;
  const qualified = parentType === STACK_TYPE ? type : `${parentType}$${type}`;
  return `urn:pulumi:${pulumi.getStack()}::${pulumi.getProject()}::${qualified}::${name}`;
}

function recordedOf(urn: string, request: RegisterResourceRequest): Recorded {
  const { value, secretPaths } = unwrapped(request.getObject()?.toJavaScript() ?? {});
  return {
    urn,
    type: request.getType(),
    name: request.getName(),
    parent: request.getParent(),
    provider: request.getProvider(),
    inputs: value as Record<string, unknown>,
    secretPaths,
    outputs: {},
    options: {
      protect: request.getProtect() ?? false,
      retainOnDelete: request.getRetainondelete() ?? false,
      deleteBeforeReplace: request.getDeletebeforereplace(),
      replaceOnChanges: request.getReplaceonchangesList(),
      ignoreChanges: request.getIgnorechangesList(),
      aliases: request.getAliasesList().flatMap((alias) => alias.getSpec()?.getName() || []),
      replacementTrigger: triggerOf(request),
      dependencies: request.getDependenciesList(),
      hooks: {
        beforeCreate: request.getHooks()?.getBeforeCreateList() ?? [],
        afterCreate: request.getHooks()?.getAfterCreateList() ?? [],
        onError: request.getHooks()?.getOnErrorList() ?? [],
      },
    },
  };
}

/** In a preview it arrives as an output, with its secrecy beside it. */
function triggerOf(request: RegisterResourceRequest): { value: unknown; isSecret: boolean } | undefined {
  const trigger = request.getReplacementTrigger()?.toJavaScript() as Record<string, unknown> | undefined;
  if (trigger === undefined) return undefined;
  if (trigger[SIGNATURE_KEY] === OUTPUT_SIGNATURE) {
    const { value, secretPaths } = unwrapped(trigger["value"]);
    return { value, isSecret: trigger["secret"] === true || secretPaths.includes("") };
  }
  const { value, secretPaths } = unwrapped(trigger);
  return { value, isSecret: secretPaths.includes("") };
}

/** Marks a special value on the wire; see @pulumi/pulumi's runtime/rpc. */
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";
const OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4";
const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** The value without the envelopes of secrets, and where they were. */
function unwrapped(value: unknown, path = ""): { value: unknown; secretPaths: string[] } {
  // Every .apply behind it would not run, and every check of what it gives would look at nothing.
  if (value === UNKNOWN) throw new Error(`${path} is unknown: the recorder has to say what Docker would answer`);
  if (typeof value !== "object" || value === null) return { value, secretPaths: [] };
  const signature = (value as Record<string, string | undefined>)[SIGNATURE_KEY];
  if (signature === SECRET_SIGNATURE) {
    const inner = unwrapped((value as unknown as { value: unknown }).value, path);
    return { value: inner.value, secretPaths: [path, ...inner.secretPaths] };
  }
  if (signature !== undefined) throw new Error(`${path} is a special value (${signature}) that no test reads`);
  const entries = Object.entries(value).map(
    ([key, inner]) => [key, unwrapped(inner, path === "" ? key : `${path}.${key}`)] as const,
  );
  return {
    value: Array.isArray(value)
      ? entries.map(([, inner]) => inner.value)
      : Object.fromEntries(entries.map(([key, inner]) => [key, inner.value])),
    secretPaths: entries.flatMap(([, inner]) => inner.secretPaths),
  };
}

/** What `disconnect` waits for before it ends the program; Pulumi exports it without its type. */
const { waitForRPCs } = pulumi.runtime as unknown as { waitForRPCs: () => Promise<void> };

/** Waits until nothing is under way any more, also what nobody waits for. */
async function drained(resources: Map<string, Recorded>): Promise<void> {
  let before: number;
  do {
    before = resources.size;
    await waitForRPCs();
    await nextTurns();
  } while (resources.size > before);
}

/** Rejections that nobody handles are told at the end of a turn of the event loop. */
async function nextTurns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
