// A service that hangs comes back by itself. Signals go to processes of this test's own containers alone.
import { readFileSync } from "node:fs";
import * as https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines } from "../support/command.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { logsOf } from "../support/probe.ts";
import { removeStack } from "../support/reach.ts";
import { SOAK } from "../support/soak.ts";

const DOMAIN = "revive.test";
/** What docs/how-to/services.md states, for the slower of its two intervals. */
const STATED_SECONDS = 140;
const engine = new Engine(process.env["DOCKER_HOST"]!);
let project: TestProject;
let ca: string;

beforeAll(async () => {
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  const certificates = await makeCertificates(DOMAIN);
  ca = certificates.ca;
  project = await createTestProject({
    stack: "revive",
    config: {
      "revive:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
      "revive:domain": DOMAIN,
      "revive:certificatePem": certificates.certificate,
      "revive:privateKeyPem": certificates.privateKey,
    },
    program: new URL("../programs/revive", import.meta.url).pathname,
  });
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
});

afterAll(async () => {
  await removeStack(engine, "revive-revive");
  project?.remove();
  engine.close();
});

test(
  "a service that hangs is back within the stated time; others are left as they are",
  { timeout: 300_000 },
  async () => {
    const [revived, left] = [await inspect("revived"), await inspect("left")];
    expect(await ask("/revived")).toBe(200);
    expect(await ask("/left")).toBe(200);
    // It lives, and says that it is not well: a restart would cure nothing.
    expect(await ask("/sick/sick")).toBe(503);

    const stopped = [revived, left].map(({ State }) => childOf(State.Pid));
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    const began = performance.now();
    const seconds = () => (performance.now() - began) / 1000;
    let unhealthy = 0;
    while ((await ask("/revived")) !== 200 && seconds() < STATED_SECONDS) {
      unhealthy += Number((await inspect("revived")).State.Health.Status === "unhealthy");
      await sleep(500);
    }
    const backAfter = seconds();
    console.log(JSON.stringify({ event: "a hung service is back", backAfter }));
    expect(backAfter).toBeLessThan(STATED_SECONDS);
    // Docker saw that it hung, and did nothing.
    expect(unhealthy).toBeGreaterThan(0);
    const after = await inspect("revived");
    expect([after.Id, after.RestartCount]).toEqual([revived.Id, 1]);
    expect((await logsOf(after.Id)).stderr).toContain("bulkhead: 10 health checks in a row got no answer");

    // The other one hangs for as long, and is looked at as often: `make soak` waits for all of the stated time.
    const more = SOAK ? STATED_SECONDS - seconds() : 30;
    await sleep(Math.max(0, more) * 1000);
    expect((await inspect("left")).RestartCount).toBe(0);
    expect((await inspect("left")).State.Health.Status).toBe("unhealthy");
    expect(await ask("/left")).not.toBe(200);
    expect(await inspect("sick")).toMatchObject({ RestartCount: 0, State: { Health: { Status: "unhealthy" } } });
    // Once, and it counts anew.
    expect(await inspect("revived")).toMatchObject({ RestartCount: 1, State: { Health: { Status: "healthy" } } });
    process.kill(stopped[1]!, "SIGCONT");
  },
);

interface Inspected {
  Id: string;
  RestartCount: number;
  State: { Pid: number; Health: { Status: string } };
}

async function inspect(name: string): Promise<Inspected> {
  const filters = encodeURIComponent(
    JSON.stringify({ label: ["bulkhead.stack=revive-revive", `bulkhead.name=${name}`] }),
  );
  const [found] = await engine.get<{ Id: string }[]>(`/containers/json?filters=${filters}`);
  return engine.get<Inspected>(`/containers/${found!.Id}/json`);
}

/** The service's process: Docker's init is its parent. */
function childOf(init: number): number {
  const [child] = readFileSync(`/proc/${init}/task/${init}/children`, "utf8").split(" ");
  return Number(child);
}

/** The status, or 0 for no answer within two seconds. */
function ask(path: string): Promise<number> {
  return new Promise((resolve) => {
    const request = https.get(
      {
        host: "127.0.0.1",
        port: 8443,
        path,
        ca,
        servername: DOMAIN,
        headers: { host: DOMAIN },
        agent: false,
        timeout: 2_000,
      },
      (response) => {
        response.resume();
        resolve(response.statusCode!);
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(0));
  });
}
