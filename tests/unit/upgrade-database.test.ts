// A database of another major version: what the stack file makes of the graph, and what the command writes and refuses.
import { beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { wantedUpgrade } from "../../cli/backup/upgrade.ts";
import { changed } from "../../cli/backup/update-with.ts";
import { configKey } from "../../cli/stack/program.ts";
import type { DockerHost } from "../../components/host/docker-host.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, containers, hex, label } from "../../testing/recorder.ts";
import { recordBackup } from "./backup-stack.ts";

const OLD = `postgres:15@sha256:${hex("old", 64)}`;
const NEW = `postgres:17@sha256:${hex("new", 64)}`;
let host: DockerHost;

const recorded = (upgrade: object | undefined, restore?: object) =>
  recordBackup(
    { database: { image: NEW, version: 17 }, onHost: (made) => (host = made) },
    {
      config: {
        ...(upgrade && {
          "reach:upgrade": JSON.stringify({ db: { id: "u1", from: 15, to: 17, image: OLD, ...upgrade } }),
        }),
        ...(restore && { "reach:restore": JSON.stringify({ db: restore }) }),
      },
    },
  );
type Recording = Awaited<ReturnType<typeof recorded>>;
const mountsOf = (recording: Recording, name: string) =>
  Object.fromEntries((container(recording, name).inputs.mounts ?? []).map(({ target, source }) => [target, source]));
const servedBy = (recording: Recording) => mountsOf(recording, "db")["/var/lib/postgresql/data"];
const imageOf = (recording: Recording, name: string) => container(recording, name).inputs.image;

describe("an upgrade", () => {
  let sound: Recording;
  beforeAll(async () => {
    sound = await recorded({ serve: true });
  });

  test.each(Object.entries(invariants))("that serves: %s", (_, complaintsOf) => {
    expect(complaintsOf(sound)).toEqual([]);
  });

  test("is tried beside the old server, of which nothing changes", async () => {
    const tried = await recorded({});
    expect([imageOf(tried, "db"), servedBy(tried)]).toEqual([OLD, "reach-test-db-data"]);
    expect(container(tried, "db-init").inputs.command?.[0]).toBe("15");
    expect(imageOf(tried, "backup-receiver")).toBe(OLD);
    expect([imageOf(tried, "db-upgraded-u1-copy"), imageOf(tried, "db-upgraded-u1-restore")]).toEqual([OLD, NEW]);
    expect(mountsOf(tried, "db-upgraded-u1-copy")).toEqual({ "/upgraded": "reach-test-db-upgraded-u1" });
    expect(container(tried, "db-upgraded-u1-copy").inputs.command).toEqual(["live"]);
    expect(container(tried, "db-upgraded-u1-copy").options.hooks.beforeCreate).not.toContain("db-upgraded-u1-end-old");
  });

  test("serves from a volume that was copied when the old server had ended", async () => {
    const served = await recorded({ serve: true });
    expect([imageOf(served, "db"), servedBy(served)]).toEqual([NEW, "reach-test-db-upgraded-u1"]);
    expect(mountsOf(served, "db-upgraded-u1-copy")["/old"]).toBe("reach-test-db-data");
    expect(container(served, "db-upgraded-u1-copy").options.hooks.beforeCreate).toContain("db-upgraded-u1-end-old");
    expect(label(container(served, "backup"), "bulkhead.backs-up")).toBe("reach-test-db-upgraded-u1");
    expect(label(container(served, "db-data-owner"), "bulkhead.exceptions")).toContain("has taken its place");
  });

  test("ends the server that has the old volume, and no other; a failure starts it again", async () => {
    const recording = await recorded({ serve: true });
    const asked: string[] = [];
    const servers = (...states: string[]) => {
      host.engine.get = () =>
        Promise.resolve(
          states.map((State, index) => ({
            ...{ Id: `c${index}`, State, Created: -index },
            Mounts: [{ Name: index === 0 ? "reach-test-db-data" : "reach-test-db-upgraded-u1" }],
          })) as never,
        );
    };
    host.engine.post = (path: string) => Promise.resolve(void asked.push(path) as never);
    const run = async (name: string) =>
      (recording.hooks.get(name) as unknown as { callback: (args: object) => Promise<unknown> }).callback({});
    servers("running", "running");
    await run("db-upgraded-u1-end-old");
    expect(asked.splice(0)).toEqual(["/containers/c0/stop?t=60"]);
    for (const job of ["db-upgraded-u1", "db-upgraded-u1-restore"]) {
      servers("exited");
      await run(`${job}-old-again`);
      expect(asked.splice(0)).toEqual(["/containers/c0/start"]);
      servers("running");
      await run(`${job}-old-again`);
      expect(asked).toEqual([]);
    }
  });

  test("of a restored volume is made from that; a restore since takes its place", async () => {
    const restore = { id: "r1", to: "latest", serve: true };
    const upgraded = await recorded({ serve: true, restored: "r1" }, restore);
    expect(servedBy(upgraded)).toBe("reach-test-db-upgraded-u1");
    expect(mountsOf(upgraded, "db-upgraded-u1-copy")["/old"]).toBe("reach-test-db-restored-r1");
    const since = await recorded({ serve: true }, restore);
    expect(servedBy(since)).toBe("reach-test-db-restored-r1");
    expect(containers(since).filter(({ name }) => name.startsWith("db-upgraded-u1-copy"))).toEqual([]);
  }, 30_000);

  test.each<[object, string]>([
    [{ to: 16 }, "upgrade.db.to: 16, and the program has version: 17: give both the same, and its image"],
    [{ from: 17 }, "upgrade.db.from: 17 is not before 17: give the version of the old server"],
    [{ id: "../x" }, "upgrade.db.id: ../x is none: give letters and digits"],
    [{ image: undefined }, "upgrade.db.image: is missing: give the image of the old server"],
    [{ serve: "yes" }, "upgrade.db.serve: yes is none: give true, or leave it out"],
  ])("refuses %j", async (upgrade, message) => {
    await expect(recorded(upgrade)).rejects.toThrow(message);
  });
});

describe("bulkhead upgrade-database", () => {
  const server = { image: OLD, env: ["PATH=/bin", "PG_MAJOR=15"] };

  test("writes what it found into the stack file", () => {
    const file = "config:\n  a:b: 1 # ours\n";
    const value = wantedUpgrade(parseDocument(file), "db", server, 17, "u1");
    expect(changed(file, { key: "upgrade", of: { db: value } })).toBe(
      `config:\n  a:b: 1 # ours\n  ${configKey("upgrade")}:\n    db:\n      id: u1\n      from: 15\n      to: 17\n` +
        `      image: ${OLD}\n`,
    );
  });

  test("knows the restore whose volume serves", () => {
    const document = parseDocument(
      `config:\n  ${configKey("restore")}:\n    db: { id: r1, to: latest, serve: true }\n`,
    );
    expect(wantedUpgrade(document, "db", server, 17, "u1").restored).toBe("r1");
  });

  test.each<[string, typeof server, string]>([
    [
      "",
      { ...server, env: [] },
      "db: its image does not say which PostgreSQL it has (PG_MAJOR): give the official one",
    ],
    ["", { ...server, env: ["PG_MAJOR=17"] }, "--to: db has PostgreSQL 17 already: give a newer version"],
    [
      `config:\n  ${configKey("upgrade")}:\n    db: { serve: true }\n`,
      server,
      "db: was upgraded before (upgrade.db in the stack file), and a second one is not known yet",
    ],
  ])("refuses %#", (file, running, message) => {
    expect(() => wantedUpgrade(parseDocument(file), "db", running, 17, "u1")).toThrow(message);
  });
});

test.each([15, 16] as const)("PostgreSQL %i is a version of its own", async (version) => {
  const recording = await recordBackup({ database: { image: OLD, version } });
  expect(container(recording, "db-init").inputs.command?.[0]).toBe(String(version));
});
