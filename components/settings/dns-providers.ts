import { z } from "zod";
import { fault, HOSTNAME, object, text } from "./fields.ts";

/** Who serves the zone, by lego's code: the edge proves to the CA whose the domain is by a record there. */
export const DNS_PROVIDERS = ["cloudflare", "route53", "hetzner", "digitalocean", "rfc2136"] as const;
export type DnsProvider = (typeof DNS_PROVIDERS)[number];

const TSIG_ALGORITHMS = ["hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"] as const;

/** What of a provider is no secret: keys of certificates of kind acme. */
export const dnsProviderFields = {
  dnsProvider: z
    .enum(DNS_PROVIDERS, fault("is no known provider", `give ${DNS_PROVIDERS.slice(0, -1).join(", ")} or rfc2136`))
    .optional()
    .describe("Who serves the zone: the challenge is a record there. Default cloudflare."),
  route53: object({
    accessKeyId: text(/^[A-Z0-9]{16,128}$/, "is not an access key id", "give the IAM user's, like AKIA…").describe(
      "The access key id of an IAM user that may change records of the zone.",
    ),
    region: text(/^[a-z]{2}(-[a-z]+)+-\d$/, "is not a region", "give one like eu-central-1, or leave the key out")
      .optional()
      .describe("Region of the API. Default us-east-1."),
    hostedZoneId: text(
      /^Z[A-Z0-9]{1,31}$/,
      "is not a hosted zone id",
      "give one like Z0123456789, or leave the key out",
    )
      .optional()
      .describe("The hosted zone. Default: the public one of the domain."),
  })
    .optional()
    .describe("For dnsProvider route53."),
  rfc2136: object({
    nameserver: text(
      /^(\[[0-9a-f:]+\]|[a-z0-9][a-z0-9.-]*)(:\d{1,5})?$/,
      "is not a DNS server",
      "give the primary's address or name, like 192.0.2.53 or ns.example.com:53",
    ).describe("The primary DNS server, which takes updates; port 53 unless it says another."),
    tsigKey: text(HOSTNAME, "is not the name of a key", "give the name that the server knows the key by").describe(
      "Name of the TSIG key.",
    ),
    tsigAlgorithm: z
      .enum(TSIG_ALGORITHMS, fault("is no algorithm of TSIG", `give ${TSIG_ALGORITHMS.join(", ")}`))
      .optional()
      .describe("Algorithm of the TSIG key. Default hmac-sha256."),
  })
    .optional()
    .describe("For dnsProvider rfc2136: a DNS server of your own that takes dynamic updates."),
};

/** The secret of each provider: a key of the stack file beside the certificates. */
export const SECRET_OF = {
  cloudflare: "dnsApiToken",
  hetzner: "dnsApiToken",
  digitalocean: "dnsApiToken",
  route53: "route53SecretAccessKey",
  rfc2136: "rfc2136TsigSecret",
} as const satisfies Record<DnsProvider, string>;

const setSecret = (key: string) => `set it with \`pulumi config set --secret ${key}\``;

/** Secrets of providers that have no API token. */
export const dnsSecretFields = {
  route53SecretAccessKey: text(
    /^[A-Za-z0-9/+=]{20,128}$/,
    "is not a secret access key",
    setSecret("route53SecretAccessKey"),
  )
    .optional()
    .describe("Secret. The secret access key of the IAM user in certificates.route53."),
  rfc2136TsigSecret: text(
    /^[A-Za-z0-9+/]{16,}={0,2}$/,
    "is not a TSIG secret in base64",
    setSecret("rfc2136TsigSecret"),
  )
    .optional()
    .describe("Secret. The TSIG key's secret, in base64, for certificates.rfc2136."),
};

interface Acme {
  dnsProvider?: DnsProvider | undefined;
  route53?: object | undefined;
  rfc2136?: object | undefined;
}

interface GivenSecrets {
  has: (key: string) => boolean;
  inClear: (key: string) => boolean;
}

/**
 * What a provider needs and does not have, and what is there for another one.
 *
 * @param certificates undefined: the certificates are of another kind; "unknown": what is said of them could not be read
 */
export function dnsProviderProblems(certificates: Acme | undefined | "unknown", given: GivenSecrets): string[] {
  const problems: string[] = [];
  const isKnown = certificates !== "unknown";
  const acme = isKnown ? certificates : undefined;
  const provider = acme && (acme.dnsProvider ?? "cloudflare");
  const needed = provider && SECRET_OF[provider];
  for (const own of isKnown ? (["route53", "rfc2136"] as const) : []) {
    const fields = Object.keys((dnsProviderFields[own].unwrap() as z.ZodObject).shape);
    if (provider === own && acme?.[own] === undefined)
      problems.push(
        `certificates.${own}: missing, and dnsProvider ${own} needs it: give an object with ${fields.join(", ")}`,
      );
    if (provider !== own && acme?.[own] !== undefined)
      problems.push(
        `certificates.${own}: is for dnsProvider ${own}, which is ${provider}: leave it out, or change that`,
      );
  }
  // Cloudflare's may be made by the stack itself: that is said where the account is looked at.
  if (needed !== undefined && provider !== "cloudflare" && !given.has(needed))
    problems.push(`${needed}: missing, and dnsProvider ${provider} needs it: ${setSecret(needed)}`);
  for (const key of Object.keys(dnsSecretFields)) {
    if (!given.has(key)) continue;
    if (given.inClear(key))
      problems.push(`${key}: stands in clear in the stack file: revoke it, make a new one, and ${setSecret(key)}`);
    if (isKnown && key !== needed)
      problems.push(
        `${key}: is for another dnsProvider: leave it out, or say in certificates which one serves the zone`,
      );
  }
  return problems;
}
