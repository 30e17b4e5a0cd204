import { existsSync } from "node:fs";
import { basename, isAbsolute, join, relative, resolve } from "node:path";
import { HOSTNAME } from "../../components/settings/fields.ts";
import { platform } from "../../components/settings/platform.ts";
import { ask } from "../report/prompt.ts";

/** What init is told, by flags or by a person. */
export interface InitOptions {
  from?: string;
  name?: string;
  service?: string;
  dockerfile?: string;
  image?: string;
  port?: string;
  healthPath?: string;
  domain?: string;
  workflows?: boolean;
}

export interface Program extends InitOptions {
  name: string;
  service: string;
  port: string;
  healthPath: string;
  domain: string;
}

/** A name from a folder's, or from an image's repository, as far as one can be made of it. */
export function suggestedName(from: string): string {
  const name = basename(from.replace(/[:@].*/, "")).toLowerCase();
  return name.replace(/[^a-z0-9-]+/g, "-").replace(/^[^a-z]+|-+$/g, "");
}

/** Asks a person for what was not given. Where nobody is, what has no default stays empty: a problem like the others. */
export async function answered(given: InitOptions, projectName: string): Promise<Program> {
  const asked = async (value: string | undefined, question: string, fallback: string) => {
    if (value !== undefined) return value;
    if (!process.stdin.isTTY) return fallback;
    return (await ask(`${question}${fallback === "" ? "" : ` [${fallback}]`}: `, "")) || fallback;
  };
  const source = { ...given };
  if (source.dockerfile === undefined && source.image === undefined) {
    const said = await asked(undefined, "A folder with a Dockerfile, or an image as name:tag@sha256:…", "");
    if (said.includes("@") || (/[^.]:/.test(said) && !existsSync(said))) source.image = said;
    else if (said !== "") source.dockerfile = said;
  }
  return {
    ...source,
    name: await asked(given.name, "The project's name", projectName),
    service: given.service ?? serviceName(source),
    port: await asked(given.port, "The port in the container that speaks HTTP", ""),
    healthPath: await asked(given.healthPath, "A path that answers 2xx when the service can serve", "/"),
    domain: given.domain ?? "localhost",
  };
}

function serviceName({ dockerfile, image }: InitOptions): string {
  return suggestedName(image ?? (dockerfile === undefined ? "" : resolve(dockerfile))) || "app";
}

/** Everything that is wrong, each as `what: what is wrong: how to fix it`. */
export function problemsOf(options: Program, directory: string): string[] {
  const { name, service, dockerfile, image, port, healthPath, domain } = options;
  const problems = folderProblems(name, directory, WRITTEN);
  if (!/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/.test(service))
    problems.push(
      `--service: ${JSON.stringify(service)} is no name of a service: give up to 40 small letters, digits and hyphens`,
    );
  else if (RESERVED.includes(service))
    problems.push(`--service: ${service} is a name that the platform has: give another, like ${service}-app`);
  if (dockerfile === undefined && image === undefined)
    problems.push("--dockerfile: missing: give the folder of a Dockerfile, or an image by --image name:tag@sha256:…");
  if (dockerfile !== undefined) problems.push(...dockerfileProblems(dockerfile, directory));
  if (image !== undefined && !DIGEST_REFERENCE.test(image))
    problems.push(
      `--image: ${image} is not pinned: give name:tag@sha256:<64 hex digits>; \`docker buildx imagetools inspect\` shows the digest`,
    );
  if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > 65535)
    problems.push(
      port === ""
        ? "--port: missing: give the port in the container that speaks HTTP"
        : `--port: ${port} is no port: give a number from 1 to 65535`,
    );
  if (!/^\/[\w.~!$&'()*+,;=:@%/-]*$/.test(healthPath))
    problems.push(`--health-path: ${healthPath} is no path: give one like /health`);
  if (!HOSTNAME.test(domain))
    problems.push(`--domain: ${domain} is no domain name: give one like app.example.com, or localhost`);
  return problems;
}

/**
 * What is wrong with the folder, or with the project's name.
 *
 * @param written files that may not be there.
 */
export function folderProblems(name: string, directory: string, written: readonly string[]): string[] {
  const problems: string[] = [];
  const found = written.filter((file) => existsSync(join(directory, file)));
  if (found.length > 0)
    problems.push(`${directory}: has a program already (${found.join(", ")}): begin in an empty folder`);
  // Pulumi's own rule, and Docker's for how the name of a container begins.
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(name))
    problems.push(
      `--name: ${JSON.stringify(name)} is no name of a project: give up to 100 letters, digits, dots, hyphens and underscores`,
    );
  return problems;
}

/** Files that make a folder one of a program. A package.json may be there: `npm install bulkhead` writes one. */
const WRITTEN = ["Pulumi.yaml", "Pulumi.local.yaml", "index.ts", "settings.ts", "program.test.ts"];

/** Names of what every program has beside its services. */
const RESERVED = [...Object.keys(platform), "images", "door", "edge", "host", "networks", "routes"];

const DIGEST_REFERENCE = /^[a-z0-9][a-z0-9._\-/:]*:[\w][\w.-]{0,127}@sha256:[0-9a-f]{64}$/;

function dockerfileProblems(folder: string, directory: string): string[] {
  const from = relative(directory, resolve(directory, folder));
  // All of the folder goes to Docker, and so would the keys and the state in .bulkhead.
  if (from === "" || isAbsolute(from) || /^\.\.([\\/]\.\.)*$/.test(from))
    return [`--dockerfile: ${folder} holds the program itself: put the service into a folder of its own, like ./app`];
  if (!existsSync(join(directory, folder, "Dockerfile")))
    return [`--dockerfile: ${join(folder, "Dockerfile")} is not there: give the folder of a Dockerfile`];
  return [];
}
