import { createReadStream } from "node:fs";
import { type Engine } from "../components/docker-engine/client.ts";
import { reachable } from "./network.ts";
import { nameOf, tagOf } from "./reference.ts";
import { registryUrl } from "./registry.ts";
import { say, step } from "./steps.ts";
import { standInFor, type StandIn } from "./stand-ins.ts";

/**
 * Makes sure that a Docker engine has the images that a program runs: what is there is taken, the rest is pulled by digest,
 * and what cannot be pulled because no registry can be reached gets a stand-in. Local use only: for any other stack an
 * image that cannot be pulled is an error, and Docker itself says so.
 *
 * @param wanted the images to provide, by the keys that stack files call them.
 * @returns the references that differ from those, by key: those of the stand-ins.
 */
export async function provideImages(
  engine: Engine,
  wanted: Readonly<Record<string, string | undefined>>,
): Promise<Record<string, string>> {
  const overrides: Record<string, string> = {};
  for (const [key, reference] of Object.entries(wanted)) {
    if (reference === undefined) continue;
    if ((await isPresent(engine, reference)) || (await pull(engine, reference))) continue;
    const standIn = await standInFor(reference);
    // What Docker says of it when it is wanted is the truth.
    if (standIn === undefined) continue;
    say(`STAND-IN for ${tagOf(reference)}: ${standIn.content}. For local use only, no registry can be reached.`);
    await load(engine, standIn);
    overrides[key] = standIn.reference;
  }
  return overrides;
}

async function isPresent(engine: Engine, reference: string): Promise<boolean> {
  return engine.get(`/images/${reference}/json`).then(
    () => true,
    () => false,
  );
}

/** Gives false when the registry cannot be reached; what a registry answers is another matter, and throws. */
async function pull(engine: Engine, reference: string): Promise<boolean> {
  if (!(await registryMayAnswer(engine, reference))) return false;
  try {
    await step(`pulling ${tagOf(reference)}`, () => engine.pull(reference));
    return true;
  } catch (error) {
    const { message } = error as Error;
    if (CANNOT_CONNECT.test(message)) return false;
    throw new Error(`${reference} cannot be pulled: ${message}: \`make pin\` resolves the digests of images.ts anew`);
  }
}

const CANNOT_CONNECT =
  /dial tcp|no such host|connection refused|unreachable|i\/o timeout|TLS handshake timeout|Client\.Timeout|deadline exceeded/;

/** An engine with a mirror or a proxy may reach what this machine does not; any other need not try for long. */
async function registryMayAnswer(engine: Engine, reference: string): Promise<boolean> {
  const { HttpsProxy, RegistryConfig } = await engine.get<EngineInfo>("/info");
  return Boolean(HttpsProxy || RegistryConfig?.Mirrors?.length) || reachable(registryUrl(reference));
}

interface EngineInfo {
  HttpsProxy?: string;
  RegistryConfig?: { Mirrors?: string[] };
}

async function load(engine: Engine, standIn: StandIn): Promise<void> {
  if (await isPresent(engine, standIn.reference)) return;
  const archive = await standIn.archive();
  await step(`loading ${standIn.reference} into Docker`, async () => {
    const messages = await engine.stream<{ error?: string }>("/images/load?quiet=1", createReadStream(archive));
    const failed = messages.find((message) => message.error !== undefined);
    if (failed) throw new Error(`${standIn.reference}: ${failed.error}`);
  });
  await removeOlder(engine, standIn.reference);
}

/** Stand-ins of the same image by older recipes; one that a container still runs stays until the next time. */
async function removeOlder(engine: Engine, current: string): Promise<void> {
  const filters = JSON.stringify({ reference: [nameOf(current)] });
  const found = await engine.get<{ RepoTags: string[] | null }[]>(
    `/images/json?filters=${encodeURIComponent(filters)}`,
  );
  const tags = found.flatMap(({ RepoTags }) => RepoTags ?? []);
  for (const tag of tags.filter((tag) => nameOf(tag) === nameOf(current) && tag !== current)) {
    await engine.delete(`/images/${tag}`).catch(() => undefined);
  }
}
