// What a restore or an upgrade leaves on the host, and what the stack file says when one was made by half.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { parseDocument, stringify } from "yaml";
import { isServed, leftVolumes, removeTrials, type Change } from "../../cli/backup/left-volumes.ts";
import { deployFile } from "../../cli/deploy-file.ts";
import * as deployment from "../../cli/deploy.ts";
import { configKey, stackLabel } from "../../cli/stack/program.ts";
import type { Stack } from "../../cli/stack/stack.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { startFakeEngine } from "./fake-engine.ts";

const LABEL = stackLabel("prod");
const left = (key: Change["key"], before: object | undefined, after: object) =>
  leftVolumes("prod", parseDocument(stringify({ config: before && { [configKey(key)]: { db: before } } })), {
    key,
    of: { db: { id: "n2", ...after } },
  });

test.each<[string, Change["key"], object | undefined, object, object]>([
  ["a first one: nothing", "upgrade", undefined, {}, {}],
  ["another trial of an upgrade: the trial", "upgrade", { id: "n1" }, {}, { trials: ["upgraded-n1"] }],
  ["the trial that becomes the server: nothing", "upgrade", { id: "n2" }, { serve: true }, {}],
  ["another trial of a restore: the trial", "restore", { id: "n1" }, {}, { trials: ["restored-n1"] }],
  ["a trial beside a restore that serves: nothing", "restore", { id: "n1", serve: true }, { before: { id: "n1" } }, {}],
  [
    "another one that serves: the one that served, which is kept",
    "restore",
    { id: "n2", before: { id: "n1" } },
    { serve: true },
    { replaced: ["restored-n1"] },
  ],
  [
    "another trial beside one that serves: the trial",
    "restore",
    { id: "n1", before: { id: "n0" } },
    { before: { id: "n0" } },
    { trials: ["restored-n1"] },
  ],
])("of %s", (_, key, before, after, expected) => {
  const names = Object.entries({ trials: [], replaced: [], ...expected } as Record<string, string[]>);
  const full = names.map(([what, volumes]) => [what, volumes.map((each) => `${LABEL}-db-${each}`)]);
  expect(left(key, before, after)).toEqual(Object.fromEntries(full));
});

async function engineWith(containers: object[], deleted: object | undefined = {}) {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => void vi.restoreAllMocks());
  const { host, requests } = await startFakeEngine((request) =>
    request === "GET /containers/json" ? containers : request.startsWith("DELETE ") ? deleted : undefined,
  );
  const engine = new Engine(host);
  onTestFinished(() => engine.close());
  return { engine, requests };
}

const running = (role: string, volume: string) => ({ Labels: { "bulkhead.role": role }, Mounts: [{ Name: volume }] });

test.each<[string, object[], boolean, object]>([
  ["its server runs with it", [running("database", `${LABEL}-db-upgraded-n2`)], true, { serve: true }],
  ["a job alone has it", [running("job", `${LABEL}-db-upgraded-n2`)], false, { serve: true }],
  ["the server has that of before", [running("database", `${LABEL}-db-data`)], false, { serve: true }],
  ["it is a trial", [running("database", `${LABEL}-db-upgraded-n2`)], false, {}],
])("a new volume where %s is served: %#", async (_, containers, expected, serve) => {
  const { engine } = await engineWith(containers);
  expect(await isServed(engine, "prod", { key: "upgrade", of: { db: { id: "n2", ...serve } } })).toBe(expected);
});

test("a trial that Docker does not let go of is no failure", async () => {
  const { engine, requests } = await engineWith([], undefined);
  await removeTrials(engine, ["a", "b"]);
  expect(requests.filter((request) => request.startsWith("DELETE"))).toEqual([
    "DELETE /volumes/a",
    "DELETE /volumes/b",
  ]);
});

// The next update would end what serves, and what was written since would be in no volume that anybody knows of.
test.each([true, false])("a stack file of a failed update that made what matters says so: %s", async (made) => {
  const path = join(mkdtempSync(join(tmpdir(), "bulkhead-file-")), "Pulumi.prod.yaml");
  onTestFinished(() => rmSync(dirname(path), { recursive: true }));
  writeFileSync(path, "before");
  const stack = { name: "prod", env: {}, engine: undefined as never } satisfies Stack;
  vi.spyOn(deployment, "deploy").mockRejectedValue(new Error("the update failed"));
  onTestFinished(() => void vi.restoreAllMocks());
  const options = { isMade: () => Promise.resolve(made) };
  await expect(deployFile(stack, path, "after", { yes: true }, options)).rejects.toThrow("the update failed");
  expect(readFileSync(path, "utf8")).toBe(made ? "after" : "before");
});
