// What the program asks Docker for, without a Docker: run it with `npm test`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { container, invariants, record } from "bulkhead/testing";

const recording = await record(() => import("./index.ts"), {
  settings: { host: "local", domain: "example.com", certificates: { kind: "acme", email: "you@example.com" } },
  secretSettings: { dnsApiToken: "a-token-of-the-test-0123456789-0123456789" },
});

for (const [rule, complaints] of Object.entries(invariants))
  test(rule, () => assert.deepEqual(complaints(recording), []));

test("the API may change no tables, and its migrations may", () => {
  const user = (name: string) =>
    container(recording, name).inputs.envs?.find((each) => each.startsWith("DATABASE_USER="));
  assert.notEqual(user("backend"), undefined);
  assert.notEqual(user("backend"), user("backend-pre-deploy"));
});
