// A database beside whose vault's backups a new one would begin empty: refused where it would be made, and by the shipper.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { newestBackup } from "../../components/data/begins-empty.ts";
import { container, ofType } from "../../testing/recorder.ts";
import { recordBackup } from "./backup-stack.ts";
import { SHELLS } from "../support/shells.ts";

const OLD = "20260131T023000Z_000000010000000000000002";
const NEW = "20260201T023000Z_000000010000000000000009";

/** A storage that answers so, and what it was asked. */
async function storage(answer: (url: URL, response: ServerResponse) => void) {
  const asked: { url: string; authorization: string | undefined }[] = [];
  const server = createServer(({ url = "", headers: { authorization } }, response) => {
    asked.push({ url, authorization });
    answer(new URL(url, "http://storage"), response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const keys = (...names: string[]) => names.map((name) => `<Contents><Key>${name}</Key></Contents>`).join("");
const complete = (chain: string, name: string) =>
  keys(`f/base/${chain}/${name}/base.tar.zst.bin`, `f/base/${chain}/${name}/backup_manifest.bin`);
const place = (endpoint: string) => ({
  ...{ endpoint, bucket: "backups", folder: "f", region: "auto", accessKeyId: "id", secretAccessKey: "secret" },
});

describe("the newest base backup", () => {
  test("is the newest that is complete, on whatever page of the list it is", async () => {
    const { endpoint, asked } = await storage((url, response) =>
      response.end(
        url.searchParams.get("continuation-token") === "a/b="
          ? complete("c1", OLD) + keys("f/base/c3/20270101T000000Z_000000010000000000000001/base.tar.zst.bin")
          : `${complete("c2", NEW)}<NextContinuationToken>a/b=</NextContinuationToken>`,
      ),
    );
    expect(await newestBackup(place(endpoint))).toBe(NEW);
    expect(asked.map(({ url }) => url)).toEqual([
      "/backups?list-type=2&prefix=f%2Fbase%2F",
      "/backups?continuation-token=a%2Fb%3D&list-type=2&prefix=f%2Fbase%2F",
    ]);
    expect(asked[0]!.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=id\/\d{8}\/auto\/s3\/aws4_request, /);
  });

  test("is none where there is no bucket yet", async () => {
    const { endpoint } = await storage((_, response) => response.writeHead(404).end());
    expect(await newestBackup(place(endpoint))).toBeUndefined();
  });

  test("is not taken for none where the storage refuses, or is away", async () => {
    const { endpoint } = await storage((_, response) =>
      response.writeHead(403).end("<Error><Code>InvalidAccessKeyId</Code></Error>"),
    );
    await expect(newestBackup(place(endpoint))).rejects.toThrow(/answers 403 InvalidAccessKeyId$/);
    await expect(newestBackup(place("http://127.0.0.1:1"))).rejects.toThrow("127.0.0.1:1 does not answer");
  });
});

describe("before the volume is made", () => {
  /** What the hook says. */
  async function begun(stored: string, config: Record<string, string> = {}, volume?: object): Promise<void> {
    const { endpoint } = await storage((_, response) => response.end(stored));
    const recording = await recordBackup(
      {
        vault: { endpoint, folder: "f" },
        onHost: (host) => (host.engine.find = () => Promise.resolve(volume as never)),
      },
      { config },
    );
    const [data] = ofType(recording, "docker:index/volume:Volume").filter(({ name }) => name === "db-data-volume");
    if (!data!.options.hooks.beforeCreate.includes("db-begins-empty")) return;
    const hook = recording.hooks.get("db-begins-empty") as { callback: (args: object) => Promise<void> };
    await hook.callback({});
  }

  test("a database is refused beside backups of it, by name and with both cures", async () => {
    await expect(begun(complete("c1", OLD))).rejects.toThrow(
      `db: would begin empty, while the vault has backups of it up to ${OLD}. Get it back with ` +
        "`bulkhead restore db --latest`. Or, if a new and empty one is wanted, say so in the stack file: " +
        `\`pulumi config set --path 'beginsEmpty.db' ${OLD}\``,
    );
  });

  test("the word that was typed holds for the backups that there were", async () => {
    const config = { "reach:beginsEmpty": JSON.stringify({ db: OLD }) };
    await begun(complete("c1", OLD), config);
    await expect(begun(complete("c1", OLD) + complete("c2", NEW), config)).rejects.toThrow(`up to ${NEW}`);
  });

  test("an empty vault, a volume that is there and a restore are well", async () => {
    await begun("");
    await begun(complete("c1", OLD), {}, { Name: "reach-test-db-data" });
    await begun(complete("c1", OLD), {
      "reach:restore": JSON.stringify({ db: { id: "r1", to: "latest", serve: true } }),
    });
  });

  test("what the stack file says of it has to be a base backup", async () => {
    await expect(begun("", { "reach:beginsEmpty": JSON.stringify({ db: "yes" }) })).rejects.toThrow(
      "beginsEmpty.db: yes is no base backup: give the name that the refusal said, or leave it out",
    );
  });

  test("two databases in one folder are refused, and the shipper knows beside what its own may begin", async () => {
    await expect(recordBackup({ another: true })).rejects.toThrow(
      "backup-2: database: the vault has the backups of db: give db-2 a Vault with a folder of its own",
    );
    const commandWith = async (config: Record<string, string>) =>
      container(await recordBackup({}, { config }), "backup-shipper").inputs.command;
    expect(await commandWith({})).toEqual(expect.arrayContaining(["db", "none"]));
    expect(await commandWith({ "reach:beginsEmpty": JSON.stringify({ db: OLD }) })).toContain(OLD);
  });
});

describe.each(SHELLS)("the shipper, in %s", (...shell) => {
  /** What it says to a chain of system 2, or nothing if it sends it; and the marks in the vault then. */
  function asked(
    vault: { bases?: string[]; chains?: string[]; manifest?: string },
    { accepted = "none", system = "2", sent = false, fails = "" } = {},
  ) {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-admit-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    mkdirSync(join(directory, "sent"));
    mkdirSync(join(directory, "spool/systems"), { recursive: true });
    if (system !== "") writeFileSync(join(directory, "spool/systems/now"), `${system}\n`);
    if (sent) writeFileSync(join(directory, "sent/base-good"), "");
    const lines = (all: string[] = []) => all.map((each) => `${each}\n`).join("");
    writeFileSync(join(directory, "bases"), lines(vault.bases));
    writeFileSync(join(directory, "chains"), lines(vault.chains));
    writeFileSync(join(directory, "manifest"), vault.manifest ?? "");
    const library = readFileSync(join(import.meta.dirname, "../../components/data/backup-admit.sh"), "utf8");
    const script = `
      database=db accepted=${accepted}
      why() { echo "why: $(tail -1 "$1")"; }
      bases() { sort bases >"$1"; }
      rclone() {
        case "$1" in
          "${fails}") echo trouble >&2; return 1 ;;
          lsf) cat chains ;;
          cat) cat manifest ;;
          rcat) cat >/dev/null; echo "\${2#vault:chains/}" >>chains ;;
        esac
      }
      ${library.replaceAll(/\/(tmp|sent|spool)\//g, "./$1/").replaceAll("./tmp/", "./")}
      admitted now && echo sends
      sort chains >&2`;
    const [program, ...args] = shell;
    const { stdout, stderr } = spawnSync(program, [...args, "-c", script], { cwd: directory, encoding: "utf8" });
    return { said: stdout.trim(), marks: stderr.trim().split("\n") };
  }

  test("sends into an empty vault, and marks whose chain it is", () => {
    expect(asked({})).toEqual({ said: "sends", marks: ["now_2"] });
  });

  test("sends another chain of a database that the vault knows", () => {
    expect(asked({ bases: [`${OLD} before`], chains: ["before_2"] }).said).toBe("sends");
  });

  const REFUSED =
    `the vault has backups of another database, up to ${OLD}: get that one back (bulkhead restore db --latest), or ` +
    `set beginsEmpty.db to ${OLD} in the stack file if this new one is wanted`;

  test("sends nothing beside backups of another database, unless that was said of the newest of them", () => {
    const vault = { bases: [`${OLD} before`], chains: ["before_1"] };
    expect(asked(vault)).toEqual({ said: REFUSED, marks: ["before_1"] });
    expect(asked(vault, { accepted: OLD }).said).toBe("sends");
    expect(asked(vault, { accepted: NEW }).said).toBe("sends");
    expect(asked({ ...vault, bases: [`${OLD} before`, `${NEW} before`] }, { accepted: OLD }).said).toContain(
      `up to ${NEW}`,
    );
  });

  test("learns whose the chains of before are: from the manifest, else from what this host has sent", () => {
    const bases = [`${OLD} before`];
    const manifest = (of: string) => `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${of},\n`;
    expect(asked({ bases, manifest: manifest("2") })).toEqual({ said: "sends", marks: ["before_2", "now_2"] });
    expect(asked({ bases, manifest: manifest("1") })).toEqual({ said: REFUSED, marks: ["before_1"] });
    expect(asked({ bases }, { sent: true }).marks).toEqual(["before_2", "now_2"]);
    expect(asked({ bases })).toEqual({ said: REFUSED, marks: ["before_0"] });
  });

  test("sends nothing as long as it cannot know", () => {
    expect(asked({}, { system: "" }).said).toBe("the receiver has not told yet which database this is: see its log");
    for (const fails of ["lsf", "rcat"]) expect(asked({}, { fails }).said).toBe("why: trouble");
    expect(asked({ bases: [`${OLD} before`] }, { fails: "cat" }).said).toBe("why: trouble");
  });
});
