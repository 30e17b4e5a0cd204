// What somebody changed by hand at Cloudflare: each by its own request to the API, each found, and nothing else. The same
// is put to `pulumi refresh`. The real engine and the real resource code, on an emulator of the API.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { cloudflareFindings } from "../../cli/audit/cloudflare-drift.ts";
import { cloudflareState } from "../../cli/audit/cloudflare-state.ts";
import type { Finding } from "../../cli/audit/finding.ts";
import { promises, type Deployment } from "../../cli/audit/expected-state.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { rowsOfAuditPage, row } from "../support/audit-page.ts";
import { BOOTSTRAP, permissionGroups } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import type { Zone } from "../support/cloudflare/zones.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";

const DOMAIN = "reach.example.com";
const HOST = "tunnels.reach.example.com";
const PERMISSIONS = [...BOOTSTRAP, "Account API Tokens Write", "Workers R2 Storage Write", "Cloudflare Tunnel Write"];

let emulator: CloudflareEmulator;
let copy: RepositoryCopy;
let project: TestProject;
let zone: Zone;
let bootstrap: string;
/** Everything as it was deployed. */
let deployed: ReturnType<typeof everything>;
let state: { deployment: Deployment };

beforeAll(async () => {
  const { env } = await provideToolchain({ cloudflare: true });
  emulator = await CloudflareEmulator.start();
  zone = emulator.zones.add("example.com");
  copy = new RepositoryCopy();
  writeFileSync(join(copy.directory, "index.ts"), program());
  project = await createTestProject({
    ...{ stack: "audited", config: {}, program: copy.directory },
    env: { ...env, CLOUDFLARE_BASE_URL: emulator.baseUrl },
  });
  process.env["CLOUDFLARE_BASE_URL"] = emulator.baseUrl;
  bootstrap = emulator.addToken({ name: "bootstrap", permissions: PERMISSIONS }).value;
  await project.setSecret("token", bootstrap);
  const up = await project.up();
  expect(up, up.stderr + up.stdout).toMatchObject({ code: 0 });
  deployed = everything();
  state = await exported();
});

afterAll(async () => {
  delete process.env["CLOUDFLARE_BASE_URL"];
  project?.remove();
  copy?.remove();
  await emulator?.close();
});

afterEach(() => putBack(deployed));

/** All kinds of things that a stack has there, without the host. */
function program(): string {
  return `
    import * as pulumi from "@pulumi/pulumi";
    import * as tunnels from "@pulumi/cloudflare/zeroTrustTunnelCloudflared.js";
    import * as configs from "@pulumi/cloudflare/zeroTrustTunnelCloudflaredConfig.js";
    import { CloudflareAccount } from "./components/cloudflare/cloudflare-account.ts";
    import { Dns } from "./components/cloudflare/dns.ts";
    import { ObjectStorage } from "./components/cloudflare/object-storage.ts";
    import { Zone } from "./components/cloudflare/zone.ts";
    const apiToken = new pulumi.Config().requireSecret("token");
    const account = new CloudflareAccount("cloudflare", { id: "${emulator.account.id}", apiToken });
    const zone = new Zone("zone", { account, id: "${zone.id}", domain: "${DOMAIN}", staticPaths: ["/assets"] });
    new Dns("dns", {
      zone,
      addresses: ["203.0.113.10"],
      domain: "${DOMAIN}",
      hosts: [{ name: "${HOST}", proxied: false, why: "tunnels are TCP" }],
      certificateAuthorities: ["letsencrypt.org"],
    });
    const storage = new ObjectStorage("files", {
      account,
      bucket: "reach-files",
      jurisdiction: "eu",
      origin: "https://${DOMAIN}",
      expireAfterDays: { "tmp/": 1 },
      lockDays: { "backups/": 30 },
    });
    storage.token("files-backend", "read-write", 30);
    new ObjectStorage("plain", { account, bucket: "reach-plain" });
    // As the component Tunnel makes them, which has a connector on the host too.
    const [accountId, opts] = [account.id, { provider: account.provider }];
    const tunnel = new tunnels.ZeroTrustTunnelCloudflared(
      "tunnel",
      { accountId, name: "reach-audited", configSrc: "cloudflare" },
      opts,
    );
    const originRequest = { originServerName: "${DOMAIN}", caPool: "/run/secrets/ca_certificate" };
    const ingresses = [
      { hostname: "${DOMAIN}", service: "https://door:8443", originRequest },
      { service: "http_status:404" },
    ];
    new configs.ZeroTrustTunnelCloudflaredConfig(
      "tunnel-config",
      { accountId, tunnelId: tunnel.id, source: "cloudflare", config: { ingresses } },
      opts,
    );
  `;
}

interface Change {
  /** As the page on it names it. */
  what: string;
  by: () => Promise<unknown>;
  /** What the audit says of it: the resource and the field. */
  found: string;
  also?: string[];
  /** What a refresh would read back as another value. @default it reads nothing of it */
  property?: string;
}

async function ask<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(emulator.baseUrl + path, {
    method,
    headers: { ...headers, authorization: `Bearer ${bootstrap}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  expect(response.status, `${method} ${path}: ${text}`).toBe(200);
  return (JSON.parse(text) as { result: T }).result;
}

/** Reads a thing, changes it, and writes it back. */
async function alter<T>(path: string, change: (it: T) => unknown, headers?: Record<string, string>): Promise<void> {
  const it = await ask<T>("GET", path, undefined, headers);
  change(it);
  await ask("PUT", path, it, headers);
}

const EU = { "cf-r2-jurisdiction": "eu" };
const zonePath = () => `/zones/${zone.id}`;
const account = () => `/accounts/${emulator.account.id}`;
const bucket = () => `${account()}/r2/buckets/reach-files`;
const recordPath = (name: string, type: string, start = "") => {
  const found = [...deployed.zone.records.values()].filter(
    (one) => one.name === name && one.type === type && one.content.startsWith(start),
  );
  expect(found).toHaveLength(1);
  return `${zonePath()}/dns_records/${found[0]!.id}`;
};
const group = (name: string) => ({ id: permissionGroups.find((one) => one.name === name)!.id });

function record(what: string, field: string, patch: object, where: "domain" | "host" | "CAA"): Change {
  const at = {
    domain: { path: () => recordPath(DOMAIN, "A"), resource: `dns-${DOMAIN}-203.0.113.10` },
    host: { path: () => recordPath(HOST, "A"), resource: `dns-${HOST}-203.0.113.10` },
    CAA: { path: () => recordPath(DOMAIN, "CAA", "0 issue "), resource: "dns-issue-letsencrypt.org" },
  }[where];
  const property =
    where === "CAA" ? `data.${field}` : field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return {
    what: `a record ${what}`,
    by: async () => {
      // Data is one thing to the API.
      const { data } = await ask<{ data?: object }>("GET", at.path());
      await ask("PATCH", at.path(), where === "CAA" ? { data: { ...data, ...patch } } : patch);
    },
    ...{ found: `${at.resource} ${field}`, property: `${at.resource} ${property}` },
  };
}

function setting(id: string, value: unknown, field = ""): Change {
  const resource = `zone-${id.replaceAll("_", "-")}`;
  return {
    what: `the setting ${id}${field}`,
    by: async () => {
      const path = `${zonePath()}/settings/${id}`;
      const { value: now } = await ask<{ value: { strict_transport_security: object } }>("GET", path);
      const inner = field.replace(/^.*\./, "");
      const within = { strict_transport_security: { ...now.strict_transport_security, [inner]: value } };
      await ask("PATCH", path, { value: field === "" ? value : within });
    },
    ...{ found: `${resource} value${field}`, property: `${resource} value${field}` },
  };
}

interface Rule {
  [key: string]: unknown;
  action_parameters: Record<string, unknown>;
}

const rulesetPath = () => `${zonePath()}/rulesets/${[...deployed.zone.rulesets.keys()][0]}`;
/** A rule as it is written: when it was last is the API's to say. */
const written = <R extends object>(rule: R) => ({ ...rule, last_updated: undefined });

function cacheRule(what: string, field: string, change: (rules: Rule[]) => unknown, property?: string): Change {
  return {
    what: `a cache rule ${what}`,
    by: () =>
      alter<Record<string, unknown>>(rulesetPath(), (ruleset) => {
        const rules = (ruleset["rules"] as Rule[]).map(written);
        change(rules);
        for (const key of Object.keys(ruleset)) delete ruleset[key];
        ruleset["rules"] = rules;
      }),
    ...{ found: `zone-cache ${field}`, property: `zone-cache ${property ?? "rules"}` },
  };
}

interface TokenBody {
  [key: string]: unknown;
  policies: { effect: string; permission_groups: object[]; resources: object }[];
}

const tokenPath = () => {
  const found = [...deployed.tokens.values()].filter(({ name }) => name.startsWith("reach-audited-files-backend"));
  expect(found).toHaveLength(1);
  return `${account()}/tokens/${found[0]!.id}`;
};

function token(what: string, field: string, change: (token: TokenBody) => unknown, property?: string): Change {
  return {
    what: `a token ${what}`,
    by: () =>
      alter<TokenBody>(tokenPath(), (body) => {
        for (const key of ["id", "issued_on", "modified_on"]) delete body[key];
        change(body);
      }),
    found: `files-backend-token ${field}`,
    ...(property && { property: `files-backend-token ${property}` }),
  };
}

type Part = "lifecycle" | "cors" | "lock";

function part(name: Part, what: string, field: string, change: (rules: Rule[]) => unknown, property = "rules"): Change {
  return {
    what: `${{ lifecycle: "an expiry", cors: "a CORS rule", lock: "a lock" }[name]} ${what}`,
    by: () => alter<{ rules: Rule[] }>(`${bucket()}/${name}`, ({ rules }) => change(rules), EU),
    ...{ found: `files-${name} ${field}`, property: `files-${name} ${property}` },
  };
}

interface Ingress {
  [key: string]: unknown;
  originRequest: Record<string, unknown>;
}

function ingress(
  what: string,
  field: string,
  change: (rules: Ingress[]) => unknown,
  property = "config.ingresses",
): Change {
  return {
    what: `a tunnel ${what}`,
    by: () =>
      alter<Record<string, unknown>>(`${account()}/cfd_tunnel/${tunnelId()}/configurations`, (answer) => {
        const config = answer["config"] as { ingress: Ingress[] };
        change(config.ingress);
        for (const key of Object.keys(answer)) if (key !== "config") delete answer[key];
      }),
    ...{ found: `tunnel-config ${field}`, property: `tunnel-config ${property}` },
  };
}

const tunnelId = () => [...deployed.tunnels.keys()][0]!;
const foreign = (name: string) => `${name} record that the stack did not make`;
const expiry = "rule expiry of tmp/";
const upload = "rule uploads that nobody ended";
const pages = "rule the site's pages";
const backups = "rule lock of backups/";

const changes: Change[] = [
  record("that leads elsewhere", "content", { content: "198.51.100.66" }, "domain"),
  record("without the proxy", "proxied", { proxied: false }, "domain"),
  record("of another name", "name", { name: "other.example.com" }, "host"),
  record("of another type", "type", { type: "TXT" }, "host"),
  record("with another TTL", "ttl", { ttl: 300 }, "host"),
  record("with another comment", "comment", { comment: "mine" }, "domain"),
  record("with a tag", "tags", { tags: ["owner:me"] }, "domain"),
  record("with a setting", "settings.ipv4_only", { settings: { ipv4_only: true } }, "domain"),
  record("for another authority", "value", { value: "ca.evil.test" }, "CAA"),
  record("for an authority with other flags", "flags", { flags: 128 }, "CAA"),
  record("for an authority with another tag", "tag", { tag: "iodef" }, "CAA"),
  {
    what: "a record that is gone",
    by: () => ask("DELETE", recordPath(DOMAIN, "CAA", "0 issuewild ")),
    ...{ found: "dns-issuewild-letsencrypt.org itself", property: "dns-issuewild-letsencrypt.org gone" },
  },
  {
    what: "a second address at the domain",
    by: () => ask("POST", `${zonePath()}/dns_records`, { name: DOMAIN, type: "A", content: "198.51.100.1", ttl: 1 }),
    found: foreign(DOMAIN),
  },
  {
    what: "an address of IPv6 at a name of the stack",
    by: () => ask("POST", `${zonePath()}/dns_records`, { name: HOST, type: "AAAA", content: "2001:db8::66", ttl: 1 }),
    found: foreign(HOST),
  },
  {
    what: "one more authority for the domain",
    by: () => {
      const data = { flags: 0, tag: "issue", value: "ca.evil.test" };
      return ask("POST", `${zonePath()}/dns_records`, { name: DOMAIN, type: "CAA", data, ttl: 1 });
    },
    found: foreign(DOMAIN),
  },
  setting("ssl", "flexible"),
  setting("always_use_https", "off"),
  setting("min_tls_version", "1.0"),
  setting("tls_1_3", "off"),
  setting("automatic_https_rewrites", "off"),
  setting("security_header", false, ".strict_transport_security.enabled"),
  setting("security_header", 60, ".strict_transport_security.max_age"),
  setting("security_header", false, ".strict_transport_security.include_subdomains"),
  setting("security_header", true, ".strict_transport_security.preload"),
  setting("security_header", false, ".strict_transport_security.nosniff"),
  cacheRule(
    "for other requests",
    "rule static: expression",
    ([rule]) => (rule!["expression"] = "true"),
    "rules.0.expression",
  ),
  cacheRule("that is off", "rule static: enabled", ([rule]) => (rule!["enabled"] = false), "rules.0.enabled"),
  cacheRule(
    "with other words",
    "rule rest: description",
    ([, rule]) => (rule!["description"] = "mine"),
    "rules.1.description",
  ),
  cacheRule(
    "that caches",
    "rule rest: action_parameters.cache",
    ([, rule]) => (rule!.action_parameters["cache"] = true),
    "rules.1.actionParameters.cache",
  ),
  cacheRule(
    "that keeps longer at the edge",
    "rule static: action_parameters.edge_ttl.mode",
    ([rule]) => (rule!.action_parameters["edge_ttl"] = { mode: "bypass_by_default" }),
    "rules.0.actionParameters.edgeTtl.mode",
  ),
  cacheRule(
    "that keeps longer in browsers",
    "rule static: action_parameters.browser_ttl.mode",
    ([rule]) => (rule!.action_parameters["browser_ttl"] = { mode: "bypass" }),
    "rules.0.actionParameters.browserTtl.mode",
  ),
  cacheRule(
    "with one more parameter",
    "rule static: action_parameters.respect_strong_etags",
    ([rule]) => (rule!.action_parameters["respect_strong_etags"] = true),
    "rules.0.actionParameters.respectStrongEtags",
  ),
  cacheRule("that nobody wrote", "rule mine", (rules) =>
    rules.push({ ref: "mine", action: "set_cache_settings", action_parameters: { cache: true }, expression: "true" }),
  ),
  cacheRule("that is gone", "rule rest", (rules) => rules.pop()),
  {
    what: "cache rules of another name",
    by: async () => {
      const { rules } = await ask<{ rules: Rule[] }>("GET", rulesetPath());
      await ask("PUT", rulesetPath(), { name: "mine", rules: rules.map(written) });
    },
    ...{ found: "zone-cache name", property: "zone-cache name" },
  },
  {
    what: "all cache rules gone",
    by: () => ask("DELETE", rulesetPath()),
    ...{ found: "zone-cache itself", property: "zone-cache gone" },
  },
  token("of another name", "name", (body) => (body["name"] = "reach-audited-files-backend-mine"), "name"),
  token(
    "that may do more",
    "policy 1: permissions",
    ({ policies: [policy] }) => policy!.permission_groups.push(group("Workers R2 Storage Bucket Item Read")),
    "policies.0.permissionGroups",
  ),
  token(
    "that may do nothing",
    "policy 1: effect",
    ({ policies: [policy] }) => (policy!.effect = "deny"),
    "policies.0.effect",
  ),
  token(
    "for all buckets",
    "policy 1: resources",
    ({ policies: [policy] }) => (policy!.resources = { "com.cloudflare.edge.r2.bucket.*": "*" }),
    "policies.0.resources",
  ),
  token(
    "with one more policy",
    "policy 2",
    ({ policies }) =>
      policies.push({
        ...{ effect: "allow", permission_groups: [group("DNS Write")] },
        resources: { [`com.cloudflare.api.account.zone.${zone.id}`]: "*" },
      }),
    "policies",
  ),
  token("that lives longer", "expires on", (body) => (body["expires_on"] = "2099-01-01T00:00:00Z"), "expiresOn"),
  token("that holds later", "not before", (body) => (body["not_before"] = "2098-01-01T00:00:00Z"), "notBefore"),
  token("that is disabled", "status", (body) => (body["status"] = "disabled"), "status"),
  token(
    "for some addresses",
    "condition.request_ip.in",
    (body) => (body["condition"] = { request_ip: { in: ["198.51.100.0/24"] } }),
    "condition",
  ),
  {
    what: "a token with another value",
    by: () => ask("PUT", `${tokenPath()}/value`, {}),
    ...{ found: "files-backend-token value", property: "files-backend-token value" },
  },
  {
    what: "a token that is gone",
    by: () => ask("DELETE", tokenPath()),
    ...{ found: "files-backend-token itself", property: "files-backend-token gone" },
  },
  {
    what: "another token for the stack's bucket",
    by: () => {
      const resources = { [`com.cloudflare.edge.r2.bucket.${emulator.account.id}_eu_reach-files`]: "*" };
      const permission_groups = [group("Workers R2 Storage Bucket Item Read")];
      return ask("POST", `${account()}/tokens`, {
        ...{ name: "reader", policies: [{ effect: "allow", permission_groups, resources }] },
      });
    },
    found: "token reader token for the stack's bucket",
  },
  {
    what: "another token of the same name",
    by: () => {
      const resources = { [`com.cloudflare.api.account.zone.${zone.id}`]: "*" };
      const policies = [{ effect: "allow", permission_groups: [group("DNS Write")], resources }];
      return ask("POST", `${account()}/tokens`, { name: "reach-audited-files-backend-2020-01-01", policies });
    },
    found: "token reach-audited-files-backend-2020-01-01 token with the name of one of the stack's",
  },
  {
    what: "a bucket of another storage class",
    by: () => ask("PATCH", bucket(), undefined, { ...EU, "cf-r2-storage-class": "InfrequentAccess" }),
    ...{ found: "files-bucket storage class", property: "files-bucket storageClass" },
  },
  {
    what: "a bucket that everybody may read at Cloudflare's address",
    by: () => ask("PUT", `${bucket()}/domains/managed`, { enabled: true }, EU),
    found: "files-bucket public address",
  },
  {
    what: "a bucket that everybody may read at a name",
    by: () =>
      ask("POST", `${bucket()}/domains/custom`, { domain: "files.example.com", zoneId: zone.id, enabled: true }, EU),
    found: "files-bucket public domains",
  },
  {
    what: "a bucket that was made anew, elsewhere",
    by: async () => {
      const parts = await Promise.all(
        PARTS.map(async (name) => [name, await ask("GET", `${bucket()}/${name}`, undefined, EU)] as const),
      );
      await ask("DELETE", bucket(), undefined, EU);
      await ask("POST", `${account()}/r2/buckets`, { name: "reach-files", locationHint: "enam" }, EU);
      for (const [name, rules] of parts) await ask("PUT", `${bucket()}/${name}`, rules, EU);
    },
    ...{ found: "files-bucket made", also: ["files-bucket location"], property: "files-bucket creationDate" },
  },
  {
    what: "a bucket that is gone",
    by: () => ask("DELETE", bucket(), undefined, EU),
    found: "files-bucket itself",
    also: ["files-lifecycle itself", "files-cors itself", "files-lock itself"],
    property: "files-bucket gone",
  },
  part("lifecycle", "that is off", `${expiry}: enabled`, ([, rule]) => (rule!["enabled"] = false), "rules.1.enabled"),
  part(
    "lifecycle",
    "of other files",
    `${expiry}: conditions.prefix`,
    ([, rule]) => (rule!["conditions"] = { prefix: "documents/" }),
    "rules.1.conditions.prefix",
  ),
  part(
    "lifecycle",
    "after another time",
    `${expiry}: deleteObjectsTransition.condition.maxAge`,
    ([, rule]) => (rule!["deleteObjectsTransition"] = { condition: { type: "Age", maxAge: 3600 } }),
    "rules.1.deleteObjectsTransition.condition.maxAge",
  ),
  part(
    "lifecycle",
    "of uploads after another time",
    `${upload}: abortMultipartUploadsTransition.condition.maxAge`,
    ([rule]) => (rule!["abortMultipartUploadsTransition"] = { condition: { type: "Age", maxAge: 3600 } }),
    "rules.0.abortMultipartUploadsTransition.condition.maxAge",
  ),
  part(
    "lifecycle",
    "that moves files elsewhere first",
    `${expiry}: storageClassTransitions`,
    ([, rule]) => {
      const condition = { type: "Age", maxAge: 60 };
      rule!["storageClassTransitions"] = [{ condition, storageClass: "InfrequentAccess" }];
    },
    "rules.1.storageClassTransitions",
  ),
  part("lifecycle", "that is gone", expiry, (rules) => rules.pop()),
  part("lifecycle", "that nobody wrote", "rule mine", (rules) =>
    rules.push({
      ...{ id: "mine", enabled: true, conditions: { prefix: "" } },
      deleteObjectsTransition: { condition: { type: "Age", maxAge: 60 } },
    } as unknown as Rule),
  ),
  cors("for another site", "origins", ["https://evil.test"]),
  cors("for other methods", "methods", ["GET", "PUT", "DELETE"]),
  cors("for other headers", "headers", ["*"]),
  part(
    "cors",
    "that is kept for longer",
    `${pages}: maxAgeSeconds`,
    ([rule]) => (rule!["maxAgeSeconds"] = 86400),
    "rules.0.maxAgeSeconds",
  ),
  part(
    "cors",
    "that shows more headers",
    `${pages}: exposeHeaders`,
    ([rule]) => (rule!["exposeHeaders"] = ["etag"]),
    "rules.0.exposeHeaders",
  ),
  part("cors", "that nobody wrote", "rule 2", (rules) =>
    rules.push({ allowed: { methods: ["GET"], origins: ["*"] } } as unknown as Rule),
  ),
  {
    what: "all CORS rules gone",
    by: () => ask("DELETE", `${bucket()}/cors`, undefined, EU),
    ...{ found: "files-cors itself", property: "files-cors gone" },
  },
  {
    what: "a CORS rule for a bucket that is to have none",
    by: () => {
      const rules = [{ allowed: { methods: ["GET"], origins: ["*"] } }];
      return ask("PUT", `${account()}/r2/buckets/reach-plain/cors`, { rules });
    },
    found: "plain-bucket CORS rules",
  },
  part("lock", "that is off", `${backups}: enabled`, ([rule]) => (rule!["enabled"] = false), "rules.0.enabled"),
  part("lock", "of other files", `${backups}: prefix`, ([rule]) => (rule!["prefix"] = "tmp/"), "rules.0.prefix"),
  part(
    "lock",
    "for another time",
    `${backups}: condition.maxAgeSeconds`,
    ([rule]) => (rule!["condition"] = { type: "Age", maxAgeSeconds: 60 }),
    "rules.0.condition.maxAgeSeconds",
  ),
  part("lock", "that is gone", backups, (rules) => rules.pop()),
  {
    what: "a lock for a bucket that is to have none",
    by: () => {
      const rules = [{ id: "mine", enabled: true, condition: { type: "Indefinite" } }];
      return ask("PUT", `${account()}/r2/buckets/reach-plain/lock`, { rules });
    },
    found: "plain-bucket lock rules",
  },
  {
    what: "a tunnel of another name",
    by: () => ask("PATCH", `${account()}/cfd_tunnel/${tunnelId()}`, { name: "mine" }),
    ...{ found: "tunnel name", property: "tunnel name" },
  },
  ingress(
    "for another name",
    "ingress 1: hostname",
    ([rule]) => (rule!["hostname"] = "evil.example.com"),
    "config.ingresses.0.hostname",
  ),
  ingress(
    "that leads elsewhere",
    "ingress 1: service",
    ([rule]) => (rule!["service"] = "http://backend:8765"),
    "config.ingresses.0.service",
  ),
  ingress(
    "that takes another certificate",
    "ingress 1: originRequest.originServerName",
    ([rule]) => (rule!.originRequest["originServerName"] = "evil.test"),
    "config.ingresses.0.originRequest.originServerName",
  ),
  ingress(
    "that trusts another authority",
    "ingress 1: originRequest.caPool",
    ([rule]) => (rule!.originRequest["caPool"] = "/tmp/ca"),
    "config.ingresses.0.originRequest.caPool",
  ),
  ingress(
    "that takes any certificate",
    "ingress 1: originRequest.noTLSVerify",
    ([rule]) => (rule!.originRequest["noTLSVerify"] = true),
    "config.ingresses.0.originRequest.noTlsVerify",
  ),
  ingress("that leads to something more", "ingress 3", (rules) =>
    rules.push({ service: "http_status:403" } as unknown as Ingress),
  ),
  {
    what: "a tunnel that is gone",
    by: () => ask("DELETE", `${account()}/cfd_tunnel/${tunnelId()}`),
    ...{ found: "tunnel itself", also: ["tunnel-config itself"], property: "tunnel gone" },
  },
];

const PARTS = ["lifecycle", "cors", "lock"] as const;

function cors(what: string, field: string, value: string[]): Change {
  return part(
    "cors",
    what,
    `${pages}: allowed.${field}`,
    ([rule]) => ((rule!["allowed"] as Record<string, unknown>)[field] = value),
    `rules.0.allowed.${field}`,
  );
}

/** All that is there, as it is now. */
function everything() {
  const { access, buckets, tunnels } = emulator;
  return structuredClone({
    zone: { records: zone.records, settings: zone.settings, settingTimes: zone.settingTimes, rulesets: zone.rulesets },
    ...{ tokens: access.tokens, buckets: buckets.all, tunnels: tunnels.all },
  });
}

function putBack(before: ReturnType<typeof everything>): void {
  const { access, buckets, tunnels } = emulator;
  const copy = structuredClone(before);
  Object.assign(zone, copy.zone);
  for (const [there, was] of [
    [access.tokens, copy.tokens],
    [buckets.all, copy.buckets],
    [tunnels.all, copy.tunnels],
  ] as [Map<string, unknown>, Map<string, unknown>][]) {
    there.clear();
    for (const [key, value] of was) there.set(key, value);
  }
}

async function audit(): Promise<Finding[]> {
  const { cloudflare } = promises(state.deployment);
  return cloudflareFindings(cloudflare!, await cloudflareState(cloudflare!));
}

const named = (found: readonly Finding[]) => found.map(({ resource, field }) => `${resource} ${field}`).sort();

/** What a refresh writes into the state, leaf by leaf: `zone-ssl value`, or `zone-ssl gone`. */
async function refreshed(): Promise<string[]> {
  const file = join(project.directory, "state/.pulumi/stacks/reach/audited.json");
  const before = readFileSync(file);
  expect(await project.refresh()).toMatchObject({ code: 0 });
  const after = new Map(((await exported()).deployment.resources ?? []).map(({ urn, outputs }) => [urn, outputs]));
  writeFileSync(file, before);
  return (state.deployment.resources ?? []).flatMap(({ urn, outputs }) => {
    const name = urn.slice(urn.lastIndexOf("::") + 2);
    if (!after.has(urn)) return [`${name} gone`];
    const [was, is] = [leaves(outputs), leaves(after.get(urn))];
    const paths = [...new Set([...was.keys(), ...is.keys()])].filter((path) => !path.startsWith("__"));
    return paths.filter((path) => was.get(path) !== is.get(path)).map((path) => `${name} ${path}`);
  });
}

const exported = () => project.exportState<{ deployment: Deployment }>({ showSecrets: true });

function leaves(value: unknown, at: string[] = []): Map<string, string> {
  if (typeof value !== "object" || value === null) return new Map([[at.join("."), JSON.stringify(value) ?? ""]]);
  return new Map(Object.entries(value).flatMap(([key, inner]) => [...leaves(inner, [...at, key])]));
}

/** Whether a refresh saw a property, or something in it. */
const saw = (seen: readonly string[], property: string) =>
  seen.some((path) => path === property || path.startsWith(`${property}.`));

/** Changes that can be made at once: no two are of the same field, and what changes a whole thing is alone with it. */
function rounds(all: readonly Change[]): Change[][] {
  const made: Change[][] = [];
  const whole = ({ property = "" }: Change) => / (gone|rules|policies|value|.*ingresses)$/.test(property);
  const resource = ({ found }: Change) => found.split(" ")[0];
  const family = ({ found }: Change) => found.split(/[ -]/)[0];
  const clash = (one: Change, other: Change) =>
    one.found === other.found ||
    ((whole(one) || whole(other)) && resource(one) === resource(other)) ||
    ((one.also || other.also) && family(one) === family(other));
  for (const change of all) {
    const round = made.find((others) => !others.some((other) => clash(change, other)));
    if (round) round.push(change);
    else made.push([change]);
  }
  return made;
}

test("a stack as it was deployed is as it promises", async () => {
  expect(await audit()).toEqual([]);
  expect(await refreshed()).toEqual([]);
});

const seenByRefresh = new Map<Change, boolean>();

test.each(rounds(changes).map((round, index) => [index + 1, round] as const))(
  "every change by hand is found, and nothing else is said (%i)",
  async (_, round) => {
    for (const { by } of round) await by();
    const found = await audit();
    expect(named(found)).toEqual(round.flatMap(({ found, also = [] }) => [found, ...also]).sort());
    for (const { promised, found: is, cure } of found) {
      expect(promised).not.toBe(is);
      expect(cure.length).toBeGreaterThan(10);
    }
    const text = JSON.stringify(found);
    for (const { value } of emulator.access.tokens.values()) expect(text).not.toContain(value);
    const seen = await refreshed();
    console.log(JSON.stringify({ refreshed: seen }));
    for (const change of round) seenByRefresh.set(change, change.property !== undefined && saw(seen, change.property));
  },
);

test("the cures put right what is in the program", async () => {
  // What a refresh sees, and the first of what clashes.
  const [round] = rounds(changes.filter((change) => seenByRefresh.get(change)));
  for (const { by } of round!) await by();
  expect(await audit()).not.toEqual([]);
  expect(await project.refresh()).toMatchObject({ code: 0 });
  const record = `dns-${DOMAIN}-203.0.113.10`;
  await update();
  // The program names no settings of a record.
  expect(named(await audit())).toEqual([`${record} settings.ipv4_only`]);
  await update(["--replace", `**${record}`]);
  expect(await audit()).toEqual([]);
});

async function update(args: string[] = []): Promise<void> {
  const up = await project.up(args);
  expect(up, up.stderr + up.stdout).toMatchObject({ code: 0 });
  state = await exported();
}

test("the page on it says what was seen here", () => {
  expect(rowsOfAuditPage("At Cloudflare")).toEqual(
    changes.map((change) => row(change.what, seenByRefresh.get(change)!)),
  );
});
