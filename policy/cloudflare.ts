import type { AccountTokenArgs } from "@pulumi/cloudflare/accountToken.js";
import type { DnsRecordArgs } from "@pulumi/cloudflare/dnsRecord.js";
import type { R2BucketArgs } from "@pulumi/cloudflare/r2bucket.js";
import type { R2BucketCorsArgs } from "@pulumi/cloudflare/r2bucketCors.js";
import type { R2CustomDomainArgs } from "@pulumi/cloudflare/r2customDomain.js";
import type { R2ManagedDomainArgs } from "@pulumi/cloudflare/r2managedDomain.js";
import type { ZoneSettingArgs } from "@pulumi/cloudflare/zoneSetting.js";
import type { Unwrap } from "@pulumi/pulumi";
import { ofEach } from "./inputs.ts";
import type { Row, Rule } from "./rule.ts";

export const DNS_RECORD = "cloudflare:index/dnsRecord:DnsRecord";
export const ZONE_SETTING = "cloudflare:index/zoneSetting:ZoneSetting";

/** Settings of a zone, by the names of the API, that its users' safety hangs on: what each may be. */
export const ZONE_SETTINGS: Record<string, string[]> = {
  ssl: ["strict", "origin_pull"],
  min_tls_version: ["1.2", "1.3"],
  always_use_https: ["on"],
};

/** A record of these types leads clients to an address. */
export const LEADING = ["A", "AAAA", "CNAME"];

const bucketRules = [
  {
    name: "bucket-public-address",
    type: "cloudflare:index/r2ManagedDomain:R2ManagedDomain",
    severity: "mandatory",
    why: "Everybody reads a bucket with an address at r2.dev, without a token and without a limit.",
    cure: "leave it out, and hand out presigned URLs",
    faults: ({ enabled, bucketName }) => (enabled ? [`makes the bucket ${bucketName} public`] : []),
  } satisfies Rule<Unwrap<R2ManagedDomainArgs>>,
  {
    name: "bucket-public-domain",
    type: "cloudflare:index/r2CustomDomain:R2CustomDomain",
    severity: "mandatory",
    why: "Everybody reads a bucket with a domain of its own, without a token.",
    cure: "leave it out, and hand out presigned URLs",
    faults: ({ enabled, domain, bucketName }) =>
      enabled ? [`makes the bucket ${bucketName} public at ${domain}`] : [],
  } satisfies Rule<Unwrap<R2CustomDomainArgs>>,
  {
    name: "bucket-cors",
    type: "cloudflare:index/r2BucketCors:R2BucketCors",
    severity: "mandatory",
    why: "Any page on the internet could use a presigned URL that a browser holds.",
    cure: "name the origins",
    faults: ({ rules, bucketName }) =>
      ofEach(rules, ({ allowed }) =>
        allowed.origins.includes("*") ? [`lets every origin use the bucket ${bucketName}`] : [],
      ),
  } satisfies Rule<Unwrap<R2BucketCorsArgs>>,
  {
    name: "bucket-protected",
    type: "cloudflare:index/r2Bucket:R2Bucket",
    severity: "mandatory",
    why: "One mistake in a program, and an update deletes the data.",
    cure: "set protect",
    faults: (_, { opts }) => (opts.protect ? [] : ["holds data and is not protected"]),
  } satisfies Rule<Unwrap<R2BucketArgs>>,
];

/** A token of the account, or one of a user. */
const tokenRows: Row<Unwrap<AccountTokenArgs>>[] = [
  {
    name: "token-scope",
    severity: "mandatory",
    why: "Who steals a token can do what it may do, so it may do one thing with one thing (OWASP 12).",
    cure: "name one bucket or one zone",
    faults: ({ policies }) =>
      ofEach(policies, ({ effect, resources }) =>
        effect === "deny" ? [] : broadKeys(parsed(resources)).map((key) => ({ what: `may act on ${key}`, part: key })),
      ),
  },
  {
    name: "token-expiry",
    severity: "advisory",
    why: "A token that was lost and never noticed works for ever.",
    cure: "give it expiresOn, and a new one before that",
    faults: ({ expiresOn }) => (expiresOn ? [] : ["does not expire"]),
  },
];

const tokenRules: Rule[] = Object.entries({
  account: "cloudflare:index/accountToken:AccountToken",
  user: "cloudflare:index/apiToken:ApiToken",
}).flatMap(([prefix, type]) =>
  tokenRows.map((row) => ({
    ...row,
    name: `${prefix}-${row.name}`,
    type,
    faults: (props) => row.faults(props as unknown as Unwrap<AccountTokenArgs>),
  })),
);

const zoneRules = [
  {
    name: "dns-proxied",
    type: DNS_RECORD,
    severity: "mandatory",
    why: "A record that is not proxied tells everybody the host's address, and leads past Cloudflare.",
    cure: 'set proxied, or say why not in the comment: "not proxied: <why>"',
    faults: ({ name, type, proxied, comment }) =>
      // A name like _acme-challenge leads no client anywhere.
      proxied || !LEADING.includes(type) || name.startsWith("_") || /\bnot proxied: \S.{5,}/.test(comment ?? "")
        ? []
        : [`leads to ${name} past Cloudflare`],
  } satisfies Rule<Unwrap<DnsRecordArgs>>,
  {
    name: "zone-setting",
    type: ZONE_SETTING,
    severity: "mandatory",
    why: "Clients speak weak TLS or none, or Cloudflare takes any certificate for the origin's (NSA/CISA: encrypt in transit).",
    cure: "make ssl strict, min_tls_version 1.2 or newer, and always_use_https on",
    faults: ({ settingId, value }) => {
      const wanted = ZONE_SETTINGS[settingId];
      return !wanted || wanted.includes(String(value)) ? [] : [`sets ${settingId} to ${String(value)}`];
    },
  } satisfies Rule<Unwrap<ZoneSettingArgs>>,
];

export const cloudflareRules = [...bucketRules, ...tokenRules, ...zoneRules] as Rule[];

/** The API takes text; older providers a map. */
function parsed(resources: unknown): unknown {
  if (typeof resources !== "string") return resources;
  try {
    return JSON.parse(resources);
  } catch {
    return {};
  }
}

/** Keys that stand for a whole account, or for all of a kind: everything but one bucket or one zone. */
function broadKeys(resources: unknown): string[] {
  return Object.entries((resources ?? {}) as Record<string, unknown>).flatMap(([key, value]) => {
    if (typeof value === "object" && value !== null) return broadKeys(value);
    return key.includes("*") || /^com\.cloudflare\.api\.account\.[^.]+$/.test(key) ? [key] : [];
  });
}
