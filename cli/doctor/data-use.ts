// How full the volumes with data of a program are.
import { setTimeout as delay } from "node:timers/promises";
import type { Engine } from "../../components/docker-engine/client.ts";
import { labelFilter } from "../stack/containers.ts";

/** A DataVolume of the program. */
export interface DataUse {
  name: string;
  usedMb: number;
  /** As the program says. */
  maxMb: number;
}

/** Undefined where Docker takes too long: it counts every file. Docker before 23 counts images too. */
export async function dataUse(engine: Engine, label: string): Promise<DataUse[] | undefined> {
  // What a volume is to hold stands on the job that prepares it: its own labels are those that it was made with.
  const jobs = await engine.get<{ Created: number; Labels: Record<string, string> }[]>(
    `/containers/json?all=1&filters=${labelFilter(label, ["bulkhead.max-mb"])}`,
  );
  if (jobs.length === 0) return [];
  const counted = engine.get<Counted>("/system/df?type=volume").catch(() => undefined);
  const stop = new AbortController();
  const late = delay(PATIENCE_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  const sizes = await Promise.race([counted, late]);
  stop.abort();
  if (sizes === undefined) return undefined;
  const newest = new Map(
    jobs
      .sort((one, other) => one.Created - other.Created)
      .map(({ Labels }) => [Labels["bulkhead.volume"], Labels] as const),
  );
  return (sizes.Volumes ?? [])
    .flatMap(({ Name, UsageData }) => {
      const labels = newest.get(Name);
      if (labels === undefined || UsageData === null || UsageData.Size < 0) return [];
      return [
        {
          name: labels["bulkhead.for"] ?? Name,
          usedMb: UsageData.Size / 2 ** 20,
          maxMb: Number(labels["bulkhead.max-mb"]),
        },
      ];
    })
    .sort((one, other) => one.name.localeCompare(other.name));
}

const PATIENCE_MS = 10_000;

interface Counted {
  Volumes: { Name: string; UsageData: { Size: number } | null }[] | null;
}
