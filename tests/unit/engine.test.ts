import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { Engine } from "../../engine.ts";
import { startFakeEngine, type FakeEngine } from "./fake-engine.ts";

test("asks again over a new connection when the daemon has ended the old one", async () => {
  const { fake, engine } = await engineOverSsh();
  expect(await engine.get("/before")).toEqual({});
  fake.hangUp();
  expect(await engine.get("/after")).toEqual({});
  expect(fake.requests).toEqual(["GET /before", "GET /after"]);
});

test("sends nothing over a connection that is known to have ended", async () => {
  const { fake, engine, sshPid } = await engineOverSsh();
  await engine.get("/before");
  const pid = sshPid();
  fake.hangUp();
  // Gone from the list of processes means that this process was told of its end.
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow("ESRCH"), { timeout: 10_000 });
  await delay(50);
  // What changes something is never sent twice, so it needs a connection that is alive.
  await engine.post("/after");
  expect(fake.requests).toEqual(["GET /before", "POST /after"]);
});

/** A fake engine, reached through a stand-in for ssh that ends when the engine hangs up. */
async function engineOverSsh(): Promise<{ fake: FakeEngine; engine: Engine; sshPid: () => number }> {
  const fake = await startFakeEngine(() => ({}));
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-ssh-"));
  const [pidFile, socket] = [join(directory, "pid"), fake.host.replace("unix://", "")];
  const program = `#!${process.execPath}
    require("node:fs").writeFileSync(${JSON.stringify(pidFile)}, String(process.pid));
    const socket = require("node:net").connect(${JSON.stringify(socket)});
    process.stdin.pipe(socket).pipe(process.stdout);
    socket.on("close", () => process.exit(0));
  `;
  writeFileSync(join(directory, "ssh"), program, { mode: 0o755 });
  vi.stubEnv("PATH", `${directory}:${process.env["PATH"]}`);
  const engine = new Engine("ssh://deploy@host.test");
  onTestFinished(() => {
    engine.close();
    rmSync(directory, { recursive: true });
  });
  return { fake, engine, sshPid: () => Number(readFileSync(pidFile, "utf8")) };
}
