import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import type { Container, ContainerArgs } from "./container.ts";
import { parseCron } from "./cron.ts";
import type { DockerHost } from "./docker-host.ts";
import { Job } from "./job.ts";
import { releaseOf, type ReleaseArgs } from "./release.ts";
import { offsetsOf } from "./time-zone.ts";

export interface ScheduledJobArgs extends Omit<ReleaseArgs, "command" | "drainSeconds"> {
  host: DockerHost;
  /** A cron expression of five fields, like "30 2 * * mon-fri", or @hourly, @daily, @weekly, @monthly or @yearly. */
  schedule: string;
  /** The zone that the schedule is in, like "Europe/Berlin". @default "UTC" */
  timeZone?: string;
  /** The program and its arguments. The image needs a POSIX shell, `date` and `sleep` besides. */
  command: string[];
  /** A run that takes longer gets SIGTERM, and SIGKILL ten seconds later. At most 86400, a day. @default 3600 */
  timeoutSeconds?: number;
  /** A run may begin while another still runs. @default false: it is skipped, and that is counted */
  overlap?: boolean;
  /** Volumes that hold no data of their own, for components that are made of several containers. @default [] */
  folders?: ContainerArgs["volumes"];
  /** What is told of it beside its name. @default {} */
  labels?: ContainerArgs["labels"];
  /** The name of what it is a part of: its label bulkhead.for. @default none */
  worksFor?: string;
}

/**
 * A program that runs by a schedule, in a container of its own release that waits for its times: neither the host's cron
 * nor the machine that deploys has a part in it. A release lets a run that has begun end, and begins the next one itself.
 */
export class ScheduledJob extends pulumi.ComponentResource {
  /** The container of this release. */
  readonly container: Container;

  constructor(name: string, args: ScheduledJobArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:ScheduledJob", name, {}, { providers: [args.host.provider], ...opts });
    const { host, timeoutSeconds = 3600 } = args;
    const settings = scheduleOf(name, args);
    const volume = new docker.Volume(
      `${name}-schedule`,
      { name: host.named(`${name}-schedule`), labels: host.labels({ "bulkhead.name": name }) },
      // The fixed name cannot be there twice.
      { parent: this, deleteBeforeReplace: true },
    );
    const folder = new Job(
      `${name}-schedule-folder`,
      {
        host,
        script: `chmod 0777 ${FOLDER} || exit\nfinish`,
        user: "0:0",
        exceptions: [{ rootUser: true, why: "root owns a new volume, and gives the job leave to write there" }],
        volumes: [{ name: volume.name, path: FOLDER, writable: true }],
      },
      { parent: this },
    );
    const shared = pulumi.all([volume.name, folder.name]).apply(([volumeName]) => volumeName);
    const entrypoint = ["/bin/sh", "-c", SCHEDULE, "schedule"];
    [this.container] = releaseOf(
      this,
      name,
      { ...args, command: ["serve", ...settings, ...args.command], drainSeconds: timeoutSeconds },
      {
        host,
        role: "scheduled-job",
        entrypoint,
        volumes: [{ name: shared, path: FOLDER, writable: true }, ...(args.folders ?? [])],
        labels: args.labels,
        worksFor: args.worksFor,
        health: { test: ["CMD", ...entrypoint, "health", ...settings], intervalSeconds: 30, retries: 1 },
        // The time-out ends a run, ten seconds before what does not listen.
        graceSeconds: timeoutSeconds + 15,
      },
    );
    host.register(name, this.container);
    this.registerOutputs({ container: this.container.name });
  }
}

/** What schedule.sh is told. @throws Error with all that is wrong. */
function scheduleOf(name: string, args: ScheduledJobArgs): string[] {
  const { schedule, timeZone = "UTC", command, timeoutSeconds = 3600, overlap = false } = args;
  const problems: string[] = [];
  const tried = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      problems.push((error as Error).message);
      return undefined;
    }
  };
  const cron = tried(() => parseCron(`${name}: schedule`, schedule));
  const offsets = tried(() => offsetsOf(`${name}: timeZone`, timeZone));
  if (command.length === 0) problems.push(`${name}: command: is empty: give the program and its arguments`);
  if (!Number.isInteger(timeoutSeconds) || timeoutSeconds < 1 || timeoutSeconds > MOST_SECONDS)
    problems.push(
      `${name}: timeoutSeconds: ${timeoutSeconds} is not a whole number from 1 to ${MOST_SECONDS}: give seconds`,
    );
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const { minutes, hours, days, months, weekdays, either, fixed } = cron!;
  // The provider refuses an argument that is empty.
  const flags = [either && "either", fixed && "fixed", overlap && "overlap"].filter(Boolean).join(" ") || "none";
  return [minutes, hours, days, months, weekdays, flags, offsets!, String(timeoutSeconds)];
}

const MOST_SECONDS = 86_400;

/** Without its comments, as it stands in every `docker inspect` of a job. */
const SCHEDULE = readFileSync(join(import.meta.dirname, "schedule.sh"), "utf8").replace(/^\s*#.*\n/gm, "");

/** Where the releases of a job leave word for each other. */
const FOLDER = /^folder=(\S+)$/m.exec(SCHEDULE)![1]!;
