import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { Container, type ContainerArgs, type Health } from "./container.ts";
import type { Limits, Posture } from "./hardening.ts";
import { Job } from "./job.ts";
import type { Proxy } from "./proxy.ts";
import { reviving } from "./revive.ts";
import { RouteFile, type DynamicConfiguration } from "./route-file.ts";
import { SecretFiles } from "./secret.ts";

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
  routes: Routes;
  /** The largest request body in MiB: what is larger is answered 413. Nothing of it is held. @default the edge's */
  maxBodyMb?: number;
  /** Seconds that the first byte of an answer may take: what takes longer is answered 504. @default 60 */
  responseTimeoutSeconds?: number;
  /** Port in the container to which the edge's tunnel port leads. @default none */
  tunnelPort?: number;
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

export interface Routes {
  /** Each path with all below it, like "/api". */
  paths: string[];
  /** The Content-Security-Policy of its answers. @default "default-src 'none'; frame-ancestors 'none'" */
  contentSecurityPolicy?: string;
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
    for (const path of routes.paths)
      if (!PATH.test(path))
        throw new Error(`${name}: the path ${path} is not one that a route can have: give one like /api`);
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
      args.preDeploy && new Job(`${name}-pre-deploy`, preDeployJob(common, args.preDeploy), { parent: this });
    this.container = new Container(
      name,
      {
        ...common,
        run: "always",
        command: args.command,
        health: reviving(name, args.health, args.reviveAfterHangs),
        env: { ...common.env, DRAIN_SECONDS: String(drainSeconds) },
        labels: askedFromOutside(args),
        // Some seconds more than the drain, for what a process does after it.
        graceSeconds: drainSeconds + 5,
      },
      { parent: this, dependsOn: preDeploy },
    );
    this.internalUrl = `http://edge:8081/services/${name}`;
    this.url = edge.url + (routes.paths[0] ?? "");
    this.routeFile = `${name}-route`;
    edge.register(this, name);
    new RouteFile(
      this.routeFile,
      {
        ...edge.routeFiles,
        content: this.container.name.apply((release) => dynamicConfiguration(name, release, args)),
        candidate: this.container.name.apply((release) => candidate(release, args)),
        release: this.container.name,
        checkPath: args.healthPath,
        checkSeconds: args.healthTimeoutSeconds,
      },
      { parent: this, dependsOn: edge },
    );
    this.registerOutputs({ container: this.container.name, url: this.url });
  }
}

/** How the commands ask for it as a client does: by its health path, if that is public, or by a path that leads to it. */
function askedFromOutside({ routes, healthPath, tunnelPort }: WebServiceArgs): Record<string, string> {
  const { paths } = routes;
  const isPublic = paths.some((path) => path === "/" || healthPath === path || healthPath.startsWith(`${path}/`));
  return {
    ...(isPublic ? { "bulkhead.health-path": healthPath } : paths[0] ? { "bulkhead.public-path": paths[0] } : {}),
    ...(tunnelPort === undefined ? {} : { "bulkhead.tcp": "tunnel" }),
  };
}

/** Without a slash at its end, or whatever would end the rule that it stands in. */
const PATH = /^\/([\w.~!$&'()*+,;=:@%-]+(\/[\w.~!$&'()*+,;=:@%-]+)*)?$/;

/** The user of a service, in the image and outside, unless an exception makes it root. */
const SERVICE_UID = "1000";

function preDeployJob<Common extends { limits: Limits }>(common: Common, preDeploy: PreDeploy) {
  const { command, deadlineSeconds = 300, limits = common.limits } = preDeploy;
  return { ...common, limits, deadlineSeconds, script: '"$@" || exit\nfinish', scriptArguments: command };
}

/** The route file of one release of a service, in Traefik's words. */
function dynamicConfiguration(name: string, release: string, args: WebServiceArgs): DynamicConfiguration {
  const { edge, routes, port, tunnelPort, maxBodyMb = edge.maxBodyMb, responseTimeoutSeconds = 60 } = args;
  const rule = routes.paths.length > 0 ? publicRule(edge.domain, routes.paths) : undefined;
  // The policy first: it is for answers of the edge itself too.
  const limited = [`${name}-limits`, "compress"];
  const router = (rule: string, middlewares: string[]) => ({
    entryPoints: ["websecure"],
    rule,
    service: name,
    middlewares,
  });
  // From service to service, and for the cutover job: one path is the service's for ever, the other its release's.
  const inner = (entryPoint: string, path: string) => ({
    entryPoints: [entryPoint],
    rule: `PathPrefix(\`/${entryPoint}/${path}/\`)`,
    service: name,
    middlewares: [`${name}-limits`, `${name}-${entryPoint}`, `${name}-as-client`],
  });
  const strip = (prefix: string) => ({ stripPrefix: { prefixes: [prefix] } });
  return {
    http: {
      routers: {
        ...(rule !== undefined && {
          [name]: router(rule, [`${name}-policy`, ...limited]),
          // A body whose length nobody knows is counted while it passes; when it is cut, that is answered 413 too.
          [`${name}-unsized`]: router(`${rule} && ${UNSIZED}`, [`${name}-policy`, "too-large", ...limited]),
        }),
        [`${name}-services`]: inner("services", name),
        [`${name}-release`]: inner("release", release),
      },
      middlewares: {
        [`${name}-limits`]: {
          plugin: {
            bulkhead: {
              kind: "limits",
              service: name,
              maxBodyBytes: maxBodyMb * 1024 * 1024,
              bodyGapSeconds: BODY_GAP_SECONDS,
              responseTimeoutSeconds,
            },
          },
        },
        [`${name}-policy`]: {
          headers: {
            contentSecurityPolicy: routes.contentSecurityPolicy ?? "default-src 'none'; frame-ancestors 'none'",
          },
        },
        [`${name}-as-client`]: asClient(edge.domain),
        [`${name}-services`]: strip(`/services/${name}`),
        [`${name}-release`]: strip(`/release/${release}`),
      },
      services: {
        [name]: { loadBalancer: { serversTransport: name, servers: [{ url: `http://${release}:${port}` }] } },
      },
      serversTransports: {
        [name]: { forwardingTimeouts: { dialTimeout: "5s", responseHeaderTimeout: `${responseTimeoutSeconds}s` } },
      },
    },
    ...(tunnelPort !== undefined && {
      tcp: {
        routers: { [name]: { entryPoints: ["tunnel"], rule: "HostSNI(`*`)", service: name } },
        services: { [name]: { loadBalancer: { servers: [{ address: `${release}:${tunnelPort}` }] } } },
      },
    }),
  };
}

/** How long a body may stand still before it is cut: a mobile phone in a tunnel comes back within it. */
const BODY_GAP_SECONDS = 60;

/** A request with a body that does not say how long it is. */
const UNSIZED = "!Method(`GET`) && !Method(`HEAD`) && !HeaderRegexp(`Content-Length`, `.`)";

/**
 * What the edge says of a request from within, to a framework that takes requests for its own domain alone and answers all
 * that was not HTTPS with a redirect.
 */
function asClient(domain: string): object {
  return {
    headers: { customRequestHeaders: { Host: domain, "X-Forwarded-Host": domain, "X-Forwarded-Proto": "https" } },
  };
}

function publicRule(domain: string, paths: string[]): string {
  const under = paths.map((path) =>
    path === "/" ? "PathPrefix(`/`)" : `Path(\`${path}\`) || PathPrefix(\`${path}/\`)`,
  );
  return `Host(\`${domain}\`) && (${under.join(" || ")})`;
}

/**
 * What leads to a release before any client does. Its rule contains the one that is to come: a rule that Traefik cannot
 * read would take the service off the edge, and the rest of its route file would still say that all is well.
 */
function candidate(release: string, { edge, port, routes }: WebServiceArgs): DynamicConfiguration {
  const name = `${release}-candidate`;
  const prefix = `/candidate/${release}`;
  const toCome = routes.paths.length > 0 ? ` || (${publicRule(edge.domain, routes.paths)})` : "";
  const rule = `PathPrefix(\`${prefix}/\`)${toCome}`;
  return {
    http: {
      routers: { [name]: { entryPoints: ["release"], rule, service: name, middlewares: [name, `${name}-as-client`] } },
      middlewares: { [name]: { stripPrefix: { prefixes: [prefix] } }, [`${name}-as-client`]: asClient(edge.domain) },
      services: { [name]: { loadBalancer: { servers: [{ url: `http://${release}:${port}` }] } } },
    },
  };
}
