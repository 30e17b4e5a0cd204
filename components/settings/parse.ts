import { RunError } from "@pulumi/pulumi/errors.js";
import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";
import { acmeCertificate, filesCertificate } from "./certificates.ts";
import { SHOWN_VALUE } from "./fields.ts";
import { platform, PLATFORM_SECRETS, RENAMED, type Platform, type PlatformKey } from "./platform.ts";

/** Pulumi shows a RunError as its message alone, with no trace of where in this file it was found. */
export class ConfigError extends RunError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the stack's configuration has ${problems.length === 1 ? "a problem" : `${problems.length} problems`}:\n${problems.map((line) => `  ${line}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

/**
 * Some of the platform's keys of a stack file as it is written, for what has to know them before the program runs.
 *
 * @param shape that of the program's settings, which say what TCP ports there are; for `edge`.
 * @throws ConfigError with every problem of these keys.
 */
export function parseStackFile<Key extends PlatformKey>(
  project: string,
  config: Record<string, unknown>,
  keys: readonly Key[],
  shape: Readonly<Record<string, z.ZodType>> = platform,
): Pick<Platform, Key> {
  const problems: string[] = [];
  const wanted = Object.fromEntries(keys.map((key) => [key, shape[key] ?? platform[key]]));
  const given = new Map(
    keys.map((key) => {
      const value = config[`${project}:${key}`];
      // As `pulumi config set` writes all that is no object.
      return [key, typeof value === "string" ? asGiven(wanted[key]!, value) : value];
    }),
  );
  const isSecret = (key: string) => (PLATFORM_SECRETS as readonly string[]).includes(key);
  const read = parseKeys(wanted, given, { project, isSecret }, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return read as Pick<Platform, Key>;
}

/** Key by key, so that a fault in one does not hide those of another, nor what two of them say together. */
export function parseKeys(
  shape: Readonly<Record<string, z.ZodType>>,
  given: ReadonlyMap<string, unknown>,
  { project, isSecret }: { project: string; isSecret: (key: string) => boolean },
  problems: string[],
): Record<string, unknown> {
  const read: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(shape)) {
    const result = schema.safeParse(given.get(key));
    if (result.success) read[key] = result.data;
    else
      for (const issue of result.error.issues)
        problems.push(...describe(`${project}:${key}`, issue, given.get(key), isSecret(key), schema));
  }
  return read;
}

/** A value as Pulumi hands it over: text, or JSON of what is no text. */
export function asGiven(schema: z.ZodType, value: string): unknown {
  const inner = schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
  return inner instanceof z.ZodString ? value : parsedJson(value);
}

/** Text that is no JSON is left as it is: the schema then says what it should have been. */
function parsedJson(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

/** A zod issue as lines `path: what is wrong: how to cure it`. */
function describe(key: string, issue: z.core.$ZodIssue, value: unknown, secret: boolean, schema: z.ZodType): string[] {
  const path = [key, ...issue.path].join(".");
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, issue.path, value);
    return issue.keys.map((unknown) => {
      const renamed = RENAMED[[...path.split(":").slice(1), unknown].join(".")];
      return renamed === undefined ? unknownKey(`${path}.`, unknown, known) : `${path}.${unknown}: ${renamed}`;
    });
  }
  // Of what is an object, the faults of the option that is one.
  if (issue.code === "invalid_union") {
    const inner = issue.errors.find((issues) => issues.every((each) => each.path.length > 0));
    if (inner !== undefined)
      return inner.flatMap((each) => {
        const within = { ...each, path: [...issue.path, ...each.path] } as z.core.$ZodIssue;
        return describe(key, within, value, secret, schema);
      });
  }
  const at = issue.path.reduce<unknown>((inner, step) => (inner as Record<PropertyKey, unknown>)?.[step], value);
  return [`${path}: ${issue.message.replace(SHOWN_VALUE, () => (secret ? "the secret" : JSON.stringify(at)))}`];
}

/** With the nearest known key, unless none is near. */
export function unknownKey(at: string, key: string, known: string[]): string {
  const nearest = nearestTo(key, known);
  return `${at}${key}: unknown key: ${nearest === undefined ? `give one of ${known.join(", ")}` : `did you mean ${at}${nearest}?`}`;
}

/** What somebody may have meant. Undefined if none is near. */
export function nearestTo(typed: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const [lower, spelled] = [typed.toLowerCase(), known.map((name) => name.toLowerCase())];
  const nearest = known[spelled.indexOf(closest(lower, spelled))]!;
  return distance(lower, nearest.toLowerCase()) <= typed.length / 2 ? nearest : undefined;
}

/** The keys that an object in a stack file may have, at a path in the value of a key. */
function keysAt(schema: z.ZodType, path: PropertyKey[], value: unknown): string[] {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return keysAt(schema.unwrap() as z.ZodType, path, value);
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const kind = (value as { kind?: unknown }).kind;
    return keysAt(kind === "acme" ? acmeCertificate : filesCertificate, path, value);
  }
  if (schema instanceof z.ZodUnion) {
    const inner = (schema.options as z.ZodType[]).find((option) => option instanceof z.ZodObject);
    return inner ? keysAt(inner, path, value) : [];
  }
  if (schema instanceof z.ZodArray)
    return keysAt(schema.element as z.ZodType, path.slice(1), (value as unknown[])[path[0] as number]);
  if (!(schema instanceof z.ZodObject)) return [];
  const [step, ...rest] = path as string[];
  if (step === undefined) return Object.keys(schema.shape);
  return keysAt(schema.shape[step] as z.ZodType, rest, (value as Record<string, unknown>)[step]);
}
