import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { Container, type ContainerArgs, type Health } from "../host/container.ts";
import type { Limits, Posture } from "../host/hardening.ts";
import { Job } from "../host/job.ts";
import type { Proxy } from "./proxy.ts";
import { reviving } from "../host/revive.ts";
import { routeProblems, routesOf, type Route } from "./route.ts";
import { RouteFile } from "./route-file.ts";
import { SecretFiles } from "../host/secret.ts";
import { NO_UDP } from "../settings/platform.ts";
import { candidateRoute, serviceRoute } from "./service-route.ts";

export interface WebServiceArgs
  extends Pick<Posture, "limits" | "tmpfsMb" | "exceptions">, Pick<ContainerArgs, "env" | "command"> {
  edge: Proxy;
  image: pulumi.Input<string>;
  /** Port in the container that speaks HTTP. */
  port: number;
  /** How the engine sees that it works. */
  health: Health;
  /**
   * Health checks in a row without an answer after which its processes are ended, so that Docker starts it again: with
   * 10 a process that hangs is back within 140 s, or 55 s before Docker 25. Less would end services of a host that is only
   * busy. It needs /bin/sh in the image. 0: never.
   * @default 10
   */
  reviveAfterHangs?: number;
  /** Path that answers 2xx when it can serve: asked through the edge before a release gets a request. */
  healthPath: string;
  /** Seconds that one answer on the health path may take when a release is tried, at most 10. @default 5 */
  healthTimeoutSeconds?: number;
  /** Networks besides `proxy`, on which the edge reaches it. @default [] */
  networks?: Network[];
  /** Setting to value. The container gets SETTING_FILE, the path of a file that only it can read. @default {} */
  secrets?: Record<string, pulumi.Input<string>>;
  /** What the edge sends here. */
  routes: Route | readonly Route[];
  /** What the port speaks: HTTP/1.1, or HTTP/2 without TLS, such as gRPC. WebSockets need "http". @default "http" */
  protocol?: "http" | "h2c";
  /** The largest request body in MiB: what is larger is answered 413. Nothing of it is held. @default the edge's */
  maxBodyMb?: number;
  /** Seconds that the first byte of an answer may take: what takes longer is answered 504. @default 60 */
  responseTimeoutSeconds?: number;
  /** TCP ports of the edge that lead here, by name: the port in the container, or more of it. @default {} */
  tcp?: Record<string, number | TcpRoute>;
  /** UDP is refused: the error says why. */
  udp?: never;
  /** What has to be done before a release starts, such as a database migration. @default nothing */
  preDeploy?: PreDeploy;
  /** Seconds that requests and streams get to end when a release is replaced; the container gets DRAIN_SECONDS. */
  drainSeconds: number;
}

/**
 * A program that runs to its end when the secrets of a release are there, before its container starts: in the same
 * image, with the same settings, secrets and networks. If it fails, so does the update, with its last lines, and the old
 * release serves on. It runs anew when any of these changes, so it must bear to be run twice.
 */
export interface PreDeploy {
  /** The program and its arguments. The image needs a POSIX shell to run it. */
  command: string[];
  /** The update fails when it has not ended by then. @default 300 */
  deadlineSeconds?: number;
  /** @default the service's own */
  limits?: Limits;
}

/** What of a TCP port of the edge leads to a service. */
export interface TcpRoute {
  /** Port in the container. */
  port: number;
  /** The name that clients ask for in TLS (SNI): several services share one port by it. @default all that comes there */
  host?: string;
  /**
   * Who ends TLS: "edge" by its certificate, and the service gets what is in it; "service", and the edge hands it on as it
   * came. @default "edge" with a host, and else nobody: what comes is not looked at
   */
  tls?: "edge" | "service";
}

/**
 * A service behind the edge. A release is a new container; when it is healthy, its route is switched, and the old
 * container ends last. A release that is not healthy never gets a request.
 */
export class WebService extends pulumi.ComponentResource {
  /** The container of this release. */
  readonly container: Container;
  /** Where other services reach it, through the edge, so that they too lose nothing in a rollout. */
  readonly internalUrl: string;
  /** What the edge serves of it. */
  readonly url: string;
  /** Name of the file with its routes. */
  readonly routeFile: string;

  constructor(name: string, args: WebServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:WebService", name, {}, { providers: [args.edge.host.provider], ...opts });
    const { edge, image, routes, secrets = {}, networks = [], drainSeconds } = args;
    const { host } = edge;
    const problems = routeProblems(name, routes);
    const all = routesOf(routes);
    for (const [index, { host: routeHost }] of all.entries())
      if (routeHost !== undefined && edge.domainOf(routeHost) === undefined)
        problems.push(
          `${name}: routes${"paths" in routes ? "" : `[${index}]`}.host: ${routeHost} is not served by the edge (${edge.hosts.join(", ")}): add it to domains in the stack file`,
        );
    if (problems.length > 0) throw new Error(problems.join("\n"));
    edge.takeRoutes(name, routes);
    if ((args as { udp?: unknown }).udp !== undefined) throw new Error(`${name}: udp: ${NO_UDP}`);
    edge.takeTcp(name, args.tcp ?? {});
    const uid = args.exceptions?.some((exception) => "rootUser" in exception) ? "0" : SERVICE_UID;
    const files =
      Object.keys(secrets).length > 0
        ? new SecretFiles(`${name}-secrets`, { host, readerUid: uid, secrets }, { parent: this })
        : undefined;
    const common = {
      host,
      image,
      user: `${uid}:${uid}`,
      limits: args.limits,
      tmpfsMb: args.tmpfsMb,
      exceptions: args.exceptions,
      env: { ...args.env, ...files?.env },
      networks: [edge.networks.proxy, ...networks].map((network) => ({ name: network.name })),
      volumes: files ? [files.volume] : [],
    };
    const preDeploy =
      args.preDeploy &&
      new Job(`${name}-pre-deploy`, { ...preDeployJob(common, args.preDeploy), worksFor: name }, { parent: this });
    this.container = new Container(
      name,
      {
        ...common,
        role: "service",
        run: "always",
        command: args.command,
        health: reviving(name, args.health, args.reviveAfterHangs),
        env: { ...common.env, DRAIN_SECONDS: String(drainSeconds) },
        // Some seconds more than the drain, for what a process does after it.
        graceSeconds: drainSeconds + 5,
      },
      { parent: this, dependsOn: preDeploy },
    );
    this.internalUrl = `http://edge-2:8081/services/${name}`;
    this.url = edge.urlOf(all[0]?.host ?? edge.domain) + (all[0]?.paths[0] ?? "");
    this.routeFile = `${name}-route`;
    edge.register(this, name);
    const route = new RouteFile(
      this.routeFile,
      {
        ...edge.routeFiles,
        worksFor: name,
        content: this.container.name.apply((release) => serviceRoute(name, release, args)),
        candidate: this.container.name.apply((release) => candidateRoute(release, args)),
        release: this.container.name,
        checkPath: args.healthPath,
        checkSeconds: args.healthTimeoutSeconds,
      },
      { parent: this, dependsOn: edge.ready },
    );
    this.registerOutputs({
      container: this.container.name,
      url: this.url,
      // In the state and not on the container, which would be replaced for it. Not before the route is switched: after a
      // failed update, the commands ask for what clients are still served.
      fromOutside: route.switchedBy.apply(() => fromOutside(args)),
    });
  }
}

/** How the commands ask for a service as a client does. */
export interface FromOutside {
  /** Its health path, if that is public, else a path that leads to it. Absent: no path does. */
  path?: string;
  /** The path is the one of its health, which has to be well; of another any answer will do. */
  isHealthPath: boolean;
  /** TCP ports of the edge that lead to it, by name. */
  tcp: readonly string[];
}

function fromOutside({ edge, routes, healthPath, tcp = {} }: WebServiceArgs): FromOutside {
  const [route] = routesOf(routes).filter(({ host = edge.domain }) => host === edge.domain);
  const { paths = [], stripPrefix = false, allowFrom } = route ?? {};
  const isUnder = paths.some((path) => path === "/" || healthPath === path || healthPath.startsWith(`${path}/`));
  // Where the edge takes a part of the path away or turns the commands away, the answer is not that of its health.
  const isHealthPath = isUnder && !stripPrefix && allowFrom === undefined;
  return { path: isUnder ? healthPath : paths[0], isHealthPath, tcp: Object.keys(tcp) };
}

/** The user of a service, in the image and outside, unless an exception makes it root. */
const SERVICE_UID = "1000";

function preDeployJob<Common extends { limits: Limits }>(common: Common, preDeploy: PreDeploy) {
  const { command, deadlineSeconds = 300, limits = common.limits } = preDeploy;
  return { ...common, limits, deadlineSeconds, script: '"$@" || exit\nfinish', scriptArguments: command };
}
