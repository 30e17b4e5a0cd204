// How often `bulkhead up` starts Pulumi, each time for about a second: what its files say is read from there.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { deployFile } from "../../cli/deploy-file.ts";
import { deploy } from "../../cli/deploy.ts";
import { FAILED, NOT_REACHED } from "../../cli/exit-codes.ts";
import { readState } from "../../cli/stack/state-files.ts";
import type { Stack } from "../../cli/stack/stack.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { startFakeEngine } from "./fake-engine.ts";
import { fakePulumi } from "./fake-pulumi.ts";

const OUTPUTS = { url: "https://prod.test", services: { backend: { container: "b1", image: "b@sha256:1", url: "/" } } };
const LATEST = {
  manifest: { time: "2026-02-03T04:05:06Z" },
  resources: [
    { type: "pulumi:pulumi:Stack", outputs: OUTPUTS },
    { type: "docker:index/container:Container", id: "known" },
  ],
};
const CHECKPOINT = { version: 4, checkpoint: { stack: "organization/reach/prod", latest: LATEST } };

describe("`bulkhead up` starts Pulumi", () => {
  test("for the preview and the update alone, where the state is in files", async () => {
    const { stack, asked, requests } = await prod({ checkpoint: CHECKPOINT });
    expect(await deploy(stack, { yes: true })).toBe(0);
    expect(asked()).toEqual(["preview", "up"]);
    // What that state knows is no orphan, and what it says runs is recorded.
    expect(requests.filter((request) => request.startsWith("DELETE"))).toEqual(["DELETE /containers/orphan"]);
    expect(requests).toContain("POST /volumes/create");
  });

  test("and once before and once after these for a state that is elsewhere", async () => {
    const { stack, asked } = await prod({});
    expect(await deploy(stack, { yes: true })).toBe(0);
    expect(asked()).toEqual(["stack export", "preview", "up", "stack export"]);
  });

  test("once to ask where the state is, unless a variable says it", async () => {
    const { stack, asked } = await prod({ checkpoint: CHECKPOINT, login: true });
    expect(await deploy(stack, { yes: true })).toBe(0);
    expect(asked()).toEqual(["whoami", "preview", "up"]);
  });
});

test("what Pulumi ends with is none of our exit codes: an update that failed is not one that is deployed", async () => {
  const { stack, asked } = await prod({ checkpoint: CHECKPOINT, upEndsWith: NOT_REACHED });
  expect(await deploy(stack, { yes: true })).toBe(FAILED);
  expect(asked()).toEqual(["preview", "up"]);
});

describe("a stack file with another text", () => {
  async function deployed(given: Parameters<typeof prod>[0]) {
    const path = join(mkdtempSync(join(tmpdir(), "bulkhead-file-")), "Pulumi.prod.yaml");
    onTestFinished(() => rmSync(dirname(path), { recursive: true }));
    writeFileSync(path, "before");
    const { stack } = await prod(given);
    const said = await deployFile(stack, path, "after", { yes: true }).catch((error: Error) => error.message);
    return [said, readFileSync(path, "utf8")];
  }

  test("stays when it is deployed, and is as it was when the update failed", async () => {
    expect(await deployed({ checkpoint: CHECKPOINT })).toEqual([{ code: 0, isDeployed: true }, "after"]);
    expect(await deployed({ checkpoint: CHECKPOINT, upEndsWith: 1 })).toEqual([
      { code: FAILED, isDeployed: false },
      "before",
    ]);
  });

  // The next update would take back what runs: of a restore, the volume that serves.
  test("stays when the update was made, and what follows it failed", async () => {
    const latest = { ...LATEST, resources: LATEST.resources.slice(1) };
    const checkpoint = { ...CHECKPOINT, checkpoint: { ...CHECKPOINT.checkpoint, latest } };
    expect(await deployed({ checkpoint })).toEqual([expect.stringContaining("missing among its exports"), "after"]);
  });
});

test.each([
  ["of another version", { checkpoint: { ...CHECKPOINT, version: 5 } }],
  ["of another stack", { checkpoint: { ...CHECKPOINT, checkpoint: { stack: "organization/x/prod", latest: LATEST } } }],
  [
    "without a manifest",
    { checkpoint: { ...CHECKPOINT, checkpoint: { stack: "organization/reach/prod", latest: {} } } },
  ],
  ["that is torn", { text: '{"version":4,' }],
  ["that is an old one beside a compressed one", { checkpoint: CHECKPOINT, compressed: true }],
])("a state file %s is not believed: Pulumi is asked", async (_, given) => {
  const { stack, asked } = await prod(given);
  expect(await readState(stack)).toEqual({ version: 3, deployment: LATEST });
  expect(asked()).toEqual(["stack export"]);
});

/** The stack prod with its state in a file, unless there is none, on a host with an orphan. */
async function prod(given: {
  checkpoint?: object;
  text?: string;
  compressed?: boolean;
  login?: boolean;
  upEndsWith?: number;
}) {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-deploy-"));
  const stacks = join(directory, ".pulumi", "stacks", "reach");
  const text = given.text ?? (given.checkpoint && JSON.stringify(given.checkpoint));
  mkdirSync(stacks, { recursive: true });
  if (text !== undefined) writeFileSync(join(stacks, "prod.json"), text);
  if (given.compressed) writeFileSync(join(stacks, "prod.json.gz"), "");
  const exported = join(directory, "exported.json");
  writeFileSync(exported, JSON.stringify({ version: 3, deployment: LATEST }));
  const { PATH, asked } = fakePulumi(
    `case "$1" in\nstack) cat '${exported}' ;;\nwhoami) echo '{"url":"file://${directory}"}' ;;\nup) exit ${given.upEndsWith ?? 0} ;;\nesac`,
  );
  // When the release is recorded, the look from outside comes, which has tests of its own: it finds nothing to look at.
  let isRecorded = false;
  const untilRecorded = (request: string) => {
    isRecorded ||= request.startsWith("POST /volumes/create");
    return isRecorded && request.startsWith("GET /containers/json") ? [] : answer(request);
  };
  const fake = await startFakeEngine(untilRecorded, { info: () => ({ SystemTime: "2026-02-03T04:05:06Z" }) });
  const engine = new Engine(fake.host);
  const backend = text === undefined ? "s3://bucket" : `file://${directory}`;
  const env = { PATH, PULUMI_BACKEND_URL: given.login ? undefined : backend };
  vi.stubEnv("PULUMI_BACKEND_URL", undefined);
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  vi.spyOn(console, "log").mockReturnValue();
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    engine.close();
    rmSync(directory, { recursive: true });
  });
  return {
    stack: { name: "prod", env, engine } satisfies Stack,
    requests: fake.requests,
    asked: () => asked().map((args) => /^(stack )?\w+/.exec(args)![0]),
  };
}

function answer(request: string): object {
  if (request.startsWith("GET /containers/json"))
    return ["known", "orphan"].map((Id, at) => ({ Id, Names: [`/reach-prod-backend-000000${at}`], Created: 1 }));
  if (request.startsWith("GET /images/json")) return [];
  if (request.startsWith("GET /containers/")) return { State: { Status: "running" }, RestartCount: 2 };
  return {};
}
