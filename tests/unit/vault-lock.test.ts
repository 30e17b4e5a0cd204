// What a storage says of its object lock, as doctor reads it.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { lockOf } from "../../cli/doctor/vault-lock.ts";

const bucket = { bucket: "backups", region: "auto", accessKeyId: "id", secretAccessKey: "secret" };

test.each<[number, string, object]>([
  [
    200,
    "<ObjectLockConfiguration><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
    { mode: "COMPLIANCE", days: 30 },
  ],
  [200, "<Mode>GOVERNANCE</Mode><Years>2</Years>", { mode: "GOVERNANCE", days: 730 }],
  // Each version can be locked by who writes it, and none is by itself.
  [
    200,
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
    { mode: "none" },
  ],
  [404, "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>", { mode: "none" }],
  [
    403,
    "<Error><Code>AccessDenied</Code></Error>",
    { mode: "unknown", why: "the key may not ask for it: give it s3:GetBucketObjectLockConfiguration" },
  ],
  [501, "<Error><Code>NotImplemented</Code></Error>", { mode: "unknown", why: /answers 501 NotImplemented$/ }],
])("%i %s", async (status, text, expected) => {
  const asked: (string | undefined)[] = [];
  const server = createServer(({ url, headers: { authorization } }, response) => {
    asked.push(url, authorization);
    response.writeHead(status).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { why, ...rest } = expected as { why?: string | RegExp };
  const found = await lockOf({ ...bucket, endpoint: `http://127.0.0.1:${port}` });
  expect(found).toMatchObject({ bucket: "backups", ...rest });
  if (why !== undefined) expect((found as { why: string }).why).toMatch(why);
  expect(asked).toEqual(["/backups?object-lock", expect.stringMatching(/^AWS4-HMAC-SHA256 Credential=id\//)]);
});

test("R2, which tells no S3 key, is not asked; what does not answer is no bucket without a lock", async () => {
  expect(await lockOf({ ...bucket, endpoint: "https://a.r2.cloudflarestorage.com" })).toMatchObject({
    mode: "unknown",
    why: expect.stringContaining("lockDays") as string,
  });
  expect(await lockOf({ ...bucket, endpoint: "http://127.0.0.1:1" })).toMatchObject({
    mode: "unknown",
    why: "127.0.0.1:1 does not answer this machine",
  });
});
