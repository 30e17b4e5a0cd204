// What a restore or an upgrade leaves behind on the host: the volume that served until then, which is kept, and the one of a
// trial that served nobody, which is not.
import type { Document } from "yaml";
import type { Engine } from "../../components/docker-engine/client.ts";
import { say } from "../../toolchain/steps.ts";
import { configKey, stackLabel } from "../stack/program.ts";
import { servedRestore } from "./restore.ts";

export interface Change {
  key: "restore" | "upgrade";
  /** By the name of the database or volume in the program. */
  of: Record<string, Made>;
}

interface Made {
  id: string;
  serve?: boolean;
}

export interface LeftVolumes {
  /** Of trials that served nobody: what they have is in the server or in the vault. */
  trials: string[];
  /** They served until now. */
  replaced: string[];
}

/** The volumes that a stack file has before a change, and has no more after it. */
export function leftVolumes(stack: string, document: Document, { key, of }: Change): LeftVolumes {
  const left: LeftVolumes = { trials: [], replaced: [] };
  for (const [name, { id, serve }] of Object.entries(of)) {
    const last = document.getIn(["config", configKey(key), name]) as { toJSON?: () => Made } | undefined;
    const before = last?.toJSON?.();
    if (before !== undefined && before.serve !== true && before.id !== id)
      left.trials.push(volumeOf(stack, key, name, before.id));
    const served = key === "restore" ? servedRestore(document, name) : undefined;
    if (serve && served !== undefined && served.id !== id) left.replaced.push(volumeOf(stack, key, name, served.id));
  }
  return left;
}

/** Whether a server or a service has the volume that a change lets it have: also where the update failed after that. */
export async function isServed(engine: Engine, stack: string, { key, of }: Change): Promise<boolean> {
  const volumes = Object.entries(of).flatMap(([name, { id, serve }]) =>
    serve ? [volumeOf(stack, key, name, id)] : [],
  );
  if (volumes.length === 0) return false;
  const running =
    await engine.get<{ Labels: Record<string, string>; Mounts?: { Name?: string }[] }[]>("/containers/json");
  return running.some(
    ({ Labels, Mounts = [] }) =>
      Labels["bulkhead.role"] !== "job" && Mounts.some(({ Name }) => Name !== undefined && volumes.includes(Name)),
  );
}

/** Docker refuses it for one that a container still has. */
export async function removeTrials(engine: Engine, volumes: readonly string[]): Promise<void> {
  for (const volume of volumes)
    await engine.delete(`/volumes/${volume}`).then(
      () => say(`Removed the volume of the trial of before, which served nobody: ${volume}`),
      (error: Error) => say(`The volume of the trial of before is still there: ${volume}: ${error.message}`),
    );
}

function volumeOf(stack: string, key: Change["key"], name: string, id: string): string {
  return `${stackLabel(stack)}-${name}-${key === "restore" ? "restored" : "upgraded"}-${id}`;
}
