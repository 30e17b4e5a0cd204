import * as pulumi from "@pulumi/pulumi";
import { expect, onTestFinished, test, vi } from "vitest";
import { Container } from "../../components/host/container.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { container, hex, record } from "../../testing/recorder.ts";
import { startFakeEngine } from "./fake-engine.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;

/** The hooks of a stop-first container, as Pulumi calls them, on a host with an old one and then also a new one. */
async function replaced({ endedSecondsAgo }: { endedSecondsAgo?: number } = {}) {
  const changes: string[] = [];
  let containers = [{ Id: "old", State: endedSecondsAgo === undefined ? "running" : "exited", Created: 1 }];
  // The host's clock is two hours ahead.
  const now = Date.now() + 7_200_000;
  const FinishedAt = new Date(now - 1000 * (endedSecondsAgo ?? 0)).toISOString();
  const engine = await startFakeEngine(
    (request, body) => {
      if (request.startsWith("GET /containers/json?")) return containers;
      if (request === `GET /images/${IMAGE}/json`) return {};
      if (request === "GET /containers/old/json") return { State: { Health: { Status: "healthy" }, FinishedAt } };
      if (request.startsWith("GET ")) return undefined;
      const { RestartPolicy } = (body ?? {}) as { RestartPolicy?: { Name: string } };
      changes.push([request.replace("/containers/", ""), RestartPolicy?.Name].filter(Boolean).join(" "));
      return {};
    },
    { info: () => ({ SystemTime: new Date(now).toISOString() }) },
  );
  onTestFinished(engine.stop);
  const recording = await record(() => {
    new Container("it", {
      host: new DockerHost("host", { host: "local", jobImage: IMAGE }),
      ...{ role: "worker", run: "always", rollout: "stop-first", image: IMAGE, graceSeconds: 7 },
      ...{ health: { test: ["CMD", "true"] }, limits: { memoryMb: 64, cpus: 1, pids: 32 } },
    });
  });
  const { inputs, options } = container(recording, "it");
  const said: string[] = [];
  for (const level of ["info", "warn", "error"] as const) {
    const log = vi.spyOn(pulumi.log, level).mockImplementation((message) => Promise.resolve(void said.push(message)));
    onTestFinished(() => log.mockRestore());
  }
  const call = async (when: "beforeCreate" | "onError", name: string) => {
    expect(options.hooks[when]).toContain(name);
    await recording.hooks.get(name)!.callback({ name: "it", newInputs: inputs, errors: [] } as never);
  };
  const isDryRun = vi.spyOn(pulumi.runtime, "isDryRun").mockReturnValue(false);
  onTestFinished(() => isDryRun.mockRestore());
  await call("beforeCreate", "host-stop-first");
  containers = [
    ...containers.map((each) => ({ ...each, State: "exited" })),
    { Id: "new", State: "running", Created: 2 },
  ];
  return { changes, said, failed: () => call("onError", "host-old-again") };
}

test("the old one is stopped, and no restart of the host starts it beside the new one", async () => {
  const { changes } = await replaced();
  expect(changes).toEqual(["POST old/update unless-stopped", "POST old/stop?t=7"]);
});

test("one that was ended before is not running since then", async () => {
  const { changes, said, failed } = await replaced({ endedSecondsAgo: 18 });
  expect(changes).toEqual([]);
  await failed();
  expect(said.join()).toMatch(/nothing of it ran for (1[89]|2\d)\.\d s$/);
});

test("of a release that fails the old one runs again, and comes back with the host as before", async () => {
  const { changes, said, failed } = await replaced();
  changes.length = 0;
  await failed();
  expect(changes).toEqual(["DELETE new?force=1", "POST old/start", "POST old/update always"]);
  expect(said.join()).toMatch(/^it: the old container runs again; nothing of it ran for \d+\.\d s$/);
});
