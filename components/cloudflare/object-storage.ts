import * as buckets from "@pulumi/cloudflare/r2bucket.js";
import * as cors from "@pulumi/cloudflare/r2bucketCors.js";
import * as lifecycle from "@pulumi/cloudflare/r2bucketLifecycle.js";
import * as locks from "@pulumi/cloudflare/r2bucketLock.js";
import * as pulumi from "@pulumi/pulumi";
import { ApiToken, bucketResource } from "./api-token.ts";
import type { CloudflareAccount } from "./cloudflare-account.ts";

export interface ObjectStorageArgs {
  account: CloudflareAccount;
  /** The bucket's name in the account: 3 to 63 small letters, digits and hyphens. */
  bucket: string;
  /** Where R2 should keep it, as a wish: "weur", "eeur", "enam", "wnam", "apac" or "oc". @default near who makes it */
  location?: string;
  /** Where R2 has to keep it: "eu" or "fedramp". @default "default": anywhere */
  jurisdiction?: string;
  /** The site whose pages may upload and download by presigned URLs, like "https://example.com". @default none */
  origin?: string;
  /** Days after which what is in it is deleted, or of each prefix what is under it. @default it stays */
  expireAfterDays?: number | Record<string, number>;
  /** An upload in parts that was begun and not ended is given up after so many days. @default 7 */
  abortUploadsAfterDays?: number;
  /** Prefix to the days for which nobody can overwrite or delete what is under it: for backups. @default {} */
  lockDays?: Record<string, number>;
}

/**
 * A bucket of R2, which nobody reads but with a token. It is protected: an update that would delete or replace it is
 * refused, and one that was told to let go of it leaves it where it is.
 */
export class ObjectStorage extends pulumi.ComponentResource {
  readonly account: CloudflareAccount;
  readonly bucket: pulumi.Output<string>;
  /** Where S3 clients find it. */
  readonly endpoint: string;
  readonly #resource: pulumi.Output<string>;

  constructor(name: string, args: ObjectStorageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:ObjectStorage", name, {}, { providers: [args.account.provider], ...opts });
    const { account, location, jurisdiction = "default", origin, abortUploadsAfterDays = 7 } = args;
    const { expireAfterDays: given = {}, lockDays = {} } = args;
    const expireAfterDays = typeof given === "number" ? { "": given } : given;
    if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(args.bucket))
      throw new Error(`${name}: bucket: ${args.bucket} is not a name of 3 to 63 small letters, digits and hyphens`);
    for (const [key, value] of [expireAfterDays, lockDays, { abortUploadsAfterDays }].flatMap(Object.entries<number>))
      if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: ${key}: ${value} is not a number of days`);

    const bucket = new buckets.R2Bucket(
      `${name}-bucket`,
      { accountId: account.id, name: args.bucket, location, jurisdiction },
      {
        parent: this,
        protect: true,
        retainOnDelete: true,
        // R2 says where it is in capitals, and once it is there a wish moves it no more.
        ignoreChanges: ["location"],
        // In another jurisdiction it is another bucket. The provider would look for this one there.
        replaceOnChanges: ["jurisdiction"],
      },
    );
    const common = { accountId: account.id, bucketName: bucket.name, jurisdiction };
    const age = (value: number) => ({ type: "Age", maxAge: value * DAY_SECONDS });
    new lifecycle.R2BucketLifecycle(
      `${name}-lifecycle`,
      {
        ...common,
        rules: [
          {
            id: "uploads that nobody ended",
            enabled: true,
            conditions: { prefix: "" },
            abortMultipartUploadsTransition: { condition: age(abortUploadsAfterDays) },
          },
          ...Object.entries(expireAfterDays).map(([prefix, value]) => ({
            id: `expiry of ${prefix || "all"}`,
            enabled: true,
            conditions: { prefix },
            deleteObjectsTransition: { condition: age(value) },
          })),
        ],
      },
      { parent: this },
    );
    if (origin !== undefined)
      new cors.R2BucketCors(
        `${name}-cors`,
        {
          ...common,
          rules: [
            {
              id: "the site's pages",
              allowed: { methods: ["GET", "PUT"], origins: [origin], headers: ["content-type"] },
              maxAgeSeconds: 3600,
            },
          ],
        },
        { parent: this },
      );
    if (Object.keys(lockDays).length > 0)
      new locks.R2BucketLock(
        `${name}-lock`,
        {
          ...common,
          rules: Object.entries(lockDays).map(([prefix, value]) => ({
            id: `lock of ${prefix || "all"}`,
            enabled: true,
            prefix,
            condition: { type: "Age", maxAgeSeconds: value * DAY_SECONDS },
          })),
        },
        { parent: this },
      );
    this.account = account;
    this.bucket = bucket.name;
    const region = jurisdiction === "default" ? "" : `${jurisdiction}.`;
    this.endpoint = `https://${account.id}.${region}r2.cloudflarestorage.com`;
    this.#resource = bucket.name.apply((made) => bucketResource(account, jurisdiction, made));
    this.registerOutputs({ bucket: this.bucket, endpoint: this.endpoint });
  }

  /** A token for this bucket alone: what `secrets` of a service takes. */
  token(name: string, may: "read" | "read-write", rotateAfterDays?: number): ApiToken {
    const level = may === "read" ? "Read" : "Write";
    const permissions = [`Workers R2 Storage Bucket Item ${level}`];
    return new ApiToken(
      name,
      { account: this.account, permissions, resource: this.#resource, rotateAfterDays },
      { parent: this },
    );
  }

  /** What an S3 client needs to open this bucket and no other, by a token of that name: for a Vault. */
  s3(name: string, may: "read" | "read-write", rotateAfterDays?: number) {
    return { endpoint: this.endpoint, bucket: this.bucket, ...this.token(name, may, rotateAfterDays).s3 };
  }
}

const DAY_SECONDS = 86_400;
