// What a killed run leaves on the host. Each `bulkhead up` and `bulkhead down` sees to it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Engine } from "../../components/docker-engine/client.ts";
import { labelOf } from "../../policy/inputs.ts";
import { say } from "../../toolchain/steps.ts";
import { explainLock, lockHolders, refusal } from "./lock.ts";
import { pulumi, type Stack } from "./stack.ts";
import { exportState, readState, type State, type StateResource } from "./state-files.ts";
import { stackLabel } from "./program.ts";
import { stackFilter } from "./containers.ts";

/**
 * Before an update: what a killed run was making when it was killed, and could not write down any more, is written down
 * in the state, as something to delete. So the update itself deletes it: in its order, with the time to end that it
 * needs, when all else is in place, and before what it would stand in the way of, like the volume that it mounts.
 */
export async function adoptPendingOperations(stack: Stack): Promise<void> {
  // What is wrong with the state, the update will say.
  const seen = await readState(stack).catch(() => undefined);
  if ((seen?.deployment.pending_operations ?? []).length === 0) return;
  // What is given back is what Pulumi gave, and not what is in its files.
  const state = await exportState(stack).catch(() => undefined);
  const pending = state?.deployment.pending_operations ?? [];
  if (state === undefined || pending.length === 0) return;
  // A run that has begun meanwhile is making something too.
  const [holder] = await lockHolders(stack).catch(() => []);
  if (holder) throw new Error(await refusal(stack.name, holder));
  if (!isDeepStrictEqual(await exportState(stack), state))
    throw new Error(
      `another run works on the stack ${stack.name}. This run has changed nothing: try again when it has ended`,
    );

  const begun = pending.filter(({ type }) => type === "creating").map(({ resource }) => resource);
  const left = (await Promise.all(begun.map((resource) => made(stack, resource)))).flat();
  const resources = [...(state.deployment.resources ?? []).map((each) => superseded(each, left)), ...left];
  await importState(stack, { ...state, deployment: { ...state.deployment, resources, pending_operations: [] } });
  for (const { type, inputs } of begun)
    if (type === NETWORK && inputs?.name !== undefined) await removeUnused(stack.engine, inputs.name);
  // A job must not do its work beside the one that this run starts.
  for (const { id, inputs } of left)
    if (inputs?.restart === "no") await stack.engine.post(`/containers/${id}/stop?t=1`);
  if (left.length > 0)
    say(`A killed run was making ${left.map(({ inputs }) => inputs?.name).join(", ")}: to be removed`);
}

/**
 * A route job of before, where the killed run has started another: that may have switched the route to what the update
 * deletes. As what is to be deleted too, it is made anew, also if the update is back to the release of before.
 */
function superseded(resource: StateResource, left: readonly StateResource[]): StateResource {
  const isRouteJob = labelOf(resource.inputs ?? {}, "bulkhead.role") === "route";
  return isRouteJob && left.some(({ urn }) => urn === resource.urn) ? { ...resource, delete: true } : resource;
}

/** What is to be deleted of something that a run had begun to make: nothing, if it did not come to that. */
async function made({ engine, name }: Stack, resource: StateResource): Promise<StateResource[]> {
  const { type, inputs } = resource;
  const called = inputs?.name;
  // Under a fixed name the next run finds it again and takes it over: a volume, an image.
  if (called === undefined || !isAutoNamed(called, name)) return [];
  let id: string | undefined;
  if (type === CONTAINER) id = (await engine.find<{ Id: string }>(`/containers/${called}/json`))?.Id;
  if (type === VOLUME) id = (await engine.find<{ Name: string }>(`/volumes/${called}`))?.Name;
  return id === undefined ? [] : [{ ...resource, id, outputs: inputs, delete: true }];
}

/** A network with the name of another cannot be made. This one was known to nobody, so nothing was put on it. */
async function removeUnused(engine: Engine, network: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ network: [network] }));
  const users = await engine.get<unknown[]>(`/containers/json?all=1&filters=${filters}`);
  if (users.length === 0 && (await engine.find(`/networks/${network}`))) await engine.delete(`/networks/${network}`);
}

/** The host's own time: what is older than this when a run begins, that run has not made. */
export async function hostTime({ engine }: Stack): Promise<Date> {
  return new Date((await engine.get<{ SystemTime: string }>("/info")).SystemTime);
}

/**
 * After a good update, when the site is safe: removes containers and volumes that bear this stack's label, are older than
 * the run, and are in no state, whatever became of the run that made them. Never another stack's, nor what a run beside
 * this one makes, and only what Pulumi named: data and records have fixed names.
 */
export async function removeOrphans(stack: Stack, runBegan: Date, { deployment }: State): Promise<void> {
  const { engine, name } = stack;
  const known = new Set(deployment.resources?.flatMap(({ id }) => id ?? []));
  const filters = stackFilter(name);
  const isOrphan = (id: string, called: string, created: Date) =>
    !known.has(id) && isAutoNamed(called, name) && created < runBegan;
  const remove = async (what: string, act: () => Promise<unknown>) => {
    await act().then(
      () => say(`Removed what a killed run had left: ${what}`),
      // The update is good all the same, and the next run tries again.
      (error: Error) => say(`A killed run has left ${what}, which cannot be removed now: ${error.message}`),
    );
  };

  const containers = await engine.get<{ Id: string; Names: string[]; Created: number }[]>(
    `/containers/json?all=1&filters=${filters}`,
  );
  for (const { Id, Names, Created } of containers) {
    const called = Names[0]!.slice(1);
    if (!isOrphan(Id, called, new Date(Created * 1000))) continue;
    await remove(`container ${called}`, async () => {
      // An edge may still hold connections.
      await engine.stream(`/containers/${Id}/stop?t=${LONGEST_GRACE_SECONDS}`);
      await engine.delete(`/containers/${Id}`);
    });
  }
  const { Volumes } = await engine.get<{
    Volumes: { Name: string; Labels: Record<string, string>; CreatedAt: string }[] | null;
  }>(`/volumes?filters=${filters}`);
  for (const { Name, Labels, CreatedAt } of Volumes ?? [])
    if (Labels["bulkhead.data"] !== "true" && isOrphan(Name, Name, new Date(CreatedAt)))
      await remove(`volume ${Name}`, () => engine.delete(`/volumes/${Name}`));
}

/** That of an edge, with some seconds more. */
const LONGEST_GRACE_SECONDS = 90;

/** The pattern in Pulumi.yaml. */
export function isAutoNamed(name: string, stack: string): boolean {
  return name.startsWith(`${stackLabel(stack)}-`) && /-[0-9a-f]{7}$/.test(name);
}

const CONTAINER = "docker:index/container:Container";
const VOLUME = "docker:index/volume:Volume";
const NETWORK = "docker:index/network:Network";

async function importState(stack: Stack, state: State): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "bulkhead-state-"));
  try {
    const file = join(directory, "state.json");
    await writeFile(file, JSON.stringify(state));
    await pulumi(stack, ["stack", "import", "--stack", stack.name, "--file", file]).catch(async (error: Error) => {
      throw await explainLock(stack.name, error);
    });
  } finally {
    await rm(directory, { recursive: true });
  }
}
