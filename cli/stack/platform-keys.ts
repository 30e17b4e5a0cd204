// The platform's keys of a stack file, for the commands.
import { parseStackFile } from "../../components/settings/parse.ts";
import type { Platform, PlatformKey } from "../../components/settings/platform.ts";
import { configKey, projectName } from "./program.ts";
import { programSettings } from "./program-settings.ts";

/** Those that a program without an edge does not have. */
const OF_EDGE = ["domain", "edge", "certificates"] as const;
type OfEdge = (typeof OF_EDGE)[number];

export type KeysOf<Key extends PlatformKey> = Omit<Pick<Platform, Key>, OfEdge> & Partial<Pick<Platform, Key & OfEdge>>;

/**
 * What a stack file without a domain says is that of a program without an edge: what needs one is undefined then.
 *
 * @throws ConfigError with every problem of these keys.
 */
export async function platformKeys<Key extends PlatformKey>(
  config: Record<string, unknown>,
  keys: readonly Key[],
): Promise<KeysOf<Key>> {
  const { shape } = await programSettings();
  const hasEdge = config[configKey("domain")] !== undefined;
  const wanted = keys.filter((key) => hasEdge || !OF_EDGE.some((each) => each === key));
  return parseStackFile(projectName(), config, wanted, shape);
}
