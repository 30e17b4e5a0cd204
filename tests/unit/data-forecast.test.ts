// What a preview says of databases, backups and the vault's second place: from the programs before and after a change.
import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import { previewOf } from "../../cli/preview/engine-events.ts";
import { forecastOf, type Forecast } from "../../cli/preview/forecast.ts";
import { Redis, type RedisArgs } from "../../components/data/redis.ts";
import { VolumeBackup } from "../../components/data/volume-backup.ts";
import { hex, type Recording } from "../../testing/recorder.ts";
import { recordBackup, type Args } from "./backup-stack.ts";

const OLD = `postgres:15@sha256:${hex("old", 64)}`;
const NEW = `postgres:17@sha256:${hex("new", 64)}`;
const copy = {
  ...{ endpoint: "https://second.example.com", bucket: "copies" },
  ...{ accessKeyId: "second", secretAccessKey: "c".repeat(40) },
};

interface Program extends Args {
  cache?: Partial<RedisArgs>;
  upgrade?: object;
}

function program({ cache, upgrade, ...args }: Program = {}): Promise<Recording> {
  const onDatabase: Args["onDatabase"] = ({ host, vault }) => {
    const limits = { memoryMb: 64, cpus: 1, pids: 32 };
    const users = { api: { rights: "read-write" as const } };
    const { data } = new Redis("cache", { host, vault, limits, maxMb: 256, users, ...cache });
    new VolumeBackup("cache-backup", { volume: data });
  };
  const config = upgrade && { "reach:upgrade": JSON.stringify({ db: upgrade }) };
  return recordBackup({ ...args, onDatabase }, { secrets: ["s".repeat(40), "c".repeat(40)], config });
}

/** What Pulumi tells of going from one program to another: what is given a name of its own is deleted first. */
function between(before: Recording, after: Recording): Forecast {
  const of = ({ resources }: Recording) => new Map(resources.map((each) => [`${each.type} ${each.name}`, each]));
  const [had, has] = [of(before), of(after)];
  const events = [...new Set([...had.keys(), ...has.keys()])].flatMap((key) => {
    const [from, to] = [had.get(key), has.get(key)];
    const { urn, type, options } = (to ?? from)!;
    const replaced = ["create-replacement", "replace", "delete-replaced"];
    const isSame = isDeepStrictEqual(from?.inputs, to?.inputs);
    const ops = from === undefined ? ["create"] : to === undefined ? ["delete"] : isSame ? ["same"] : replaced;
    return ops.map((op) => ({
      resourcePreEvent: {
        metadata: {
          ...{ op, urn, type },
          ...(from && {
            old: { inputs: from.inputs, id: `id of ${from.name}`, retainOnDelete: options.retainOnDelete },
          }),
          ...(to && { new: { inputs: to.inputs } }),
        },
      },
    }));
  });
  return forecastOf(previewOf(events.map((event) => `${JSON.stringify(event)}\n`).join("")));
}

const changed = ({ services }: Forecast) =>
  Object.fromEntries(services.filter(({ what }) => what !== "same").map((each) => [each.name, each]));

test("nothing changes, and nothing is said", async () => {
  const forecast = between(await program(), await program());
  expect(changed(forecast)).toEqual({});
  expect(forecast.dataAtRisk).toEqual([]);
});

test("a setting that only a start changes: the server answers nobody until the next one does, and it is named", async () => {
  const forecast = between(await program(), await program({ database: { settings: { shared_buffers: "32MB" } } }));
  expect(changed(forecast)).toEqual({
    db: expect.objectContaining({
      ...{ what: "restarted", downtimeSeconds: undefined, reasons: ["arguments shared_buffers"] },
    }) as object,
  });
});

test("Redis that writes each time is another container, after the old one; its data stay", async () => {
  const forecast = between(await program(), await program({ cache: { fsync: "always" } }));
  expect(changed(forecast)).toEqual({
    cache: expect.objectContaining({ what: "restarted", reasons: ["arguments"] }) as object,
  });
  expect(forecast.dataAtRisk).toEqual([]);
});

test("an upgrade's trial replaces no server; the upgrade names the image, and lets go of no data", async () => {
  const upgrade = { id: "u1", from: 15, to: 17, image: OLD };
  const before = await program({ database: { image: OLD, version: 15 } });
  const tried = await program({ database: { image: NEW, version: 17 }, upgrade });
  expect(changed(between(before, tried))).toEqual({});
  const served = await program({ database: { image: NEW, version: 17 }, upgrade: { ...upgrade, serve: true } });
  const forecast = between(tried, served);
  const { db, "backup-receiver": receiver } = changed(forecast);
  expect(db).toMatchObject({ what: "restarted", downtimeSeconds: undefined });
  expect(db!.reasons.join()).toMatch(/image postgres:15 \w+ → postgres:17 \w+/);
  expect(receiver).toMatchObject({ what: "restarted" });
  expect(forecast.dataAtRisk).toEqual([]);
}, 120_000);

test("an upgrade that is taken back lets go of what was written since", async () => {
  const upgrade = { id: "u1", from: 15, to: 17, image: OLD, serve: true };
  const served = await program({ database: { image: NEW, version: 17 }, upgrade });
  expect(between(served, await program({ database: { image: OLD, version: 15 } })).dataAtRisk).toEqual([
    { name: "reach-test-db-upgraded-u1", fate: "is retained on the host but no longer managed by this stack" },
  ]);
});

test("a second place that comes, and that goes", async () => {
  const [without, withCopy] = [await program(), await program({ vault: { copy } })];
  expect(changed(between(without, withCopy))).toEqual({
    "vault-copy": expect.objectContaining({ what: "created" }) as object,
  });
  expect(changed(between(withCopy, without))).toEqual({
    "vault-copy": expect.objectContaining({ what: "removed" }) as object,
  });
});

test("a backup that keeps less says so of what does it", async () => {
  const { "backup-shipper": shipper } = changed(
    between(await program(), await program({ backup: { keep: { daily: 3 } } })),
  );
  expect(shipper).toMatchObject({ what: "restarted", reasons: ["arguments"] });
});
