import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";

export interface BuildSecret {
  /** A line of a Dockerfile gets it with `RUN --mount=type=secret,id=ID`, in /run/secrets/ID. */
  id: string;
  /** The file that holds it. */
  src: string;
}

/**
 * How this machine reaches package indexes, for builds: pip's and npm's settings, the authorities that it trusts, its
 * proxies. As secrets, which are there for a line of a Dockerfile and then gone, and not as arguments, which stay.
 *
 * - `build.env`: variables, for a shell to read; they name the other files where those are there.
 * - `ca.pem`, `pip.conf`, `npmrc`: the machine's own files.
 */
export function buildSecrets(): BuildSecret[] {
  const { env } = process;
  const pip = firstFile(
    env["PIP_CONFIG_FILE"],
    join(env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "pip/pip.conf"),
    join(homedir(), ".pip/pip.conf"),
    "/etc/pip.conf",
  );
  const npm = firstFile(env["npm_config_userconfig"], env["NPM_CONFIG_USERCONFIG"], join(homedir(), ".npmrc"));
  const ca = firstFile(
    ...["PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"].map((name) => env[name]),
    setting(pip, "cert"),
    setting(npm, "cafile"),
  );
  const secrets = Object.entries({ "ca.pem": ca, "pip.conf": pip, npmrc: npm }).flatMap(([id, src]) =>
    src === undefined ? [] : [{ id, src }],
  );
  // npm fills these into its settings.
  const namedByNpm = npm ? [...readFileSync(npm, "utf8").matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name!) : [];
  const variables = {
    ...Object.fromEntries([...VARIABLES, ...namedByNpm].map((name) => [name, env[name]])),
    ...(ca && Object.fromEntries(CA_VARIABLES.map((name) => [name, "/run/secrets/ca.pem"]))),
    ...(pip && { PIP_CONFIG_FILE: "/run/secrets/pip.conf" }),
    ...(npm && { npm_config_userconfig: "/run/secrets/npmrc" }),
  };
  const lines = Object.entries(variables).flatMap(([name, value]) =>
    value ? [`${name}='${value.replaceAll("'", `'\\''`)}'\n`] : [],
  );
  return lines.length > 0
    ? [{ id: "build.env", src: temporaryFile("build.env", lines.join("")) }, ...secrets]
    : secrets;
}

/**
 * A program's own secrets for one build, each in a file.
 *
 * @throws Error with every id that no line of a Dockerfile can name, or that `buildSecrets` gives.
 */
export function secretFiles(
  name: string,
  secrets: Readonly<Record<string, pulumi.Input<string>>>,
): pulumi.Output<BuildSecret[]> {
  const problems = Object.keys(secrets).flatMap((id) => {
    if (OWN_IDS.includes(id)) return [`${name}: secrets: ${id} is given by Bulkhead to every build: give another id`];
    return /^[A-Za-z0-9][\w.-]{0,99}$/.test(id)
      ? []
      : [`${name}: secrets: ${id} is no id of a secret: give letters, digits, "-", "_" and "."`];
  });
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const files = Object.entries(secrets).map(([id, value]) =>
    pulumi.output(value).apply((content) => {
      if (Buffer.byteLength(content) > MOST_BYTES)
        throw new Error(`${name}: secrets: ${id} is larger than 500 KiB, and BuildKit takes no larger one: give less`);
      return { id, src: temporaryFile(`${name}-${id}`, content) };
    }),
  );
  // Where the files are is none.
  return pulumi.unsecret(pulumi.all(files));
}

const OWN_IDS = ["build.env", "ca.pem", "pip.conf", "npmrc"];

const VARIABLES = [
  ...["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_PROXY"],
  ...["npm_config_registry", "NPM_CONFIG_REGISTRY", "npm_config_proxy", "npm_config_https_proxy"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"],
];

/** By which pip, Node, npm, curl and what is built on OpenSSL take another set of authorities. */
const CA_VARIABLES = [
  ...["PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "npm_config_cafile", "SSL_CERT_FILE", "CURL_CA_BUNDLE"],
];

/** BuildKit takes no larger secret. */
const MOST_BYTES = 500 * 1024;

function firstFile(...paths: (string | undefined)[]): string | undefined {
  return paths.find((path) => {
    const found = path ? statSync(path, { throwIfNoEntry: false }) : undefined;
    return found?.isFile() && found.size <= MOST_BYTES;
  });
}

/** `key = value`, as pip and npm both write it. */
function setting(file: string | undefined, key: string): string | undefined {
  return file && new RegExp(`^\\s*${key}\\s*=\\s*(.+?)\\s*$`, "m").exec(readFileSync(file, "utf8"))?.[1];
}

/** A file that only this user may read, and that is gone when this program is. */
export function temporaryFile(name: string, content: string): string {
  if (directory === undefined) {
    const made = mkdtempSync(join(tmpdir(), "bulkhead-build-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    directory = made;
  }
  const file = join(directory, name);
  // A build may be reading it.
  if (written.get(file) !== content) writeFileSync(file, content, { mode: 0o600 });
  written.set(file, content);
  return file;
}

let directory: string | undefined;
const written = new Map<string, string>();
