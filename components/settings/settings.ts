import { readFileSync } from "node:fs";
import { secret, type Output } from "@pulumi/pulumi/output.js";
import { allConfig } from "@pulumi/pulumi/runtime/config.js";
import { getProject } from "@pulumi/pulumi/runtime/settings.js";
import type { z } from "zod";
import { images as platformImages } from "../images.ts";
import type { Domain } from "../edge/hosts.ts";
import { readFiles, type Certificates } from "./certificates.ts";
import { contradictions, type Given } from "./cross-checks.ts";
import { imageReference, object, text } from "./fields.ts";
import { asGiven, ConfigError, parseKeys, unknownKey } from "./parse.ts";
import { edgeField, platform, PLATFORM_SECRETS, type Platform, type TcpPorts } from "./platform.ts";

/** What a program's stack files say beyond what every program's do. */
export interface ProgramSettings<
  Keys extends Record<string, z.ZodType>,
  Image extends string,
  Built extends string,
  Secret extends string,
> {
  /** One zod schema a key, of the fields in fields.ts or of your own: `{ web: serviceSettings({ … }) }`. @default {} */
  keys?: Keys;
  /** Images that the program takes, by tag and digest. A stack file can take others: `images.<key>`. @default {} */
  images?: Readonly<Record<Image, string>>;
  /** Images that the program builds unless the stack file names one: `images.<key>`. @default [] */
  builtImages?: readonly Built[];
  /** Secrets that a person has to give, with what each one is. One that is missing is named with the command. @default {} */
  secrets?: Readonly<Record<Secret, SecretSetting>>;
  /**
   * TCP ports of the edge: name (small letters, digits, hyphens) to the host's port. A stack file can say another:
   * `edge.tcp.<name>`. One service takes each, by `tcp` in its arguments. @default {}
   */
  tcp?: TcpPorts;
}

export interface SecretSetting {
  /** What it is, for the docs page and editors: "The API key of the mail provider." */
  description: string;
  /** Whether a stack may do without. @default false */
  optional?: boolean;
}

/** The settings of a program: the platform's keys and its own, read and checked in one place. */
export interface Settings<Config> {
  /** The schema of each key: what editors and the docs page are made of. */
  readonly shape: Readonly<Record<string, z.ZodType>>;
  /** Keys whose values are never shown, even where one stands in clear by mistake. */
  readonly secretKeys: readonly string[];
  /** All images that are not built, as they are without a stack file. */
  readonly images: Readonly<Record<string, string>>;
  /** The TCP ports that the program declares, as they are without a stack file. */
  readonly tcp: TcpPorts;
  /**
   * Everything in Pulumi.<stack>.yaml, before anything is touched.
   *
   * @throws ConfigError with every problem of the stack file, one a line: `path: what is wrong: how to fix it`.
   */
  load: () => Config;
  /** The same of values as Pulumi hands them over (text, objects as JSON), from a source of your own. */
  parse: (raw: Readonly<Record<string, string>>, source: Source) => Config;
}

/** Configuration as a program uses it: every default filled in, every file read. */
export type Config<
  Keys extends Record<string, z.ZodType> = Record<never, z.ZodType>,
  Image extends string = never,
  Built extends string = never,
  Secret extends string = never,
> = Omit<Platform, "certificates" | "domains"> & {
  certificates: Certificates;
  domains?: (Domain & { zone?: string })[];
  images: Record<keyof typeof platformImages | Image, string> & Partial<Record<Built, string>>;
} & { [Key in keyof Keys]: z.output<Keys[Key]> } & Record<Secret, Output<string>>;

export interface Source {
  project: string;
  /** Full keys whose values are secret, as Pulumi gives them. */
  secretKeys: readonly string[];
  readFile: (path: string) => string;
}

/** The platform's settings and those of a program: `export const settings = defineSettings({ … })` in its settings.ts. */
export function defineSettings<
  Keys extends Record<string, z.ZodType> = Record<never, z.ZodType>,
  Image extends string = never,
  Built extends string = never,
  Secret extends string = never,
>(own: ProgramSettings<Keys, Image, Built, Secret> = {}): Settings<Config<Keys, Image, Built, Secret>> {
  const { keys, images: ownImages, builtImages = [], secrets = {} as Record<Secret, SecretSetting>, tcp = {} } = own;
  refuseCollisions(own);
  const images: Record<string, string> = { ...platformImages, ...ownImages };
  const shape: Record<string, z.ZodType> = {
    ...platform,
    edge: edgeField(tcp),
    images: imagesField(Object.keys(images), builtImages),
    ...keys,
    ...Object.fromEntries(
      Object.entries<SecretSetting>(secrets).map(([key, secret]) => [key, secretField(key, secret)]),
    ),
  };
  const ownSecrets = Object.keys(secrets);
  const secretKeys = [...PLATFORM_SECRETS, ...ownSecrets];

  const parse = (raw: Readonly<Record<string, string>>, source: Source) => {
    const problems: string[] = [];
    const prefix = `${source.project}:`;
    const given = new Map<string, unknown>();
    for (const [full, value] of Object.entries(raw)) {
      if (!full.startsWith(prefix)) continue;
      const key = full.slice(prefix.length);
      if (shape[key] !== undefined) given.set(key, asGiven(shape[key], value));
      else problems.push(unknownKey(prefix, key, Object.keys(shape)));
    }
    const inClear = (key: string) => !source.secretKeys.includes(`${prefix}${key}`);
    const isSecret = (key: string) => secretKeys.includes(key) || !inClear(key);
    const known: Given = {
      has: (key) => given.has(key),
      get: (key) => given.get(key),
      inClear,
      isSecret,
    };

    const read = parseKeys(shape, given, { project: source.project, isSecret }, problems);
    const { certificates, domainCertificates, problems: unreadable } = readFiles(read, source.readFile, isSecret);
    const shown = ownSecrets.filter((key) => read[key] !== undefined && inClear(key));
    const together = contradictions(read, known);
    problems.push(...[...together, ...shown.map(standsInClear), ...unreadable].map((problem) => prefix + problem));
    if (problems.length > 0) throw new ConfigError(problems);

    const instead = (read["images"] ?? {}) as Record<string, string | undefined>;
    const secretValues = ownSecrets.flatMap((key) =>
      read[key] === undefined ? [] : [[key, secret(read[key] as string)]],
    );
    const domains = (read as Partial<Platform>).domains?.map((own) => ({
      ...own,
      certificate: domainCertificates[own.name],
      privateKey: undefined,
    }));
    return {
      ...read,
      ...(domains && { domains }),
      ...Object.fromEntries(secretValues),
      certificates: certificates!,
      images: { ...images, ...Object.fromEntries(Object.entries(instead).filter(([, image]) => image !== undefined)) },
    } as unknown as Config<Keys, Image, Built, Secret>;
  };

  return {
    shape,
    secretKeys,
    images,
    tcp,
    parse,
    load: () => {
      // A language host may say null for none.
      const secretKeys = JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "null") as string[] | null;
      return parse(allConfig(), {
        project: getProject(),
        secretKeys: secretKeys ?? [],
        readFile: (path) => readFileSync(path, "utf8"),
      });
    },
  };
}

/** A mistake of the program, and not of a stack file: it is said when the program is loaded. */
function refuseCollisions(own: ProgramSettings<Record<string, z.ZodType>, string, string, string>): void {
  const { keys = {}, images = {}, builtImages = [], secrets = {}, tcp = {} } = own;
  const another = "give it another name";
  const oneAnother = "give one of them another name";
  const problems = [
    ...[...Object.keys(keys), ...Object.keys(secrets)]
      .filter((key) => key in platform || key === "images")
      .map((key) => `${key}: is a key of the platform: ${another}`),
    ...Object.keys(secrets)
      .filter((key) => key in keys)
      .map((key) => `${key}: is a secret and a key: ${oneAnother}`),
    ...[...Object.keys(images), ...builtImages]
      .filter((key) => key in platformImages)
      .map((key) => `images.${key}: is an image of the platform: ${another}, or say it in a stack file`),
    ...builtImages.filter((key) => key in images).map((key) => `images.${key}: is both taken and built: ${oneAnother}`),
    ...Object.entries(images)
      .filter(([, reference]) => !imageReference().safeParse(reference).success)
      .map(
        ([key, image]) => `images.${key}: ${JSON.stringify(image)} is not pinned: give name:tag@sha256:<64 hex digits>`,
      ),
    ...Object.keys(tcp)
      .filter((name) => !TCP_NAME.test(name))
      .map((name) => `tcp.${name}: is not a name for a port: give small letters, digits and hyphens, like clients`),
    ...Object.entries(tcp)
      .filter(([, port]) => !Number.isInteger(port) || port < 1 || port > 65535)
      .map(([name, port]) => `tcp.${name}: ${port} is not a port: give a whole number from 1 to 65535`),
  ];
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/** It is part of names in Traefik's and HAProxy's settings. */
const TCP_NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

function imagesField(images: readonly string[], built: readonly string[]) {
  const fields = {
    ...Object.fromEntries(images.map((key) => [key, imageReference()])),
    ...Object.fromEntries(built.map((key) => [key, imageReference(true)])),
  };
  const instead = built.length > 0 ? ` ${built.join(" and ")}: instead of building.` : "";
  return object(fields)
    .prefault({})
    .describe(`Images that this stack takes instead of those of the program.${instead}`);
}

function secretField(key: string, { description, optional = false }: SecretSetting) {
  const set = setCommand(key);
  const field = text(/./, "is empty", set);
  return (optional ? field.optional() : field).describe(`Secret. ${description}`);
}

function setCommand(key: string): string {
  return `set it with \`pulumi config set --secret ${key}\``;
}

function standsInClear(key: string): string {
  return `${key}: stands in clear in the stack file: make a new one, and ${setCommand(key)}`;
}
