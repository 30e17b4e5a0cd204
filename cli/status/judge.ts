// What of a stack needs a hand, each with its cure in a line.
import { checks } from "../doctor/host-checks.ts";
import type { HostFacts } from "../doctor/host-facts.ts";
import { runOf } from "../stack/lock.ts";
import { stackLabel } from "../stack/program.ts";
import type { ServingContainer, Status } from "./read-status.ts";

export interface Need {
  /** A service by its name, or what of the host or the stack it is. */
  about: string;
  /** The column of the service that is red. */
  column?: "health" | "outside" | "restarts" | "memory";
  what: string;
  cure: string;
}

export function needsOf(status: Status): Need[] {
  const { containers, missing, seen, state, stack } = status;
  const up = `\`bulkhead up --stack ${stack}\``;
  const needs: Need[] = missing.map((name) => ({ about: name, what: "not on the host", cure: `${up} starts it` }));
  if (containers.length === 0 && missing.length === 0)
    needs.push({ about: stack, what: "nothing of it is on the host", cure: `${up} deploys it` });
  needs.push(...containers.flatMap((container) => needsOfContainer(container, status)));
  needs.push(
    ...seen
      .filter(({ ok }) => !ok)
      .map(({ resource, asked, found, cure }) => ({
        ...{ about: resource, column: "outside" as const, what: `${asked}: ${found}` },
        cure: cure.join(" "),
      })),
  );
  needs.push(...hostNeeds(status));
  for (const holder of state?.holders ?? [])
    if (holder.where === "gone")
      needs.push({ about: "lock", what: `${runOf(holder)} was killed and holds it`, cure: `${up} releases it` });
  if ((state?.pending ?? 0) > 0 && state?.holders.length === 0)
    needs.push({
      about: "state",
      what: `a killed run left ${state.pending} things half made`,
      cure: `${up} settles it`,
    });
  return needs;
}

function needsOfContainer(container: ServingContainer, { stack, now }: Status): Need[] {
  const { name: about, state, restarts, memoryMb, memoryLimitMb } = container;
  const [up, why] = [`\`bulkhead up --stack ${stack}\``, `\`bulkhead logs ${about} --stack ${stack}\` says why`];
  const needs: Need[] = [];
  // Of a scheduled job its health is how its last run ended; of a backup, what is wrong with it, a cure in each line.
  const [isJob, isBackup] = [container.role === "scheduled-job", container.role === "backup"];
  const said = isJob || isBackup ? state.Health?.Log?.at(-1)?.Output.trim().replaceAll("\n", "; ") : undefined;
  if (state.Status === "restarting")
    needs.push({ about, column: "health", what: "ends and is started again, over and over", cure: why });
  else if (state.Status !== "running")
    needs.push({
      about,
      column: "health",
      what: `${state.Status}, and not by itself`,
      cure: `${why}; ${up} starts it`,
    });
  else if (state.Health?.Status === "unhealthy")
    needs.push({
      ...{ about, column: "health", what: said || "runs, and says that it is not well" },
      cure: said && isJob ? `${why}; \`bulkhead run ${about} --stack ${stack}\` runs it now` : why,
    });
  const sinceStart = now.getTime() - new Date(state.StartedAt).getTime();
  if (restarts > 0 && state.Status === "running" && sinceStart < RECENT_MS)
    needs.push({
      about,
      column: "restarts",
      what: `Docker has just started it again (${restarts} times so far)`,
      cure: why,
    });
  if (memoryMb !== undefined && memoryLimitMb > 0 && memoryMb > 0.9 * memoryLimitMb)
    needs.push({
      ...{ about, column: "memory", what: `${Math.round(memoryMb)} of ${Math.round(memoryLimitMb)} MiB are used` },
      cure: `at the limit the kernel ends it: give it more (memoryMb in Pulumi.${stack}.yaml), and ${up}`,
    });
  return needs;
}

/** A restart of long ago is no news. */
const RECENT_MS = 10 * 60_000;

/** By the checks of `bulkhead doctor`, those that change from day to day. */
function hostNeeds(status: Status): Need[] {
  if (status.containers.length === 0) return [];
  return (["disk", "data", "updates", "certificate"] as const).flatMap((about) => {
    const { found, verdict, cure } = hostCheck(about, status);
    // Without an edge there is no certificate, and the edge is told of already.
    // Updates wait on most days, and are told with the host: doctor says how they are made.
    return verdict === "bad" || (verdict === "warn" && about !== "updates")
      ? [{ about, what: found, cure: cure.map((line) => line.trim()).join(" ") }]
      : [];
  });
}

/** What a check of `bulkhead doctor` finds by the facts that the status has, which these need and no more. */
export function hostCheck(check: "certificate" | "data" | "disk" | "updates", status: Status) {
  const { stack, domain, engine, shell, certificate, further, data, now } = status;
  const facts = { engine, shell, certificate, further, data, now, stack: { label: stackLabel(stack), domain } };
  return checks[check]!(facts as unknown as HostFacts);
}
