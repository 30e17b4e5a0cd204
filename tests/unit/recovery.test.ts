// What a killed run has left: what is taken for it, and what never is.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { removeOrphans, adoptPendingOperations } from "../../cli/stack/recovery.ts";
import type { Stack } from "../../cli/stack/stack.ts";
import { readState } from "../../cli/stack/state-files.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { startFakeEngine } from "./fake-engine.ts";
import { fakePulumi } from "./fake-pulumi.ts";

const BACKEND = {
  urn: "urn:pulumi:prod::reach::docker:index/container:Container::backend",
  type: "docker:index/container:Container",
  inputs: { name: "reach-prod-backend-0123abc", restart: "always", destroyGraceSeconds: 35 },
};
const JOB = { ...BACKEND, inputs: { name: "reach-prod-backend-route-job-0123abc", restart: "no" } };
const SECRETS = {
  urn: "urn:pulumi:prod::reach::docker:index/volume:Volume::backend-secrets-files",
  type: "docker:index/volume:Volume",
  inputs: { name: "reach-prod-backend-secrets-files-0123abc" },
};
const ROUTES = { ...SECRETS, inputs: { name: "reach-prod-routes" } };
const NETWORK = {
  urn: "urn:pulumi:prod::reach::docker:index/network:Network::networks-web",
  type: "docker:index/network:Network",
  inputs: { name: "reach-prod-web" },
};
const KNOWN = {
  urn: "urn:pulumi:prod::reach::pulumi:pulumi:Stack::reach-prod",
  type: "pulumi:pulumi:Stack",
  id: "known",
};

test("what a killed run was making is written down as what is to be deleted, if it is there", async () => {
  const { stack, state, engine, said } = await stackWith([BACKEND, JOB, SECRETS], (request) => {
    if (request === `GET /containers/${BACKEND.inputs.name}/json`) return { Id: "b1" };
    if (request === `GET /containers/${JOB.inputs.name}/json`) return { Id: "j1" };
    if (request === "POST /containers/j1/stop?t=1") return {};
    return undefined;
  });
  await adoptPendingOperations(stack);
  expect(state()).toEqual({
    version: 3,
    deployment: {
      resources: [
        KNOWN,
        { ...BACKEND, id: "b1", outputs: BACKEND.inputs, delete: true },
        { ...JOB, id: "j1", outputs: JOB.inputs, delete: true },
      ],
      pending_operations: [],
    },
  });
  // A job must not work beside the next one; a container may hold connections, and is left to the update.
  expect(engine.requests.filter((request) => !request.startsWith("GET"))).toEqual(["POST /containers/j1/stop?t=1"]);
  expect(said()).toBe(`A killed run was making ${BACKEND.inputs.name}, ${JOB.inputs.name}: to be removed\n`);
});

test("a route job of before is made anew, as one that a killed run has started may have switched the route", async () => {
  const labelled = (role: string) => ({ ...JOB.inputs, labels: [{ label: "bulkhead.role", value: role }] });
  const [route, job] = (["route", "job"] as const).map((role) => ({
    ...JOB,
    urn: `${JOB.urn}-${role}`,
    inputs: { ...labelled(role), name: `reach-prod-${role}-0123abc` },
  }));
  const old = [route!, job!].map((each) => ({ ...each, id: `old-${each.urn}` }));
  const { stack, state } = await stackWith(
    [route!, job!],
    (request) => (request.includes("/reach-prod-") ? { Id: "new" } : {}),
    { known: old },
  );
  await adoptPendingOperations(stack);
  const { resources } = (state() as { deployment: { resources: object[] } }).deployment;
  expect(resources).toMatchObject([
    KNOWN,
    { id: old[0]!.id, delete: true },
    { id: old[1]!.id },
    { id: "new", delete: true },
    { id: "new", delete: true },
  ]);
  expect(resources[2]).not.toHaveProperty("delete");
});

test("a route job of before stays where the killed run has started no other", async () => {
  const inputs = { ...JOB.inputs, labels: [{ label: "bulkhead.role", value: "route" }] };
  const { stack, state } = await stackWith([{ ...JOB, inputs }], () => undefined, {
    known: [{ ...JOB, inputs, id: "old" }],
  });
  await adoptPendingOperations(stack);
  expect(state()).toMatchObject({ deployment: { resources: [KNOWN, { ...JOB, inputs, id: "old" }] } });
});

test("what has a fixed name is left for the next run to find, but a network without users goes", async () => {
  const { stack, state, engine } = await stackWith([ROUTES, NETWORK], (request) => {
    if (request.startsWith("GET /containers/json?all=1")) return [];
    if (request === "GET /networks/reach-prod-web" || request.startsWith("DELETE")) return {};
    return undefined;
  });
  await adoptPendingOperations(stack);
  expect(state()).toEqual({ version: 3, deployment: { resources: [KNOWN], pending_operations: [] } });
  expect(engine.requests.filter((request) => !request.startsWith("GET"))).toEqual(["DELETE /networks/reach-prod-web"]);
});

test("a network that something is on stays", async () => {
  const { stack, engine } = await stackWith([NETWORK], (request) =>
    request.startsWith("GET /containers/json?all=1") ? [{ Id: "somebody's" }] : undefined,
  );
  await adoptPendingOperations(stack);
  expect(engine.requests).toHaveLength(1);
  expect(decodeURIComponent(engine.requests[0]!)).toContain('filters={"network":["reach-prod-web"]}');
});

test("what a run is making that has begun meanwhile is its own", async () => {
  const answer = () => ({ Id: "j1" });
  const locked = await stackWith([JOB], answer, {
    rename:
      "echo 'error: the stack is currently locked by 1 lock(s)\n  s3://b/1.json: created by deploy@ci-7 (pid 4711) at 2026-02-03T04:05:06Z' >&2; exit 255",
  });
  await expect(adoptPendingOperations(locked.stack)).rejects.toThrow(
    "The run of deploy@ci-7 (process 4711, since 2026-02-03 04:05:06 UTC) holds the lock of the stack prod",
  );
  expect([locked.engine.requests, locked.state()]).toEqual([[], undefined]);

  const changed = await stackWith([JOB], answer, {
    export: `echo '{"deployment":{"pending_operations":[{}],"manifest":"'$$'"}}'`,
  });
  await expect(adoptPendingOperations(changed.stack)).rejects.toThrow("another run works on the stack prod");
  expect([changed.engine.requests, changed.state()]).toEqual([[], undefined]);

  const late = await stackWith([JOB], answer, {
    import: "echo ': created by deploy@ci-7 (pid 4711) at 2026-02-03T04:05:06Z' >&2; exit 255",
  });
  await expect(adoptPendingOperations(late.stack)).rejects.toThrow(
    "holds the lock of the stack prod. This run has changed nothing",
  );
  expect(late.engine.requests.filter((request) => !request.startsWith("GET"))).toEqual([]);
});

test("a state without pending operations is left alone", async () => {
  const { stack, state, engine } = await stackWith([], () => undefined);
  await adoptPendingOperations(stack);
  expect(state()).toBeUndefined();
  expect(engine.requests).toEqual([]);
});

test("only what Pulumi named, no state knows and is older than the run is an orphan; data never is", async () => {
  const began = new Date("2026-02-03T04:05:06.500Z");
  const [before, after] = [began.getTime() / 1000 - 60, began.getTime() / 1000 + 1];
  const container = (Id: string, name: string, Created = before) => ({ Id, Names: [`/${name}`], Created });
  const volume = (Name: string, Labels: Record<string, string> = {}, created = before) => ({
    Name,
    Labels: { "bulkhead.stack": "reach-prod", ...Labels },
    CreatedAt: new Date(created * 1000).toISOString(),
  });
  const { stack, engine, said } = await stackWith([], (request) => {
    const path = decodeURIComponent(request);
    if (path === 'GET /containers/json?all=1&filters={"label":["bulkhead.stack=reach-prod"]}')
      return [
        container("known", "reach-prod-backend-1111111"),
        container("orphan", "reach-prod-backend-2222222"),
        container("new", "reach-prod-backend-3333333", after),
        container("by hand", "reach-prod-debug"),
        container("another's", "reach-other-backend-4444444"),
      ];
    if (path === 'GET /volumes?filters={"label":["bulkhead.stack=reach-prod"]}')
      return {
        Volumes: [
          volume("reach-prod-backend-secrets-files-2222222"),
          volume("reach-prod-in-use-5555555"),
          volume("reach-prod-backend-secrets-files-3333333", {}, after),
          volume("reach-prod-acme", { "bulkhead.data": "true" }),
          volume("reach-prod-data-6666666", { "bulkhead.data": "true" }),
          volume("reach-prod-release-7"),
          volume("reach-prod-routes"),
        ],
      };
    return request.includes("in-use") || request.startsWith("GET") ? undefined : {};
  });
  await removeOrphans(stack, began, await readState(stack));
  expect(engine.requests.filter((request) => !request.startsWith("GET"))).toEqual([
    "POST /containers/orphan/stop?t=90",
    "DELETE /containers/orphan",
    "DELETE /volumes/reach-prod-backend-secrets-files-2222222",
    "DELETE /volumes/reach-prod-in-use-5555555",
  ]);
  expect(said()).toContain("Removed what a killed run had left: container reach-prod-backend-2222222\n");
  // The update was good all the same.
  expect(said()).toContain("A killed run has left volume reach-prod-in-use-5555555, which cannot be removed now: ");
});

/** A stack whose state has these creations pending, on an engine that gives these answers; pulumi may do otherwise. */
async function stackWith(
  pending: object[],
  answer: (request: string) => object | undefined,
  { known = [], ...otherwise }: { known?: object[]; export?: string; import?: string; rename?: string } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-leftovers-"));
  const [exported, imported] = [join(directory, "exported.json"), join(directory, "imported.json")];
  const pending_operations = pending.map((resource) => ({ type: "creating", resource }));
  const deployment = { resources: [KNOWN, ...known], ...(pending.length > 0 && { pending_operations }) };
  writeFileSync(exported, JSON.stringify({ version: 3, deployment }));
  const scripts = {
    export: `cat ${exported}`,
    import: `cp "$6" ${imported}`,
    rename: "echo 'error: a stack named prod already exists' >&2; exit 255",
    ...otherwise,
  };
  const cases = Object.entries(scripts).map(([name, script]) => `${name}) ${script} ;;`);
  const { PATH } = fakePulumi(`case "$2" in\n${cases.join("\n")}\nesac`);
  const fake = await startFakeEngine((request) => answer(request));
  const engine = new Engine(fake.host);
  let said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((said += String(text)), true));
  onTestFinished(() => {
    vi.restoreAllMocks();
    engine.close();
    rmSync(directory, { recursive: true });
  });
  return {
    stack: { name: "prod", env: { PATH, PULUMI_BACKEND_URL: "s3://bucket" }, engine } satisfies Stack,
    engine: fake,
    said: () => said,
    /** What was written. */
    state: (): unknown => {
      try {
        return JSON.parse(readFileSync(imported, "utf8"));
      } catch {
        return undefined;
      }
    },
  };
}
