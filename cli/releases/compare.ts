import { isDeepStrictEqual } from "node:util";
import type { Release } from "../stack/release.ts";

/** One image or setting that is not the same in two releases. What a release does not have is not there. */
export interface Difference {
  /** Like `image of backend` or `shop:edge.burst`. */
  what: string;
  before?: string;
  after?: string;
}

type Compared = Pick<Release, "images" | "settings">;

export function compareReleases(before: Compared, after: Compared): Difference[] {
  const of = ({ images, settings }: Compared) => ({
    ...Object.fromEntries(Object.entries(images).map(([service, image]) => [`image of ${service}`, image])),
    ...leaves(settings),
  });
  const [old, now] = [of(before), of(after)] as Record<string, unknown>[];
  return [...new Set([...Object.keys(old!), ...Object.keys(now!)])]
    .filter((what) => !isDeepStrictEqual(old![what], now![what]))
    .map((what) => ({ what, before: shown(old![what]), after: shown(now![what]) }));
}

/** Each value by its path: a line for each, though a setting has many. */
function leaves(value: Record<string, unknown>, path = ""): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      const isObject = typeof inner === "object" && inner !== null && !Array.isArray(inner);
      return isObject
        ? Object.entries(leaves(inner as Record<string, unknown>, `${path}${key}.`))
        : [[`${path}${key}`, inner]];
    }),
  );
}

function shown(value: unknown): string | undefined {
  return value === undefined || typeof value === "string" ? value : JSON.stringify(value);
}
