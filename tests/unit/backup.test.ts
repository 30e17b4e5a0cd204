// Backups: how their containers are apart, what is refused, which backups stay, and what a restore writes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse, parseDocument, stringify } from "yaml";
import { drillsIn, listed } from "../../cli/backup/list.ts";
import { momentOf, servedRestore } from "../../cli/backup/restore.ts";
import { changed } from "../../cli/backup/update-with.ts";
import { configKey } from "../../cli/stack/program.ts";
import { refuseUnknownData } from "../../components/host/named-data.ts";
import { dataFields } from "../../components/settings/data.ts";
import { object } from "../../components/settings/fields.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, containers, label, type Recording } from "../../testing/recorder.ts";
import { recordBackup as recorded, SECRET, type Args } from "./backup-stack.ts";
import { SHELLS } from "../support/shells.ts";

describe("a backup", () => {
  let sound: Recording;
  beforeAll(async () => {
    sound = await recorded();
  });

  test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
    expect(complaintsOf(sound)).toEqual([]);
  });

  test("is made of compartments: who reaches the database has no credentials, and the other way round", async () => {
    const recording = await recorded();
    const of = (name: string) => {
      const { networksAdvanced = [], volumes = [] } = container(recording, name).inputs;
      return {
        networks: networksAdvanced.map(({ name }) => name),
        writes: volumes.filter(({ readOnly }) => !readOnly).map(({ containerPath }) => containerPath),
        reads: volumes.filter(({ readOnly }) => readOnly).map(({ containerPath }) => containerPath),
      };
    };
    expect(of("backup-receiver")).toEqual({
      ...{ networks: ["reach-test-db"], writes: ["/spool", "/state"], reads: ["/sent", "/run/secrets"] },
    });
    expect(of("backup-shipper")).toEqual({
      ...{ networks: ["reach-test-vault-egress"], writes: ["/sent", "/restore"], reads: ["/spool", "/run/secrets"] },
    });
    expect(of("backup-drill").networks).toEqual([]);
    expect(of("backup")).toEqual({ networks: [], writes: [], reads: ["/state", "/sent"] });
    expect(containers(recording).filter(({ inputs }) => JSON.stringify(inputs.envs ?? []).includes(SECRET))).toEqual(
      [],
    );
    expect(label(container(recording, "backup"), "bulkhead.backs-up")).toBe("reach-test-db-data");
  });

  test("is red at first, for which no update waits; without the storage it fails", async () => {
    const recording = await recorded();
    expect(container(recording, "backup").inputs.wait).toBe(false);
    expect(container(recording, "backup-shipper").inputs.wait).toBe(true);
  });

  test.each<[Args, string]>([
    [{ database: { vault: undefined } }, "backup: database: db has no vault: give it one, { vault: new Vault(…) }"],
    [{ backup: { walEverySeconds: 0 } }, "backup: walEverySeconds: 0 is not a whole number from 1 to 3600: give one"],
    [{ backup: { maxAgeHours: 1.5 } }, "backup: maxAgeHours: 1.5 is not a whole number from 1 to 8784: give one"],
    [{ backup: { keep: { daily: 0 } } }, "backup: keep.daily: 0 is not a whole number from 1 to 366: give one"],
    [{ backup: { keep: { weekly: -1 } } }, "backup: keep.weekly: -1 is not a whole number from 0 to 120: give one"],
    [{ backup: { keep: { monthly: 121 } } }, "backup: keep.monthly: 121 is not a whole number from 0 to 120: give one"],
    [{ backup: { spoolMb: 63 } }, "backup: spoolMb: 63 is not a whole number from 64 to 10000000: give one"],
    [{ backup: { schedule: "daily" } }, "backup-base: schedule: daily has 1 field"],
    [
      { backup: { drillSchedule: "0 25 * * *" } },
      "backup-drill: schedule: 25 is no hour: give * or numbers from 0 to 23, like 2 or 8-18",
    ],
    [{ backup: { timeZone: "Berlin" } }, "backup-base: timeZone: Berlin is none: give one like Europe/Berlin, or UTC"],
    [
      { backup: { drillLimits: { memoryMb: 64, cpus: 0, pids: 1.5 } } },
      "backup: drillLimits.memoryMb: 64 is too little: give at least 128\n" +
        "backup: drillLimits.cpus: 0 is too little: give at least 0.1\n" +
        "backup: drillLimits.pids: 1.5 is too few: give at least 32",
    ],
    [
      { backup: { drillLimits: { memoryMb: 200.5, cpus: 1, pids: 64 } } },
      "backup: drillLimits.memoryMb: 200.5 is not a whole number: give one from 128",
    ],
    [{ vault: { region: "EU 1" } }, "vault: region: EU 1 is none: give one like eu-central-1, or leave it out"],
    [
      { vault: { bucket: "my/backups" } },
      "vault: bucket: my/backups is no bucket's name: give one like my-backups; a folder in it is `folder`",
    ],
    [{ vault: { accessKeyId: "" } }, "vault: accessKeyId: is empty, or has blanks: give it as the storage showed it"],
    [
      { vault: { secretAccessKey: "of two lines\n" } },
      "vault: secretAccessKey: is empty, or has blanks: give it as the storage showed it",
    ],
    [{ vault: { folder: "../x y" } }, "vault: folder: ../x y is no folder: give one like my-app/prod"],
    [
      { vault: { endpoint: "http://storage.example.com" } },
      "vault: endpoint: http://storage.example.com is no https:// address: give one like " +
        "https://ACCOUNT.r2.cloudflarestorage.com; http:// is for private addresses alone",
    ],
    [
      { vault: { key: "short" } },
      "backupKey: is shorter than 32 characters, or has blanks: give the key that the vault was made with",
    ],
  ])("refuses %j", async (args, message) => {
    await expect(recorded(args)).rejects.toThrow(message);
  });
});

describe("a restore", () => {
  const withRestore = (restore: object, args: Args = {}) =>
    recorded(args, { config: { "reach:restore": JSON.stringify({ db: restore }) } });
  const dataOf = (recording: Awaited<ReturnType<typeof recorded>>) =>
    container(recording, "db").inputs.mounts?.find(({ target }) => target === "/var/lib/postgresql/data")?.source;

  test("makes a volume beside the one that serves, and serves it when it is told to", async () => {
    const made = await withRestore({ id: "r1", to: "2026-01-31 12:00:00+00" });
    expect(dataOf(made)).toBe("reach-test-db-data");
    expect(container(made, "db-restored-r1-fetch").inputs.command).toEqual([
      ...["https://storage.example.com", "backups/reach-test", "auto", "20260131T120000Z"],
    ]);
    expect(container(made, "db-restored-r1-restore").inputs.networkMode).toBe("none");
    const served = await withRestore({ id: "r1", to: "latest", serve: true });
    expect(dataOf(served)).toBe("reach-test-db-restored-r1");
    expect(label(container(served, "backup"), "bulkhead.backs-up")).toBe("reach-test-db-restored-r1");
    expect(label(container(served, "db-data-owner"), "bulkhead.exceptions")).toContain(
      "a newer volume has taken its place",
    );
    const weekly = await withRestore({ id: "r1", to: "20260131T023000Z_000000010000000000000002" });
    expect(container(weekly, "db-restored-r1-fetch").inputs.command?.at(-1)).toBe(
      "20260131T023000Z_000000010000000000000002",
    );
    // Logins are made anew, as those of that time may be others.
    const volumeOf = (recording: typeof made) => container(recording, "db-backup-login").inputs.envs;
    expect(volumeOf(served)).not.toEqual(volumeOf(made));
  }, 30_000);

  test("beside what an earlier restore made, which serves until then", async () => {
    const before = { id: "r1", to: "latest", serve: true };
    const tried = await withRestore({ id: "r2", to: "latest", before });
    expect(dataOf(tried)).toBe("reach-test-db-restored-r1");
    expect(container(tried, "db").inputs.envs).toContain("RESTORED=r1");
    expect(container(tried, "db-restored-r2-restore").inputs.networkMode).toBe("none");
    const earlier = container(await withRestore(before), "db").inputs;
    expect(container(tried, "db").inputs).toEqual(earlier);
    expect(dataOf(await withRestore({ id: "r2", to: "latest", serve: true }))).toBe("reach-test-db-restored-r2");
    const file = (restore: object) => parseDocument(stringify({ config: { [configKey("restore")]: { db: restore } } }));
    expect(servedRestore(file(before), "db")).toEqual(before);
    expect(servedRestore(file({ id: "r2", to: "latest", before }), "db")).toEqual(before);
    expect(servedRestore(file({ id: "r2", to: "latest" }), "db")).toBeUndefined();
    expect(servedRestore(file({ ...before, before: { id: "r0", to: "latest" } }), "db")).toEqual(before);
    expect(servedRestore(parseDocument(""), "db")).toBeUndefined();
  }, 60_000);

  test.each<[object, Args, string]>([
    [
      { id: "r1", to: "yesterday" },
      {},
      'restore.db.to: yesterday is no moment: give latest, or one like "2026-01-31 12:00:00+00"',
    ],
    [{ id: "../x", to: "latest" }, {}, "restore.db.id: ../x is none: give letters and digits"],
    [
      { id: "r1", to: "latest", before: { id: "../x", to: "latest" } },
      {},
      "restore.db.before.id: ../x is none: give letters and digits",
    ],
    [{ id: "r1", to: "latest", serve: "yes" }, {}, "restore.db.serve: yes is none: give true, or leave it out"],
    [
      { id: "r1", to: "latest" },
      { database: { vault: undefined } },
      "db: has no vault to restore from: give it one, { vault: new Vault(…) }",
    ],
  ])("refuses %j", async (restore, args, message) => {
    await expect(withRestore(restore, args)).rejects.toThrow(message);
  });

  test("of a name that the program does not have is refused: its data would begin empty", async () => {
    const one = { id: "r1", to: "latest" };
    const config = { "reach:restore": JSON.stringify({ db: one, dbs: one }), "reach:beginsEmpty": '{"shop":"x"}' };
    await expect(recorded({ onDatabase: refuseUnknownData }, { config })).rejects.toThrow(
      "restore.dbs: the program has no such database or volume: did you mean db? Else take it out of the stack file\n" +
        "beginsEmpty.shop: the program has no such database or volume: take it out of the stack file",
    );
  });

  test("is written into the stack file, whose comments stay", () => {
    const value = { id: "r1", to: "latest" };
    const two = changed("", { key: "restore", of: { db: value, uploads: value } });
    expect(parse(two)).toEqual({ config: { [configKey("restore")]: { db: value, uploads: value } } });
    expect(changed("config:\n  # ours\n  a:b: 1\n", { key: "restore", of: { db: value } })).toBe(
      `config:\n  # ours\n  a:b: 1\n  ${configKey("restore")}:\n    db:\n      id: r1\n      to: latest\n`,
    );
  });

  test("is a key of the stack file as the command writes it", () => {
    const one = { id: "r1", to: "latest", from: "copy", serve: true };
    const restore = { db: { ...one, serve: false, before: one } };
    expect(object(dataFields).parse({ restore })).toMatchObject({ restore });
    expect(() => object(dataFields).parse({ restore: { db: { ...one, from: "elsewhere" } } })).toThrow("is no place");
  });

  test("takes moments in UTC that are over", () => {
    const now = new Date("2026-02-01T00:00:00Z");
    expect(momentOf("2026-01-31 12:00", now)).toBe("2026-01-31 12:00:00+00");
    expect(momentOf("2026-01-31T12:00:30Z", now)).toBe("2026-01-31 12:00:30+00");
    for (const wrong of ["noon", "2026-02-30 12:00", "2026-01-31 12:00+02"])
      expect(() => momentOf(wrong, now)).toThrow(
        `--to: ${wrong} is no moment: give one in UTC like "2026-01-31 12:00"`,
      );
    expect(() => momentOf("2026-02-01 00:01", now)).toThrow("is still to come, and times are in UTC");
  });
});

test("backups are listed oldest first, each with its last drill; without a manifest one is none", () => {
  const [one, two] = ["20260130T023000Z_A", "20260131T023000Z_B"];
  const files = (name: string, ...of: string[]) => of.map((file) => ({ Path: `chain/${name}/${file}`, Size: 5 }));
  const stored = [...files(two, "base.tar.zst", "backup_manifest"), ...files(one, "base.tar.zst", "backup_manifest")];
  const drills = drillsIn(
    `ok 1769826600 9 4096 ${one} all read\nfailed 1769913000 3 0 ${one} it is damaged\nnonsense\n`,
  );
  expect(listed([...stored, ...files("20260201T023000Z_C", "base.tar.zst")], drills)).toEqual([
    {
      ...{ name: one, takenAt: "2026-01-30T02:30:00Z", bytes: 10 },
      drill: { ok: false, at: "2026-02-01T02:30:00Z", seconds: 3, bytes: 0, backup: one, what: "it is damaged" },
    },
    { name: two, takenAt: "2026-01-31T02:30:00Z", bytes: 10, drill: undefined },
  ]);
});

describe.each(SHELLS)("what of the vault stays, in %s", (...shell) => {
  /** What is taken away of backups by their days, each of a chain. */
  function pruned(
    backups: readonly string[],
    keep: readonly number[],
    wal: Record<string, string[]> = {},
    open: Record<string, string[]> = {},
    own = ["c0", "c1", "c2"],
  ): string[] {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-prune-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const list = backups.map((each) => each.replace("/", " "));
    writeFileSync(
      join(directory, "stored"),
      list
        .map((each) => `${each}\n`)
        .sort()
        .join(""),
    );
    for (const [chain, files] of Object.entries(wal))
      writeFileSync(join(directory, `wal-${chain}`), `${files.join("\n")}\n`);
    for (const [chain, files] of Object.entries(open))
      writeFileSync(join(directory, `open-${chain}`), `${files.join("\n")}\n`);
    writeFileSync(join(directory, "marked"), `other 2\n${own.map((chain) => `${chain} 1\n`).join("")}`);
    const library = readFileSync(join(import.meta.dirname, "../../components/data/backup-prune.sh"), "utf8");
    const script = `
      say() { :; }
      bases() { cp stored "$1"; }
      chains() { cp marked "$1"; }
      rclone() {
        case "$1 $2" in
          "lsf --dirs-only") for file in "\${3#vault:}"-*; do [ ! -e "$file" ] || echo "\${file#*-}/"; done ;;
          "lsf --files-only") file=\${3#vault:}; cat "\${file%/*}-\${file#*/}" 2>/dev/null ;;
          purge*) echo "$2" >>gone ;;
          "delete --files-from-raw") sed "s|^|$4/|" "$3" >>gone ;;
        esac
      }
      touch gone
      ${library.replaceAll("/tmp/", "./")}
      prune 1 ${keep.join(" ")} || exit
      cat gone`;
    const [program, ...args] = shell;
    const { stdout, stderr, status } = spawnSync(program, [...args, "-c", script], {
      cwd: directory,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    return stdout
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((line) => line.replace("vault:", ""));
  }
  const at = (day: string, segment = "000000010000000000000001", chain = "c1") => `${day}T023000Z_${segment}/${chain}`;
  const daysOf = (gone: string[]) => gone.map((line) => line.replace(/^base\/c1\/(\d+)T.*$/, "$1"));

  test("the last days, weeks and months that have one", () => {
    const days = Array.from({ length: 120 }, (_, day) =>
      new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10),
    );
    const all = days.map((day) => day.replaceAll("-", ""));
    const gone = daysOf(
      pruned(
        all.map((day) => at(day)),
        [7, 4, 6],
      ),
    );
    const stay = all.filter((day) => !gone.includes(day));
    // The last day is Thursday, 30 April 2026; weeks begin on Monday or on Sunday, months on the first.
    expect(stay.slice(-7)).toEqual([
      "20260424",
      "20260425",
      "20260426",
      "20260427",
      "20260428",
      "20260429",
      "20260430",
    ]);
    expect(stay.filter((day) => ["20260131", "20260228", "20260331"].includes(day))).toHaveLength(3);
    expect(stay.filter((day) => day > "20260331" && day < "20260424")).toHaveLength(2);
    expect(stay).toHaveLength(12);
  });

  test("all, after a long pause and with a wrong clock", () => {
    expect(pruned([at("20200101"), at("20200102"), at("20300101")], [7, 4, 6])).toEqual([]);
  });

  test("the WAL from the oldest daily one on, and none of a chain before", () => {
    const segment = (number: number) => `00000001000000000000000${number}`;
    const backups = [
      at("20260101", segment(2), "c0"),
      at("20260102", segment(3), "c1"),
      at("20260103", segment(5), "c1"),
    ];
    const wal = {
      c0: [`${segment(2)}.zst`],
      c1: [`${segment(3)}.zst`, `${segment(4)}.zst`, `${segment(5)}.zst`],
      c2: [`${segment(1)}.zst`],
    };
    expect(pruned(backups, [1, 1, 1], wal).sort()).toEqual([
      ...[`base/c0/20260101T023000Z_${segment(2)}`, `base/c1/20260102T023000Z_${segment(3)}`],
      ...[`wal/c0/${segment(2)}.zst`, `wal/c1/${segment(3)}.zst`, `wal/c1/${segment(4)}.zst`],
    ]);
  });

  test("nothing of another database, however old it is", () => {
    const segment = (number: number) => `00000001000000000000000${number}`;
    const backups = [
      at("20260101", segment(2), "other"),
      at("20260102", segment(2), "unmarked"),
      ...["20260110", "20260111", "20260112"].map((day) => at(day, segment(3), "c1")),
    ];
    const wal = { other: [`${segment(2)}.zst`], unmarked: [`${segment(2)}.zst`], c1: [`${segment(3)}.zst`] };
    const open = { other: [`${segment(1)}.zst`, `${segment(3)}.zst`] };
    expect(pruned(backups, [1, 0, 0], wal, open)).toEqual(
      ["20260111", "20260110"].map((day) => `base/c1/${day}T023000Z_${segment(3)}`),
    );
  });

  test("the open segment at the end of a chain, which is all that there is of it", () => {
    const segment = (number: number) => `00000001000000000000000${number}.zst`;
    const gone = pruned(
      [at("20260101")],
      [7, 4, 6],
      { c1: [segment(1), segment(2)] },
      { c1: [segment(2), segment(3)] },
    );
    expect(gone).toEqual([`open/c1/${segment(2)}`]);
  });
});
