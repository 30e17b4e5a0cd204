import { createHash } from "node:crypto";
import type { AccountTokenArgs } from "@pulumi/cloudflare/accountToken.js";
import type * as pulumi from "@pulumi/pulumi";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ApiToken, zoneResource, type ApiTokenArgs } from "../../components/cloudflare/api-token.ts";
import { CloudflareAccount } from "../../components/cloudflare/cloudflare-account.ts";
import { ObjectStorage, type ObjectStorageArgs } from "../../components/cloudflare/object-storage.ts";
import { hex, ofType, record, type RecordOptions } from "../../testing/recorder.ts";

const ACCOUNT = "0".repeat(32);
const ZONE = "1".repeat(32);

function account() {
  return new CloudflareAccount("cloudflare", { id: ACCOUNT, apiToken: "a-token-that-nobody-may-see-0123456789abcdef" });
}

describe("an API token", () => {
  async function tokenOf(args: Partial<ApiTokenArgs> = {}, options: RecordOptions = {}) {
    let s3: ApiToken["s3"];
    const recording = await record(() => {
      const permissions = ["Zone Read", "DNS Write"];
      s3 = new ApiToken("dns", { account: account(), permissions, resource: zoneResource(ZONE), ...args }).s3;
    }, options);
    const [token] = ofType<pulumi.Unwrap<AccountTokenArgs>>(recording, "cloudflare:index/accountToken:AccountToken");
    return { inputs: token!.inputs, options: token!.options, s3: s3! };
  }

  test("may do what it is for, on one thing, and stays", async () => {
    const { inputs } = await tokenOf();
    expect(inputs).toEqual({
      accountId: ACCOUNT,
      name: "reach-test-dns",
      policies: [
        {
          effect: "allow",
          permissionGroups: [hex("Zone Read", 32), hex("DNS Write", 32)].sort().map((id) => ({ id })),
          resources: `{"com.cloudflare.api.account.zone.${ZONE}":"*"}`,
        },
      ],
    });
  });

  test("is another one after the days that are given, and made before the old one goes", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2026-11-21T12:00:00Z") });
    onTestFinished(() => void vi.useRealTimers());
    const first = await tokenOf({ rotateAfterDays: 30 });
    const [, begins] = /^reach-test-dns-(\d{4}-\d\d-\d\d)$/.exec(first.inputs.name)!;
    const begin = Date.parse(`${begins}T00:00:00Z`);
    const days = (count: number) => count * 86_400_000;
    expect(first.inputs.expiresOn).toBe(new Date(begin + days(60)).toISOString().replace(".000Z", "Z"));
    expect(first.options).toMatchObject({ replaceOnChanges: ["name", "policies"], deleteBeforeReplace: false });
    const nameAt = async (time: number) => {
      vi.setSystemTime(time);
      return (await tokenOf({ rotateAfterDays: 30 })).inputs.name;
    };
    expect(await nameAt(begin)).toBe(first.inputs.name);
    expect(await nameAt(begin + days(30) - 1)).toBe(first.inputs.name);
    expect(await nameAt(begin + days(30))).not.toBe(first.inputs.name);
  });

  test("gives the credentials that R2 derives from it", async () => {
    const { s3 } = await tokenOf();
    const value = (output: pulumi.Output<string>) => new Promise((resolve) => output.apply(resolve));
    const secret = createHash("sha256").update(hex("token dns-token", 40)).digest("hex");
    expect(await value(s3.secretAccessKey)).toBe(secret);
    expect(await value(s3.accessKeyId)).toBe(hex("dns-token", 32));
    expect(await (s3.secretAccessKey as unknown as { isSecret: Promise<boolean> }).isSecret).toBe(true);
  });

  test.each<[what: string, args: Partial<ApiTokenArgs>, complaint: string]>([
    ["that may do nothing", { permissions: [] }, "dns: permissions: give at least one"],
    ["that never rests", { rotateAfterDays: 0 }, "dns: rotateAfterDays: 0 is not a whole number from 1"],
    [
      "to do what the API does not know",
      { permissions: ["DNS Everything"] },
      'cloudflare: the API knows no permission group called "DNS Everything"',
    ],
  ])("%s is an error", async (_, args, complaint) => {
    await expect(tokenOf(args)).rejects.toThrow(complaint);
  });
});

describe("object storage", () => {
  async function storage(args: Partial<ObjectStorageArgs> = {}) {
    let made!: ObjectStorage;
    const recording = await record(() => {
      made = new ObjectStorage("files", { account: account(), bucket: "reach-files", ...args });
      made.token("files-backend", "read-write");
    });
    const one = (type: string) => ofType(recording, `cloudflare:index/${type}`)[0];
    return { made, one };
  }

  test("is a bucket that no update deletes or replaces, with a token for it alone", async () => {
    const { made, one } = await storage();
    const bucket = one("r2Bucket:R2Bucket")!;
    expect(bucket.inputs).toEqual({ accountId: ACCOUNT, name: "reach-files", jurisdiction: "default" });
    expect(bucket.options).toMatchObject({ protect: true, retainOnDelete: true });
    expect(made.endpoint).toBe(`https://${ACCOUNT}.r2.cloudflarestorage.com`);
    expect(one("accountToken:AccountToken")!.inputs["policies"]).toEqual([
      {
        effect: "allow",
        permissionGroups: [{ id: hex("Workers R2 Storage Bucket Item Write", 32) }],
        resources: `{"com.cloudflare.edge.r2.bucket.${ACCOUNT}_default_reach-files":"*"}`,
      },
    ]);
    expect(one("r2BucketCors:R2BucketCors")).toBeUndefined();
    expect(one("r2BucketLock:R2BucketLock")).toBeUndefined();
  });

  test("gives up what nobody ended, deletes and locks what it is told to, and lets one site's pages in", async () => {
    const { made, one } = await storage({
      ...{ jurisdiction: "eu", origin: "https://example.com", abortUploadsAfterDays: 2 },
      ...{ expireAfterDays: { "tmp/": 1 }, lockDays: { "backups/": 30 } },
    });
    expect(made.endpoint).toBe(`https://${ACCOUNT}.eu.r2.cloudflarestorage.com`);
    expect(one("r2BucketLifecycle:R2BucketLifecycle")!.inputs["rules"]).toMatchObject([
      { conditions: { prefix: "" }, abortMultipartUploadsTransition: { condition: { type: "Age", maxAge: 172_800 } } },
      { conditions: { prefix: "tmp/" }, deleteObjectsTransition: { condition: { type: "Age", maxAge: 86_400 } } },
    ]);
    expect(one("r2BucketCors:R2BucketCors")!.inputs["rules"]).toMatchObject([
      { allowed: { methods: ["GET", "PUT"], origins: ["https://example.com"] } },
    ]);
    expect(one("r2BucketLock:R2BucketLock")!.inputs["rules"]).toMatchObject([
      { enabled: true, prefix: "backups/", condition: { type: "Age", maxAgeSeconds: 2_592_000 } },
    ]);
  });

  test.each<[what: string, args: Partial<ObjectStorageArgs>, complaint: string]>([
    ["a name with a capital", { bucket: "Files" }, "files: bucket: Files is not a name of 3 to 63 small letters"],
    ["half a day", { lockDays: { "backups/": 0.5 } }, "files: backups/: 0.5 is not a number of days"],
    [
      "half a day to expiry of what is locked too",
      { expireAfterDays: { "backups/": 0.5 }, lockDays: { "backups/": 30 } },
      "files: backups/: 0.5 is not a number of days",
    ],
  ])("%s is an error", async (_, args, complaint) => {
    await expect(storage(args)).rejects.toThrow(complaint);
  });
});
