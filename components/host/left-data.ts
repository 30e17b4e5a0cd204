import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";

/** What a database's files are of. */
export type DataKind = "postgres" | "redis";

/** The volumes with data that the program has, by their names on the host. */
const declared = new WeakMap<DockerHost, Set<string>>();

export function declare(host: DockerHost, volume: string): void {
  const volumes = declared.get(host) ?? new Set();
  declared.set(host, volumes.add(volume));
}

interface Found {
  Name: string;
  Labels: Record<string, string> | null;
}

/**
 * Before a database's volume is made, in a preview too. Under another name a database would begin empty, and its data stay
 * behind; under the name of another kind it would begin on files that are not its own.
 *
 * @param leaves names on the host that may stay behind.
 */
export function refuseLeftData(name: string, host: DockerHost, volume: string, kind: DataKind, leaves: string[] = []) {
  const look = async () => {
    const filters = JSON.stringify({ label: [`bulkhead.stack=${host.stackName}`, "bulkhead.data=true"] });
    const { Volumes } = await host.engine.get<{ Volumes: Found[] | null }>(
      `/volumes?filters=${encodeURIComponent(filters)}`,
    );
    const problems = (Volumes ?? []).flatMap(({ Name, Labels }) => problemOf(Name, Labels?.["bulkhead.kind"]));
    if (problems.length > 0 && !isThere(Volumes)) throw new pulumi.RunError(problems.join("\n"));
  };
  const isThere = (found: Found[] | null) =>
    found?.some(({ Name, Labels }) => Name === volume && Labels?.["bulkhead.kind"] === kind) ?? false;
  const problemOf = (other: string, of: string | undefined): string[] => {
    if (other === volume)
      return of === kind
        ? []
        : [`${name}: the volume ${volume} has files of ${of ?? "another kind"}: give another name`];
    return of !== kind || declared.get(host)?.has(other) || leaves.includes(other)
      ? []
      : [
          `${name}: would begin empty, while the host has the data of a database that the program has no more, ${other}: ` +
            `give that database its name again, or say leaves: ["${other}"], and it stays behind`,
        ];
  };
  return new pulumi.ResourceHook(
    `${name}-left-data`,
    async () => {
      await look().catch((error: unknown) => {
        // A preview may run with the host away.
        if (pulumi.runtime.isDryRun() && !pulumi.RunError.isInstance(error)) return;
        throw error;
      });
    },
    { onDryRun: true },
  );
}
