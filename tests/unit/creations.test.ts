// A route's job is made as soon as Docker says that the release is healthy, and not only when the provider has seen it.
import * as pulumi from "@pulumi/pulumi";
import { expect, onTestFinished, test, vi } from "vitest";
import { Container } from "../../components/host/container.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { container, hex, record } from "../../testing/recorder.ts";
import { startFakeEngine } from "./fake-engine.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const ON_HOST = "reach-test-it-0123abc";

/** A container that Pulumi is making, its hooks, and the job that waits for it. */
async function beingMade() {
  let health: string | undefined;
  let pids = 0;
  const changes: string[] = [];
  const engine = await startFakeEngine((request, body) => {
    if (request.startsWith("GET /containers/json?")) return health === undefined ? [] : [{ Id: "new", Created: 1 }];
    if (request.startsWith("GET /images/")) return {};
    if (request === "GET /containers/new/logs?stdout=1&stderr=1&tail=20") return Buffer.alloc(0);
    if (/^GET \/containers\/(new|reach-test-it-0123abc)\/json$/.test(request))
      return health && { Id: "new", Name: `/${ON_HOST}`, ...inspected(health, pids) };
    if (request.startsWith("GET ")) return undefined;
    changes.push(request);
    pids = (body as { PidsLimit?: number } | undefined)?.PidsLimit ?? pids;
    return {};
  });
  onTestFinished(engine.stop);
  const recording = await record(() => {
    new Container("it", {
      host: new DockerHost("host", { host: "local", jobImage: IMAGE }),
      ...{ role: "service", run: "always", image: IMAGE },
      ...{ health: { test: ["CMD", "true"] }, limits: { memoryMb: 64, cpus: 1, pids: 32 } },
    });
  });
  const { inputs, options } = container(recording, "it");
  const isDryRun = vi.spyOn(pulumi.runtime, "isDryRun").mockReturnValue(false);
  const said = vi.spyOn(pulumi.log, "error").mockResolvedValue();
  onTestFinished(() => [isDryRun, said].forEach((each) => each.mockRestore()));
  const call = async (hook: string, newInputs: object) =>
    recording.hooks.get(hook)!.callback({ name: "it", newInputs, errors: [] } as never);
  const callAll = async (when: "beforeCreate" | "afterCreate" | "onError") => {
    for (const name of options.hooks[when]) await call(name, { ...inputs, name: ON_HOST });
  };
  let isLetGo = false;
  return {
    changes,
    begins: () => callAll("beforeCreate"),
    is: (status: string) => void (health = status),
    isMade: () => callAll("afterCreate"),
    fails: () => callAll("onError"),
    isLetGo: () => isLetGo,
    /** As Pulumi calls it before it makes the job. */
    job: async (release = ON_HOST) => {
      await call("host-when-healthy", { envs: [`RELEASE=${release}`] });
      isLetGo = true;
    },
  };
}

function inspected(health: string, PidsLimit: number) {
  const Health = health === "none" ? undefined : { Status: health, Log: [{ Output: "no database" }] };
  return { RestartCount: 0, State: { Status: "running", Health }, HostConfig: { PidsLimit }, Config: { Env: [] } };
}

test("it waits while there is no container, and while that starts; then its processes are limited first", async () => {
  const { begins, job, is, isLetGo, changes } = await beingMade();
  await begins();
  const waiting = job();
  for (const step of [() => undefined, () => is("starting"), () => is("none")]) {
    step();
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(isLetGo()).toBe(false);
  }
  expect(changes).toEqual([]);
  is("healthy");
  await waiting;
  expect(changes).toEqual([`POST /containers/${ON_HOST}/update`]);
});

test("of several replicas it waits for each", async () => {
  const { begins, job, is, isMade, isLetGo } = await beingMade();
  await begins();
  is("starting");
  const waiting = job(`there-before ${ON_HOST}`);
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(isLetGo()).toBe(false);
  // Without a health check the provider waits for nothing.
  await isMade();
  await waiting;
});

test("what was there before is not waited for", async () => {
  await (await beingMade()).job("there-before");
});

test("it is not made for a container that failed, which is removed", async () => {
  const { begins, job, is, fails, changes } = await beingMade();
  await begins();
  is("unhealthy");
  const waiting = expect(job()).rejects.toThrow("it is not healthy, so its route stays as it was");
  await fails();
  await waiting;
  expect(changes).toContain("DELETE /containers/new?force=1");
});

test("a container that was healthy, and fails then, may be serving: it stays", async () => {
  const { begins, job, is, fails, changes } = await beingMade();
  await begins();
  is("healthy");
  await job();
  is("unhealthy");
  await fails();
  expect(changes.filter((change) => change.startsWith("DELETE"))).toEqual([]);
});

test("its name is known when its creation begins, and in a preview only where it is not made anew", async () => {
  const { creations } = await new Promise<DockerHost>((resolve) => {
    void record(() => resolve(new DockerHost("host", { host: "local", jobImage: IMAGE })));
  });
  const isDryRun = vi.spyOn(pulumi.runtime, "isDryRun").mockReturnValue(false);
  onTestFinished(() => isDryRun.mockRestore());
  const never = pulumi.output(new Promise<string>(() => undefined));
  const begun = creations.nameOf("it", never);
  creations.begin({ name: "it", container: ON_HOST } as never);
  expect(await new Promise((resolve) => begun.apply(resolve))).toBe(ON_HOST);
  expect(await new Promise((resolve) => creations.nameOf("other", pulumi.output("is")).apply(resolve))).toBe("is");
  isDryRun.mockReturnValue(true);
  const made = pulumi.output("made");
  expect(creations.nameOf("it", made)).toBe(made);
});
