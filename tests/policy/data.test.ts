// What the policies say of a PgBouncer, and of a database whose upgrade is tried or serves, each with one property broken.
import { beforeEach, describe, expect, test } from "vitest";
import { PgBouncer } from "../../components/data/pgbouncer.ts";
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
