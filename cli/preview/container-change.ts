import type { ContainerInputs } from "../audit/expected-state.ts";
import type { Change } from "./engine-events.ts";

/** A container that is, or was. */
export interface ContainerChange extends Change {
  before?: Partial<ContainerInputs> & Change["before"];
  after?: Partial<ContainerInputs> & Change["after"];
}

/** A setting in the environment of a container. */
export function settingOf(container: Partial<ContainerInputs> | undefined, setting: string): string | undefined {
  const found = listOf(container?.envs).find((entry) => entry.startsWith(`${setting}=`));
  return found?.slice(setting.length + 1);
}

/** What is secret or not known yet is a text in a list's place. */
export function listOf<T>(value: readonly T[] | string | undefined): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [];
}
