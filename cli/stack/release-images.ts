// The images of releases on the host: those that no rollback needs go, and those that one needs are asked for first.
import { say } from "../../toolchain/steps.ts";
import type { Release } from "./release.ts";
import type { Stack } from "./stack.ts";
import { stackLabel } from "./program.ts";

/**
 * Removes what was pulled for releases that are forgotten. Only what the record of this stack names by its digest, and only
 * if nobody else has it: no container of any kind, no release that is kept, here or of another stack on the host, and no
 * other name, as an image has that somebody pulled by a tag or built. It is asked for without force.
 */
export async function removePulled(stack: Stack, forgotten: readonly Release[], kept: ReadonlySet<string>) {
  const { engine } = stack;
  const references = new Set(forgotten.flatMap(({ images }) => Object.values(images)).filter(isPulled));
  const keptDigests = new Set([...kept, ...(await ofOtherStacks(stack))].map(digestOf));
  const containers = await engine.get<{ ImageID: string }[]>("/containers/json?all=1");
  for (const reference of references) {
    if (keptDigests.has(digestOf(reference))) continue;
    const image = await engine.find<ImageNames>(`/images/${reference}/json`);
    if (image === undefined || containers.some(({ ImageID }) => ImageID === image.Id)) continue;
    const [name, ...otherNames] = image.RepoDigests ?? [];
    if ((image.RepoTags ?? []).length > 0 || name === undefined || otherNames.length > 0) continue;
    await engine.delete(`/images/${name}`).then(
      () => say(`Removed an image that no rollback needs any more: ${reference}`),
      // The update is good all the same.
      (error: Error) => say(`An image that no rollback needs stays: ${reference}: ${error.message}`),
    );
  }
}

/** Images of a release that the host does not have, and that no registry has either: service and id. */
export async function lostImages({ engine }: Stack, { images }: Release): Promise<[service: string, image: string][]> {
  const lost: [string, string][] = [];
  for (const [service, image] of Object.entries(images))
    if (!isPulled(image) && !(await engine.find(`/images/${image}/json`))) lost.push([service, image]);
  return lost;
}

/** An image bears the label of the one that it was built from, whoever built it and wherever it was pushed to. */
export function isBuiltFor(stack: string, { RepoTags, RepoDigests }: ImageNames): boolean {
  return [...(RepoTags ?? []), ...(RepoDigests ?? [])].every(
    (name) => /^<none>[:@]/.test(name) || name.startsWith(`${stackLabel(stack)}-`),
  );
}

export interface ImageNames {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
}

function isPulled(image: string): boolean {
  return /@sha256:[0-9a-f]{64}$/.test(image);
}

function digestOf(image: string): string {
  return image.replace(/^.*@/, "");
}

/** What the records of other stacks on this host name. */
async function ofOtherStacks({ engine, name }: Stack): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: ["bulkhead.release"] }));
  const { Volumes } = await engine.get<{ Volumes: { Labels: Record<string, string> }[] | null }>(
    `/volumes?filters=${filters}`,
  );
  return (Volumes ?? [])
    .filter(({ Labels }) => Labels["bulkhead.stack"] !== stackLabel(name))
    .flatMap(({ Labels }) =>
      Object.values((JSON.parse(Labels["bulkhead.release"]!) as Pick<Release, "images">).images),
    );
}
