// Snapshots of volumes: how their containers are apart, what is refused, and what a restore makes.
import { beforeAll, describe, expect, test } from "vitest";
import { snapshots } from "../../cli/backup/list.ts";
import { Vault } from "../../components/data/vault.ts";
import { VolumeBackup, type VolumeBackupArgs } from "../../components/data/volume-backup.ts";
import { DataVolume, type DataVolumeArgs } from "../../components/host/data-volume.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Worker } from "../../components/host/worker.ts";
import { invariants } from "../../testing/invariants.ts";
import {
  container,
  containers,
  hex,
  label,
  record,
  type Recording,
  type RecordOptions,
} from "../../testing/recorder.ts";
import { violationsIn } from "../policy/compliant.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const SECRET = "s".repeat(40);

interface Args {
  volume?: Partial<DataVolumeArgs>;
  backup?: Partial<VolumeBackupArgs>;
}

function recorded({ volume: ofVolume, backup }: Args = {}, options: RecordOptions = {}) {
  return record(
    () => {
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
      const vault = new Vault("vault", {
        ...{ host, endpoint: "https://storage.example.com", bucket: "backups" },
        ...{ accessKeyId: "id", secretAccessKey: SECRET },
      });
      const volume = new DataVolume("uploads", { host, maxMb: 100, vault, ...ofVolume });
      new VolumeBackup("uploads-backup", { volume, ...backup });
      new Worker("shop", {
        ...{ host, image: IMAGE, limits: { memoryMb: 64, cpus: 1, pids: 32 }, drainSeconds: 1 },
        ...{ health: { test: ["CMD", "true"] }, volumes: [{ volume, path: "/uploads", writable: true }] },
      });
    },
    { secrets: [SECRET], ...options },
  );
}

describe("a backup of a volume", () => {
  let sound: Recording;
  beforeAll(async () => {
    sound = await recorded();
  });

  test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
    expect(complaintsOf(sound)).toEqual([]);
  });

  test("keeps every policy; without the label that says whose data is safe the volume is in no backup", async () => {
    const resources = (await recorded()).resources.map(({ type, name, urn, inputs, options: { protect } }) => ({
      ...{ type, name, urn, props: inputs, opts: { protect } },
    }));
    expect(violationsIn(resources)).toEqual([]);
    const { props } = resources.find(({ name, type }) => name === "uploads-backup" && type.startsWith("docker:"))!;
    props["labels"] = (props["labels"] as { label: string }[]).filter(({ label }) => label !== "bulkhead.backs-up");
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^stack-data-in-backup: uploads-volume: holds data and is in no backup: /),
    ]);
  });

  test("what reads it has no way out and no credentials; what has a way out has no volume and no key", async () => {
    const recording = await recorded();
    const of = (name: string) => {
      const { networksAdvanced = [], volumes = [], mounts = [] } = container(recording, name).inputs;
      return {
        networks: networksAdvanced.map(({ name }) => name).sort(),
        writes: volumes.filter(({ readOnly }) => !readOnly).map(({ containerPath }) => containerPath),
        reads: mounts.map(({ target, readOnly }) => `${target} ${readOnly ? "read-only" : "writable"}`),
      };
    };
    expect(of("uploads-backup-snapshot")).toEqual({
      ...{ networks: ["reach-test-vault-restic"], writes: ["/run/schedule", "/state"], reads: ["/volume read-only"] },
    });
    expect(of("vault-restic")).toEqual({
      ...{ networks: ["reach-test-vault-egress", "reach-test-vault-restic"], writes: [], reads: [] },
    });
    expect(container(recording, "vault-restic").inputs.envs).not.toContainEqual(
      expect.stringContaining("KEY_FILE=/run/secrets/key"),
    );
    expect(label(container(recording, "uploads-backup"), "bulkhead.backs-up")).toBe("reach-test-uploads");
    expect(containers(recording).filter(({ inputs }) => JSON.stringify(inputs.envs ?? []).includes(SECRET))).toEqual(
      [],
    );
  });

  test.each<[Args, string]>([
    [
      { volume: { vault: undefined } },
      "uploads-backup: volume: uploads has no vault: give it one, { vault: new Vault(…) }",
    ],
    [{ backup: { maxAgeHours: 0 } }, "uploads-backup: maxAgeHours: 0 is not a whole number from 1 to 8784: give one"],
    [{ backup: { keep: { daily: 0 } } }, "uploads-backup: keep.daily: 0 is not a whole number from 1 to 366: give one"],
    [
      { backup: { keep: { weekly: 0.5, monthly: -1 } } },
      "uploads-backup: keep.weekly: 0.5 is not a whole number from 0 to 120: give one\n" +
        "uploads-backup: keep.monthly: -1 is not a whole number from 0 to 120: give one",
    ],
    [
      { backup: { limits: { memoryMb: 32, cpus: 0.05, pids: 8 } } },
      "uploads-backup: limits.memoryMb: 32 is too little: give at least 64\n" +
        "uploads-backup: limits.cpus: 0.05 is too little: give at least 0.1\n" +
        "uploads-backup: limits.pids: 8 is too few: give at least 16",
    ],
    [{ backup: { schedule: "daily" } }, "uploads-backup-snapshot: schedule: daily has 1 field"],
    [
      { backup: { drillSchedule: "0 25 * * *" } },
      "uploads-backup-drill: schedule: 25 is no hour: give * or numbers from 0 to 23, like 2 or 8-18",
    ],
    [
      { backup: { timeZone: "Berlin" } },
      "uploads-backup-snapshot: timeZone: Berlin is none: give one like Europe/Berlin, or UTC",
    ],
  ])("refuses %j", async (args, message) => {
    await expect(recorded(args)).rejects.toThrow(message);
  });
});

describe("a restore of a volume", () => {
  const withRestore = (restore: object, args: Args = {}) =>
    recorded(args, { config: { "reach:restore": JSON.stringify({ uploads: restore }) } });
  const sourceOf = (recording: Awaited<ReturnType<typeof recorded>>) =>
    container(recording, "shop").inputs.mounts?.find(({ target }) => target === "/uploads")?.source;

  test("makes a volume beside the one that serves, and serves it when it is told to", async () => {
    const made = await withRestore({ id: "r1", to: "2026-01-31 12:00:00+00" });
    expect(sourceOf(made)).toBe("reach-test-uploads");
    expect(container(made, "uploads-restored-r1-restore").inputs.command).toEqual(["uploads", "20260131T120000Z"]);
    const served = await withRestore({ id: "r1", to: "20260131T023000Z_0a1b2c3d", serve: true });
    expect(sourceOf(served)).toBe("reach-test-uploads-restored-r1");
    // Without another setting Docker's provider would see no change.
    expect(container(served, "shop").inputs.envs).toContain("RESTORED=r1");
    expect(label(container(served, "uploads-backup"), "bulkhead.backs-up")).toBe("reach-test-uploads-restored-r1");
    expect(label(container(served, "uploads-owner"), "bulkhead.exceptions")).toContain(
      "a newer volume has taken its place",
    );
    for (const complaintsOf of Object.values(invariants)) expect(complaintsOf(served)).toEqual([]);
  });

  test("beside what an earlier restore made, which serves until then", async () => {
    const tried = await withRestore({ id: "r2", to: "latest", before: { id: "r1", to: "latest", serve: true } });
    expect(sourceOf(tried)).toBe("reach-test-uploads-restored-r1");
    expect(container(tried, "shop").inputs.envs).toContain("RESTORED=r1");
    expect(container(tried, "uploads-restored-r2-restore").inputs.command).toEqual(["uploads", "latest"]);
  });

  test("needs a vault", async () => {
    await expect(withRestore({ id: "r1", to: "latest" }, { volume: { vault: undefined } })).rejects.toThrow(
      "uploads: has no vault to restore from: give it one, { vault: new Vault(…) }",
    );
  });
});

test("snapshots are listed oldest first, each with its last drill", () => {
  const drill = { ok: true, at: "", seconds: 1, bytes: 5, backup: "20260131T023000Z_bbbbbbbb", what: "restored" };
  const found = [
    { time: "2026-01-31T02:30:00.5Z", short_id: "bbbbbbbb", summary: { total_bytes_processed: 7 } },
    { time: "2026-01-30T02:30:00Z", short_id: "aaaaaaaa" },
  ];
  expect(snapshots(found, [drill])).toEqual([
    { name: "20260130T023000Z_aaaaaaaa", takenAt: "2026-01-30T02:30:00Z", bytes: 0, drill: undefined },
    { name: "20260131T023000Z_bbbbbbbb", takenAt: "2026-01-31T02:30:00Z", bytes: 7, drill },
  ]);
  expect(snapshots(null, [])).toEqual([]);
});
