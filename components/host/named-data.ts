// What the stack file says of databases and volumes by their names. Data that are to come back by a name that the program
// does not have would begin empty, and nobody would be told.
import * as pulumi from "@pulumi/pulumi";
import { nearestTo } from "../settings/parse.ts";

const KEYS = ["restore", "upgrade", "beginsEmpty"] as const;
type Key = (typeof KEYS)[number];

/** Those that the program has asked about. */
const asked: Record<Key, Set<string>> = { restore: new Set(), upgrade: new Set(), beginsEmpty: new Set() };

/** What it says under a key of a database or a volume by this name. */
export function saidOf<Value>(key: Key, name: string): Value | undefined {
  asked[key].add(name);
  return new pulumi.Config().getObject<Record<string, Value>>(key)?.[name];
}

/**
 * At the end of a program.
 *
 * @throws Error with every name that the program has not.
 */
export function refuseUnknownData(): void {
  const config = new pulumi.Config();
  const problems = KEYS.flatMap((key) => {
    const known = [...asked[key]];
    asked[key].clear();
    const unknown = Object.keys(config.getObject<object>(key) ?? {}).filter((name) => !known.includes(name));
    return unknown.map((name) => {
      const nearest = nearestTo(name, known);
      const meant = nearest === undefined ? "" : `did you mean ${nearest}? Else `;
      return `${key}.${name}: the program has no such database or volume: ${meant}take it out of the stack file`;
    });
  });
  if (problems.length > 0) throw new pulumi.RunError(problems.join("\n"));
}
