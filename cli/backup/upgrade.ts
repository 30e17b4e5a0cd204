// What `bulkhead upgrade-database` writes into a stack file, and what it refuses.
import type { Document } from "yaml";
import { configKey } from "../stack/program.ts";
import { servedRestore } from "./restore.ts";

export interface WantedUpgrade {
  id: string;
  from: number;
  to: number;
  image: string;
  restored?: string;
  serve?: true;
}

/** The server that runs. */
export interface RunningServer {
  /** As its container was made with it. */
  image: string;
  /** Its environment. */
  env: readonly string[];
}

/**
 * The upgrade of a server that runs, as the stack file is to have it.
 *
 * @throws Error with all that stands against it.
 */
export function wantedUpgrade(
  document: Document,
  database: string,
  { image, env }: RunningServer,
  to: number,
  id: string,
): WantedUpgrade {
  const from = Number(env.find((each) => each.startsWith("PG_MAJOR="))?.slice("PG_MAJOR=".length));
  const earlier = document.getIn(["config", configKey("upgrade"), database, "serve"]);
  const problems = [
    ...(Number.isInteger(from)
      ? []
      : [`${database}: its image does not say which PostgreSQL it has (PG_MAJOR): give the official one`]),
    ...(from < to || !Number.isInteger(from)
      ? []
      : [`--to: ${database} has PostgreSQL ${from} already: give a newer version`]),
    ...(earlier === true
      ? [`${database}: was upgraded before (upgrade.${database} in the stack file), and a second one is not known yet`]
      : []),
  ];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const restored = servedRestore(document, database)?.id;
  return { id, from, to, image, ...(restored !== undefined && { restored }) };
}
