import { isDeepStrictEqual } from "node:util";
import type { Finding } from "../audit/finding.ts";
import { cell, markdownTable } from "./markdown.ts";

/** What a refresh would change of one resource in the state. */
export interface Refreshed {
  name: string;
  /** `docker:index/container:Container`. */
  type: string;
  /** Its properties, and never their values; none: it is gone. */
  properties: readonly string[];
}

/** What `pulumi refresh --preview-only --json` says. */
export function refreshChanges(json: string): Refreshed[] {
  interface State {
    outputs?: Record<string, unknown>;
  }
  const { steps } = JSON.parse(json) as { steps: { urn: string; oldState?: State; newState?: State }[] };
  return steps.flatMap(({ urn, oldState, newState }) => {
    const [, , types, name] = urn.split("::") as [string, string, string, string];
    const type = types.slice(types.lastIndexOf("$") + 1);
    if (newState === undefined) return [{ name, type, properties: [] }];
    const [before, after] = [oldState?.outputs ?? {}, newState.outputs ?? {}];
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    const differ = (key: string) => !isDeepStrictEqual(given(before[key]), given(after[key]));
    // Those are the bridge's own.
    const properties = keys.filter((key) => !key.startsWith("__") && differ(key));
    return properties.length > 0 ? [{ name, type, properties }] : [];
  });
}

/** A host that is asked says of an empty list what a program has left out. */
function given(value: unknown): unknown {
  return value === null || (Array.isArray(value) && value.length === 0) ? undefined : value;
}

/** All of it in Markdown; undefined if there is nothing to be told. */
export function driftReport(
  stack: string,
  found: readonly Finding[],
  refreshed: readonly Refreshed[],
): string | undefined {
  // What is on the host the audit judges better: it knows which containers have ended, and are not missed.
  const elsewhere = refreshed.filter(({ type }) => !type.startsWith("docker:"));
  if (found.length === 0 && elsewhere.length === 0) return undefined;
  return [
    ...(found.length === 0
      ? []
      : [
          `\`bulkhead audit --stack ${stack}\` finds:`,
          markdownTable(
            ["resource", "field", "promised", "found"],
            found.map(({ resource, field, promised, found }) => [resource, field, promised, found].map(cell)),
          ),
          [...new Set(found.map(({ cure }) => cure))].map((cure) => `- ${cure}`).join("\n"),
        ]),
    ...(refreshed.length === 0
      ? []
      : [
          `\`pulumi refresh --stack ${stack}\` would change in the state:`,
          markdownTable(
            ["resource", "properties"],
            refreshed.map(({ name, properties }) => [name, properties.join(", ") || "gone"].map(cell)),
          ),
          "- Put back by hand what nobody meant to change; or `pulumi refresh`, and `bulkhead up` brings back what the program says.",
        ]),
  ].join("\n\n");
}
