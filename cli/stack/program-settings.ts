import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Settings } from "../../components/settings/settings.ts";
import { programDirectory } from "./program.ts";

/** What the stack files of the program may say: its settings.ts, or the platform's keys alone where it has none. */
export async function programSettings(directory = programDirectory): Promise<Settings<object>> {
  const file = join(directory, "settings.ts");
  if (!existsSync(file)) return (await import("../../components/settings/settings.ts")).defineSettings();
  const { settings } = (await import(pathToFileURL(file).href)) as { settings?: Settings<object> };
  if (settings === undefined)
    throw new Error(`${file}: settings: missing: export const settings = defineSettings({ … })`);
  return settings;
}
