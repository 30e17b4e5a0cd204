import { pathsIn } from "../components/edge/request-paths.ts";
import { CONTAINER } from "./containers.ts";
import { labelOf, ofEach } from "./inputs.ts";
import type { Fault, Rule } from "./rule.ts";

/** What Traefik gets to read of a route file, as far as the rules look. */
interface RouteContent {
  http?: {
    routers?: Record<string, { middlewares?: string[]; rule: string }>;
    middlewares?: Record<string, Middleware>;
    serversTransports?: Record<string, { insecureSkipVerify?: boolean }>;
  };
}

interface Middleware {
  basicAuth?: { users?: string[]; usersFile?: string };
  forwardAuth?: { trustForwardHeader?: boolean };
  ipAllowList?: { sourceRange?: string[] };
  /** What a request is held to; of a client's route with the paths that it answers 400. */
  plugin?: { bulkhead?: { refusedPaths?: string } };
}

/** The rules of what the edge serves, which the job of a cutover has in its environment. */
export const routeRules: Rule[] = [
  {
    name: "container-route-upstream",
    severity: "mandatory",
    why: "Who is between the edge and a service whose certificate nobody looks at reads and changes all (NSA/CISA: encrypt in transit).",
    cure: "give upstreamTls a caCertificatePem, and the serverName that the certificate is for",
    type: CONTAINER,
    faults: (props) =>
      inRoutes(props, ({ http }) =>
        Object.entries(http?.serversTransports ?? {}).flatMap(([name, { insecureSkipVerify }]) =>
          insecureSkipVerify === true
            ? [{ what: `takes any certificate of ${name}`, part: name, within: labelOf(props, "bulkhead.for") }]
            : [],
        ),
      ),
  },
  {
    name: "container-route-encoded-slashes",
    severity: "mandatory",
    why: "What the edge takes for a name, a service that decodes it takes for a path: so a client gets past what another route asks for.",
    cure: "leave its exception out, or say there why the service needs them: { encodedSlashes: true, why }",
    type: CONTAINER,
    faults: (props) => inRoutes(props, ({ http }) => slashFaults(http ?? {})),
  },
  {
    name: "container-route-auth",
    severity: "mandatory",
    why: "A hash in a container's environment is read by everybody who may ask Docker, and guessed elsewhere (CIS 4.10).",
    cure: "give the users in a file, as basicAuth of a route does",
    type: CONTAINER,
    faults: (props) =>
      inRoutes(props, ({ http }) =>
        Object.entries(http?.middlewares ?? {}).flatMap(([name, { basicAuth }]) =>
          (basicAuth?.users ?? []).length > 0
            ? [{ what: `has the users of ${name} in its environment`, part: name }]
            : [],
        ),
      ),
  },
  {
    name: "container-route-guard",
    severity: "mandatory",
    why: "A guard that lets everybody through, or believes what a client says of itself, is none.",
    cure: "name smaller ranges, leave trustForwardHeader false, and let a router of less priority answer 503 for the same rule",
    type: CONTAINER,
    faults: (props) => inRoutes(props, ({ http }) => guardFaults(http ?? {})),
  },
];

function guardFaults({ routers = {}, middlewares = {} }: NonNullable<RouteContent["http"]>): Fault[] {
  const asks = (name: string) => middlewares[name]?.basicAuth ?? middlewares[name]?.forwardAuth;
  const closed = new Set(
    Object.values(routers)
      .filter(({ middlewares: own = [] }) => own.length === 1 && own[0]!.endsWith("-closed"))
      .map(({ rule }) => rule),
  );
  return [
    ...Object.entries(middlewares).flatMap(([name, { ipAllowList, forwardAuth }]) => [
      ...(ipAllowList?.sourceRange?.some((range) => range.endsWith("/0"))
        ? [{ what: `lets every address pass in ${name}`, part: name }]
        : []),
      ...(forwardAuth?.trustForwardHeader === true
        ? [{ what: `believes what clients say of themselves in ${name}`, part: name }]
        : []),
    ]),
    ...Object.entries(routers).flatMap(([name, { rule, middlewares: own = [] }]) =>
      own.some(asks) && ![...closed].some((other) => rule.startsWith(other))
        ? [
            {
              what: `leaves the requests of ${name} to other routes where the edge cannot ask who may pass`,
              part: name,
            },
          ]
        : [],
    ),
  ];
}

function slashFaults({ routers = {}, middlewares = {} }: NonNullable<RouteContent["http"]>): Fault[] {
  const lets = (name: string) => {
    const refused = middlewares[name]?.plugin?.bulkhead?.refusedPaths;
    return refused !== undefined && !new RegExp(refused).test("/a%2Fb");
  };
  const open = Object.values(routers).filter(({ middlewares: own = [] }) => own.some(lets));
  // Two routers have the same paths: one of them is for bodies whose length nobody knows.
  return [...new Set(open.map(({ rule }) => pathsIn(rule).join(" ")))].map((paths) => ({
    ...{ what: `lets clients ask for ${paths} with encoded slashes`, part: paths },
  }));
}

/** Judged when the whole of it is known: a preview does not know what a release will be called. */
function inRoutes(props: Record<string, unknown>, faults: (content: RouteContent) => Fault[]): Fault[] {
  return ofEach(props["envs"] as string[] | undefined, (entry) =>
    entry.startsWith("ROUTE={") ? faults(JSON.parse(entry.slice("ROUTE=".length)) as RouteContent) : [],
  );
}
