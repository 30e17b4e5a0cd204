// The record of releases a second time, where no prune takes it: in the volume that the running edge has its routes in, and
// in the one that is kept in a vault, from where a new host has it.
import type { Release } from "./release.ts";
import { unlessGone } from "./unless-gone.ts";
import type { Stack } from "./stack.ts";
import { stackLabel } from "./program.ts";
import { stackFilter } from "./containers.ts";

/** Of a stack that has no such record yet: none. What the edge has is newer than what came back out of a vault. */
export async function recordInFiles(stack: Stack): Promise<Release[]> {
  const found = [];
  for (const { Id, folder } of await placesOf(stack)) {
    const [file] = (await stack.engine.files(Id, `${folder}/${FILE}`)) ?? [];
    found.push(...(file === undefined ? [] : releasesIn(file.content.toString())));
  }
  return found;
}

/** Writes it anew. */
export async function keepInFiles(stack: Stack, releases: readonly Release[]): Promise<void> {
  const { engine, name } = stack;
  for (const { ImageID, volume, folder } of await placesOf(stack)) {
    // Who has the volume can only read there. A container that never starts can be given files, as a courier is.
    const writer = `${stackLabel(name)}-release-writer`;
    await engine.delete(`/containers/${writer}?force=1`).catch(unlessGone);
    const { Id } = await engine.post<{ Id: string }>(`/containers/create?name=${writer}`, {
      ...{ Image: ImageID, Cmd: ["true"], NetworkDisabled: true },
      HostConfig: { NetworkMode: "none", Binds: [`${volume}:${folder}`] },
    });
    try {
      await engine.putFile(Id, folder, FILE, Buffer.from(JSON.stringify(releases)));
    } finally {
      await engine.delete(`/containers/${Id}`);
    }
  }
}

/** In the routes' folder Traefik reads YAML and TOML, and nothing else. */
const FILE = "releases.json";

function releasesIn(text: string): Release[] {
  try {
    return JSON.parse(text) as Release[];
  } catch {
    // A run was killed while it wrote. The next one writes all of it anew.
    return [];
  }
}

/** Volumes with the record, as containers have them that run: what a vault is given first, then the edge's. */
async function placesOf({ engine, name }: Stack) {
  const of = async (label: string, folder: string) => {
    const found = await engine.get<
      { Id: string; ImageID: string; Mounts?: { Name?: string; Destination: string }[] }[] | null
    >(`/containers/json?filters=${stackFilter(name, [label])}`);
    const places = (found ?? []).flatMap(({ Id, ImageID, Mounts }) => {
      const volume = Mounts?.find(({ Destination }) => Destination === folder)?.Name;
      return volume === undefined ? [] : [{ Id, ImageID, volume, folder }];
    });
    // Two edges that are rolled have one volume.
    return places.slice(0, 1);
  };
  return [...(await of("bulkhead.holds=releases", "/volume")), ...(await of("bulkhead.role=edge", "/routes"))];
}
