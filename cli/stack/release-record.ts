// The record of releases a second time, where no prune takes it: in the volume that the running edge has its routes in.
import type { Release } from "./release.ts";
import { unlessGone } from "./unless-gone.ts";
import type { Stack } from "./stack.ts";
import { stackLabel } from "./program.ts";
import { stackFilter } from "./containers.ts";

/** Of a stack whose edge is not there, or that has no such record yet: none. */
export async function recordBesideRoutes(stack: Stack): Promise<Release[]> {
  const edge = await edgeOf(stack);
  const [file] = (edge && (await stack.engine.files(edge.Id, `${FOLDER}/${FILE}`))) ?? [];
  if (file === undefined) return [];
  try {
    return JSON.parse(file.content.toString()) as Release[];
  } catch {
    // A run was killed while it wrote. The next one writes all of it anew.
    return [];
  }
}

export async function keepBesideRoutes(stack: Stack, releases: readonly Release[]): Promise<void> {
  const { engine, name } = stack;
  const edge = await edgeOf(stack);
  if (edge === undefined) return;
  // The edge itself can only read there. A container that never starts can be given files, as a courier is.
  const writer = `${stackLabel(name)}-release-writer`;
  await engine.delete(`/containers/${writer}?force=1`).catch(unlessGone);
  const { Id } = await engine.post<{ Id: string }>(`/containers/create?name=${writer}`, {
    ...{ Image: edge.ImageID, Cmd: ["true"], NetworkDisabled: true },
    HostConfig: { NetworkMode: "none", Binds: [`${edge.volume}:${FOLDER}`] },
  });
  try {
    await engine.putFile(Id, FOLDER, FILE, Buffer.from(JSON.stringify(releases)));
  } finally {
    await engine.delete(`/containers/${Id}`);
  }
}

/** As the edge sees it. Traefik reads YAML and TOML there, and nothing else. */
const FOLDER = "/routes";
const FILE = "releases.json";

async function edgeOf({ engine, name }: Stack) {
  const found = await engine.get<
    { Id: string; ImageID: string; Mounts?: { Name?: string; Destination: string }[] }[] | null
  >(`/containers/json?filters=${stackFilter(name, ["bulkhead.role=edge"])}`);
  for (const { Id, ImageID, Mounts } of found ?? []) {
    const volume = Mounts?.find(({ Destination }) => Destination === FOLDER)?.Name;
    if (volume !== undefined) return { Id, ImageID, volume };
  }
  return undefined;
}
