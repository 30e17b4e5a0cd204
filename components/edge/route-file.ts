import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../host/docker-host.ts";
import { Courier } from "../host/file-volume.ts";
import type { Exception } from "../host/hardening.ts";
import { Job } from "../host/job.ts";

export interface RouteFileArgs {
  host: DockerHost;
  /** Name of the service, or of the edge, whose routes they are. */
  worksFor: string;
  /** The network on which every edge answers to the alias `edge`. */
  doorNetwork: pulumi.Input<string>;
  routesVolume: pulumi.Input<string>;
  /** Traefik's dynamic configuration, whole: the file is replaced by it. */
  content: pulumi.Input<DynamicConfiguration>;
  /**
   * Name of the new release's container, or of each of its replicas, with spaces between. Those that the update is still
   * making are waited for. Only the new content has a route under `/release/<the first>` of the release entry point.
   */
  release: pulumi.Input<string>;
  /**
   * Configuration beside the content that leads `/candidate/<release>` of the release entry point to each of them, and no
   * client anywhere. @default none: the content is safe to serve before it was tried
   */
  candidate?: pulumi.Input<DynamicConfiguration>;
  /**
   * Files that the content names by their paths: see `pathsBeside`. They are secret, and in place before the content is.
   * @default none
   */
  beside?: Readonly<Record<string, pulumi.Input<string>>>;
  /** What a route of the content is without, for the label that policies read. @default [] */
  exceptions?: readonly Exception[];
  /** About how many routers and replicas the job asks each edge for. @default few */
  asks?: number;
  /** Labels of the job. @default {} */
  labels?: Record<string, string>;
  /** Path below both that must answer 2xx. @default "" */
  checkPath?: string;
  /** Seconds that one answer there may take, at most 10. @default 5 */
  checkSeconds?: number;
}

export interface DynamicConfiguration {
  http?: { routers?: object; [section: string]: unknown };
  tcp?: { routers?: object; [section: string]: unknown };
}

/**
 * Switches one route file: a job asks every running edge for the candidate, writes the file in one step, and asks again
 * until each edge serves the new release and has rejected none of its routes. If they do not, the old file stays or
 * comes back and the job fails: the old release goes on serving, a broken one never got a request, and the next update
 * tries again.
 */
export class RouteFile extends pulumi.ComponentResource {
  /** Name of the job's container, known when every edge serves the new release. */
  readonly switchedBy: pulumi.Output<string>;

  constructor(name: string, args: RouteFileArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:RouteFile", name, {}, { providers: [args.host.provider], ...opts });
    const { checkSeconds = 5 } = args;
    if (!(checkSeconds >= 1 && checkSeconds <= 10))
      throw new Error(
        `${name}: healthTimeoutSeconds: ${checkSeconds} is not from 1 to 10: give the seconds of one answer`,
      );
    const { beside = {} } = args;
    // Root's, as the job is.
    const files =
      Object.keys(beside).length > 0
        ? new Courier(`${name}-beside`, { host: args.host, files: beside, readerUid: "0" }, { parent: this })
        : undefined;
    const job = new Job(
      `${name}-job`,
      {
        host: args.host,
        hooks: { beforeCreate: [args.host.creations.whenHealthy] },
        role: "route",
        worksFor: args.worksFor,
        labels: args.labels,
        // busybox's timeout leaves a process of its own for a second: more asks than that in one second cannot fork.
        limits: { memoryMb: 32, cpus: 0.5, pids: Math.max(32, 16 + 2 * (args.asks ?? 0)) },
        script: CUTOVER,
        user: "0:0",
        exceptions: [
          { rootUser: true, why: "root owns the volume with the routes; without capabilities it can do nothing more" },
          ...(args.exceptions ?? []),
        ],
        // 60 s of tries for each of the two routes, and two more tries of each that are under way or the last.
        deadlineSeconds: 125 + 4 * checkSeconds,
        networks: [{ name: args.doorNetwork }],
        volumes: [
          { name: args.routesVolume, path: "/routes", writable: true },
          ...(files ? [{ name: files.volumeName, path: "/beside" }] : []),
        ],
        env: {
          ROUTE_FILE: name,
          ROUTE: pulumi.output(args.content).apply(routeFile),
          ...(args.candidate && {
            CANDIDATE: pulumi.output(args.candidate).apply(routeFile),
            CANDIDATE_ROUTERS: pulumi.output(args.candidate).apply(routersOf),
          }),
          ROUTERS: pulumi.output(args.content).apply(routersOf),
          RELEASE: args.release,
          CHECK_PATH: args.checkPath ?? "",
          CHECK_SECONDS: String(checkSeconds),
          ...(files && { BESIDE: args.host.fingerprint(beside) }),
        },
      },
      { parent: this },
    );
    this.switchedBy = job.name;
    this.registerOutputs({ switchedBy: this.switchedBy });
  }
}

/**
 * Where the edge finds each of the files beside a route file. Others have another path, so that Traefik reads them anew: it
 * looks at a file when a route names another one, and the route of before still has its own if this one fails.
 */
export function pathsBeside(
  host: DockerHost,
  name: string,
  beside: Readonly<Record<string, pulumi.Input<string>>>,
): pulumi.Output<Record<string, string>> {
  if (Object.keys(beside).length === 0) return pulumi.output<Record<string, string>>({});
  return host
    .fingerprint(beside)
    .apply((of) =>
      Object.fromEntries(Object.keys(beside).map((file) => [file, `/routes/${name}.${of}.beside.${file}`])),
    );
}

/** As Traefik's API names them. */
function routersOf({ http, tcp }: DynamicConfiguration): string {
  const names = (kind: string, routers: object = {}) =>
    Object.keys(routers).map((name) => `${kind}/routers/${name}@file`);
  return [...names("http", http?.routers), ...names("tcp", tcp?.routers)].join(" ");
}

/** A text in a route file that one edge alone reads: to all others it is empty. */
export function onlyOn(hostname: string, text: string): string {
  return `${ONLY_ON}${hostname} ${text}${ONLY_ON}`;
}

const ONLY_ON = "\u0001";

/** Traefik reads a file as a template, in which {{ would begin an action. */
function routeFile(content: object): string {
  return JSON.stringify(content)
    .replaceAll("{{", "{\\u007b")
    .replaceAll(/\\u0001(\S+) (.*?)\\u0001/g, "{{ if eq (env `HOSTNAME`) `$1` }}$2{{ end }}");
}

/** Without its comments, as it stands in every `docker inspect` of a job. */
const CUTOVER = readFileSync(join(import.meta.dirname, "cutover.sh"), "utf8").replace(/^\s*#.*\n/gm, "");
