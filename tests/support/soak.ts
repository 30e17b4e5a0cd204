/** `make soak` runs all that is exhaustive, `make test` a case of each kind: docs/contributing/tests.md has the list. */
export const SOAK = process.env["BULKHEAD_SOAK"] === "1";

/** Cases that `make soak` alone runs. */
export function inSoak<T>(...cases: T[]): T[] {
  return SOAK ? cases : [];
}
