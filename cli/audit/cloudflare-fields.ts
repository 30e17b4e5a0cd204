import { listed } from "./container-fields.ts";
import type { CloudflareState, TokenState } from "./cloudflare-records.ts";
import type { ExpectedAtCloudflare, ExpectedCloudflare } from "./expected-state.ts";

/** Fields of a thing at Cloudflare, as text; what is none of these words is not there. `rule x` has its own in `rule x: …`. */
export type Fields = Readonly<Record<string, string>>;

type Values = Readonly<Record<string, unknown>>;

/** What is compared of one kind of thing, and where the API has it. */
interface Kind {
  /** Paths of the API by a name; the thing is gone if there is nothing at `it`. */
  questions: (promised: ExpectedAtCloudflare) => { it: string } & Record<string, string>;
  promise: (promised: ExpectedAtCloudflare, all: ExpectedCloudflare, state: CloudflareState) => Fields;
  read: (answers: Values, promised: ExpectedAtCloudflare, all: ExpectedCloudflare, state: CloudflareState) => Fields;
}

/** Every kind that is compared. */
export const kinds: Readonly<Record<string, Kind>> = {
  DnsRecord: {
    questions: ({ id, inputs }) => ({ it: `/zones/${text(inputs["zoneId"])}/dns_records/${id}` }),
    promise: ({ inputs }) => recordFields(inputs),
    read: ({ it }) => recordFields(it as Values),
  },
  ZoneSetting: {
    questions: ({ inputs }) => ({ it: `/zones/${text(inputs["zoneId"])}/settings/${text(inputs["settingId"])}` }),
    promise: ({ inputs: { value } }) => flat({ value }),
    read: ({ it }) => flat({ value: (it as Values)["value"] }),
  },
  Ruleset: {
    questions: ({ id, inputs }) => ({ it: `/zones/${text(inputs["zoneId"])}/rulesets/${id}` }),
    promise: ({ inputs }) => rulesetFields(inputs, snakeCased(inputs["rules"])),
    read: ({ it }) => rulesetFields(it as Values, (it as Values)["rules"]),
  },
  AccountToken: {
    questions: ({ id, inputs }) => ({ it: `/accounts/${text(inputs["accountId"])}/tokens/${id}` }),
    promise: ({ inputs }, _, { permissions }) => {
      const { name, expiresOn, notBefore, condition, policies } = inputs as unknown as TokenInputs;
      const given = policies.map(({ effect, permissionGroups, resources }) => ({
        ...{ effect, permission_groups: permissionGroups },
        resources: JSON.parse(resources) as object,
      }));
      const wanted = { name, status: "active", expires_on: expiresOn, not_before: notBefore, condition };
      return { ...tokenFields({ ...wanted, policies: given }, permissions), value: "as made" };
    },
    read: ({ it }, { name }, _, { permissions, otherValues }) => {
      const token = it as TokenState;
      // One that opens nothing is told by what keeps it from that.
      const asked = token.status === "active" && !token.condition && !token.not_before;
      return {
        ...tokenFields(token, permissions),
        value: asked && otherValues.includes(name) ? "another" : "as made",
      };
    },
  },
  R2Bucket: {
    questions: (promised) => {
      const it = bucketPath(promised.inputs["accountId"], promised.inputs["name"]);
      return {
        it,
        managed: `${it}/domains/managed`,
        custom: `${it}/domains/custom`,
        cors: `${it}/cors`,
        lock: `${it}/lock`,
      };
    },
    promise: ({ inputs: { storageClass }, outputs: { location, creationDate } }) =>
      flat({
        location: text(location).toUpperCase(),
        "storage class": storageClass ?? "Standard",
        made: instant(creationDate),
      }),
    read: ({ it, managed, custom, cors, lock }, { inputs }, all) => {
      const { location, storage_class, creation_date } = it as Record<string, string>;
      const { enabled, domain } = (managed ?? {}) as { enabled?: boolean; domain?: string };
      const { domains = [] } = (custom ?? {}) as { domains?: { domain: string; enabled: boolean }[] };
      const has = (type: string) =>
        all.all.some((other) => other.type === type && other.inputs["bucketName"] === inputs["name"]);
      return flat({
        location: location?.toUpperCase(),
        "storage class": storage_class,
        made: instant(creation_date),
        // None of these is in the program: a bucket is never public.
        "public address": enabled ? (domain ?? "on") : undefined,
        "public domains": domains.filter((one) => one.enabled).map((one) => one.domain),
        ...(has("R2BucketCors") ? {} : { "CORS rules": rulesIn(cors).length || undefined }),
        ...(has("R2BucketLock") ? {} : { "lock rules": rulesIn(lock).length || undefined }),
      });
    },
  },
  R2BucketLifecycle: partOfBucket("lifecycle"),
  R2BucketCors: partOfBucket("cors"),
  R2BucketLock: partOfBucket("lock"),
  ZeroTrustTunnelCloudflared: {
    questions: ({ id, inputs }) => ({ it: `/accounts/${text(inputs["accountId"])}/cfd_tunnel/${id}` }),
    promise: ({ inputs: { name, configSrc } }) => flat({ name, "configured at": configSrc }),
    read: ({ it }) => {
      const { name, config_src, deleted_at } = it as Values;
      return flat({ name, "configured at": config_src, deleted: deleted_at });
    },
  },
  ZeroTrustTunnelCloudflaredConfig: {
    questions: ({ inputs: { accountId, tunnelId } }) => ({
      it: `/accounts/${text(accountId)}/cfd_tunnel/${text(tunnelId)}/configurations`,
    }),
    promise: ({ inputs }) => {
      const { ingresses, originRequest } = inputs["config"] as { ingresses: Values[]; originRequest?: object };
      return { ...keyed("ingress", ingresses), ...flat({ originRequest }) };
    },
    read: ({ it }) => {
      const config = ((it as Values)["config"] ?? {}) as { ingress?: Values[]; originRequest?: object };
      return { ...keyed("ingress", config.ingress ?? []), ...flat({ originRequest: config.originRequest }) };
    },
  },
};

interface TokenInputs {
  name: string;
  expiresOn?: string;
  notBefore?: string;
  condition?: object;
  policies: { effect: string; permissionGroups: { id: string }[]; resources: string }[];
}

function recordFields({ name, type, content, data, proxied, ttl, comment, tags, settings }: Values): Fields {
  const { flags, tag, value } = (data ?? {}) as Values;
  // Of a record that has its content in parts the text is made of these.
  const parts = data ? { flags, tag, value } : { content };
  return flat({ name, type, ...parts, proxied, ttl, comment, tags, settings });
}

function rulesetFields({ name, kind, phase }: Values, rules: unknown): Fields {
  const own = ((rules ?? []) as Values[]).map(
    ({ ref, expression, action, action_parameters, enabled, description }) => ({
      ...{ id: ref, expression, action, action_parameters, enabled, description },
    }),
  );
  return { ...flat({ name, kind, phase }), ...keyed("rule", own) };
}

function tokenFields(token: Omit<TokenState, "id">, permissions: ReadonlyMap<string, string>): Fields {
  const { name, status, expires_on, not_before, condition, policies } = token;
  const own = policies.map(({ effect, permission_groups, resources }) => ({
    effect,
    permissions: permission_groups.map(({ id }) => permissions.get(id) ?? id).sort(),
    resources: listed(
      Object.fromEntries(Object.entries(resources).map(([key, value]) => [key, JSON.stringify(value)])),
    ),
  }));
  const dates = { "expires on": instant(expires_on), "not before": instant(not_before) };
  return { ...flat({ name, status, ...dates, condition }), ...keyed("policy", own) };
}

function partOfBucket(part: string): Kind {
  return {
    questions: ({ inputs: { accountId, bucketName } }) => ({ it: `${bucketPath(accountId, bucketName)}/${part}` }),
    promise: ({ inputs }) => keyed("rule", rulesIn(inputs)),
    read: ({ it }) => keyed("rule", rulesIn(it)),
  };
}

function bucketPath(account: unknown, bucket: unknown): string {
  return `/accounts/${text(account)}/r2/buckets/${text(bucket)}`;
}

function rulesIn(answer: unknown): Values[] {
  return ((answer ?? {}) as { rules?: Values[] | null }).rules ?? [];
}

/** Each by its id, or by its place in the list: that it is there, and what is in it. */
function keyed(what: string, rules: readonly Values[]): Fields {
  const entries = rules.flatMap(({ id, ...rule }, index) => {
    const name = `${what} ${typeof id === "string" ? id : index + 1}`;
    return [[name, "there"], ...Object.entries(flat(rule)).map(([field, value]) => [`${name}: ${field}`, value])];
  });
  return Object.fromEntries(entries) as Fields;
}

/** `{ a: { b: 1 } }` as `a.b`: 1. What is false or empty is as good as not there: the API leaves out some of these. */
function flat(values: Values): Fields {
  return Object.fromEntries(Object.entries(values).flatMap(([key, value]) => leaves(key, value)));
}

function leaves(at: string, value: unknown): [string, string][] {
  if (value === undefined || value === null || value === false || value === "") return [];
  if (Array.isArray(value)) return value.length === 0 ? [] : [[at, value.map(text).join(", ")]];
  if (typeof value !== "object") return [[at, text(value)]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(`${at}.${key}`, inner));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** To the second: the API and the provider write times with and without the rest. */
function instant(time: unknown): string | undefined {
  if (typeof time !== "string" || time === "") return undefined;
  return new Date(Math.floor(Date.parse(time) / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

/** The provider's names as the API's: edgeTtl, edge_ttl. */
function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCased);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [
    key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    snakeCased(inner),
  ]);
  return Object.fromEntries(entries) as unknown;
}
