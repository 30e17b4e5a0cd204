import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { Container } from "./container.ts";
import type { Health } from "./health.ts";
import type { DockerHost } from "./docker-host.ts";
import { releaseOf, type ReleaseArgs, type ReplicatedArgs } from "./release.ts";
import { reviving } from "./revive.ts";

export interface WorkerArgs extends ReleaseArgs, ReplicatedArgs {
  host: DockerHost;
  /** A command by which Docker sees that it works. Give this or `heartbeat`. */
  health?: Health;
  /** A file that it writes while it works. Give this or `health`. */
  heartbeat?: Heartbeat;
  /**
   * Health checks in a row without an answer, or with a heartbeat that is too old, after which its processes are ended, so
   * that Docker starts it again. It needs /bin/sh in the image. 0: never.
   * @default 10
   */
  reviveAfterHangs?: number;
}

/**
 * Docker looks at the age of a file, in the container: for that the image needs /bin/sh and `date`. For an image without
 * them, give `health` with a program that the image has.
 */
export interface Heartbeat {
  /** Where it can write: the root file system is read-only, so under /tmp or in a volume. */
  path: string;
  /** How old it may be. More than the longest time between two writes. */
  maxAgeSeconds: number;
  /** The update fails when there is no heartbeat by then. @default 60 */
  deadlineSeconds?: number;
}

/**
 * A program that works without a route, such as one that reads a queue. A release is a new container; when it is healthy,
 * the old one gets SIGTERM and drainSeconds to end what it has begun. With `rollout: "stop-first"` it ends before.
 */
export class Worker extends pulumi.ComponentResource {
  /** The container of this release; of several replicas the first. */
  readonly container: Container;

  constructor(name: string, args: WorkerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Worker", name, {}, { providers: [args.host.provider], ...opts });
    const { host } = args;
    const [container] = releaseOf(this, name, args, {
      host,
      role: "worker",
      health: reviving(name, healthOf(name, args), args.reviveAfterHangs),
    });
    this.container = container;
    host.register(name, container);
    this.registerOutputs({ container: container.name });
  }
}

/** @throws Error with all that is wrong. */
function healthOf(name: string, { health, heartbeat }: WorkerArgs): Health {
  if ((health === undefined) === (heartbeat === undefined))
    throw new Error(
      health === undefined
        ? `${name}: has no health check: give health, a command, or heartbeat, a file that it writes while it works`
        : `${name}: has health and heartbeat: give one of them`,
    );
  if (health !== undefined) return health;
  const { path, maxAgeSeconds, deadlineSeconds = 60 } = heartbeat!;
  const problems: string[] = [];
  if (!path.startsWith("/") || path.endsWith("/"))
    problems.push(`${name}: heartbeat.path: ${path} is not the path of a file: give one like /tmp/heartbeat`);
  if (!Number.isInteger(maxAgeSeconds) || maxAgeSeconds < 1)
    problems.push(`${name}: heartbeat.maxAgeSeconds: ${maxAgeSeconds} is not a whole number from 1: give seconds`);
  if (!Number.isInteger(deadlineSeconds) || deadlineSeconds < 1)
    problems.push(`${name}: heartbeat.deadlineSeconds: ${deadlineSeconds} is not a whole number from 1: give seconds`);
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return { test: ["CMD", "/bin/sh", "-c", HEARTBEAT, "heartbeat", path, String(maxAgeSeconds)], deadlineSeconds };
}

/** Without its comments, as it stands in every `docker inspect` of a worker. */
const HEARTBEAT = readFileSync(join(import.meta.dirname, "heartbeat.sh"), "utf8").replace(/^\s*#.*\n/gm, "");
