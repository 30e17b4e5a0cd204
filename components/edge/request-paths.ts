import { hostRule } from "./hosts.ts";
import { isSameAuth, type RouteAuth } from "./route-auth.ts";

/** What of a route the spelling of its paths matters to. */
interface RoutePaths extends RouteAuth {
  paths: readonly string[];
  stripPrefix?: boolean;
  allowFrom?: readonly string[];
  rateLimit?: object;
  exceptions?: readonly object[];
}

/**
 * What a route must not be asked for by another spelling of its path: a service may take `/ADMIN`, `/admin.json`,
 * `/admin;x` or `/x%2f..%2fadmin` for `/admin`, and the route of `/` would let them pass.
 */

/** Whether a route holds its requests to more than another of the same service may. */
export function isGuarded(route: RoutePaths): boolean {
  return GUARDS.some((guard) => route[guard] !== undefined);
}

const GUARDS = ["allowFrom", "rateLimit", "basicAuth", "forwardAuth"] as const;

function isSameGuard(guard: (typeof GUARDS)[number], one: RoutePaths, other: RoutePaths): boolean {
  if (guard === "basicAuth" || guard === "forwardAuth") return isSameAuth(one, other);
  return JSON.stringify(one[guard]) === JSON.stringify(other[guard]);
}

/** The requests that a route is for. Of one that is guarded, with every spelling that a service may take for its path. */
export function routeRule(host: string, route: RoutePaths): string {
  return isGuarded(route)
    ? `${hostRule(host)} && (${route.paths.map(guardedPath).join(" || ")})`
    : publicRule(host, route.paths);
}

/** The requests of paths as they are written. The priority of a route is the length of this. */
export function publicRule(host: string, paths: readonly string[]): string {
  const under = paths.map((path) =>
    path === "/" ? "PathPrefix(`/`)" : `Path(\`${path}\`) || PathPrefix(\`${path}/\`)`,
  );
  return `${hostRule(host)} && (${under.join(" || ")})`;
}

/** Any case, any ending that is no part of a name, and parameters after each segment. */
function guardedPath(path: string): string {
  if (path === "/") return "PathPrefix(`/`)";
  const segments = path.slice(1).split("/").map(spellings);
  return `PathRegexp(\`(?i)^/${segments.join("(?:;[^/]*)?/")}(?:[^a-z0-9_-]|$)\`)`;
}

/** The paths of a rule, as they were written. */
export function pathsIn(rule: string): string[] {
  return [...rule.matchAll(/PathPrefix\(`([^`]+?)\/?`\)|PathRegexp\(`\(\?i\)\^([^`]+)`\)/g)].map(
    ([, plain, guarded]) =>
      guarded === undefined
        ? (plain ?? "")
        : guarded
            .replace("(?:[^a-z0-9_-]|$)", "")
            .replaceAll("(?:;[^/]*)?", "")
            .replace(/\(\?:(\\?.)\|%[0-9A-F]{2}\)/g, "$1")
            .replace(/\\(.)/g, "$1"),
  );
}

/** Traefik leaves reserved characters encoded where a client has encoded them. */
function spellings(segment: string): string {
  return segment.replace(/[^\w~-]/g, (character) => {
    const plain = /[.$()*+]/.test(character) ? `\\${character}` : character;
    const code = character.charCodeAt(0).toString(16).toUpperCase();
    return character === "." ? plain : `(?:${plain}|%${code})`;
  });
}

/**
 * The paths, as a regular expression over their encoded form, that a route answers 400, because what a service makes of
 * them is not what the edge has looked at.
 *
 * @param isBesideGuarded whether another route of the service is guarded.
 */
export function refusedPaths({ exceptions = [] }: RoutePaths, isBesideGuarded: boolean): string {
  const slash = "%2F";
  const patterns = [
    // Control characters, a backslash, and what is encoded twice.
    "%(?:[01][0-9A-F]|5C|7F|25[0-9A-Fa-f]{2})",
    // More bytes than a character needs, which some take for a slash or a dot.
    "%C[01]%|%E0%[89]|%F0%8",
    // A segment of which nothing is left when its parameters are taken away: /..;/admin.
    `(?:/|${slash})\\.{0,2}(?:;|%3B)`,
    ...(exceptions.some((exception) => "encodedSlashes" in exception)
      ? // Part of a name, and never what leads out of where it stands.
        [`(?:/|${slash})\\.{0,2}${slash}`, `${slash}\\.{1,2}(?:/|$)`, `${slash}/`]
      : [slash]),
    // Wide forms of ASCII, and two characters that look like a slash.
    ...(isBesideGuarded ? ["%EF%B[CD]%", "%E2%81%84", "%E2%88%95"] : []),
  ];
  return patterns.join("|");
}

/** Everything about the routes of a service by which one leads around another. `at` is the place of each. */
export function wayRoundProblems(routes: readonly RoutePaths[], at: (index: number) => string): string[] {
  const guards = (route: RoutePaths) => GUARDS.filter((guard) => route[guard] !== undefined);
  return routes.flatMap((route, index) =>
    routes.flatMap((other, otherIndex) => {
      const missing = guards(other).filter((guard) => !isSameGuard(guard, other, route));
      if (other === route || missing.length === 0) return [];
      const past = `past ${missing.join(" and ")} of ${at(otherIndex)}`;
      const strips = route.stripPrefix === true && route.paths.some((path) => path !== "/");
      const prefix = route.paths.find((path) => path !== "/");
      const inner = other.paths.find((path) => route.paths.some((outer) => isBelow(path, outer)));
      return [
        ...(strips
          ? [
              `${at(index)}.stripPrefix: ${prefix}${other.paths[0] === "/" ? "" : other.paths[0]} leads to ` +
                `${other.paths[0]} of the same service, ${past}: give it the same, or leave stripPrefix out`,
            ]
          : []),
        ...(inner !== undefined && route.exceptions?.some((exception) => "encodedSlashes" in exception)
          ? [
              `${at(index)}.exceptions: encodedSlashes: a service that decodes them finds ${inner} in it, ${past}: ` +
                "give the exception to a route of fewer paths",
            ]
          : []),
      ];
    }),
  );
}

export function isBelow(path: string, outer: string): boolean {
  return path !== outer && (outer === "/" || path.startsWith(`${outer}/`));
}
