// The vault's second place: what copies, what it may, and a restore from there.
import { describe, expect, test } from "vitest";
import { invariants } from "../../testing/invariants.ts";
import { container, containers } from "../../testing/recorder.ts";
import { violationsIn } from "../policy/compliant.ts";
import { recordBackup, SECRET, type Args } from "./backup-stack.ts";

const COPY_SECRET = "c".repeat(40);
const copy = {
  ...{ endpoint: "https://second.example.com", bucket: "copies", region: "eu-central-1" },
  ...{ accessKeyId: "second", secretAccessKey: COPY_SECRET },
};
const recorded = (vault: Args["vault"] = { copy }, config: Record<string, string> = {}) =>
  recordBackup({ vault }, { secrets: [SECRET, COPY_SECRET], config });
const restored = (restore: object, vault?: Args["vault"]) =>
  recorded(vault, { "reach:restore": JSON.stringify({ db: { id: "r1", to: "latest", ...restore } }) });

describe("a second place", () => {
  test("keeps every invariant and every policy", async () => {
    const recording = await recorded();
    for (const [name, complaintsOf] of Object.entries(invariants)) expect(complaintsOf(recording), name).toEqual([]);
    const resources = recording.resources.map(({ type, name, urn, inputs, options: { protect } }) => ({
      ...{ type, name, urn, props: inputs, opts: { protect } },
    }));
    expect(violationsIn(resources)).toEqual([]);
  });

  test("is written by what has no volume of the database, no key and no other way out; an update waits for no copy", async () => {
    const { inputs } = container(await recorded(), "vault-copy");
    expect(inputs.networksAdvanced?.map(({ name }) => name)).toEqual(["reach-test-vault-egress"]);
    expect(inputs.volumes?.map(({ containerPath }) => containerPath)).toEqual(["/run/secrets"]);
    expect(inputs.envs?.filter((entry) => entry.includes("KEY")).map((entry) => entry.split("=")[0])).toEqual([
      ...["ACCESS_KEY_ID_FILE", "SECRET_ACCESS_KEY_FILE", "COPY_ACCESS_KEY_ID_FILE", "COPY_SECRET_ACCESS_KEY_FILE"],
    ]);
    expect(inputs.wait).toBe(false);
    expect(inputs.command).toEqual([
      ...["https://storage.example.com", "backups/reach-test", "auto"],
      ...["https://second.example.com", "copies/reach-test", "eu-central-1", "5", "30"],
    ]);
  });

  test("is where a restore fetches from that names it, and nothing else does", async () => {
    const fetching = async (restore: object) =>
      container(await restored(restore), "db-restored-r1-fetch").inputs.command?.slice(0, 2);
    expect(await fetching({ from: "copy" })).toEqual(["https://second.example.com", "copies/reach-test"]);
    expect(await fetching({})).toEqual(["https://storage.example.com", "backups/reach-test"]);
  });

  test("is none where none was given", async () => {
    expect(containers(await recorded({})).map(({ name }) => name)).not.toContain("vault-copy");
    await expect(restored({ from: "copy" }, {})).rejects.toThrow(
      "restore.db.from: the vault has no second place: give it one, copy: { … }, or leave it out",
    );
  });

  test.each([
    [{ everyMinutes: 0 }, "vault-copy: everyMinutes: 0 is not a whole number from 1 to 1440: give one"],
    [{ keepGoneDays: 1.5 }, "vault-copy: keepGoneDays: 1.5 is not a whole number from 1 to 3650: give one"],
    [{ region: "EU 1" }, "vault-copy: region: EU 1 is none: give one like eu-central-1, or leave it out"],
    [{ bucket: "" }, "vault-copy: bucket:  is no bucket's name: give one like my-backups; a folder in it is `folder`"],
    [{ accessKeyId: " x" }, "vault-copy: accessKeyId: is empty, or has blanks: give it as the storage showed it"],
    [{ secretAccessKey: "" }, "vault-copy: secretAccessKey: is empty, or has blanks: give it as the storage showed it"],
    [
      { readWith: { accessKeyId: "id", secretAccessKey: "" } },
      "vault-copy: readWith.secretAccessKey: is empty, or has blanks: give it as the storage showed it",
    ],
    [{ folder: "../x" }, "vault-copy: folder: ../x is no folder: give one like my-app/prod"],
    [
      { endpoint: "http://second.example.com" },
      "vault-copy: endpoint: http://second.example.com is no https:// address",
    ],
  ])("refuses %j", async (wrong, message) => {
    await expect(recorded({ copy: { ...copy, ...wrong } })).rejects.toThrow(message);
  });
});
