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

test("no setting of a container has a password in it: URLs come as files", () => {
  for (const name of ["backend", "backend-pre-deploy"]) {
    const settings = container(recording, name).inputs.envs ?? [];
    assert.ok(settings.includes("DATABASE_URL_FILE=/run/secrets/database_url"), name);
    assert.deepEqual(
      settings.filter((each) => each.includes("://")),
      [],
    );
  }
});
