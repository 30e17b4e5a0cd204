import { expect, test } from "vitest";
import { platformKeys } from "../../cli/stack/platform-keys.ts";

const KEYS = ["domain", "edge", "certificates", "backupKeyKept"] as const;

test("a stack file without a domain is of a program without an edge, and needs no certificate", async () => {
  expect(await platformKeys({ "reach:backupKeyKept": "the safe" }, KEYS)).toEqual({ backupKeyKept: "the safe" });
});

test("one with a domain needs what an edge needs", async () => {
  await expect(platformKeys({ "reach:domain": "example.com" }, KEYS)).rejects.toThrow(
    "reach:certificates: missing: give kind: files with certificate and privateKey, or kind: acme with email",
  );
});
