// Real databases: what they acknowledged is there after a process was killed and a container replaced.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { retireOldLogins } from "../../cli/stack/old-logins.ts";
import { dataImages } from "../../components/data/images.ts";
import { AT_START } from "../../components/data/postgres-settings.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { lastLines } from "../support/command.ts";
import { currentTestEngine } from "../support/engine.ts";
import { images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";
import { docker, insideStack, until } from "../support/stack-inside.ts";
import { inSoak, SOAK } from "../support/soak.ts";

const engine = new Engine(process.env["DOCKER_HOST"]!);
const LABEL = "postgres-postgres";
const { committed, idOf, superuser, toldOfAll } = insideStack(LABEL);
const SETTINGS = { work_mem: "3MB", shared_buffers: "48MB" };
let project: TestProject;
let config: Record<string, unknown>;

beforeAll(async () => {
  const wanted = { traefik: pinned.traefik, ...dataImages };
  const images = { ...wanted, ...(await provideImages(engine, wanted)) };
  config = { "postgres:images": images };
  project = await createTestProject({
    stack: "postgres",
    config,
    program: new URL("../programs/data", import.meta.url).pathname,
  });
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
});

afterAll(async () => {
  await removeStack(engine, LABEL);
  project?.remove();
  engine.close();
});

test("no acknowledged commit is lost when the server is killed and when it is replaced", async () => {
  await until(async () => (await acknowledged()).length > 50);
  const killed = await idOf("db");
  const { stdout: pid } = await docker("exec", killed, "head", "-1", "/var/lib/postgresql/data/postmaster.pid");
  const beforeKill = (await acknowledged()).length;
  await docker("exec", killed, "kill", "-9", pid.trim());
  await until(async () => (await acknowledged()).length > beforeKill + 50);

  project.setConfig({ ...config, "postgres:settings": SETTINGS });
  const beforeUp = (await acknowledged()).length;
  const { code, stdout, stderr } = await project.up();
  expect(code, stdout + stderr).toBe(0);
  expect(await idOf("db")).not.toBe(killed);
  await until(async () => (await acknowledged()).length > beforeUp + 50);
  expect([await superuser("show work_mem"), await superuser("show shared_buffers")]).toEqual(["3MB\n", "48MB\n"]);

  const acks = await acknowledged();
  const there = await committed();
  const lost = acks.filter((nonce) => !there.has(nonce)).length;
  console.log(JSON.stringify({ event: "acknowledged commits", acknowledged: acks.length, lost }));
  expect(lost).toBe(0);
});

test("a consumer has the rights that it names, and nobody comes as the superuser", async () => {
  const as = (sql: string, ...env: string[]) =>
    inReader(
      `PGPASSFILE=/tmp/pgpass PGHOST=db PGDATABASE=app PGUSER=$DATABASE_USER ${env.join(" ")} psql -XqAtc "${sql}"`,
    );
  expect((await as("select count(*) > 0 from acks")).stdout).toBe("t\n");
  expect((await as("insert into acks default values")).stderr).toContain("permission denied for table acks");
  expect((await as("create table mine ()")).stderr).toContain("permission denied for schema public");
  expect((await as("select 1", "PGUSER=postgres")).stderr).toContain("pg_hba.conf rejects connection");
  const ofWriter = (await inspect(await idOf("writer"))).Config.Env.find((each) => each.startsWith("DATABASE_USER="))!;
  expect((await as("select 1", ofWriter.replace("DATABASE_", "PG"))).stderr).toContain(
    "password authentication failed",
  );
  expect((await superuser("select extname from pg_extension where extname = 'pg_trgm'", "app")).trim()).toBe("pg_trgm");
  expect((await superuser("show data_checksums")).trim()).toBe("on");
});

test("a password is rotated and PgBouncer replaced without a failed query, and the old login is taken away", async () => {
  const loginOf = async () =>
    (await inspect(await idOf("pooled"))).Config.Env.find((each) => each.startsWith("DATABASE_USER="))!.slice(14);
  const old = await loginOf();
  await until(async () => (await lines("pooled")).length > 20 && (await lines("kept")).length > 20);
  await inReader("rm -f /notes/*-failed");
  const before = [await lines("pooled"), await lines("kept")].map((each) => each.length);
  project.setConfig({ ...config, "postgres:settings": SETTINGS, "postgres:clients": 90 });
  const { deployment } = await project.exportState<{ deployment: { resources: { urn: string }[] } }>();
  const { urn } = deployment.resources.find((each) => each.urn.endsWith("::db-pooled-password-value"))!;
  const { code, stdout, stderr } = await project.up(["--replace", urn]);
  expect(code, stdout + stderr).toBe(0);
  expect(await loginOf()).not.toBe(old);
  expect(await retireOldLogins(engine, LABEL)).toEqual([old]);
  const after = [await lines("pooled"), await lines("kept")].map((each) => each.length);
  await until(async () => (await lines("pooled")).length > after[0]! + 20);
  const failed = [...(await lines("pooled-failed")), ...(await lines("kept-failed"))];
  console.log(
    JSON.stringify({ event: "rotation", reconnecting: after[0]! - before[0]!, kept: after[1]! - before[1]!, failed }),
  );
  expect(failedOtherwise(failed, 1)).toBe("");
  expect(await superuser(`select count(*) from pg_roles where rolname = '${old}'`)).toBe("0\n");
  const hashes = (whose: string) =>
    superuser(`select count(*) > 0 from pg_authid, bulkhead.secret_of(rolname::text) where ${whose}`);
  expect(await hashes("rolsuper or rolreplication or not rolcanlogin")).toBe("f\n");
  expect(await hashes("rolname like 'pooled%'")).toBe("t\n");
});

test.each(inSoak("PgBouncer"))(
  "%s is replaced six times under new connections without a refused one",
  async () => {
    await inReader("rm -f /notes/*-failed");
    const before = [await lines("pooled"), await lines("kept")].map((each) => each.length);
    for (const clients of [91, 92, 93, 94, 95, 96]) {
      const old = await idOf("pool");
      project.setConfig({ ...config, "postgres:settings": SETTINGS, "postgres:clients": clients });
      const { code, stdout, stderr } = await project.up();
      expect(code, stdout + stderr).toBe(0);
      expect(await idOf("pool")).not.toBe(old);
    }
    const after = [await lines("pooled"), await lines("kept")].map((each) => each.length);
    const failed = [...(await lines("pooled-failed")), ...(await lines("kept-failed"))];
    console.log(
      JSON.stringify({ event: "replaced", connections: after[0]! - before[0]!, kept: after[1]! - before[1]!, failed }),
    );
    expect(failedOtherwise(failed, 6)).toBe("");
  },
  400_000,
);

test.each(["everysec", ...inSoak("always")])(
  "no acknowledged write of Redis is lost when it is killed, with fsync: %s",
  async (fsync) => {
    if (fsync !== "everysec") {
      project.setConfig({ ...config, "postgres:settings": SETTINGS, "postgres:fsync": fsync });
      const { code, stdout, stderr } = await project.up();
      expect(code, stdout + stderr).toBe(0);
    }
    const counted = async () =>
      Number((await docker("exec", await idOf("counter"), "tail", "-n2", "/tmp/acknowledged")).stdout.split("\n")[0]);
    const begin = await counted();
    const began = performance.now();
    for (let kills = 0; kills < (SOAK ? 10 : 1); kills++) {
      const before = await counted();
      await until(async () => (await counted()) > before + 1000);
      await docker("exec", await idOf("cache"), "sh", "-c", "kill -9 $(pidof valkey-server || pidof redis-server)");
      const acknowledged = await counted();
      await until(async () => (await counted()) > acknowledged + 1000);
    }
    // A number that is answered again is one that was lost.
    const again = "/^[0-9]+$/ { if ($1 <= last) print; last = $1 }";
    const { stdout: lost } = await docker("exec", await idOf("counter"), "awk", again, "/tmp/acknowledged");
    const seconds = Math.round((performance.now() - began) / 1000);
    console.log(
      JSON.stringify({ event: `Redis, ${fsync}`, acknowledged: (await counted()) - begin, lost: lost.length, seconds }),
    );
    expect(lost).toBe("");
  },
);

test("a user of Redis has its own keys, and no command that administers", async () => {
  const as = async (...command: string[]) => {
    const client =
      'REDISCLI_AUTH=$(cat $REDIS_PASSWORD_FILE) valkey-cli -h cache --no-auth-warning --user $REDIS_USER "$@"';
    return (await docker("exec", await idOf("counter"), "sh", "-c", client, "sh", ...command)).stdout;
  };
  expect(await as("get", "other")).toContain("NOPERM");
  expect(await as("flushall")).toContain("NOPERM");
  expect(await as("config", "get", "*")).toContain("NOPERM");
  expect(await as("--user", "default", "ping")).toContain("NOAUTH");
});

test("the settings that only a start changes are those that the server says", async () => {
  const context = "select string_agg(name, ' ') from pg_settings where context = 'postmaster' and name <> all ('{%}')";
  expect((await superuser(context.replace("%", [...AT_START].join(",")))).trim()).toBe("");
});

test("a volume or a setting that the server could not serve is refused before the server ends", async () => {
  const jobs = ["--filter", `label=bulkhead.stack=${LABEL}`, "--filter", "label=bulkhead.name=db-init"];
  const { Config, Image } = await inspect((await docker("ps", "-aq", ...jobs)).stdout.trim());
  const [shell, ...entry] = Config.Entrypoint;
  const init = async (mount: string[], prepare: string, ...args: string[]) => {
    const common = [
      "run",
      "--rm",
      "--network",
      "none",
      "--user",
      "999:999",
      "--env",
      "PGDATA=/var/lib/postgresql/data",
    ];
    const script = `cd "$PGDATA" && ${prepare} && exec ${shell} "$@"`;
    return (await docker(...common, ...mount, "--entrypoint", shell!, Image, "-c", script, "init", ...entry, ...args))
      .stderr;
  };
  const empty = ["--tmpfs", "/var/lib/postgresql/data:uid=999,mode=700"];
  const of18 = "mkdir -p 18/docker/global && echo 18 > 18/docker/PG_VERSION";
  expect(await init(empty, of18, "17")).toContain("the volume has the database of PostgreSQL 18 in 18/docker/");
  expect(await init(empty, "echo 16 > PG_VERSION", "17")).toContain("holds PostgreSQL 16, and the image is of 17");
  expect(await init(empty, "touch notes.txt", "17")).toContain("the volume has files and no database");
  expect(await init(empty, "true", "16")).toContain("and version is 16: give an image of 16");
  const served = ["--volumes-from", `${await idOf("db")}:ro`];
  expect(await init(served, "true", "17", "--work_mem=much")).toContain('invalid value for parameter "work_mem"');
  expect(await init(served, "true", "17", "--work_memory=1MB")).toContain(
    'unrecognized configuration parameter "work_memory"',
  );
});

test("a second server does not start on the volume of the first", async () => {
  const db = await idOf("db");
  const [shell, flag, start, name] = (await inspect(db)).Config.Entrypoint;
  const second = await docker(
    ...["run", "--rm", "--volumes-from", db, "--network", "none", "--user", "999:999", "--entrypoint", shell!],
    ...["--env", "PGDATA=/var/lib/postgresql/data", (await inspect(db)).Image, flag!, start!, name!],
  );
  expect(second.stderr).toContain("bulkhead: another container serves this volume: not starting");
  expect(second.code).not.toBe(0);
  const { Config, HostConfig, NetworkSettings } = await inspect(db);
  expect([Config.User, HostConfig.ReadonlyRootfs, HostConfig.CapDrop, HostConfig.CapAdd ?? []]).toEqual([
    ...["999:999", true],
    ["ALL"],
    [],
  ]);
  expect(Object.keys(NetworkSettings.Networks)).toEqual([`${LABEL}-db`]);
  expect((await engine.get<{ Internal: boolean }>(`/networks/${LABEL}-db`)).Internal).toBe(true);
});

test("the passwords are in no inspect and in no log", async () => {
  const passwords = await Promise.all(
    ["writer", "reader", "pooled"].map(async (name) =>
      (await docker("exec", await idOf(name), "cat", "/run/secrets/database_password")).stdout.trim(),
    ),
  );
  expect(passwords.map((each) => each.length)).toEqual([64, 64, 64]);
  const seen = await toldOfAll();
  for (const password of passwords) expect(seen.filter((text) => text.includes(password))).toEqual([]);
});

test.each(inSoak("two databases behind two PgBouncers"))(
  "%s, before each of them a crowd: none is refused, also while both are replaced",
  async () => {
    const CROWD = 150;
    const up = async (clients: number) => {
      project.setConfig({ ...config, "postgres:crowds": true, "postgres:clients": clients });
      const { code, stdout, stderr } = await project.up();
      expect(code, stdout + stderr).toBe(0);
    };
    await up(900);
    const old = [await idOf("pool"), await idOf("second")];
    // A number of queries and no time, which pgbench counts from before its clients have logged in.
    // Each holds what it gets for a moment, so that all of the server's connections that there may be are in use.
    const holds = "select pg_sleep(0.02);";
    const rounds = `
      export PGPASSFILE=/tmp/pgpass PGHOST=$DATABASE_HOST PGPORT=$DATABASE_PORT PGDATABASE=$DATABASE_NAME PGUSER=$DATABASE_USER
      echo '${holds}' >/tmp/holds
      until [ -e /tmp/stop ]; do pgbench --no-vacuum --client=${CROWD} --jobs=2 --transactions=10 --file=/tmp/holds 2>&1; done`;
    const names = ["first-app", "first-shop", "second-app", "second-shop"].map((each) => `crowd-${each}`);
    const ids = await Promise.all(names.map(idOf));
    const exec = (id: string, script: string) =>
      currentTestEngine().exec("docker", ["exec", id, "sh", "-c", script], { timeoutMs: 300_000 });
    const crowds = ids.map((id) => exec(id, rounds));
    let most = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const now = await superuser("select count(*) from pg_stat_activity where backend_type = 'client backend'");
        most = Math.max(most, Number(now));
      }
    })();
    await sleep(10_000);
    await up(800);
    expect([await idOf("pool"), await idOf("second")]).not.toEqual(old);
    await sleep(10_000);
    await Promise.all(ids.map((id) => exec(id, "touch /tmp/stop")));
    const said = (await Promise.all(crowds)).map(({ stdout }) => stdout).join("\n");
    isOver = true;
    await watching;
    const done = [...said.matchAll(/actually processed: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    const failed = said.split("\n").filter((line) => /FATAL|aborted|could not|failed: [1-9]/.test(line));
    const { stdout, stderr } = await docker("logs", await idOf("db"));
    const refused = (stdout + stderr)
      .split("\n")
      .filter((line) => /remaining connection slots|too many clients/.test(line));
    console.log(
      JSON.stringify({ event: "crowds", clients: 4 * CROWD, done, most, failed: failed.slice(0, 20), refused }),
    );
    expect(refused).toEqual([]);
    // Who logs in within the millisecond in which the old one is told to end is told so, and pgbench then gives up.
    expect(failed.filter((line) => !/pooler is shutting down|could not create connection/.test(line))).toEqual([]);
    expect(done).toBeGreaterThan(2000);
    // It was all in use: one of both PgBouncers at least was there twice.
    expect(most).toBeGreaterThan(20);
  },
  600_000,
);

interface Inspected {
  Image: string;
  Config: { User: string; Env: string[]; Entrypoint: string[] };
  HostConfig: { ReadonlyRootfs: boolean; CapDrop: string[]; CapAdd: string[] | null };
  NetworkSettings: { Networks: Record<string, unknown> };
}
const inspect = (id: string) => engine.get<Inspected>(`/containers/${id}/json`);

async function acknowledged(): Promise<string[]> {
  return (await lines("writer")).filter((line) => line.length === 36);
}

/**
 * What failed, but for one connection of each replacement: who comes in the very millisecond in which the old PgBouncer stops
 * to listen may be refused. docs/how-to/pgbouncer.md says so.
 */
function failedOtherwise(failed: readonly string[], replacements: number): string {
  const refused = "FATAL: +pooler is shutting down";
  const closed = "server closed the connection unexpectedly\\n\\t.*\\n\\t.*";
  const one = new RegExp(`^psql: error: connection to server at "pool".* (${refused}|${closed})\\n?`, "m");
  return Array.from({ length: replacements }).reduce<string>((left) => left.replace(one, ""), failed.join("\n"));
}

async function lines(file: string): Promise<string[]> {
  const { stdout } = await inReader(`cat /notes/${file} 2> /dev/null`);
  return stdout.split("\n").filter((line) => line !== "");
}

async function inReader(command: string) {
  return docker("exec", await idOf("reader"), "sh", "-c", command);
}
