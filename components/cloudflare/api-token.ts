import { createHash } from "node:crypto";
import * as cloudflare from "@pulumi/cloudflare/accountToken.js";
import * as pulumi from "@pulumi/pulumi";
import type { CloudflareAccount } from "./cloudflare-account.ts";

export interface ApiTokenArgs {
  account: CloudflareAccount;
  /** What it may do, by the names of the API's permission groups, like "DNS Write". */
  permissions: string[];
  /** What it may do that on, one or several: bucketResource or zoneResource gives the key of one. */
  resource: pulumi.Input<string | string[]>;
  /**
   * A token is used for at most so many days; the first update after that makes a new one, hands it to its readers,
   * and deletes the old one last. One that no update replaces expires after twice as many days. @default it stays, and
   * does not expire
   */
  rotateAfterDays?: number;
}

/** A token of the account that may do a few things with one thing, made for one reader. */
export class ApiToken extends pulumi.ComponentResource {
  /** A secret. */
  readonly value: pulumi.Output<string>;
  /** The same as credentials for R2's S3 API. */
  readonly s3: { accessKeyId: pulumi.Output<string>; secretAccessKey: pulumi.Output<string> };

  constructor(name: string, args: ApiTokenArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:ApiToken", name, {}, { providers: [args.account.provider], ...opts });
    const { account, permissions, resource, rotateAfterDays } = args;
    if (permissions.length === 0) throw new Error(`${name}: permissions: give at least one`);
    if (rotateAfterDays !== undefined && (!Number.isInteger(rotateAfterDays) || rotateAfterDays < 1))
      throw new Error(`${name}: rotateAfterDays: ${rotateAfterDays} is not a whole number from 1`);
    const period = rotateAfterDays === undefined ? undefined : periodOf(Date.now(), rotateAfterDays);
    const token = new cloudflare.AccountToken(
      `${name}-token`,
      {
        accountId: account.id,
        name: [pulumi.getProject(), pulumi.getStack(), name, ...(period ? [period.begins] : [])].join("-"),
        policies: [
          {
            effect: "allow",
            // In the order in which the API gives them back.
            permissionGroups: pulumi
              .all(permissions.map((permission) => account.permissionGroupId(permission)))
              .apply((ids) => ids.sort().map((id) => ({ id }))),
            resources: pulumi
              .output(resource)
              .apply((keys) => JSON.stringify(Object.fromEntries([keys].flat().map((key) => [key, "*"])))),
          },
        ],
        expiresOn: period?.expires,
      },
      {
        parent: this,
        // A new value is only had with a new token: another name, or other things to do, are none of the old one's.
        replaceOnChanges: ["name", "policies"],
        additionalSecretOutputs: ["value"],
      },
    );
    this.value = pulumi.secret(token.value);
    this.s3 = {
      accessKeyId: token.id,
      // As R2 derives it.
      secretAccessKey: this.value.apply((value) => createHash("sha256").update(value).digest("hex")),
    };
    this.registerOutputs({});
  }
}

/** One bucket, for the permissions "Workers R2 Storage Bucket Item Read" and "… Write". */
export function bucketResource(account: CloudflareAccount, jurisdiction: string, bucket: string): string {
  return `com.cloudflare.edge.r2.bucket.${account.id}_${jurisdiction}_${bucket}`;
}

/** One zone, for permissions like "DNS Write". */
export function zoneResource(zoneId: string): string {
  return `com.cloudflare.api.account.zone.${zoneId}`;
}

const DAY_MS = 86_400_000;

/** Of the same length for all, counted from 1970: what was made in one is replaced in the next. */
function periodOf(now: number, days: number): { begins: string; expires: string } {
  const length = days * DAY_MS;
  const begin = Math.floor(now / length) * length;
  return {
    begins: new Date(begin).toISOString().slice(0, 10),
    expires: new Date(begin + 2 * length).toISOString().replace(".000Z", "Z"),
  };
}
