import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { RunError } from "@pulumi/pulumi/errors.js";
import { allConfig } from "@pulumi/pulumi/runtime/config.js";
import { getProject } from "@pulumi/pulumi/runtime/settings.js";
import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";

/**
 * What differs between environments: everything in Pulumi.<stack>.yaml, read in one place, before anything is touched.
 *
 * @throws ConfigError with every problem of the stack file, one a line: `path: what is wrong: how to cure it`.
 */
export function loadConfig(): Config {
  // A language host may say null for none.
  const secretKeys = JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "null") as string[] | null;
  return parseConfig(allConfig(), {
    project: getProject(),
    secretKeys: secretKeys ?? [],
    readFile: (path) => readFileSync(path, "utf8"),
  });
}

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

/** Says what is wrong with a value and how to cure it; what is wrong never shows a secret (see parseConfig). */
function fault(wrong: string, cure: string): { error: (issue: { input?: unknown }) => string } {
  return { error: ({ input }) => (input === undefined ? `missing: ${cure}` : `${SHOWN_VALUE} ${wrong}: ${cure}`) };
}

/** Stands for the value in a message until it is known whether it may be shown. */
const SHOWN_VALUE = "\u0000value\u0000";

const wholeNumber = (least: number, most: number, cure: string) => {
  const message = fault(`is not a whole number from ${least} to ${most}`, cure);
  return z.int(message).min(least, message).max(most, message);
};
const text = (pattern: RegExp, wrong: string, cure: string) => {
  const message = fault(wrong, cure);
  return z.string(message).regex(pattern, message);
};
const port = (what: string) => wholeNumber(1, 65535, `give the port of the host on which ${what}`);

/** `local`, or an ssh URL with at most a user, an address and a port; nothing that ssh would take for an option. */
const DOCKER_HOST =
  /^(local|ssh:\/\/(\w[\w.-]*@)?(\w[\w.-]*|\[[0-9a-f:]+\])(:(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3}))?)$/;
const HOSTNAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DIGEST_REFERENCE = /^[a-z0-9][a-z0-9._\-/:]*:[\w][\w.-]{0,127}@sha256:[0-9a-f]{64}$/;
/** An image built on this machine because no registry could be reached; its tag is the key of its recipe. */
const STAND_IN = /^bulkhead\.local\/[a-z]+:[0-9a-f]{16}$/;

/** As a pattern and not as a function, so that editors check it too. */
const PINNED = new RegExp(`${DIGEST_REFERENCE.source}|${STAND_IN.source}`);
/** The id of an image that was built on the host: what a rollback goes back to. */
const PINNED_OR_BUILT = new RegExp(`${PINNED.source}|^sha256:[0-9a-f]{64}$`);
const image = (pattern: RegExp) =>
  z
    .string(fault("is not an image", "give name:tag@sha256:<64 hex digits>"))
    .regex(
      pattern,
      fault("is not pinned", "give name:tag@sha256:<64 hex digits>; `make pin` finds the digest of a tag"),
    )
    .describe("An image, by tag and digest.")
    .optional();

const limits = (memoryMb: number, cpus: number, pids: number) => ({
  memoryMb: wholeNumber(16, 1048576, "give the memory limit in MiB; there is no swap beyond it")
    .default(memoryMb)
    .describe(`Memory limit in MiB, with no swap beyond it. Default ${memoryMb}.`),
  cpus: z
    .number(fault("is not a number of CPUs", "give a number from 0.05 to 256"))
    .min(0.05, fault("is too little", "give a number from 0.05 to 256"))
    .max(256, fault("is too much", "give a number from 0.05 to 256"))
    .default(cpus)
    .describe(`CPU limit in cores. Default ${cpus}.`),
  pids: wholeNumber(8, 32768, "give the most processes and threads that the service may have")
    .default(pids)
    .describe(`The most processes and threads. Default ${pids}.`),
});

const anObject = (keys: string) => fault("is not an object", `give an object with ${keys}`);

const largestBody = wholeNumber(1, 1048576, "give the largest request body in MiB");

const service = (memoryMb: number, cpus: number, pids: number) =>
  z
    .strictObject(
      {
        ...limits(memoryMb, cpus, pids),
        drainSeconds: wholeNumber(0, 3600, "give the seconds that requests and streams get to end in a rollout")
          .default(30)
          .describe("Seconds that requests and streams get to end when a release is replaced. Default 30."),
        maxBodyMb: largestBody.optional().describe("The largest request body in MiB. Default: the edge's maxBodyMb."),
        responseTimeoutSeconds: wholeNumber(1, 3600, "give the seconds that the first byte of an answer may take")
          .default(60)
          .describe("Seconds that the first byte of an answer may take. Default 60."),
        healthTimeoutSeconds: wholeNumber(1, 10, "give the seconds that the health path of a new release may take")
          .default(5)
          .describe("Seconds that the health path may take when a release is tried. Default 5, at most 10."),
        reviveAfterHangs: wholeNumber(
          0,
          1000,
          "give the health checks without an answer after which it is ended, 0: never",
        )
          .optional()
          .describe("Health checks in a row without an answer after which it is started again. Default 10; 0: never."),
      },
      anObject(
        "memoryMb, cpus, pids, drainSeconds, maxBodyMb, responseTimeoutSeconds, healthTimeoutSeconds or reviveAfterHangs",
      ),
    )
    .prefault({});

const SET_TOKEN = "set it with `pulumi config set --secret dnsApiToken`";
const SET_CLOUDFLARE_TOKEN = "set it with `pulumi config set --secret cloudflareApiToken`";
const LOCATIONS = "give weur, eeur, enam, wnam, apac or oc";
const PEM = "give the path of a PEM file, from the project's folder";
const filesCertificate = z.strictObject({
  kind: z.literal("files"),
  certificate: text(/./, "is not a path", PEM).describe("Path of the certificate chain, PEM."),
  privateKey: text(/./, "is not a path", PEM).describe("Path of its private key, PEM. It is read, never shown."),
});
const acmeCertificate = z.strictObject({
  kind: z.literal("acme"),
  email: text(
    /^[^\s@]+@[^\s@]+\.[^\s@]+$/,
    "is not an e-mail address",
    "give the address that the CA may write to",
  ).describe("Address that the CA may write to."),
  caServer: text(/^https:\/\/\S+$/, "is not an https URL", "give the CA's ACME directory, or leave the key out")
    .default("https://acme-v02.api.letsencrypt.org/directory")
    .describe("ACME directory. Default: Let's Encrypt."),
  caCertificate: text(/./, "is not a path", PEM)
    .optional()
    .describe("Path of the certificate, PEM, of a CA that machines do not know by themselves."),
  validityHours: wholeNumber(1, 87600, "give the hours for which the CA's certificates are valid")
    .default(2160)
    .describe("Hours for which the CA's certificates are valid; when they are renewed follows. Default 2160."),
  resolvers: z
    .array(
      text(/^[\da-f.:[\]]+:\d+$/, "is not a DNS server", "give an address and a port, like 1.1.1.1:53"),
      fault("is not a list", "give DNS servers, like [1.1.1.1:53]"),
    )
    .min(1, fault("is empty", "give DNS servers, or leave the key out"))
    .optional()
    .describe("DNS servers that are asked whether the CA can see the challenge. Default: the zone's own."),
});

/** One schema a key; the order here is the order in the docs and in messages. */
export const shape = {
  host: text(DOCKER_HOST, "is not a Docker host", "give local, or ssh://user@address[:port]").describe(
    "The Docker host: `local` (DOCKER_HOST or this machine's socket), or ssh://user@address[:port].",
  ),
  knownHosts: text(/./, "is not a path", "give the path of a known_hosts file, from the project's folder")
    .optional()
    .describe("A known_hosts file for the ssh host, from the project's folder. Default: that of the user."),
  domain: text(HOSTNAME, "is not a domain name", "give the name that the edge serves, like example.com").describe(
    "The name that the edge serves.",
  ),
  edge: z
    .strictObject(
      {
        address: z
          .union([z.ipv4(), z.ipv6()], fault("is not an IP address", "give the address of the host to listen on"))
          .default("0.0.0.0")
          .describe("Address of the host that the edge listens on. Default 0.0.0.0."),
        httpsPort: port("the edge serves HTTPS").default(443).describe("Port of HTTPS. Default 443."),
        tunnelPort: port("the backend's tunnels arrive").default(2222).describe("Port of the tunnels. Default 2222."),
        requestsPerSecond: wholeNumber(1, 100000, "give the steady rate that one client may keep up")
          .default(100)
          .describe("Requests a second that one client may keep up. Default 100."),
        burst: wholeNumber(1, 1000000, "give the requests that one client may send at once")
          .default(200)
          .describe("Requests that one client may send at once. Default 200."),
        maxBodyMb: largestBody.default(10).describe("The largest request body in MiB. Default 10."),
        memoryMb: wholeNumber(128, 1048576, "give the edge's memory limit in MiB, from which its connections follow")
          .default(512)
          .describe("Memory limit of the edge in MiB; how many connections it takes follows from it. Default 512."),
        connectionsPerClient: wholeNumber(1, 65536, "give the connections that one client may have open")
          .default(100)
          .describe("Connections that one client may have open, and requests under way. Default 100."),
        sharedAddresses: z
          .array(
            z.strictObject({
              range: z
                .union([z.cidrv4(), z.cidrv6()], fault("is not a range of addresses", "give one like 203.0.113.7/32"))
                .describe("Addresses as CIDR, like 203.0.113.7/32."),
              clients: wholeNumber(2, 10000, "give how many clients share the addresses").describe(
                "How many clients share them: together they get as many times what one client gets.",
              ),
            }),
            fault("is not a list", "give ranges with how many clients share them"),
          )
          .default([])
          .describe("Addresses that many clients share, like an office's. Default: none."),
        keepAliveSeconds: wholeNumber(1, 3600, "give the seconds for which one connection carries requests")
          .default(60)
          .describe("Seconds for which one connection carries requests; replacing the edge takes as long. Default 60."),
        idleSeconds: wholeNumber(60, 2592000, "give the seconds after which a connection without a byte ends")
          .default(86400)
          .describe("Seconds after which a connection without a byte in either direction ends. Default 86400."),
      },
      anObject(
        "address, httpsPort, tunnelPort, requestsPerSecond, burst, maxBodyMb, memoryMb, connectionsPerClient, " +
          "sharedAddresses, keepAliveSeconds or idleSeconds",
      ),
    )
    .prefault({})
    .describe("What the edge publishes, and its limits."),
  certificates: z
    .discriminatedUnion("kind", [filesCertificate, acmeCertificate], {
      error: ({ input }) => {
        const cure = "give kind: files with certificate and privateKey, or kind: acme with email";
        if (typeof input !== "object" || input === null) return fault("is not an object", cure).error({ input });
        return fault("is no known kind", cure).error({ input: (input as { kind?: unknown }).kind });
      },
    })
    .describe("Where the edge's certificate comes from."),
  dnsApiToken: text(/^[\w-]{20,}$/, "is not an API token", SET_TOKEN)
    .optional()
    .describe("Secret. The Cloudflare API token that edits the zone's DNS, for certificates of kind acme."),
  cloudflare: z
    .strictObject(
      {
        accountId: text(
          /^[0-9a-f]{32}$/,
          "is not an account id",
          "give the 32 hex digits of the dashboard's overview, in quotes",
        ).describe("The account's id: 32 hex digits."),
        zone: text(HOSTNAME, "is not a zone", "give the zone's name, like example.com").describe("The zone's name."),
        addresses: z
          .array(
            z.union([z.ipv4(), z.ipv6()], fault("is not an IP address", "give a public address of the host")),
            fault("is not a list", "give the host's public addresses"),
          )
          .min(1, fault("is empty", "give the host's public addresses, or leave the key out"))
          .optional()
          .describe("Public addresses of the host, for the records. Default: edge.address."),
        tunnelHost: text(HOSTNAME, "is not a host name", "give the name at which tunnels arrive, or leave the key out")
          .optional()
          .describe("A name for tunnels, which Cloudflare does not proxy: it shows the host's address. Default: none."),
        tunnel: z
          .boolean(fault("is not a boolean", "give true or false"))
          .default(false)
          .describe(
            "Whether clients come through a tunnel that the host opens, so that it has no open port. Default false.",
          ),
        apiUrl: text(/^https?:\/\/\S+[^/]$/, "is not a URL", "give the API's address without a slash at its end")
          .optional()
          .describe("Address of the API, for one that is not Cloudflare's own."),
        onlyThroughCloudflare: z
          .boolean(fault("is not a boolean", "give true or false"))
          .default(true)
          .describe("Whether the HTTPS port takes connections from Cloudflare's addresses alone. Default true."),
        rotateTokensAfterDays: wholeNumber(1, 3650, "give the days after which an update makes new API tokens")
          .optional()
          .describe("Days after which an update makes new API tokens for what runs. Default: it keeps them."),
        files: z
          .strictObject(
            {
              bucket: text(
                /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
                "is not the name of a bucket",
                "give 3 to 63 small letters, digits and hyphens",
              ).describe("The bucket's name in the account."),
              location: z
                .enum(["weur", "eeur", "enam", "wnam", "apac", "oc"], fault("is not a location", LOCATIONS))
                .optional()
                .describe("Where R2 should keep it, as a wish, like weur. Default: near who makes it."),
              jurisdiction: z
                .enum(["default", "eu", "fedramp"], fault("is not a jurisdiction", "give default, eu or fedramp"))
                .default("default")
                .describe("Where R2 has to keep it: eu or fedramp. Default: default, which is anywhere."),
              expireAfterDays: wholeNumber(1, 36500, "give the days after which files are deleted")
                .optional()
                .describe("Days after which files are deleted. Default: they stay."),
              maxMb: wholeNumber(1, 5000, "give the largest file in MiB")
                .default(100)
                .describe("The largest file in MiB. Default 100."),
            },
            anObject("bucket, location, jurisdiction, expireAfterDays or maxMb"),
          )
          .optional()
          .describe("An R2 bucket for the files that users send by presigned URLs. Default: none."),
      },
      anObject(
        "accountId, zone, addresses, tunnelHost, tunnel, apiUrl, onlyThroughCloudflare, rotateTokensAfterDays or files",
      ),
    )
    .optional()
    .describe("The Cloudflare account and zone. A stack without it uses nothing of Cloudflare."),
  cloudflareApiToken: text(/^[\w-]{40,80}$/, "is not an API token", SET_CLOUDFLARE_TOKEN)
    .optional()
    .describe("Secret. The Cloudflare API token with which the stack's names and settings are made."),
  images: z
    .strictObject(
      {
        traefik: image(PINNED),
        haproxy: image(PINNED),
        cloudflared: image(PINNED),
        python: image(PINNED),
        node: image(PINNED),
        backend: image(PINNED_OR_BUILT),
        frontend: image(PINNED_OR_BUILT),
      },
      anObject("traefik, haproxy, cloudflared, python, node, backend or frontend"),
    )
    .prefault({})
    .describe("Images that this stack takes instead of those in images.ts. backend and frontend: instead of building."),
  backend: service(512, 1, 128).describe("Limits of the backend."),
  frontend: service(256, 0.5, 64).describe("Limits of the frontend."),
};

type StackFile = { [Key in keyof typeof shape]: z.output<(typeof shape)[Key]> };
/** Configuration as the program uses it: every default filled in, every file read. */
export type Config = Omit<StackFile, "certificates"> & { certificates: Certificates };
export type Certificates =
  | { kind: "files"; certificatePem: string; privateKeyPem: string }
  | (Omit<z.output<typeof acmeCertificate>, "caCertificate"> & { caCertificatePem?: string });

interface Source {
  project: string;
  /** Full keys whose values are secret, as Pulumi gives them. */
  secretKeys: readonly string[];
  readFile: (path: string) => string;
}

/** The pure parse behind loadConfig: values as Pulumi hands them over (text, objects as JSON) to Config. */
export function parseConfig(raw: Record<string, string>, source: Source): Config {
  const problems: string[] = [];
  const prefix = `${source.project}:`;
  const keys = Object.keys(shape);
  const given = new Map<string, unknown>();
  for (const [full, value] of Object.entries(raw)) {
    if (!full.startsWith(prefix)) continue;
    const key = full.slice(prefix.length);
    if (keys.includes(key)) given.set(key, isText(key) ? value : parsedJson(value));
    else problems.push(unknownKey(prefix, key, keys));
  }

  const config = parsed(Object.keys(shape) as Key[], given, source, problems);
  const { certificates, problems: unreadable } = readFiles(config, source);
  problems.push(...[...contradictions(config, given, source), ...unreadable].map((problem) => prefix + problem));
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...(config as StackFile), certificates: certificates! };
}

/**
 * Some keys of a stack file as it is written, for what has to know them before the program runs.
 *
 * @throws ConfigError with every problem of these keys.
 */
export function parseStackFile<K extends Key>(project: string, config: Record<string, unknown>, keys: readonly K[]) {
  const problems: string[] = [];
  const given = new Map(keys.map((key) => [key, config[`${project}:${key}`]]));
  const read = parsed(keys, given, { project, secretKeys: [] }, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return read as Pick<StackFile, K>;
}

type Key = keyof typeof shape;

/** Key by key, so that a fault in one does not hide those of another, nor what two of them say together. */
function parsed(
  keys: readonly Key[],
  given: ReadonlyMap<string, unknown>,
  source: Pick<Source, "project" | "secretKeys">,
  problems: string[],
): Partial<StackFile> {
  const read: Partial<Record<string, unknown>> = {};
  for (const key of keys) {
    const schema = shape[key];
    const result = schema.safeParse(given.get(key));
    if (result.success) read[key] = result.data;
    else
      for (const issue of result.error.issues)
        problems.push(...describe(`${source.project}:${key}`, issue, given.get(key), isSecret(key, source), schema));
  }
  return read;
}

/** What each key says alone is right, but not what two of them say together. */
function contradictions(config: Partial<StackFile>, given: ReadonlyMap<string, unknown>, source: Source): string[] {
  const problems: string[] = [];
  const { host, knownHosts, domain, edge, certificates, dnsApiToken, cloudflare, images } = config;
  const inClear = (key: string) => !source.secretKeys.includes(`${source.project}:${key}`);
  const acme = certificates?.kind === "acme";
  const shown = (key: string, value: unknown) => (isSecret(key, source) ? "the secret" : String(value));
  if (knownHosts !== undefined && host === "local")
    problems.push("knownHosts: is for ssh:// hosts, and the host is local: leave it out");
  if (edge && edge.httpsPort === edge.tunnelPort)
    problems.push(`edge.tunnelPort: ${shown("edge", edge.tunnelPort)} is the httpsPort too: give another port`);
  if (edge && edge.burst < edge.requestsPerSecond) {
    const least = shown("edge", edge.requestsPerSecond);
    problems.push(`edge.burst: ${shown("edge", edge.burst)} is less than requestsPerSecond: give at least ${least}`);
  }
  if (acme && domain !== undefined && (!domain.includes(".") || isIP(domain)))
    problems.push(
      `domain: no CA certifies ${shown("domain", domain)}: give a public domain, or certificates of kind files`,
    );
  if (acme && !given.has("dnsApiToken") && !given.has("cloudflare"))
    problems.push(`dnsApiToken: missing, and certificates of kind acme need it: ${SET_TOKEN}, or give cloudflare`);
  if (dnsApiToken !== undefined && inClear("dnsApiToken"))
    problems.push(`dnsApiToken: stands in clear in the stack file: revoke it, make a new one, and ${SET_TOKEN}`);
  if (cloudflare) problems.push(...cloudflareProblems(cloudflare, config, shown));
  if (cloudflare?.tunnel) problems.push(...tunnelProblems(cloudflare, given.get("edge")));
  if (given.has("cloudflare") && !given.has("cloudflareApiToken"))
    problems.push(`cloudflareApiToken: missing, and cloudflare needs it: ${SET_CLOUDFLARE_TOKEN}`);
  if (given.has("cloudflareApiToken") && !given.has("cloudflare"))
    problems.push("cloudflareApiToken: is for a stack with cloudflare: leave it out, or give cloudflare");
  if (config.cloudflareApiToken !== undefined && inClear("cloudflareApiToken"))
    problems.push(
      `cloudflareApiToken: stands in clear in the stack file: revoke it, make a new one, and ${SET_CLOUDFLARE_TOKEN}`,
    );
  for (const [key, reference] of Object.entries(images ?? {}))
    if (acme && certificates.caCertificate === undefined && reference !== undefined && STAND_IN.test(reference))
      problems.push(
        `images.${key}: ${shown("images", reference)} is a stand-in for local use: give name:tag@sha256:<64 hex digits>`,
      );
  return problems;
}

type Cloudflare = NonNullable<StackFile["cloudflare"]>;

function cloudflareProblems(
  { zone, addresses, tunnelHost, tunnel, onlyThroughCloudflare }: Cloudflare,
  { domain, edge }: Partial<StackFile>,
  shown: (key: string, value: unknown) => string,
): string[] {
  const problems: string[] = [];
  const inZone = (name: string) => name === zone || name.endsWith(`.${zone}`);
  const cure = `is not in the zone ${shown("cloudflare", zone)}: give a name in it, or the right zone`;
  if (domain !== undefined && !inZone(domain)) problems.push(`domain: ${shown("domain", domain)} ${cure}`);
  if (tunnelHost !== undefined && !inZone(tunnelHost))
    problems.push(`cloudflare.tunnelHost: ${shown("cloudflare", tunnelHost)} ${cure}`);
  if (tunnelHost !== undefined && tunnelHost === domain)
    problems.push("cloudflare.tunnelHost: is the domain, which is proxied: give another name");
  // Docker hands a connection over IPv6 on from an address of its own, where its networks have none.
  const overIpv6 = onlyThroughCloudflare ? addresses?.find((address) => isIP(address) === 6) : undefined;
  if (overIpv6 !== undefined)
    problems.push(
      `cloudflare.addresses: over ${shown("cloudflare", overIpv6)} nobody can be told from Cloudflare: ` +
        "leave it out (Cloudflare itself serves IPv6), or set onlyThroughCloudflare to false",
    );
  if (edge && !addresses && !tunnel && ["0.0.0.0", "::"].includes(edge.address)) {
    const everywhere = `missing, and edge.address is ${shown("edge", edge.address)}`;
    problems.push(`cloudflare.addresses: ${everywhere}: give the host's public addresses`);
  }
  return problems;
}

/** What is for open ports has no meaning where there are none. */
function tunnelProblems({ addresses, tunnelHost, onlyThroughCloudflare }: Cloudflare, edge: unknown): string[] {
  const problems: string[] = [];
  const leaveOut = (key: string, why: string) => problems.push(`${key}: ${why}: leave it out, or the tunnel`);
  if (addresses !== undefined)
    leaveOut("cloudflare.addresses", "names lead to the tunnel, and to no address of the host");
  if (tunnelHost !== undefined) leaveOut("cloudflare.tunnelHost", "cloudflare.tunnel carries HTTP alone, and no TCP");
  if (!onlyThroughCloudflare) leaveOut("cloudflare.onlyThroughCloudflare", "nothing but cloudflare.tunnel leads here");
  for (const key of ["address", "httpsPort", "tunnelPort"])
    if (typeof edge === "object" && edge !== null && key in edge)
      leaveOut(`edge.${key}`, "with cloudflare.tunnel no port of the host is open");
  return problems;
}

/** What the stack file only names: certificates are read, and a list of known hosts is looked at. */
function readFiles(config: Partial<StackFile>, source: Source): { certificates?: Certificates; problems: string[] } {
  const { host, knownHosts, certificates } = config;
  const problems: string[] = [];
  const at = (key: string, path: string) => `${key}: ${isSecret(key.split(".")[0]!, source) ? "the secret" : path}`;
  const content = (key: string, path: string, cure: string): string | undefined => {
    try {
      return source.readFile(path);
    } catch (error) {
      problems.push(`${at(key, path)} cannot be read (${(error as NodeJS.ErrnoException).code}): ${cure}`);
      return undefined;
    }
  };
  if (knownHosts !== undefined && host !== "local")
    content("knownHosts", knownHosts, "give a file that is there; `ssh-keyscan` prints what belongs in it");
  const pem = <T>(key: string, path: string, label: string, parse: (pem: string) => T) => {
    const text = content(
      `certificates.${key}`,
      path,
      "give a file that is there; `make up` makes those of the local stack",
    );
    if (text === undefined) return undefined;
    try {
      return { text, parsed: parse(text) };
    } catch {
      const cure = `give a PEM file, with a line -----BEGIN ${label}-----`;
      problems.push(`${at(`certificates.${key}`, path)} holds no ${label.toLowerCase()} that can be read: ${cure}`);
      return undefined;
    }
  };
  const parseCertificate = (text: string) => new X509Certificate(text);
  if (certificates?.kind === "acme") {
    const { caCertificate, ...given } = certificates;
    if (caCertificate === undefined) return { certificates: given, problems };
    const ca = pem("caCertificate", caCertificate, "CERTIFICATE", parseCertificate);
    return { certificates: { ...given, caCertificatePem: ca?.text }, problems };
  }
  if (certificates === undefined) return { problems };

  const certificate = pem("certificate", certificates.certificate, "CERTIFICATE", parseCertificate);
  const privateKey = pem("privateKey", certificates.privateKey, "PRIVATE KEY", createPrivateKey);
  if (!certificate || !privateKey) return { problems };
  if (!certificate.parsed.checkPrivateKey(privateKey.parsed)) {
    const wrong = `${at("certificates.privateKey", certificates.privateKey)} is not the key of the certificate`;
    problems.push(`${wrong}: give the one that the certificate was issued for`);
  }
  return {
    certificates: { kind: "files", certificatePem: certificate.text, privateKeyPem: privateKey.text },
    problems,
  };
}

/** Values that are never shown: what Pulumi keeps as a secret, and what is one even where it stands in clear by mistake. */
function isSecret(key: string, { project, secretKeys }: Pick<Source, "project" | "secretKeys">): boolean {
  return ["dnsApiToken", "cloudflareApiToken"].includes(key) || secretKeys.includes(`${project}:${key}`);
}

function isText(key: string): boolean {
  const schema = shape[key as keyof typeof shape];
  return (schema instanceof z.ZodOptional ? schema.unwrap() : schema) instanceof z.ZodString;
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
    return issue.keys.map((unknown) => unknownKey(`${path}.`, unknown, known));
  }
  const at = issue.path.reduce<unknown>((inner, step) => (inner as Record<PropertyKey, unknown>)?.[step], value);
  return [`${path}: ${issue.message.replace(SHOWN_VALUE, () => (secret ? "the secret" : JSON.stringify(at)))}`];
}

/** With the nearest known key, unless none is near. */
function unknownKey(at: string, key: string, known: string[]): string {
  const [typed, spelled] = [key.toLowerCase(), known.map((name) => name.toLowerCase())];
  const nearest = known[spelled.indexOf(closest(typed, spelled))]!;
  const isNear = distance(typed, nearest.toLowerCase()) <= key.length / 2;
  return `${at}${key}: unknown key: ${isNear ? `did you mean ${at}${nearest}?` : `give one of ${known.join(", ")}`}`;
}

/** The keys that an object in a stack file may have, at a path in the value of a key. */
function keysAt(schema: z.ZodType, path: PropertyKey[], value: unknown): string[] {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return keysAt(schema.unwrap() as z.ZodType, path, value);
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const kind = (value as { kind?: unknown }).kind;
    return keysAt(kind === "acme" ? acmeCertificate : filesCertificate, path, value);
  }
  if (!(schema instanceof z.ZodObject)) return [];
  const [step, ...rest] = path as string[];
  if (step === undefined) return Object.keys(schema.shape);
  return keysAt(schema.shape[step] as z.ZodType, rest, (value as Record<string, unknown>)[step]);
}
