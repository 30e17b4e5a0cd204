// What ran, release by release. The record is kept on the host that ran it, so that whoever deploys finds it there.
import { hostname, userInfo } from "node:os";
import { isDeepStrictEqual } from "node:util";
import { parseDocument } from "yaml";
import type { Release } from "./release.ts";
import { keepInFiles, recordInFiles } from "./release-record.ts";
import { isBuiltFor, removePulled, type ImageNames } from "./release-images.ts";
import { committedFile, holdsSecret, readStackFile, type Stack } from "./stack.ts";
import { configKey, projectName, stackLabel } from "./program.ts";
import { stackFilter } from "./containers.ts";
import { unlessGone } from "./unless-gone.ts";
import { deleteKey, setKey } from "./yaml-keys.ts";

/** Writes down what runs after a good update, if it is not what ran before. */
export async function recordRelease(stack: Stack, images: Record<string, string>): Promise<void> {
  const known = await releases(stack);
  const record = { images, settings: await plainSettings(stack.name), by: whoDeploys() };
  if (known[0] === undefined || differs(known[0], record))
    await stack.engine.post("/volumes/create", {
      Name: `${stackLabel(stack.name)}-release-${(known[0]?.number ?? 0) + 1}`,
      // A volume that stays empty: it outlives every container, and its labels are read without one.
      Labels: { "bulkhead.stack": stackLabel(stack.name), [LABEL]: JSON.stringify(record) },
    });
  await forgetReleases(stack, KEPT_RELEASES);
}

/** Newest first: what the volumes say, and what was written into files, if somebody pruned the volumes or the host is another. */
export async function releases(stack: Stack): Promise<Release[]> {
  const all = [...(await recordInFiles(stack)), ...(await inVolumes(stack))];
  return [...new Map(all.map((release) => [release.number, release])).values()].sort((a, b) => b.number - a.number);
}

async function inVolumes({ engine, name }: Stack): Promise<Release[]> {
  const { Volumes } = await engine.get<{
    Volumes: { Name: string; CreatedAt: string; Labels: Record<string, string> }[] | null;
  }>(`/volumes?filters=${stackFilter(name, [LABEL])}`);
  return (Volumes ?? []).map(({ Name, CreatedAt, Labels }) => ({
    ...(JSON.parse(Labels[LABEL]!) as Pick<Release, "images" | "settings" | "by">),
    number: Number(/\d+$/.exec(Name)?.[0]),
    deployedAt: CreatedAt,
  }));
}

/**
 * The newest release before the one that runs that is not the same, or the one of that number.
 *
 * @param given what the number came by, such as `--to`.
 */
export function releaseToReturnTo(known: readonly Release[], number?: number, given = "--to"): Release {
  const [current, ...earlier] = known;
  if (current === undefined) throw new Error("no release is recorded on the host: the first `bulkhead up` records one");
  if (number !== undefined) {
    const found = known.find((release) => release.number === number);
    if (found) return found;
    throw new Error(
      `${given}: there is no release ${number}: give one of ${known.map(({ number }) => number).join(", ")}`,
    );
  }
  const previous = earlier.find((release) => differs(release, current));
  if (previous) return previous;
  throw new Error(`release ${current.number} is the only one that is recorded: there is none to go back to`);
}

/** The stack file with the settings and images of a release; its comments, secrets and other keys stay. */
export function stackFileOf(text: string, { settings, images }: Release): string {
  const document = parseDocument(text);
  const config = (document.toJS() as { config?: Record<string, unknown> }).config ?? {};
  const given = settings[configKey("images")] ?? {};
  const wanted = { ...settings, [configKey("images")]: { ...given, ...images } };
  for (const [key, value] of Object.entries(config))
    if (isPlainSetting(key, value) && !(key in wanted)) deleteKey(document, ["config", key]);
  for (const [key, value] of Object.entries(wanted))
    if (!isDeepStrictEqual(config[key], value)) setKey(document, ["config", key], value);
  return String(document);
}

/** Removes all records but the newest ones, and the images that were built or pulled for none of these. */
export async function forgetReleases(stack: Stack, keep: number): Promise<void> {
  const { engine, name } = stack;
  const known = await releases(stack);
  // Before any volume goes: what is written there is taken for true.
  await keepInFiles(stack, known.slice(0, keep));
  for (const { number } of known.slice(keep))
    await engine.delete(`/volumes/${stackLabel(name)}-release-${number}`).catch(unlessGone);
  const kept = new Set(known.slice(0, keep).flatMap(({ images }) => Object.values(images)));
  const images = await engine.get<ImageNames[]>(`/images/json?filters=${stackFilter(name)}`);
  for (const image of images)
    // One that a container uses is refused by Docker.
    if (!kept.has(image.Id) && isBuiltFor(name, image)) await engine.delete(`/images/${image.Id}`).catch(unlessInUse);
  await removePulled(stack, known.slice(keep), kept);
}

/** For going back by more than a day's worth of releases, git has the stack file. */
const KEPT_RELEASES = 10;

export const LABEL = "bulkhead.release";

function differs(release: Pick<Release, "images" | "settings">, other: Pick<Release, "images" | "settings">): boolean {
  const what = ({ images, settings }: Pick<Release, "images" | "settings">) => [images, settings];
  return !isDeepStrictEqual(what(release), what(other));
}

async function plainSettings(stack: string): Promise<Record<string, unknown>> {
  const { config = {} } = await readStackFile(committedFile(stack));
  return Object.fromEntries(Object.entries(config).filter(([key, value]) => isPlainSetting(key, value)));
}

/** In a workflow the machine's own user says nothing. */
function whoDeploys(): string {
  return `${process.env["GITHUB_ACTOR"] || userInfo().username}@${hostname()}`;
}

/** Secrets are not rolled back: an old token may be one that was revoked. */
function isPlainSetting(key: string, value: unknown): boolean {
  return key.startsWith(`${projectName()}:`) && !holdsSecret(value);
}

function unlessInUse(error: Error): void {
  if (!error.message.includes(" answered 409: ")) throw error;
}
