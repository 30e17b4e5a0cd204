import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";

/** Settings made of others, for programs that want a URL. */
export interface Composing {
  /**
   * Setting to its template, in which `{NAME}` stands for a setting of `env` or a secret of `secrets`, percent-encoded:
   * `DATABASE_URL: "postgresql://{DATABASE_USER}:{DATABASE_PASSWORD}@{DATABASE_HOST}/{DATABASE_NAME}"`. It becomes a secret:
   * the container gets DATABASE_URL_FILE. A pre-deploy job with secrets of its own gets those that these can make.
   * @default {}
   */
  composed?: Record<string, string>;
  /**
   * Names of `secrets` and `composed` that the program reads from its environment, and not from a file. `docker inspect`
   * shows none of them: an entry point in the container reads the files and becomes `command`, which has to be there, and be
   * whole, as it takes the place of the image's own entry point. It needs /bin/sh and `cat` in the image.
   * @default []
   */
  exportSecrets?: string[];
}

type Settings = Record<string, pulumi.Input<string>>;

interface Given extends Composing {
  env?: Settings;
  secrets?: Settings;
}

/** Each template with what stands for its names. One of whose names is in neither is left out. */
export function composedOf({ composed = {}, env = {}, secrets = {} }: Given): Record<string, pulumi.Output<string>> {
  const given: Settings = { ...env, ...secrets };
  const complete = Object.entries(composed).filter(([, template]) => namesOf(template).every((name) => name in given));
  return Object.fromEntries(
    complete.map(([setting, template]) => {
      const values = pulumi.all(Object.fromEntries(namesOf(template).map((name) => [name, given[name]!])));
      const filled = values.apply((of) => template.replace(PLACE, (_, name: string) => encoded(of[name]!)));
      return [setting, pulumi.secret(filled)];
    }),
  );
}

/** All that is wrong with the arguments. */
export function composedProblems(args: Given & { command?: unknown }): string[] {
  const { composed = {}, exportSecrets = [], env = {}, secrets = {}, command } = args;
  const known = [...Object.keys(env), ...Object.keys(secrets)];
  const among = (names: string[]) => (names.length > 0 ? `give one of ${names.join(", ")}` : "give it there");
  const ofTemplates = Object.entries(composed).flatMap(([setting, template]) => [
    ...(NAME.test(setting) ? [] : [`composed.${setting}: is no name of a setting: give one like DATABASE_URL`]),
    ...(known.includes(setting) ? [`composed.${setting}: is in env or secrets too: leave one of them out`] : []),
    ...(namesOf(template).length > 0 ? [] : [`composed.${setting}: has no {NAME} in it: give it in env`]),
    ...namesOf(template)
      .filter((name) => !known.includes(name))
      .map((name) => `composed.${setting}: {${name}} is in neither env nor secrets: ${among(known)}`),
  ]);
  const files = [...Object.keys(secrets), ...Object.keys(composed)];
  const unknown = exportSecrets.filter((name) => !files.includes(name));
  return [
    ...ofTemplates,
    ...unknown.map((name) => `exportSecrets: ${name} is in neither secrets nor composed: ${among(files)}`),
    ...exportSecrets
      .filter((name) => files.includes(name) && !NAME.test(name))
      .map((name) => `exportSecrets: ${name} is no name of a variable: give it one like DATABASE_URL`),
    ...(exportSecrets.length > 0 && command === undefined
      ? [
          "exportSecrets: needs command, as the image's own entry point does not run: give the program and its arguments, as `docker inspect` of the image has them",
        ]
      : []),
  ];
}

/** What stands before a program that reads these from its environment. */
export function exporting(names: readonly string[]): string[] {
  return names.length > 0 ? ["/bin/sh", "-c", EXPORT, "export-secrets", ...names, "--"] : [];
}

const PLACE = /\{([^{}]*)\}/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

function namesOf(template: string): string[] {
  return [...new Set([...template.matchAll(PLACE)].map(([, name]) => name!))];
}

/** For any part of a URL: what may stand in one part and not in another is encoded too. */
function encoded(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Without its comments, as it stands in every `docker inspect` of such a container. */
const EXPORT = readFileSync(join(import.meta.dirname, "export-secrets.sh"), "utf8").replace(/^\s*#.*\n/gm, "");
