// The health check over HTTP, by the real shell and each program that may be in an image.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hintsOn } from "../../components/host/failure-hints.ts";
import { httpHealth } from "../../components/host/http-health.ts";
import { findProgram } from "../../toolchain/steps.ts";

const directory = mkdtempSync(join(tmpdir(), "bulkhead-http-health-"));
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer((request, answer) => answer.writeHead(request.url === "/well" ? 200 : 503).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});

afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

/** Where a program is not on this machine, that image is not shown. */
const programs = ["wget", "curl", "node", "python3"].filter((name) => findProgram(name) !== undefined);

test.each(programs)("with %s alone it tells a good answer from a bad one, and from none", async (name) => {
  const program = name === "node" ? process.execPath : findProgram(name)!;
  // It may be a script that needs what else is on this machine.
  const alone = `#!/bin/sh\nPATH='${process.env["PATH"]}' exec '${program}' "$@"\n`;
  writeFileSync(join(directory, name), alone, { mode: 0o755 });
  try {
    expect((await check("/well")).code).toBe(0);
    const ill = await check("/ill");
    expect(ill.code).not.toBe(0);
    // Not port 1, which fetch refuses by itself.
    const gone = await check("/well", await freePort());
    expect(gone.code).not.toBe(0);
    expect(gone.text).toMatch(/^GET http:\/\/127\.0\.0\.1:\d+\/well\n/);
    // GNU's wget, without -q, would say too much of what is well.
    if (name === "wget") return;
    expect(ill.text).toContain("503");
    expect(hintsOn("health", gone.text).join()).toContain("Nothing listens there");
  } finally {
    rmSync(join(directory, name));
  }
});

test("an image with none of them is told what to do", async () => {
  const { code, text } = await check("/well");
  expect(code).toBe(1);
  expect(text).toContain("no wget, curl, node or python3");
});

test("times are those that are given", () => {
  expect(httpHealth(80, "/", { deadlineSeconds: 5 })).toMatchObject({ deadlineSeconds: 5 });
});

/** One that nobody listens on any more. */
async function freePort(): Promise<number> {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const free = (other.address() as AddressInfo).port;
  await new Promise((resolve) => other.close(resolve));
  return free;
}

function check(path: string, at = port): Promise<{ code: number; text: string }> {
  const [, shell, ...args] = httpHealth(at, path).test;
  return new Promise((resolve) => {
    const child = execFile(shell!, args, { env: { PATH: directory } }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? 1, text: stdout + stderr }),
    );
  });
}
