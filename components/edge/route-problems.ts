import { rangeProblem } from "./address-range.ts";
import { wayRoundProblems } from "./request-paths.ts";
import { authProblems } from "./route-auth.ts";
import { routesOf, type Cors, type Route, type RouteException } from "./route.ts";

/** Everything that is wrong with the routes of a service, each with its place and its cure. */
export function routeProblems(service: string, routes: Route | readonly Route[]): string[] {
  const placeOf = (index: number) => ("paths" in routes ? `${service}: routes` : `${service}: routes[${index}]`);
  const problems = routesOf(routes).flatMap((route, index) => {
    const at = placeOf(index);
    return [
      ...route.paths
        .filter((path) => !PATH.test(path))
        .map((path) => `${service}: the path ${path} is not one that a route can have: give one like /api`),
      ...allowProblems(route).map((problem) => `${at}.allowFrom: ${problem}`),
      ...authProblems(route).map((problem) => `${at}.${problem}`),
      ...headerProblems(route).map((problem) => `${at}.headers.${problem}`),
      ...(route.contentSecurityPolicy === undefined || PRINTABLE.test(route.contentSecurityPolicy)
        ? []
        : [`${at}.contentSecurityPolicy: has to be printable ASCII, and not empty`]),
      ...(route.cors ? corsProblems(route.cors) : []).map((problem) => `${at}.cors.${problem}`),
      ...Object.entries(route.rateLimit ?? {})
        .filter(([, value]) => !(Number.isInteger(value) && value >= 1))
        .map(([key, value]) => `${at}.rateLimit.${key}: ${value} is not a whole number from 1: give one`),
      ...(["maxBodyMb", "responseTimeoutSeconds"] as const)
        .filter((key) => route[key] !== undefined && !(Number.isInteger(route[key]) && route[key] >= 1))
        .map((key) => `${at}.${key}: ${route[key]} is not a whole number from 1: give one`),
      ...(route.exceptions ?? [])
        .filter(({ why }) => why.trim().length <= 5)
        .map((exception) => `${at}.exceptions: ${kindOf(exception)}: has no reason: say why`),
    ];
  });
  return [...problems, ...wayRoundProblems(routesOf(routes), placeOf)];
}

function kindOf(exception: RouteException): string {
  return Object.keys(exception).find((key) => key !== "why") ?? "it";
}

function allowProblems({ allowFrom }: Route): string[] {
  if (allowFrom === undefined) return [];
  if (allowFrom.length === 0) return ["is empty, which would let nobody in: name addresses, or leave it out"];
  return allowFrom.flatMap((range) => rangeProblem(range, "allowFrom") ?? []);
}

function headerProblems({ headers = {} }: Route): string[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    if (!TOKEN.test(name)) return [`${name}: is not the name of a header: give one like X-Robots-Tag`];
    if (!PRINTABLE.test(value)) return [`${name}: has to be printable ASCII, and not empty`];
    const lower = name.toLowerCase();
    if (lower === "content-security-policy") return [`${name}: has a key of its own: give contentSecurityPolicy`];
    if (lower.startsWith("access-control-")) return [`${name}: has a key of its own: give cors`];
    return EDGES_OWN.has(lower) ? [`${name}: is set by the edge: leave it out`] : [];
  });
}

function corsProblems({ origins, methods = [], headers = [], credentials, maxAgeSeconds = 0 }: Cors): string[] {
  const every = origins.includes("*");
  return [
    ...(origins.length === 0 ? ["origins: is empty: name origins, or leave cors out"] : []),
    ...origins
      .filter((origin) => origin !== "*" && !isOrigin(origin))
      .map((origin) => `origins: ${origin} is not an origin: give one like https://app.example.com`),
    ...(every && origins.length > 1 ? ["origins: * stands for all others: give it alone, or leave it out"] : []),
    ...(every && credentials === true ? ["credentials: every page could read what is a user's own: name origins"] : []),
    ...methods
      .filter((method) => !/^[A-Z]+$/.test(method))
      .map((method) => `methods: ${method} is not a method: give one like PUT`),
    ...headers
      .filter((header) => !TOKEN.test(header))
      .map((header) => `headers: ${header} is not the name of a header: give one like Authorization`),
    ...(Number.isInteger(maxAgeSeconds) && maxAgeSeconds >= 0 && maxAgeSeconds <= 86400
      ? []
      : [`maxAgeSeconds: ${maxAgeSeconds} is not a whole number from 0 to 86400: give one`]),
  ];
}

/** As a browser says it: in lower case, without a path, and without the port that goes without saying. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

/** Set on the entry point, after every route; or of the connection. */
const EDGES_OWN: ReadonlySet<string> = new Set([
  ...["strict-transport-security", "x-frame-options", "x-content-type-options", "referrer-policy"],
  ...["permissions-policy", "server", "x-powered-by", "connection", "content-length", "transfer-encoding", "upgrade"],
  ...["keep-alive", "trailer", "te", "date", "set-cookie", "content-encoding"],
]);

const PRINTABLE = /^[\x20-\x7e]*\S[\x20-\x7e]*$/;

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Without a slash at its end, or whatever would end the rule that it stands in. */
const PATH = /^\/([\w.~!$&'()*+,;=:@%-]+(\/[\w.~!$&'()*+,;=:@%-]+)*)?$/;
