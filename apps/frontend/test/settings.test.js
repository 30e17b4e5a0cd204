import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { readSettings } from "../src/settings.js";

test("has defaults", () => {
  assert.deepEqual(readSettings({}), {
    host: "0.0.0.0",
    port: 3000,
    apiUrl: "http://localhost:8765",
    release: hostname(),
    drainSeconds: 30,
  });
});

test("takes what is set", () => {
  const environment = {
    HOST: "::1",
    PORT: "0",
    API_URL: "http://edge:8081/services/backend/",
    RELEASE: "r2",
    DRAIN_SECONDS: "5",
    FILES_MAX_MB: "100",
  };
  assert.deepEqual(readSettings(environment), {
    host: "::1",
    port: 0,
    apiUrl: "http://edge:8081/services/backend",
    release: "r2",
    drainSeconds: 5,
    filesMaxMb: 100,
  });
});

/** @type {[string, string, string][]} */
const wrong = [
  ["PORT", "http", 'PORT: "http" is not a port: give a number from 0 (any free one) to 65535'],
  ["PORT", "65536", 'PORT: "65536" is not a port: give a number from 0 (any free one) to 65535'],
  ["PORT", "", 'PORT: "" is not a port: give a number from 0 (any free one) to 65535'],
  ["DRAIN_SECONDS", "-1", 'DRAIN_SECONDS: "-1" is not a time: give whole seconds from 0 to 3600'],
  ["FILES_MAX_MB", "10 MB", 'FILES_MAX_MB: "10 MB" is not a size: give whole MiB from 0 to 5000'],
  ["DRAIN_SECONDS", "1e3", 'DRAIN_SECONDS: "1e3" is not a time: give whole seconds from 0 to 3600'],
  ...["backend:8765", "ftp://backend", "http://user:secret@backend", "http://backend/api?a", "http://backend?a"].map(
    /** @returns {[string, string, string]} */ (url) => [
      "API_URL",
      url,
      "API_URL: not a base URL: give http://host:port or http://host:port/path, without a query or a password",
    ],
  ),
];

for (const [name, value, message] of wrong) {
  test(`refuses ${name}=${value}`, () => assert.throws(() => readSettings({ [name]: value }), { message }));
}
