import { labelOf } from "../../policy/inputs.ts";
import type { Change } from "./engine-events.ts";
import { listOf, type ContainerChange } from "./services.ts";

/** A value that changes, or a set of files that holds some. */
export interface ChangedSecret {
  name: string;
  /** What happens to it. */
  what: string;
  /** Containers that get it, each by another container in its place. */
  readers: readonly string[];
}

/** Volumes with files that are made anew because their files are others: name on the host to what they are called. */
export type ChangedFiles = ReadonlyMap<string, string>;

export function changedFiles(changes: readonly Change[]): ChangedFiles {
  const volumes = changes.filter(
    ({ type, op, name }) => type === "docker:index/volume:Volume" && op === "replace" && name.endsWith("-files"),
  );
  return new Map(volumes.map(({ id, before, name }) => [id!, labelOf(before ?? {}, "bulkhead.name") ?? name]));
}

export function secretsOf(
  changes: readonly Change[],
  services: readonly ContainerChange[],
  files: ChangedFiles,
): ChangedSecret[] {
  const generated = changes.filter(({ type, op }) => type.startsWith("random:") && op === "replace");
  const tokens = changes.filter(
    ({ type, op }) => type === "cloudflare:index/accountToken:AccountToken" && op === "replace",
  );
  const named = (name: string, what: string) => ({ name, what, readers: [] });
  return [
    ...generated.map(({ name }) => named(name.replace(/-value$/, ""), "is generated anew")),
    ...tokens.map(({ name }) => named(name, "is made anew at Cloudflare; the old one is deleted last")),
    ...[...files].map(([volume, name]) => ({
      name,
      what: "has other files",
      readers: services
        .filter(({ before }) => listOf(before?.volumes).some(({ volumeName }) => volumeName === volume))
        .map((service) => service.name),
    })),
  ];
}
