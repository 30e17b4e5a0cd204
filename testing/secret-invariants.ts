// Where secrets may be, and who reads them.
import { createHash } from "node:crypto";
import { eachContainer, complaintsOf, isContainer, isRoot, mountedVolumes, type Invariants } from "./recorded.ts";
import { containers, type Recorded } from "./recorder.ts";

export const secretInvariants: Invariants = {
  "a secret is only in a courier's upload or a provider, and marked as a secret there": (recording) => {
    const isUpload = (resource: Recorded, path: string) =>
      (isContainer(resource) && resource.inputs.start === false && /^uploads\.\d+\.content$/.test(path)) ||
      // The one that is for Pulumi itself.
      (resource.type === "pulumi:providers:cloudflare" && path === "apiToken");
    return recording.resources.flatMap((resource) => [
      ...leaves(resource.inputs)
        .filter(([path, value]) => holdsSecret(value, recording.secrets) && !isUpload(resource, path))
        .map(([path]) => `${resource.name}: ${path} holds a secret`),
      ...leaves(resource.inputs)
        .filter(([path, value]) => holdsSecret(value, recording.secrets) && isUpload(resource, path))
        .filter(([path]) => !resource.secretPaths.some((secret) => `${path}.`.startsWith(`${secret}.`)))
        .map(([path]) => `${resource.name}: ${path} holds a secret and is not marked as one`),
      ...resource.secretPaths
        .filter((path) => !isUpload(resource, path))
        .map((path) => `${resource.name}: ${path} is made of a secret`),
      ...leaves(resource.options.replacementTrigger?.value)
        .filter(([, value]) => holdsSecret(value, recording.secrets))
        .map(() => `${resource.name}: the replacement trigger holds a secret`),
      ...leaves(resource.outputs)
        .filter(([, value]) => holdsSecret(value, recording.secrets))
        .map(([path]) => `${resource.name}: the output ${path} holds a secret`),
    ]);
  },

  "every uploaded file is for one reader alone": (recording) =>
    complaintsOf(containers(recording), (courier) => {
      const volumes = new Set(mountedVolumes(courier.inputs).map(({ volumeName }) => volumeName));
      const readers = containers(recording).filter(
        (each) => each !== courier && mountedVolumes(each.inputs).some(({ volumeName }) => volumes.has(volumeName)),
      );
      // Root's are those of a reader that is root, which is for its exception to say.
      const mayBeRoots = readers.length > 0 && readers.every(({ inputs }) => isRoot(inputs.user));
      return (courier.inputs.uploads ?? []).flatMap(({ file, permissions, owner, group }) => [
        ...(permissions === "0400" ? [] : [`${file} has the mode ${permissions}`]),
        ...(owner && owner === group && (mayBeRoots || !isRoot(owner)) ? [] : [`${file} belongs to ${owner}:${group}`]),
      ]);
    }),

  "a route that asks who may pass has no hash in it, and answers 503 where it cannot ask": eachContainer(({ inputs }) =>
    (inputs.envs ?? [])
      .filter((entry) => entry.startsWith("ROUTE={"))
      .flatMap((entry) => askingFaults(JSON.parse(entry.slice("ROUTE=".length)) as RouteContent)),
  ),
};

interface RouteContent {
  http?: {
    routers?: Record<string, { rule: string; middlewares?: string[] }>;
    middlewares?: Record<string, { basicAuth?: { users?: unknown }; forwardAuth?: { trustForwardHeader?: boolean } }>;
  };
}

function askingFaults({ http: { routers = {}, middlewares = {} } = {} }: RouteContent): string[] {
  const asks = (name: string) =>
    middlewares[name]?.basicAuth !== undefined || middlewares[name]?.forwardAuth !== undefined;
  const closed = Object.values(routers).filter(({ middlewares = [] }) => middlewares.join().endsWith("-closed"));
  return [
    ...Object.entries(middlewares).flatMap(([name, { basicAuth, forwardAuth }]) => [
      ...(basicAuth?.users === undefined ? [] : [`has users in ${name}`]),
      ...(forwardAuth?.trustForwardHeader === true ? [`believes clients in ${name}`] : []),
    ]),
    ...Object.entries(routers)
      .filter(
        ([, { rule, middlewares = [] }]) =>
          middlewares.some(asks) && !closed.some((other) => rule.startsWith(other.rule)),
      )
      .map(([name]) => `has the router ${name}, and none that is closed in its place`),
  ];
}

/** Every value in it that is no object, with its path, and every key: a secret can be in either. */
function leaves(value: unknown, path = ""): [path: string, value: string][] {
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return [...(Array.isArray(value) ? [] : [[at, key] as [string, string]]), ...leaves(inner, at)];
  });
}

/** Also a part of it that says as much: one line of a key, or the value in base64. */
function holdsSecret(value: string, secrets: string[]): boolean {
  const lines = secrets
    .flatMap((secret) => secret.split("\n"))
    .filter((line) => line.length >= 16 && !/^-----/.test(line));
  // As it is, as base64, and as the key of S3 that R2 makes of a token.
  const forms = lines.flatMap((line) => [line, btoa(line).slice(0, -4), s3Key(line)]);
  return forms.some((form) => value.includes(form));
}

/** The secret key of S3 that R2 makes of a token. */
export function s3Key(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
