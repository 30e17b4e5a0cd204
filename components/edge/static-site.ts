import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { temporaryFile } from "../host/build-secrets.ts";
import { BuiltImage, type Build } from "../host/built-image.ts";
import type { Limits } from "../host/hardening.ts";
import { httpHealth } from "../host/http-health.ts";
import { siteImages } from "../images.ts";
import { KeptAssets } from "./kept-assets.ts";
import type { Route } from "./route.ts";
import { WebService, type WebServiceArgs } from "./web-service.ts";

export interface StaticSiteArgs extends Omit<WebServiceArgs, OfTheServer> {
  /** The files as they are served, a folder from the project's. Give this or `build`. */
  folder?: string;
  /** What makes the files. Give this or `folder`. */
  build?: SiteBuild;
  /** One path, such as "/" or "/docs", below which the files are. More of them are refused. */
  routes: Omit<Route, "stripPrefix">;
  /** A path that is no file, and has no extension, is answered with index.html. @default false: with 404 */
  singlePage?: boolean;
  /**
   * Folders below the path whose files never change, like "/assets": browsers keep them for a year. What has a hash in its name,
   * and the folders of Astro, Next.js and SvelteKit that have such, need not be named.
   * @default []
   */
  immutable?: string[];
  /** Days that files which never change are served on after the release that took their place, from 1 to 90. @default 7 */
  keepAssetsDays?: number;
  /** MiB that those may take. Beyond it they go sooner, but for those of the last day. @default 500 */
  keepAssetsMb?: number;
  /** @default 64 MiB, half a core, 16 processes */
  limits?: Limits;
  /** Seconds that downloads get to end when a release is replaced. @default 30 */
  drainSeconds?: number;
  /** What serves: nginx as nginxinc/nginx-unprivileged has it. @default the edge's `images.nginx`, else the package's */
  server?: string;
}

/** What is not a site's to say. */
type OfTheServer =
  | ("image" | "command" | "user" | "port" | "health" | "healthPath" | "healthTimeoutSeconds" | "reviveAfterHangs")
  | (
      | "env"
      | "secrets"
      | "composed"
      | "exportSecrets"
      | "volumes"
      | "preDeploy"
      | "tmpfsMb"
      | "exceptions"
      | "tcp"
      | "udp"
      | "sticky"
      | "rollout"
    )
  | ("maxBodyMb" | "responseTimeoutSeconds" | "limits" | "drainSeconds" | "routes");

/** A stage of a Dockerfile that has the files. */
export interface SiteBuild extends Build {
  /** Where the stage has them, like "/app/dist". */
  output: string;
}

/**
 * A folder of files, served by nginx as a service is: the same gates, rollouts, limits and routes. A release is an image with
 * the files in it, so each of them is of one release, and a page that is open finds the assets of its own.
 */
export class StaticSite extends pulumi.ComponentResource {
  readonly service: WebService;
  readonly url: string;

  constructor(name: string, args: StaticSiteArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:StaticSite", name, {}, { providers: [args.edge.host.provider], ...opts });
    refuseBadSite(name, args);
    const { folder, build, singlePage, immutable, keepAssetsDays = 7, keepAssetsMb = 500, server, ...service } = args;
    const { edge, routes, drainSeconds = 30 } = service;
    const { host } = edge;
    const { reference } = new BuiltImage(
      `${name}-site`,
      {
        host,
        ...(build ?? { context: folder! }),
        target: undefined,
        dockerfile: dockerfileOf(name, { edge, build, routes, singlePage, immutable, drainSeconds, server }),
      },
      { parent: this },
    );
    const kept = new KeptAssets(
      `${name}-assets`,
      { host, worksFor: name, image: reference, days: keepAssetsDays, maxMb: keepAssetsMb },
      { parent: this },
    );
    const index = `${prefixOf(routes)}/index.html`;
    this.service = new WebService(
      name,
      {
        ...service,
        image: reference,
        user: NGINX,
        limits: args.limits ?? { memoryMb: 64, cpus: 0.5, pids: 16 },
        drainSeconds,
        port: PORT,
        health: httpHealth(PORT, index),
        healthPath: index,
        volumes: [{ volume: kept, path: "/srv/kept" }],
        routes: { ...routes, contentSecurityPolicy: policyOf(args) },
      },
      { parent: this },
    );
    this.url = this.service.url;
    this.registerOutputs({ url: this.url });
  }
}

const PORT = 8080;
const NGINX = "101:101";

/** Without a slash at its end. */
function prefixOf({ paths }: Pick<Route, "paths">): string {
  return paths[0] === "/" ? "" : paths[0]!;
}

/** A site has files of its own, which the strictest policy would not let its pages load. */
function policyOf({ edge, routes: { host = edge.domain, contentSecurityPolicy } }: StaticSiteArgs): string {
  const ofDomain = edge.domainOf(host)?.contentSecurityPolicy;
  return contentSecurityPolicy ?? ofDomain ?? "default-src 'self'; frame-ancestors 'none'";
}

/** @throws Error with all that is wrong. */
function refuseBadSite(name: string, args: StaticSiteArgs): void {
  const { folder, build, routes, immutable = [], keepAssetsDays: days = 7, keepAssetsMb: mb = 500 } = args;
  const problems: string[] = [];
  if ((folder === undefined) === (build === undefined))
    problems.push(
      folder === undefined
        ? `${name}: has no files: give folder, with the files, or build, which makes them`
        : `${name}: has folder and build: give one of them`,
    );
  if (build !== undefined && !FOLDER.test(build.output))
    problems.push(`${name}: build.output: ${build.output} is no folder of the image: give one like /app/dist`);
  if (routes.paths.length !== 1 || !PATH.test(routes.paths[0]!))
    problems.push(
      `${name}: routes.paths: ${routes.paths.join(", ")} is not one path of a site: give one like / or /docs`,
    );
  for (const path of immutable)
    if (!FOLDER.test(path)) problems.push(`${name}: immutable: ${path} is no folder: give one like /assets`);
  if (!Number.isInteger(days) || days < 1 || days > 90)
    problems.push(`${name}: keepAssetsDays: ${days} is not a whole number from 1 to 90: give days`);
  if (!Number.isInteger(mb) || mb < 1) problems.push(`${name}: keepAssetsMb: ${mb} is no size: give whole MiB from 1`);
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

const FOLDER = /^(\/(?!\.\.?(\/|$))[\w.-]+)+$/;
/** As it stands in nginx's settings. */
const PATH = /^\/([\w-]+(\/[\w-]+)*)?$/;

type ImageOf = "edge" | "build" | "routes" | "singlePage" | "immutable" | "server";

/** The user's Dockerfile, if there is one, and what makes an image of the server with its stage's files. */
function dockerfileOf(name: string, args: Pick<StaticSiteArgs, ImageOf> & { drainSeconds: number }): string {
  const { edge, build, routes, singlePage = false, immutable = [], drainSeconds } = args;
  const prefix = prefixOf(routes);
  const server = args.server ?? edge.siteServer ?? siteImages.nginx;
  const configuration = ofFile("site.nginx.conf")
    .replaceAll("PREFIX", prefix)
    .replaceAll("FALLBACK", singlePage ? "$page " : "")
    .replaceAll("DRAIN_SECONDS", String(drainSeconds));
  const [before, copy] = build ? ofBuild(name, build) : ["", "COPY ."];
  const lines = [
    before,
    `FROM ${server} AS bulkhead-pack`,
    "USER 0:0",
    `${copy} /srv/site${prefix}/`,
    `RUN ${written("pack", ofFile("site-pack.sh"))}`,
    // The error has the line, and so what its exit code means.
    `RUN sh /tmp/pack ${["'" + prefix + "'", ...immutable].join(" ")} # 3: no index.html, 4: a link out of the site or to nothing`,
    `RUN mkdir -p /tmp/etc && ${written("etc/site.conf", configuration)}`,
    `FROM ${server}`,
    "COPY --from=bulkhead-pack /tmp/etc /etc/bulkhead",
    "COPY --from=bulkhead-pack /srv /srv",
    `USER ${NGINX}`,
    "STOPSIGNAL SIGQUIT",
    // Not by the image's own entry point, which would change files of a read-only root.
    'ENTRYPOINT ["nginx", "-e", "stderr", "-c", "/etc/bulkhead/site.conf", "-g", "daemon off;"]',
    "CMD []",
  ];
  return temporaryFile(`${name}.Dockerfile`, lines.join("\n") + "\n");
}

/** The Dockerfile, and how the files of its stage are copied. */
function ofBuild(name: string, { context, dockerfile = "Dockerfile", target, output }: SiteBuild): [string, string] {
  const text = readFileSync(join(context, dockerfile), "utf8");
  const stage = target ?? [...text.matchAll(/^\s*FROM\s+.*?(?:\s+AS\s+(\S+))?\s*$/gim)].at(-1)?.[1];
  if (stage === undefined)
    throw new Error(
      `${name}: build: the last stage of ${dockerfile} has no name, by which its files are found: write FROM … AS site`,
    );
  return [text, `COPY --from=${stage} ${output}/`];
}

/** A command that writes a file under /tmp, whatever is in it. */
function written(file: string, content: string): string {
  return `echo ${Buffer.from(content).toString("base64")} | base64 -d >/tmp/${file}`;
}

/** Without its comments. */
function ofFile(name: string): string {
  return readFileSync(join(import.meta.dirname, name), "utf8").replace(/^\s*#.*\n/gm, "");
}
