import { z } from "zod";
import { certificatesField } from "./certificates.ts";
import { dataFields } from "./data.ts";
import { dnsSecretFields } from "./dns-providers.ts";
import { aliasesField, domainsField } from "./domains.ts";
import { maintenanceField } from "./maintenance.ts";
import { networksField } from "./networks.ts";
import { fault, HOSTNAME, largestBody, object, port, registriesField, text, wholeNumber, yesOrNo } from "./fields.ts";

/** `local`, or an ssh URL with at most a user, an address and a port; nothing that ssh would take for an option. */
const DOCKER_HOST =
  /^(local|ssh:\/\/(\w[\w.-]*@)?(\w[\w.-]*|\[[0-9a-f:]+\])(:(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3}))?)$/;
export const SET_TOKEN = "set it with `pulumi config set --secret dnsApiToken`";
export const SET_REGISTRY_TOKEN =
  "set it with `pulumi config set --secret --path 'registries[\"ghcr.io\"].token'`, by the registry's address";
export const SET_CLOUDFLARE_TOKEN = "set it with `pulumi config set --secret cloudflareApiToken`";
const LOCATIONS = "give weur, eeur, enam, wnam, apac or oc";
/** TCP ports by name: the host's port of each, unless a stack file says another. */
export type TcpPorts = Readonly<Record<string, number>>;

/** What the edge publishes. @param tcp the ports that the program declares: without one there is no key for them */
export function edgeField(tcp: TcpPorts) {
  const ports = Object.entries(tcp).map(([name, given]) => [name, tcpPort(name, given)] as const);
  const list = Object.entries(tcp).map(([name, given]) => `${name} (default ${given})`);
  const field = object(Object.fromEntries(ports))
    .prefault({})
    .optional()
    .describe(`TCP ports of the host, by name: ${list.join(", ")}.`);
  const fields = { ...edge, ...(ports.length > 0 && { tcp: field }) } as typeof edge & { tcp: typeof field };
  return object(fields).prefault({}).describe("What the edge publishes, and its limits.");
}

function tcpPort(name: string, given: number) {
  return port(`TCP clients of ${name} connect`)
    .default(given)
    .describe(`Port of ${name}, which is TCP. Default ${given}.`);
}

const edge = {
  address: z
    .union([z.ipv4(), z.ipv6()], fault("is not an IP address", "give the address of the host to listen on"))
    .default("0.0.0.0")
    .describe("Address of the host that the edge listens on. Default 0.0.0.0."),
  httpsPort: port("the edge serves HTTPS").default(443).describe("Port of HTTPS. Default 443."),
  httpRedirect: yesOrNo()
    .optional()
    .describe("Whether http:// is open too, and answers nothing but redirects to https://. Default false."),
  httpPort: port("http:// is redirected").optional().describe("Port of http://, for httpRedirect. Default 80."),
  requestsPerSecond: wholeNumber(1, 100000, "give the steady rate that one client may keep up")
    .default(100)
    .describe("Requests a second that one client may keep up. Default 100."),
  burst: wholeNumber(1, 1000000, "give the requests that one client may send at once")
    .default(200)
    .describe("Requests that one client may send at once. Default 200."),
  maxBodyMb: largestBody().default(10).describe("The largest request body in MiB. Default 10."),
  maxHeaderKb: wholeNumber(
    8,
    64,
    "give the largest headers of a request in KiB, of which the edge keeps thousands in memory",
  )
    .default(32)
    .describe("The largest headers of a request in KiB, all together. Default 32."),
  memoryMb: wholeNumber(128, 1048576, "give the edge's memory limit in MiB, from which its connections follow")
    .default(512)
    .describe(
      "Memory limit of the edge in MiB; how many connections and requests it takes follows from it. Default 512.",
    ),
  connectionsPerClient: wholeNumber(1, 65536, "give the connections that one client may have open")
    .default(100)
    .describe("Connections that one client may have open, and requests under way. Default 100."),
  sharedAddresses: z
    .array(
      object({
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
};

/** What every program has in its stack files. One schema a key; the order here is the order in the docs and in messages. */
export const platform = {
  host: text(DOCKER_HOST, "is not a Docker host", "give local, or ssh://user@address[:port]").describe(
    "The Docker host: `local` (DOCKER_HOST or this machine's socket), or ssh://user@address[:port].",
  ),
  knownHosts: text(/./, "is not a path", "give the path of a known_hosts file, from the project's folder")
    .optional()
    .describe("A known_hosts file for the ssh host, from the project's folder. Default: that of the user."),
  domain: text(HOSTNAME, "is not a domain name", "give the name that the edge serves, like example.com").describe(
    "The name that the edge serves.",
  ),
  domains: domainsField,
  aliases: aliasesField,
  edge: edgeField({}),
  maintenance: maintenanceField,
  networks: networksField,
  certificates: certificatesField,
  dnsApiToken: text(/^[\w-]{20,}$/, "is not an API token", SET_TOKEN)
    .optional()
    .describe(
      "Secret. The API token that edits the zone's DNS, for certificates of kind acme: Cloudflare's, Hetzner's or DigitalOcean's.",
    ),
  ...dnsSecretFields,
  cloudflare: object({
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
    directHost: text(HOSTNAME, "is not a host name", "give the name at which TCP clients arrive, or leave the key out")
      .optional()
      .describe("A name for TCP, which Cloudflare does not proxy: it shows the host's address. Default: none."),
    tunnel: yesOrNo()
      .default(false)
      .describe(
        "Whether clients come through a tunnel that the host opens, so that it has no open port. Default false.",
      ),
    apiUrl: text(/^https?:\/\/\S+[^/]$/, "is not a URL", "give the API's address without a slash at its end")
      .optional()
      .describe("Address of the API, for one that is not Cloudflare's own."),
    onlyThroughCloudflare: yesOrNo()
      .default(true)
      .describe("Whether the HTTPS port takes connections from Cloudflare's addresses alone. Default true."),
    rotateTokensAfterDays: wholeNumber(1, 3650, "give the days after which an update makes new API tokens")
      .optional()
      .describe("Days after which an update makes new API tokens for what runs. Default: it keeps them."),
    files: object({
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
    })
      .optional()
      .describe("An R2 bucket for the files that users send by presigned URLs. Default: none."),
  })
    .optional()
    .describe("The Cloudflare account and zone. A stack without it uses nothing of Cloudflare."),
  cloudflareApiToken: text(/^[\w-]{40,80}$/, "is not an API token", SET_CLOUDFLARE_TOKEN)
    .optional()
    .describe("Secret. The Cloudflare API token with which the stack's names and settings are made."),
  registries: registriesField(),
  ...dataFields,
};

export type PlatformKey = keyof typeof platform;
/** The platform's part of a stack file, with every default filled in. */
export type Platform = { [Key in PlatformKey]: z.output<(typeof platform)[Key]> };

/** Values that are never shown, even where one stands in clear by mistake. */
export const PLATFORM_SECRETS = [
  "dnsApiToken",
  "route53SecretAccessKey",
  "rfc2136TsigSecret",
  "cloudflareApiToken",
  "registries",
  "backupKey",
] as const;

/** Why no port takes UDP. */
export const NO_UDP =
  "is not published: the door hands on TCP alone, could not tell who sends a datagram, and would lose them in every " +
  "rollout: run what speaks UDP on a host of its own, or use its TCP";

/** Keys that had another name, and what to write now. */
export const RENAMED: Readonly<Record<string, string>> = {
  "edge.tunnelPort":
    "is called edge.tcp.<name> now: give the port there, `tcp: { <name>: 2222 }`, by the name that tcp in settings.ts has",
  "edge.udp": NO_UDP,
  "cloudflare.tunnelHost": "is called cloudflare.directHost now: give the name there",
};
