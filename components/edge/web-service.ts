import * as pulumi from "@pulumi/pulumi";
import type { Container } from "../host/container.ts";
import type { Health } from "../host/health.ts";
import { httpHealth } from "../host/http-health.ts";
import type { Reachable } from "../host/networks.ts";
import type { Proxy } from "./proxy.ts";
import { releaseOf } from "../host/release.ts";
import { whole } from "../host/release-problems.ts";
import { reviving } from "../host/revive.ts";
import { usersFiles } from "./basic-auth-users.ts";
import { routeName, routesOf, type Route } from "./route.ts";
import { routeProblems } from "./route-problems.ts";
import { pathsBeside, RouteFile } from "./route-file.ts";
import { NO_UDP } from "../settings/platform.ts";
import { candidateRoute } from "./candidate-route.ts";
import { serviceRoute } from "./service-route.ts";
import { guardsLabel } from "./route-guards.ts";
import { upstreamProblems } from "./upstream-tls.ts";
import type { Sticky, WebServiceArgs } from "./web-service-args.ts";

export type { Sticky, WebServiceArgs };

/**
 * A service behind the edge. A release is a new container; when it is healthy, its route is switched, and the old
 * container ends last. A release that is not healthy never gets a request.
 */
export class WebService extends pulumi.ComponentResource implements Reachable {
  readonly name: string;
  readonly through: Proxy;
  /** The container of this release. */
  readonly container: Container;
  /** Where services that name it in `uses` reach it: through the edge, so that they too lose nothing in a rollout. */
  readonly internalUrl: string;
  /** What the edge serves of it. */
  readonly url: string;
  /** Name of the file with its routes. */
  readonly routeFile: string;

  constructor(name: string, args: WebServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:WebService", name, {}, { providers: [args.edge.host.provider], ...opts });
    const { edge, routes } = args;
    this.name = name;
    this.through = edge;
    const problems = [
      ...routeProblems(name, routes),
      ...[...upstreamProblems(args.protocol ?? "http", args.upstreamTls), ...numberProblems(args)].map(
        (problem) => `${name}: ${problem}`,
      ),
    ];
    const all = routesOf(routes);
    for (const [index, { host }] of all.entries()) {
      const problem = host === undefined ? undefined : edge.hostProblem(host);
      if (problem !== undefined)
        problems.push(`${name}: routes${"paths" in routes ? "" : `[${index}]`}.host: ${problem}`);
    }
    if (problems.length > 0) throw new Error(problems.join("\n"));
    for (const [index, { forwardAuth }] of all.entries())
      if (forwardAuth) edge.takeAuth(`${name}: routes${"paths" in routes ? "" : `[${index}]`}`, forwardAuth);
    edge.claims.takeRoutes(name, routes);
    if ((args as { udp?: unknown }).udp !== undefined) throw new Error(`${name}: udp: ${NO_UDP}`);
    refuseBadCookie(name, args.sticky);
    edge.claims.takeTcp(name, args.tcp ?? {});
    const containers = releaseOf(this, name, args, {
      host: edge.host,
      role: "service",
      gate: edge,
      health: healthOf(name, args),
    });
    this.container = containers[0];
    this.internalUrl = `http://edge-2:8081/services/${name}`;
    this.url = edge.urlOf(all[0]?.host ?? edge.domain) + (all[0]?.paths[0] ?? "");
    this.routeFile = `${name}-route`;
    edge.claims.register(this, name);
    const outside = fromOutside(args);
    if (outside.isHealthPath) edge.claims.takeHealth(outside.host ?? edge.domain, outside.path!);
    // Where only one may run, the old one is started again if the new one fails: its route waits for the provider's word.
    const isStopFirst = args.rollout === "stop-first";
    const releases = pulumi.all(containers.map((each) => (isStopFirst ? each.name : each.nameAtBeginning)));
    const users = usersFiles(this, name, Object.fromEntries(all.map((each, index) => [routeName(name, index), each])));
    const route = new RouteFile(
      this.routeFile,
      {
        ...edge.routeFiles,
        worksFor: name,
        content: pulumi
          .all([
            releases,
            edge.programSubnets(name, { tcp: args.tcp !== undefined }),
            pathsBeside(edge.host, this.routeFile, users),
          ])
          .apply(([all, subnets, paths]) => serviceRoute(name, all, args, subnets, paths)),
        beside: users,
        candidate: releases.apply((all) => candidateRoute(name, all, args)),
        release: releases.apply((all) => all.join(" ")),
        exceptions: [
          ...all.flatMap(({ paths, exceptions = [] }) =>
            exceptions.map(({ why }) => ({ encodedSlashes: paths.join(" "), why })),
          ),
          ...(args.upstreamTls?.exceptions ?? []).map(({ why }) => ({ unverifiedUpstream: name, why })),
        ],
        labels: guardsLabel(edge.domain, all),
        // Up to three routers a route.
        asks: 3 * all.length + (args.replicas ?? 1),
        checkPath: args.healthPath,
        checkSeconds: args.healthTimeoutSeconds,
      },
      // A service that is asked who may pass has to be there to be asked.
      { parent: this, dependsOn: [...edge.ready, ...all.flatMap(({ forwardAuth }) => forwardAuth?.to ?? [])] },
    );
    this.registerOutputs({
      container: this.container.name,
      url: this.url,
      uses: (args.uses ?? []).map((used) => used.name),
      egress: args.egress ?? false,
      // In the state and not on the container, which would be replaced for it. Not before the route is switched: after a
      // failed update, the commands ask for what clients are still served.
      fromOutside: route.switchedBy.apply(() => outside),
    });
  }
}

/** How the commands ask for a service as a client does. */
export interface FromOutside {
  /** The host of its routes, if it is another than the edge's domain. */
  host?: string;
  /** Its health path, if that is public, else a path that leads to it. Absent: no path does. */
  path?: string;
  /** The path is the one of its health, which has to be well; of another any answer will do. */
  isHealthPath: boolean;
  /** TCP ports of the edge that lead to it, by name. */
  tcp: readonly string[];
}

function fromOutside({ routes, healthPath, tcp = {} }: WebServiceArgs): FromOutside {
  const all = routesOf(routes).filter(({ paths }) => paths.length > 0);
  const isHealthOf = ({ host, paths, stripPrefix, allowFrom, basicAuth, forwardAuth }: Route) =>
    // Of a wildcard's names, which of them there are the service alone knows: to any other it may say what it likes.
    host?.startsWith("*.") !== true &&
    paths.some((path) => path === "/" || healthPath === path || healthPath.startsWith(`${path}/`)) &&
    // Where the edge takes a part of the path away or turns the commands away, the answer is not that of its health.
    stripPrefix !== true &&
    allowFrom === undefined &&
    basicAuth === undefined &&
    forwardAuth === undefined;
  const health = all.find(isHealthOf);
  const { host, paths = [] } = health ?? all[0] ?? {};
  return {
    ...(host !== undefined && { host }),
    ...{ path: health ? healthPath : paths[0], isHealthPath: health !== undefined, tcp: Object.keys(tcp) },
  };
}

function numberProblems(args: WebServiceArgs): string[] {
  const { port, healthPath, healthTimeoutSeconds = 5, maxBodyMb = 1, responseTimeoutSeconds = 60 } = args;
  return [
    ...whole("port", port, "give the one that it listens on", 1, 65_535),
    ...(/^\/[\x21-\x7e]*$/.test(healthPath) ? [] : [`healthPath: ${healthPath} is not a path: give one like /health`]),
    ...(healthTimeoutSeconds >= 1 && healthTimeoutSeconds <= 10
      ? []
      : [`healthTimeoutSeconds: ${healthTimeoutSeconds} is not from 1 to 10: give the seconds of one answer`]),
    ...whole("maxBodyMb", maxBodyMb, "give MiB", 1),
    ...whole("responseTimeoutSeconds", responseTimeoutSeconds, "give seconds", 1),
  ];
}

/** @throws Error unless a browser takes it. */
function refuseBadCookie(name: string, { cookie, sameSite }: Sticky = {}): void {
  const problems: string[] = [];
  if (cookie !== undefined && !/^[\w.-]{1,64}$/.test(cookie))
    problems.push(`${name}: sticky.cookie: ${cookie} is no name of a cookie: give letters, digits, "-", "_" and "."`);
  if (sameSite !== undefined && !["strict", "lax", "none"].includes(sameSite))
    problems.push(`${name}: sticky.sameSite: ${sameSite} is none: give strict, lax or none`);
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/** Asked in the container, unless the program has a check of its own, or says that its image cannot. */
function healthOf(name: string, args: WebServiceArgs): Health | undefined {
  const { port, healthPath, protocol = "http", exceptions = [] } = args;
  const isAsked = protocol === "http" && !exceptions.some((exception) => "noHealthCommand" in exception);
  const health = args.health ?? (isAsked ? httpHealth(port, healthPath) : undefined);
  return health && reviving(name, health, args.reviveAfterHangs);
}
