// What the policies say of a PgBouncer, of a database whose upgrade is tried or serves, of a Redis with its backup, and of a
// vault's second place, each with one property broken.
import { beforeEach, describe, expect, test } from "vitest";
import { PgBouncer } from "../../components/data/pgbouncer.ts";
import { Redis } from "../../components/data/redis.ts";
import { VolumeBackup } from "../../components/data/volume-backup.ts";
import { hex } from "../../testing/recorder.ts";
import { recordBackup, type Args } from "../unit/backup-stack.ts";
import { violationsIn } from "./compliant.ts";
import type { Resource } from "../../policy/rule.ts";

const OLD = `postgres:15@sha256:${hex("old", 64)}`;
const NEW = `postgres:17@sha256:${hex("new", 64)}`;
let resources: Resource[];

async function recorded(args: Args, upgrade?: object): Promise<void> {
  const config = upgrade && {
    "reach:upgrade": JSON.stringify({ db: { id: "u1", from: 15, to: 17, image: OLD, ...upgrade } }),
  };
  resources = (await recordBackup(args, { config })).resources.map(({ type, name, urn, inputs, options }) => ({
    ...{ type, name, urn, props: inputs, opts: { protect: options.protect } },
  }));
}

/** The properties of one resource, to break one of them. */
function of(name: string, type = "docker:index/container:Container"): Record<string, unknown> {
  return resources.find((each) => each.name === name && each.type === type)!.props;
}

describe("a PgBouncer", () => {
  beforeEach(() => recorded({ onDatabase: (server) => void new PgBouncer("pool", { host: server.host, server }) }));

  test("keeps every rule", () => expect(violationsIn(resources)).toEqual([]));

  test("on a network with a way out is refused", () => {
    of("pool-network", "docker:index/network:Network")["internal"] = false;
    expect(violationsIn(resources)).toEqual([
      "stack-database-internal: pool: is a database and on the network reach-test-pool, which is not one of the stack's " +
        "that is internal: publish no port, and put it on networks with internal: true alone",
    ]);
  });

  test("that publishes its port is refused", () => {
    of("pool")["ports"] = [{ ip: "127.0.0.1", internal: 6432, external: 6432 }];
    expect(violationsIn(resources).map((each) => each.split(":")[0])).toEqual([
      "container-published-ports",
      "stack-database-internal",
    ]);
  });

  test("with its password in a setting is refused", () => {
    const pool = of("pool");
    pool["envs"] = [...(pool["envs"] as string[]), "PGPASSWORD=hunter2"];
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^container-secret-env: pool: seems to have a secret in its setting PGPASSWORD: /),
    ]);
  });
});

describe("an upgrade", () => {
  const database = { image: NEW, version: 17 } as const;

  test.each<[string, object]>([
    ["tried", {}],
    ["that serves", { serve: true }],
  ])("%s keeps every rule", async (_, upgrade) => {
    await recorded({ database }, upgrade);
    expect(violationsIn(resources)).toEqual([]);
  });

  test("whose new volume is in no backup is refused", async () => {
    await recorded({ database }, { serve: true });
    const { labels } = of("backup") as { labels: { label: string; value: string }[] };
    labels.find(({ label }) => label === "bulkhead.backs-up")!.value = "reach-test-db-data";
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^stack-data-in-backup: db-upgraded-u1-volume: holds data and is in no backup: /),
    ]);
  });

  test("whose old volume has lost the reason why no backup has it is refused", async () => {
    await recorded({ database }, { serve: true });
    const { labels } = of("db-data-owner") as { labels: { label: string; value: string }[] };
    of("db-data-owner")["labels"] = labels.filter(({ label }) => label !== "bulkhead.exceptions");
    expect(violationsIn(resources).filter((each) => each.startsWith("stack-data-in-backup"))).toEqual([
      expect.stringMatching(/^stack-data-in-backup: db-data-volume: holds data and is in no backup: /),
    ]);
  });

  test("whose copy has a network with a way out is refused", async () => {
    await recorded({ database }, { serve: true });
    const copy = of("db-upgraded-u1-restore");
    copy["networkMode"] = undefined;
    copy["networksAdvanced"] = [{ name: "reach-test-vault-egress" }];
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^stack-database-internal: db-upgraded-u1-restore: is a database and on the network /),
    ]);
  });
});

describe("a Redis with a backup of its volume", () => {
  beforeEach(() =>
    recorded({
      onDatabase: ({ host, vault }) => {
        const cache = new Redis("cache", {
          ...{ host, vault, maxMb: 256, limits: { memoryMb: 64, cpus: 1, pids: 32 } },
          users: { api: { rights: "read-write" } },
        });
        new VolumeBackup("cache-backup", { volume: cache.data });
      },
    }),
  );

  test("keeps every rule", () => expect(violationsIn(resources)).toEqual([]));

  test("on a network with a way out is refused, and so is what publishes its port", () => {
    of("cache-network", "docker:index/network:Network")["internal"] = false;
    of("cache")["ports"] = [{ ip: "127.0.0.1", internal: 6379, external: 6379 }];
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^container-published-ports: cache: publishes the port 6379/),
      expect.stringMatching(/^stack-database-internal: cache: is a database and publishes the port 6379/),
      expect.stringMatching(/^stack-database-internal: cache: is a database and on the network reach-test-cache, /),
    ]);
  });

  test("with a password in a setting is refused", () => {
    const cache = of("cache");
    cache["envs"] = [...((cache["envs"] as string[] | undefined) ?? []), "REDISCLI_AUTH=hunter2"];
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^container-secret-env: cache: seems to have a secret in its setting REDISCLI_AUTH: /),
    ]);
  });

  test("whose backup names another volume is refused", () => {
    const { labels } = of("cache-backup") as { labels: { label: string; value: string }[] };
    labels.find(({ label }) => label === "bulkhead.backs-up")!.value = "reach-test-other";
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^stack-data-in-backup: cache-data-volume: holds data and is in no backup: /),
    ]);
  });

  test.each(["cache-backup-snapshot", "cache-backup-drill", "cache-backup"])(
    "whose %s has a way out is refused",
    (name) => {
      const reads = of(name);
      reads["networkMode"] = undefined;
      reads["networksAdvanced"] = [{ name: "reach-test-vault-egress" }];
      expect(violationsIn(resources)).toEqual([
        expect.stringMatching(
          new RegExp(`^stack-backup-apart: ${name}: reads data for a backup, and has a way out by `),
        ),
      ]);
    },
  );

  test("whose data what sends them mounts is refused", () => {
    of("vault-restic")["mounts"] = [{ type: "volume", source: "reach-test-cache-data", target: "/data" }];
    expect(violationsIn(resources)).toEqual([mountsData("vault-restic", "reach-test-cache-data")]);
  });
});

describe("a vault with a second place", () => {
  const place = { endpoint: "https://second.example.com", bucket: "copies" };
  beforeEach(() => recorded({ vault: { copy: { ...place, accessKeyId: "second", secretAccessKey: "c".repeat(40) } } }));

  test("keeps every rule", () => expect(violationsIn(resources)).toEqual([]));

  test("whose copy mounts the database's volume is refused", () => {
    of("vault-copy")["mounts"] = [{ type: "volume", source: "reach-test-db-data", target: "/data" }];
    expect(violationsIn(resources)).toEqual([mountsData("vault-copy", "reach-test-db-data")]);
  });

  test("whose copy has a credential in a setting is refused", () => {
    const copy = of("vault-copy");
    copy["envs"] = [...(copy["envs"] as string[]), `COPY_SECRET_ACCESS_KEY=${"c".repeat(40)}`];
    expect(violationsIn(resources)).toEqual([
      expect.stringMatching(/^container-secret-env: vault-copy: seems to have a secret in its setting COPY_SECRET_/),
    ]);
  });
});

function mountsData(sender: string, volume: string): unknown {
  return expect.stringMatching(
    new RegExp(`^stack-backup-apart: ${sender}: sends backups, and mounts the volume ${volume}, which holds data: `),
  );
}
