import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { makeOwnFolder, sshDirectory, sshOptions } from "../../components/docker-engine/ssh.ts";
import { startFakeEngine, type FakeEngine } from "./fake-engine.ts";

const HOST = "ssh://deploy@203.0.113.10:2200";

describe("an engine over ssh", () => {
  test("is asked again over a new connection when the daemon has ended the old one", async () => {
    const { fake, engine } = await engineOverSsh();
    expect(await engine.get("/before")).toEqual({});
    fake.hangUp();
    expect(await engine.get("/after")).toEqual({});
    expect(fake.requests).toEqual(["GET /before", "GET /after"]);
  });

  test("is sent nothing over a connection that is known to have ended", async () => {
    const { fake, engine, calls } = await engineOverSsh();
    await engine.get("/before");
    const { pid } = calls()[0]!;
    fake.hangUp();
    // Gone from the list of processes means that this process was told of its end.
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow("ESRCH"), { timeout: 10_000 });
    await delay(50);
    // What changes something is never sent twice, so it needs a connection that is alive.
    await engine.post("/after");
    expect(fake.requests).toEqual(["GET /before", "POST /after"]);
  });

  test("is looked for over a connection of its own where the shared one does not serve", async () => {
    const { engine, calls } = await engineOverSsh({ refuses: "shared" });
    await engine.ping();
    expect(calls().map(({ what }) => what)).toEqual(["dial-stdio", "stop", "dial-stdio"]);
  });

  test("is not looked for twice where nothing is shared", async () => {
    const { engine, calls } = await engineOverSsh({ refuses: "all" });
    await expect(engine.ping()).rejects.toThrow(`${HOST}: permission denied`);
    expect(calls().map(({ what }) => what)).toEqual(["dial-stdio", "stop"]);
  });

  test("that hangs up while it is written to is let say why", async () => {
    const { engine } = await engineOverSsh({ refuses: "while written to" });
    await expect(engine.post("/much", "x".repeat(1_000_000))).rejects.toThrow(`${HOST}: permission denied`);
  });
});

describe("ssh", () => {
  function optionsOf(...args: Parameters<typeof sshOptions>): Record<string, string> {
    const options = sshOptions(...args);
    expect(new Set(options.filter((_, index) => index % 2 === 0))).toEqual(new Set(["-o"]));
    const settings = options.filter((_, index) => index % 2 === 1);
    return Object.fromEntries(settings.map((setting) => setting.split("=") as [string, string]));
  }

  test("asks nothing, trusts no host key that is not known, and gives up in time", () => {
    expect(optionsOf(HOST, "known/hosts")).toMatchObject({
      ...{ BatchMode: "yes", StrictHostKeyChecking: "yes", UserKnownHostsFile: "known/hosts", ConnectTimeout: "10" },
      ...{ ControlMaster: "auto", ControlPersist: "60", ServerAliveInterval: "5" },
    });
    expect(optionsOf(HOST)).not.toHaveProperty("UserKnownHostsFile");
  });

  test("is for ssh:// alone", () => expect(sshOptions("unix:///var/run/docker.sock")).toEqual([]));

  test("shares a connection by a socket whose name fits everywhere, and is told to everybody alike", () => {
    vi.stubEnv("TMPDIR", `/var/folders/${"x".repeat(80)}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { ControlPath } = optionsOf(HOST);
    expect(ControlPath!.startsWith(`${sshDirectory.replace(/\d+$/, "%i")}/`)).toBe(true);
    // While ssh makes it, it has 17 letters more; macOS has room for 103.
    const longest = ControlPath!.replace("%i", "4294967295").replace("%C", "0".repeat(40)).length + 17;
    expect(longest).toBeLessThanOrEqual(103);
  });

  test("shares none where it is to come in anew, whatever the user's own settings say", () => {
    const options = optionsOf(HOST, undefined, false);
    expect(options).toMatchObject({ ControlPath: "none", StrictHostKeyChecking: "yes" });
    expect(options).not.toHaveProperty("ControlMaster");
  });

  describe("keeps the socket in a folder", () => {
    let folder: string;
    beforeEach(() => {
      const parent = mkdtempSync(join(tmpdir(), "bulkhead-folder-"));
      folder = join(parent, "ssh");
      onTestFinished(() => {
        vi.restoreAllMocks();
        rmSync(parent, { recursive: true });
      });
    });

    test("that nobody else can open", () => {
      makeOwnFolder(folder);
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      makeOwnFolder(folder);
    });

    test.each<[string, () => void]>([
      ["was made by somebody else", () => vi.spyOn(process, "getuid").mockReturnValue(4_000_000_000)],
      ["is open to others", () => mkdirSync(folder, { mode: 0o750 })],
      ["only leads elsewhere", () => symlinkSync(tmpdir(), folder)],
    ])("and in none that %s", (_, prepare) => {
      prepare();
      expect(() => makeOwnFolder(folder)).toThrow(`${folder}: is not a folder of this user alone`);
    });
  });
});

interface Call {
  pid: number;
  /** What ssh was to run there, or to tell the shared connection. */
  what: string;
}

/**
 * A fake Docker, reached through a stand-in for ssh that ends when it hangs up. It can refuse to work over a
 * connection that an earlier run has left, as sshd does where the user has got a group since, or at all.
 */
async function engineOverSsh({ refuses }: { refuses?: "shared" | "all" | "while written to" } = {}): Promise<{
  fake: FakeEngine;
  engine: Engine;
  calls: () => Call[];
}> {
  const fake = await startFakeEngine(() => ({}));
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-ssh-"));
  const [log, shared] = [join(directory, "log"), join(directory, "shared")];
  if (refuses === "shared") writeFileSync(shared, "");
  const program = `#!${process.execPath}
    const { appendFileSync, existsSync, rmSync } = require("node:fs");
    const [log, shared, socket] = ${JSON.stringify([log, shared, fake.host.replace("unix://", "")])};
    const [first, second] = process.argv.slice(2);
    const isShared = existsSync(shared);
    appendFileSync(log, JSON.stringify({ pid: process.pid, what: first === "-O" ? second : process.argv.at(-1) }) + "\\n");
    if (first === "-O") {
      rmSync(shared, { force: true });
      process.exit(isShared ? 0 : 255);
    }
    if (isShared || ${refuses === "all"}) {
      process.stderr.write("permission denied");
      process.exit(1);
    }
    if (${refuses === "while written to"}) {
      process.stdin.destroy();
      setTimeout(() => process.exit(1), 300).ref();
      return setTimeout(() => process.stderr.write("permission denied"), 200);
    }
    const connection = require("node:net").connect(socket);
    process.stdin.pipe(connection).pipe(process.stdout);
    connection.on("close", () => process.exit(0));
  `;
  writeFileSync(join(directory, "ssh"), program, { mode: 0o755 });
  vi.stubEnv("PATH", `${directory}:${process.env["PATH"]}`);
  const engine = new Engine(HOST);
  onTestFinished(() => {
    engine.close();
    rmSync(directory, { recursive: true });
  });
  const calls = () =>
    readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Call);
  return { fake, engine, calls };
}
