import { closest, distance } from "fastest-levenshtein";

/** The known name that somebody who typed this may have meant; none, if none is near. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const found = closest(typed, known);
  return distance(typed, found) <= found.length / 2 ? found : undefined;
}
