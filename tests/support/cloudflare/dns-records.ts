import { isIPv4, isIPv6 } from "node:net";
import { z } from "zod";
import { newId } from "./access.ts";
import { ApiError, bodyOf, notFound, now, paged, type Call, type Route } from "./api.ts";
import type { Zone } from "./zones.ts";

export interface DnsRecord {
  id: string;
  /** The whole name, without a dot at its end. */
  name: string;
  type: string;
  content: string;
  proxied: boolean;
  proxiable: boolean;
  ttl: number;
  comment: string | null;
  tags: string[];
  settings: Record<string, unknown>;
  meta: Record<string, unknown>;
  data?: RecordBody["data"];
  priority?: number;
  created_on: string;
  modified_on: string;
}

const recordBody = z.strictObject({
  name: z.string().min(1),
  type: z.enum(["A", "AAAA", "CNAME", "CAA", "TXT", "MX"]),
  content: z.string().optional(),
  ttl: z.number().optional(),
  proxied: z.boolean().optional(),
  comment: z.string().max(100).nullish(),
  tags: z.array(z.string()).nullish(),
  priority: z.number().nullish(),
  settings: z
    .strictObject({
      ipv4_only: z.boolean().nullish(),
      ipv6_only: z.boolean().nullish(),
      flatten_cname: z.boolean().nullish(),
    })
    .nullish(),
  data: z
    .strictObject({
      flags: z.union([z.number(), z.string()]),
      tag: z.enum(["issue", "issuewild", "iodef"]),
      value: z.string(),
    })
    .nullish(),
});
type RecordBody = z.output<typeof recordBody>;

/** DNS records of a zone. */
export function recordRoutes(of: (call: Call) => Zone): Route[] {
  const path = "/zones/:zone/dns_records";
  const read = { permission: "DNS", level: "Read" } as const;
  const write = { permission: "DNS", level: "Write" } as const;
  const one = (call: Call): [Zone, DnsRecord] => {
    const zone = of(call);
    const record = zone.records.get(call.params["record"]!);
    if (!record) throw notFound(81044, "Record does not exist.");
    return [zone, record];
  };
  return [
    {
      method: "GET",
      path,
      needs: read,
      handle: (call) => {
        const wanted = (key: "name" | "type" | "content", query: string) => {
          const value = call.query.get(query);
          return (record: DnsRecord) => value === null || record[key] === value;
        };
        const found = [...of(call).records.values()]
          .filter(wanted("name", "name"))
          .filter(wanted("name", "name.exact"))
          .filter(wanted("content", "content"))
          .filter(wanted("content", "content.exact"))
          .filter(wanted("type", "type"));
        return paged(found, call, 5_000_000, 100);
      },
    },
    {
      method: "POST",
      path,
      needs: write,
      handle: (call) => ({ result: keepRecord(of(call), newId(), bodyOf(call, recordBody, 9207)) }),
    },
    { method: "GET", path: `${path}/:record`, needs: read, handle: (call) => ({ result: one(call)[1] }) },
    {
      method: "PUT",
      path: `${path}/:record`,
      needs: write,
      handle: (call) => {
        const [zone, record] = one(call);
        return { result: keepRecord(zone, record.id, bodyOf(call, recordBody, 9207)) };
      },
    },
    {
      method: "PATCH",
      path: `${path}/:record`,
      needs: write,
      handle: (call) => {
        const [zone, record] = one(call);
        const { name, type, content, ttl, proxied, comment, tags, data } = record;
        const whole = { name, type, content, ttl, proxied, comment, tags, ...(data ? { data } : {}) };
        return {
          result: keepRecord(zone, record.id, { ...whole, ...bodyOf(call, recordBody.partial(), 9207) }),
        };
      },
    },
    {
      method: "DELETE",
      path: `${path}/:record`,
      needs: write,
      handle: (call) => {
        const [zone, record] = one(call);
        zone.records.delete(record.id);
        return { result: { id: record.id } };
      },
    },
  ];
}

const ADDRESSES = ["A", "AAAA"];

/** Checks a record as the API does, and puts it in the place of that id. */
export function keepRecord(zone: Zone, id: string, given: Omit<RecordBody, "type"> & { type: string }): DnsRecord {
  const { type, data, comment, tags, settings, priority } = given;
  const name = wholeName(given.name, zone);
  const content = type === "CAA" && data ? `${data.flags} ${data.tag} "${data.value}"` : (given.content ?? "");
  const proxiable = ["A", "AAAA", "CNAME"].includes(type);
  const proxied = given.proxied ?? false;
  const ttl = given.ttl ?? 1;
  if (!(name === zone.name || name.endsWith(`.${zone.name}`))) throw invalid(9000, "DNS name is invalid.");
  if (type === "A" && !isIPv4(content)) throw invalid(9005, "Content for A record must be a valid IPv4 address.");
  if (type === "AAAA" && !isIPv6(content)) throw invalid(9006, "Content for AAAA record must be a valid IPv6 address.");
  if (type === "CNAME" && !/^[\w.-]+$/.test(content)) throw invalid(9007, "Content for CNAME record is invalid.");
  if (type === "CAA" && !data) throw invalid(9101, "CAA records need data.");
  if (content === "") throw invalid(9021, "Content is required.");
  if (proxied && !proxiable) throw invalid(9004, "This record type cannot be proxied.");
  if (ttl !== 1 && (ttl < 60 || ttl > 86400))
    throw invalid(9021, "TTL must be between 60 and 86400 seconds, or 1 for Automatic.");
  const others = [...zone.records.values()].filter((record) => record.id !== id && record.name === name);
  if (others.some((record) => record.type === type && record.content === content))
    throw new ApiError(400, 81058, "An identical record already exists.");
  if (type === "CNAME" && others.some((record) => record.type === "CNAME" || ADDRESSES.includes(record.type)))
    throw new ApiError(400, 81053, "An A, AAAA, or CNAME record with that host already exists.");
  if (ADDRESSES.includes(type) && others.some((record) => record.type === "CNAME"))
    throw new ApiError(400, 81054, "A CNAME record with that host already exists.");
  const before = zone.records.get(id);
  const record: DnsRecord = {
    id,
    name,
    type,
    content,
    proxied,
    proxiable,
    // What a proxied record answers is Cloudflare's to say.
    ttl: proxied ? 1 : ttl,
    comment: comment ?? null,
    tags: tags ?? [],
    settings: compact(settings ?? {}),
    meta: {},
    ...(data ? { data } : {}),
    ...(typeof priority === "number" ? { priority } : {}),
    created_on: before?.created_on ?? now(),
    modified_on: now(),
  };
  zone.records.set(id, record);
  return record;
}

/** `@` and names that lack the zone's are completed. */
function wholeName(given: string, zone: Zone): string {
  const name = given.toLowerCase().replace(/\.$/, "");
  if (name === "@" || name === zone.name) return zone.name;
  return name.endsWith(`.${zone.name}`) ? name : `${name}.${zone.name}`;
}

function compact(settings: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null && value !== undefined));
}

function invalid(code: number, message: string): ApiError {
  return new ApiError(400, 1004, "DNS Validation Error", [{ code, message }]);
}
