import * as rules from "@pulumi/cloudflare/ruleset.js";
import * as settings from "@pulumi/cloudflare/zoneSetting.js";
import * as pulumi from "@pulumi/pulumi";
import type { CloudflareAccount } from "./cloudflare-account.ts";

export interface ZoneArgs {
  account: CloudflareAccount;
  /** The zone's id; account.check finds it. */
  id: string;
  /** The name that the edge serves: the cache rules are for it alone. */
  domain: string;
  /** More names of the zone that the edge serves, wildcards too. @default [] */
  hosts?: string[];
  /** Paths of files that may lie in Cloudflare's caches, each with all below it, like "/assets". @default [] */
  staticPaths?: string[];
  /** Seconds for which browsers keep to HTTPS, at most 63072000; 0 says nothing of it. @default 63072000 */
  hstsSeconds?: number;
}

/**
 * How Cloudflare's edge serves a zone: HTTPS alone, TLS 1.2 or newer, to an origin whose certificate is checked, and only
 * static files out of its caches. The settings are the whole zone's, also for names that are not this stack's; Cloudflare
 * has no way to delete one, so that a destroyed stack leaves them as they are.
 */
export class Zone extends pulumi.ComponentResource {
  readonly account: CloudflareAccount;
  readonly id: string;

  constructor(name: string, args: ZoneArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Zone", name, {}, { providers: [args.account.provider], ...opts });
    const { account, id, domain, hosts = [], staticPaths = [], hstsSeconds = LONGEST_HSTS } = args;
    this.account = account;
    this.id = id;
    if (!Number.isInteger(hstsSeconds) || hstsSeconds < 0 || hstsSeconds > LONGEST_HSTS)
      throw new Error(`${name}: hstsSeconds: ${hstsSeconds} is not a whole number from 0 to ${LONGEST_HSTS}`);
    for (const path of staticPaths)
      if (!PATH.test(path)) throw new Error(`${name}: staticPaths: ${path} is not a path: give one like /assets`);

    for (const [settingId, value] of Object.entries({ ...SETTINGS, security_header: hsts(hstsSeconds) }))
      new settings.ZoneSetting(
        `${name}-${settingId.replaceAll("_", "-")}`,
        { zoneId: id, settingId, value },
        { parent: this },
      );
    new rules.Ruleset(
      `${name}-cache`,
      {
        zoneId: id,
        name: `cache rules of ${pulumi.getProject()}-${pulumi.getStack()}`,
        kind: "zone",
        phase: "http_request_cache_settings",
        rules: cacheRules([domain, ...hosts], staticPaths),
      },
      // A zone has one of each phase.
      { parent: this, deleteBeforeReplace: true },
    );
    this.registerOutputs({ id });
  }
}

const LONGEST_HSTS = 63072000;
const PATH = /^(\/[\w.~-]+)+$/;

/** By the names of the API. */
const SETTINGS = {
  // The origin's certificate is checked; "full" would take any.
  ssl: "strict",
  always_use_https: "on",
  min_tls_version: "1.2",
  tls_1_3: "on",
  automatic_https_rewrites: "on",
};

function hsts(seconds: number) {
  return {
    strict_transport_security: {
      enabled: seconds > 0,
      max_age: seconds,
      include_subdomains: seconds > 0,
      // A list in browsers, off which a name takes months: not for a program to put it on.
      preload: false,
      nosniff: true,
    },
  };
}

/**
 * By itself Cloudflare caches whatever has the ending of a file, also what an API answers. Here it is the other way round:
 * nothing, but what is said to be static; how long, the service says with Cache-Control.
 */
function cacheRules(hosts: string[], staticPaths: string[]) {
  const conditions = hosts.map((host) =>
    host.startsWith("*.")
      ? `ends_with(http.host, ${JSON.stringify(host.slice(1))})`
      : `http.host eq ${JSON.stringify(host)}`,
  );
  const host = conditions.length === 1 ? conditions[0]! : `(${conditions.join(" or ")})`;
  const under = staticPaths.map((path) => `starts_with(http.request.uri.path, ${JSON.stringify(`${path}/`)})`);
  const isStatic = under.length > 0 ? [`(${under.join(" or ")})`] : [];
  const rule = (ref: string, description: string, conditions: string[], actionParameters: object) => ({
    ref,
    description,
    enabled: true,
    expression: conditions.join(" and "),
    action: "set_cache_settings",
    actionParameters,
  });
  const asTheServiceSays = { mode: "respect_origin" };
  return [
    ...(isStatic.length > 0
      ? [
          rule("static", "static files", [host, ...isStatic], {
            cache: true,
            edgeTtl: asTheServiceSays,
            browserTtl: asTheServiceSays,
          }),
        ]
      : []),
    rule("rest", "all else", [host, ...isStatic.map((condition) => `not ${condition}`)], { cache: false }),
  ];
}
