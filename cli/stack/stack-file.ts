import { isDeepStrictEqual } from "node:util";
import { isMap, parseDocument, type Document, type Scalar, type YAMLMap } from "yaml";
import type { z } from "zod";
import type { Settings } from "../../components/settings/settings.ts";
import { ConfigError, parseKeys } from "../../components/settings/parse.ts";
import { holdsSecret } from "./stack.ts";
import { configKey, projectName } from "./program.ts";
import { deleteKey, setKey } from "./yaml-keys.ts";

/** What a new stack has that the one it is made from has not. */
export interface Differences {
  name: string;
  /** `local`, or ssh://user@address[:port]. */
  host: string;
  domain: string;
  /** The address on which the new host is reached from outside. @default as in the other stack, if the host is the same */
  address?: string;
}

export interface NewStack {
  /** The stack file: the other one's with its comments, and what differs. */
  text: string;
  /** `key: before -> after`, one for each that differs. */
  differences: readonly string[];
  /** Keys of secrets, which the new stack has to be given by itself. */
  secrets: readonly string[];
}

/**
 * The file of a stack like another one. Names that are made of the other's domain or of its own name are made of the new
 * ones: the name for TCP, the bucket. Secrets are not taken over: they are another stack's, and unreadable here.
 *
 * @throws Error with every problem: of what was asked for, and of the file that comes of it.
 */
export function copyStackFile(
  text: string,
  from: string,
  wanted: Differences,
  settings: Pick<Settings<object>, "shape" | "secretKeys">,
): NewStack {
  const document = parseDocument(text);
  const before = configOf(document);
  const [oldHost, oldDomain] = [String(before[configKey("host")]), String(before[configKey("domain")])];
  const problems: string[] = [];
  if (wanted.domain === oldDomain)
    problems.push(`DOMAIN: ${wanted.domain} is that of ${from} too: two stacks cannot serve the same name`);
  const { address: oldAddress } = (before[configKey("edge")] ?? {}) as { address?: string };
  const bound = oldAddress !== undefined && !ANY.includes(oldAddress);
  const { addresses } = (before[configKey("cloudflare")] ?? {}) as { addresses?: string[] };
  if (wanted.host !== oldHost && wanted.address === undefined && (bound || addresses !== undefined))
    problems.push("ADDRESS: missing, and the host is another: give the address on which it is reached from outside");
  if (problems.length > 0) throw new Error(problems.join("\n"));

  forgetKeyOfSecrets(document);
  for (const [key, value] of Object.entries(before)) if (holdsSecret(value)) deleteKey(document, ["config", key]);
  // A plain value in its place keeps the comment beside it.
  const set = (path: string[], value: unknown) => {
    if (document.hasIn(["config", ...path])) setKey(document, ["config", ...path], value);
  };
  set([configKey("host")], wanted.host);
  set([configKey("domain")], wanted.domain);
  if (wanted.address !== undefined && bound) set([configKey("edge"), "address"], wanted.address);
  if (wanted.address !== undefined) set([configKey("cloudflare"), "addresses"], [wanted.address]);
  const { directHost, files } = (before[configKey("cloudflare")] ?? {}) as {
    directHost?: string;
    files?: { bucket?: string };
  };
  if (directHost !== undefined)
    set(
      [configKey("cloudflare"), "directHost"],
      below(directHost, oldDomain, wanted.domain) ?? `direct.${wanted.domain}`,
    );
  // A bucket's data is never shared: two stacks would expire and delete each other's.
  if (files?.bucket !== undefined)
    set([configKey("cloudflare"), "files", "bucket"], renamed(files.bucket, from, wanted.name));

  const after = configOf(document);
  // What is wrong with it is said now and not at the first `bulkhead up`.
  refuseWhatIsWrong(after, settings);
  return { text: String(document), differences: differencesOf(before, after), secrets: secretsOf(before) };
}

/** The stack file with other images for some services; by digest, or they could not be had elsewhere. */
export function setImages(text: string, images: Record<string, string>): string {
  const built = Object.entries(images).filter(([, image]) => !/@sha256:[0-9a-f]{64}$/.test(image));
  if (built.length > 0)
    throw new Error(
      `${built.map(([service]) => service).join(" and ")}: built on the host, and on no other: push the image to a registry, ` +
        "name it by its digest in images of the first stack, and `bulkhead up` that",
    );
  const document = parseDocument(text);
  for (const [service, image] of Object.entries(images))
    setKey(document, ["config", configKey("images"), service], image);
  return String(document);
}

/** What opens the other stack's secrets. A comment above it is the file's. */
function forgetKeyOfSecrets(document: Document): void {
  if (!isMap(document.contents)) return;
  const { items } = document.contents as YAMLMap<Scalar>;
  const comment = items[0]?.key.commentBefore;
  for (const key of ["encryptionsalt", "secretsprovider", "encryptedkey"]) document.delete(key);
  if (comment && items[0]) items[0].key.commentBefore = comment;
}

/** Addresses that say: all of them. */
const ANY = ["0.0.0.0", "::"];

function configOf(document: Document): Record<string, unknown> {
  return ((document.toJS() as { config?: Record<string, unknown> } | null) ?? {}).config ?? {};
}

/** Those that are in the file, and those that it cannot do without. */
function secretsOf(config: Record<string, unknown>): string[] {
  const given = Object.entries(config).flatMap(([key, value]) => (holdsSecret(value) ? [key] : []));
  const { kind } = (config[configKey("certificates")] ?? {}) as { kind?: string };
  if (configKey("cloudflare") in config) given.push(configKey("cloudflareApiToken"));
  else if (kind === "acme") given.push(configKey("dnsApiToken"));
  return [...new Set(given)];
}

/** What can be checked without a secret. */
function refuseWhatIsWrong(
  config: Record<string, unknown>,
  { shape, secretKeys }: Pick<Settings<object>, "shape" | "secretKeys">,
): void {
  const isPlain = ([key, schema]: [string, z.ZodType]) =>
    configKey(key) in config || (!schema.safeParse(undefined).success && !secretKeys.includes(key));
  const plain = Object.fromEntries(Object.entries(shape).filter(isPlain));
  const given = new Map(Object.keys(plain).map((key) => [key, config[configKey(key)]]));
  const problems: string[] = [];
  parseKeys(plain, given, { project: projectName(), isSecret: () => false }, problems);
  if (problems.length > 0) throw new ConfigError(problems);
}

/** `tunnels.old.example.com` as `tunnels.new.example.com`. */
function below(name: string, oldDomain: string, newDomain: string): string | undefined {
  return name.endsWith(`.${oldDomain}`) ? name.slice(0, -oldDomain.length) + newDomain : undefined;
}

function renamed(name: string, from: string, to: string): string {
  return name.includes(from) ? name.replace(from, to) : `${name}-${to}`;
}

function differencesOf(before: Record<string, unknown>, after: Record<string, unknown>, at = ""): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const [was, is] = [before[key], after[key]];
    if (isDeepStrictEqual(was, is) || holdsSecret(was)) return [];
    if (isObject(was) && isObject(is)) return differencesOf(was, is, `${at}${key}.`);
    return [`${at}${key}: ${JSON.stringify(was)} -> ${JSON.stringify(is)}`];
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
