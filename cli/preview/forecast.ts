// What a preview means for those who use the stack: its services, its data, its secrets, its names.
import { exceptionsOf, type Exception } from "../../policy/exceptions.ts";
import { certificateLines, cloudflareLines } from "./cloudflare.ts";
import { dataAtRisk, type DataAtRisk } from "./data.ts";
import type { Change, Finding, Preview } from "./engine-events.ts";
import { nameLines } from "./names.ts";
import { weakenedRoutes } from "./route-guards.ts";
import { changedFiles, secretsOf, type ChangedSecret } from "./secrets.ts";
import { containersOf, limitsOf, servicesAmong, servicesOf, type Limits, type ServiceForecast } from "./services.ts";

export interface Forecast {
  services: readonly ServiceForecast[];
  dataAtRisk: readonly DataAtRisk[];
  /** Values that change, and who gets them. */
  secrets: readonly ChangedSecret[];
  /** Names, settings and tokens at Cloudflare, a line each. */
  cloudflare: readonly string[];
  /** A line each. */
  certificates: readonly string[];
  /** Names of the edge beside the main one, a line each. */
  names: readonly string[];
  /** Routes that more people get through than before, a line each. */
  weakenedRoutes: readonly string[];
  limits: Limits;
  /** What the policies have to say. */
  findings: readonly Finding[];
  /** Weakenings that were not there before. */
  newExceptions: readonly { resource: string; exception: Exception }[];
  /** Every resource that changes, and those that stay. */
  changes: readonly Change[];
  warnings: readonly string[];
  /** Why there is no whole preview. */
  errors: readonly string[];
}

export function forecastOf({ changes, ...told }: Preview): Forecast {
  // Components are no things of their own.
  const things = changes
    .filter(({ type }) => !type.startsWith("bulkhead:") && !type.startsWith("pulumi:"))
    // Pulumi has them in another order each time.
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const services = servicesAmong(containersOf(things));
  const files = changedFiles(things);
  return {
    services: servicesOf(things, files),
    dataAtRisk: dataAtRisk(things, services),
    secrets: secretsOf(things, services, files),
    cloudflare: cloudflareLines(things),
    certificates: certificateLines(services, files),
    names: nameLines(containersOf(things)),
    weakenedRoutes: weakenedRoutes(containersOf(things)),
    limits: limitsOf(services),
    newExceptions: newExceptions(things),
    changes: things,
    ...told,
  };
}

function newExceptions(changes: readonly Change[]) {
  const said = ({ type, name, urn }: Change, props: Change["before"] = {}) =>
    exceptionsOf({ type, name, urn, props, opts: { protect: false } });
  return changes.flatMap((change) => {
    const before = new Set(said(change, change.before).map((exception) => JSON.stringify(exception)));
    // Those of a new container come with it: its posture is in its code.
    if (change.before === undefined) return [];
    return said(change, change.after)
      .filter((exception) => !before.has(JSON.stringify(exception)))
      .map((exception) => ({ resource: change.name, exception }));
  });
}
