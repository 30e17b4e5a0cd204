import { cloudflareFindings } from "./cloudflare-drift.ts";
import { cloudflareState } from "./cloudflare-state.ts";
import { findings, prunedOf, restartedOf } from "./drift.ts";
import type { Finding } from "./finding.ts";
import { hostState } from "./host-state.ts";
import { lookFromOutside } from "../doctor/outside.ts";
import { servicesIn } from "../doctor/published.ts";
import { promises, type Deployment } from "./expected-state.ts";
import { pulumi, type Stack } from "../stack/stack.ts";
import { stackLabel } from "../stack/program.ts";

export interface ReadBack {
  found: Finding[];
  /** What was looked at, for a sentence that says that it is as promised. */
  all: string;
  /** Couriers and jobs that somebody removed: not missed. */
  pruned: string[];
  /** What Docker has started again, and how often. */
  restarted: string[];
}

/** Looks at a stack's state, its host, and what it has at Cloudflare. It changes nothing there. */
export async function readBack(stack: Stack): Promise<ReadBack> {
  const exported = await pulumi(stack, ["stack", "export", "--show-secrets", "--stack", stack.name]);
  const { deployment } = JSON.parse(exported) as { deployment: Deployment };
  const promised = promises(deployment);
  if (promised.containers.length === 0)
    throw new Error(
      `${stack.name}: nothing is deployed, so nothing is promised: run \`bulkhead up --stack ${stack.name}\``,
    );
  const { cloudflare } = promised;
  const host = await hostState(stack.engine, promised);
  return {
    pruned: prunedOf(promised, host),
    restarted: restartedOf(promised, host),
    found: [
      ...findings(promised, host, stackLabel(stack.name)),
      ...(await lookFromOutside(stack.engine, stack.name, servicesIn(deployment.resources)))
        .filter(({ ok }) => !ok)
        .map(({ resource, asked, found, cure }) => ({
          ...{ resource, field: `from outside: ${asked}`, promised: "answers", found },
          cure: cure.join("\n"),
        })),
      ...(cloudflare ? cloudflareFindings(cloudflare, await cloudflareState(cloudflare)) : []),
    ],
    all: cloudflare ? "The host and what is at Cloudflare are" : "The host is",
  };
}
