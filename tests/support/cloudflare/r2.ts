import { z } from "zod";
import { ApiError, bodyOf, notFound, now, type Call, type Route } from "./api.ts";

export interface Bucket {
  name: string;
  location: string;
  jurisdiction: string;
  storage_class: string;
  creation_date: string;
  /** Set by a test that wants a bucket that is not empty. */
  objects: number;
  lifecycle: unknown[];
  cors: unknown[] | undefined;
  locks: unknown[];
  /** Whether everybody may read it at an address of Cloudflare's own. */
  publicAddress: boolean;
  /** Names of zones at which everybody may read it. */
  domains: { domain: string; zoneId: string; enabled: boolean }[];
}

const storageClass = z.enum(["Standard", "InfrequentAccess"]);
const bucketBody = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/),
  locationHint: z.enum(["apac", "eeur", "enam", "weur", "wnam", "oc"]).optional(),
  storageClass: storageClass.optional(),
});

const age = z.strictObject({ type: z.literal("Age"), maxAge: z.number().int().positive() });
const ageOrDate = z.union([age, z.strictObject({ type: z.literal("Date"), date: z.iso.datetime() })]);
const lifecycleBody = z.strictObject({
  rules: z.array(
    z.strictObject({
      id: z.string().min(1),
      enabled: z.boolean(),
      conditions: z.strictObject({ prefix: z.string() }),
      abortMultipartUploadsTransition: z.strictObject({ condition: age }).optional(),
      deleteObjectsTransition: z.strictObject({ condition: ageOrDate }).optional(),
      storageClassTransitions: z
        .array(z.strictObject({ condition: ageOrDate, storageClass: z.literal("InfrequentAccess") }))
        .optional(),
    }),
  ),
});
const corsBody = z.strictObject({
  rules: z.array(
    z.strictObject({
      id: z.string().optional(),
      allowed: z.strictObject({
        methods: z.array(z.enum(["GET", "PUT", "POST", "DELETE", "HEAD"])),
        origins: z.array(z.string()),
        headers: z.array(z.string()).optional(),
      }),
      exposeHeaders: z.array(z.string()).optional(),
      maxAgeSeconds: z.number().int().min(0).max(86400).optional(),
    }),
  ),
});
const lockBody = z.strictObject({
  rules: z.array(
    z.strictObject({
      id: z.string().min(1),
      enabled: z.boolean(),
      prefix: z.string().optional(),
      condition: z.union([
        z.strictObject({ type: z.literal("Age"), maxAgeSeconds: z.number().int().positive() }),
        z.strictObject({ type: z.literal("Date"), date: z.iso.datetime() }),
        z.strictObject({ type: z.literal("Indefinite") }),
      ]),
    }),
  ),
});

const domainBody = z.strictObject({ domain: z.string().min(1), zoneId: z.string(), enabled: z.boolean() });

/** R2's buckets, each in its jurisdiction: the same name in another is another bucket. */
export class Buckets {
  readonly all = new Map<string, Bucket>();
  readonly routes: Route[];

  constructor() {
    const path = "/accounts/:account/r2/buckets";
    const bucket = `${path}/:bucket`;
    const read = { permission: "Workers R2 Storage", level: "Read" } as const;
    const write = { permission: "Workers R2 Storage", level: "Write" } as const;
    const shown = ({ name, location, jurisdiction, storage_class, creation_date }: Bucket) => ({
      name,
      location,
      jurisdiction,
      storage_class,
      creation_date,
    });
    const managed = ({ name, publicAddress }: Bucket) => ({
      ...{ bucketId: name, domain: `pub-${name}.r2.dev`, enabled: publicAddress },
    });
    /** A part of a bucket that is replaced as a whole. */
    const part = (
      name: "lifecycle" | "cors" | "lock",
      get: (bucket: Bucket) => unknown[],
      put: (bucket: Bucket, call: Call) => void,
    ): Route[] => [
      {
        method: "GET",
        path: `${bucket}/${name}`,
        needs: read,
        handle: (call) => ({ result: { rules: get(this.#one(call)) } }),
      },
      {
        method: "PUT",
        path: `${bucket}/${name}`,
        needs: write,
        handle: (call) => {
          put(this.#one(call), call);
          return { result: {} };
        },
      },
    ];
    this.routes = [
      {
        method: "GET",
        path,
        needs: read,
        handle: (call) => {
          const there = [...this.all.values()].filter(({ jurisdiction }) => jurisdiction === jurisdictionOf(call));
          return { result: { buckets: there.map(shown) } };
        },
      },
      {
        method: "POST",
        path,
        needs: write,
        handle: (call) => {
          const body = bodyOf(call, bucketBody, 10005);
          const key = keyOf(jurisdictionOf(call), body.name);
          if (this.all.has(key))
            throw new ApiError(409, 10004, "The bucket you tried to create already exists, and you own it.");
          const made: Bucket = {
            name: body.name,
            location: (body.locationHint ?? "weur").toUpperCase(),
            jurisdiction: jurisdictionOf(call),
            storage_class: body.storageClass ?? "Standard",
            creation_date: now(),
            objects: 0,
            lifecycle: [ABORT_AFTER_A_WEEK],
            cors: undefined,
            locks: [],
            publicAddress: false,
            domains: [],
          };
          this.all.set(key, made);
          return { result: shown(made) };
        },
      },
      { method: "GET", path: bucket, needs: read, handle: (call) => ({ result: shown(this.#one(call)) }) },
      {
        method: "PATCH",
        path: bucket,
        needs: write,
        handle: (call) => {
          const found = this.#one(call);
          const given = storageClass.safeParse(call.headers["cf-r2-storage-class"]);
          if (!given.success) throw new ApiError(400, 10005, "cf-r2-storage-class is not a storage class");
          found.storage_class = given.data;
          return { result: shown(found) };
        },
      },
      {
        method: "DELETE",
        path: bucket,
        needs: write,
        handle: (call) => {
          const found = this.#one(call);
          if (found.objects > 0) throw new ApiError(409, 10008, "The bucket you tried to delete is not empty.");
          this.all.delete(keyOf(found.jurisdiction, found.name));
          return { result: {} };
        },
      },
      ...part(
        "lifecycle",
        ({ lifecycle }) => lifecycle,
        (found, call) => (found.lifecycle = bodyOf(call, lifecycleBody, 10040).rules),
      ),
      ...part(
        "cors",
        ({ cors }) => {
          if (!cors) throw notFound(10059, "The CORS configuration does not exist.");
          return cors;
        },
        (found, call) => (found.cors = bodyOf(call, corsBody, 10040).rules),
      ),
      {
        method: "DELETE",
        path: `${bucket}/cors`,
        needs: write,
        handle: (call) => {
          this.#one(call).cors = undefined;
          return { result: {} };
        },
      },
      ...part(
        "lock",
        ({ locks }) => locks,
        (found, call) => (found.locks = bodyOf(call, lockBody, 10040).rules),
      ),
      {
        method: "GET",
        path: `${bucket}/domains/managed`,
        needs: read,
        handle: (call) => ({ result: managed(this.#one(call)) }),
      },
      {
        method: "PUT",
        path: `${bucket}/domains/managed`,
        needs: write,
        handle: (call) => {
          const found = this.#one(call);
          found.publicAddress = bodyOf(call, z.strictObject({ enabled: z.boolean() }), 10005).enabled;
          return { result: managed(found) };
        },
      },
      {
        method: "GET",
        path: `${bucket}/domains/custom`,
        needs: read,
        handle: (call) => ({ result: { domains: this.#one(call).domains } }),
      },
      {
        method: "POST",
        path: `${bucket}/domains/custom`,
        needs: write,
        handle: (call) => {
          const made = bodyOf(call, domainBody, 10005);
          this.#one(call).domains.push(made);
          return { result: made };
        },
      },
    ];
  }

  #one(call: Call): Bucket {
    const found = this.all.get(keyOf(jurisdictionOf(call), call.params["bucket"]!));
    if (!found) throw notFound(10006, "The specified bucket does not exist.");
    return found;
  }
}

/** What a new bucket has. */
const ABORT_AFTER_A_WEEK = {
  id: "Default Multipart Abort Rule",
  enabled: true,
  conditions: { prefix: "" },
  abortMultipartUploadsTransition: { condition: { type: "Age", maxAge: 604800 } },
};

function jurisdictionOf({ headers }: Call): string {
  return (headers["cf-r2-jurisdiction"] as string | undefined) || "default";
}

function keyOf(jurisdiction: string, name: string): string {
  return `${jurisdiction}_${name}`;
}
