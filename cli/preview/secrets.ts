import { labelOf } from "../../policy/inputs.ts";
import { VOLUME } from "../../policy/networks-and-volumes.ts";
import type { Change } from "./engine-events.ts";
import { listOf, type ContainerChange } from "./container-change.ts";

/** A value that changes, or a set of files that holds some. */
export interface ChangedSecret {
  name: string;
  /** What happens to it. */
  what: string;
  /** Containers that get it, each by another container in its place. */
  readers: readonly string[];
}

/** Volumes that are made anew because their files are others: name on the host to what they are called. */
export function changedFiles(changes: readonly Change[]): ReadonlyMap<string, string> {
  const volumes = changes.filter(
    ({ type, op, name }) => type === VOLUME && op === "replace" && name.endsWith("-files"),
  );
  return new Map(volumes.map(({ id, before, name }) => [id!, labelOf(before ?? {}, "bulkhead.name") ?? name]));
}

export function secretsOf(
  changes: readonly Change[],
  services: readonly ContainerChange[],
  files: ReadonlyMap<string, string>,
): ChangedSecret[] {
  const generated = changes.filter(({ type, op }) => type.startsWith("random:") && op === "replace");
  const tokens = changes.filter(
    ({ type, op }) => type === "cloudflare:index/accountToken:AccountToken" && op in OF_TOKENS,
  );
  return [
    ...generated.map(({ name }) => ({ name: name.replace(/-value$/, ""), what: "is generated anew", readers: [] })),
    ...tokens.map(({ name, op }) => ({ name, what: OF_TOKENS[op]!, readers: [] })),
    ...[...files].map(([volume, name]) => ({
      name,
      what: "has other files",
      readers: services
        .filter(({ before }) => listOf(before?.volumes).some(({ volumeName }) => volumeName === volume))
        .map((service) => service.name),
    })),
  ];
}

const OF_TOKENS: Partial<Record<Change["op"], string>> = {
  create: "is made at Cloudflare",
  replace: "is made anew at Cloudflare; the old one is deleted last",
  delete: "is deleted at Cloudflare",
};
