import * as pulumi from "@pulumi/pulumi";
import { Container, type ContainerArgs } from "./container.ts";
import type { DockerHost } from "./docker-host.ts";

export interface JobArgs extends Partial<
  Pick<ContainerArgs, "image" | "limits" | "tmpfsMb" | "env" | "labels" | "networks" | "volumes" | "hooks">
> {
  host: DockerHost;
  /** @default "job" */
  role?: "job" | "route";
  /** The name of what it works for. @default none */
  worksFor?: string;
  /**
   * For a POSIX shell, which the image has to have. It calls `finish` when its work is done; ending in any other way
   * fails the update.
   */
  script: string;
  /** Arguments of the script: "$@". @default [] */
  scriptArguments?: pulumi.Input<string>[];
  /** `uid:gid` that it runs as. */
  user: string;
  /** Why it is root, and what else it needs. @default [] */
  exceptions?: ContainerArgs["exceptions"];
  /**
   * The update fails when the work is not done by then. One that ends badly is seen at once: this is for a job that hangs,
   * and must not be what a busy host fails by. @default 60
   */
  deadlineSeconds?: number;
}

/**
 * A script that does one thing within an update. It is gated by health and not by its exit code: a job that ended badly
 * would count as made, and no later update would try it again.
 */
export class Job extends pulumi.ComponentResource {
  /** The container's name, known when the work is done. */
  readonly name: pulumi.Output<string>;

  constructor(name: string, args: JobArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Job", name, {}, { providers: [args.host.provider], ...opts });
    const { script, scriptArguments = [], deadlineSeconds, ...rest } = args;
    const intervalSeconds = args.host.knowsStartInterval ? 30 : 1;
    const container = new Container(
      name,
      {
        image: args.host.jobImage,
        limits: { memoryMb: 32, cpus: 0.5, pids: 32 },
        ...rest,
        role: args.role ?? "job",
        run: "once",
        entrypoint: ["/bin/sh", "-c", FINISH + script, name],
        command: scriptArguments,
        // Elsewhere no oftener than the provider looks: each look costs almost a tenth of a processor's second.
        health: { test: ["CMD", "test", "-e", "/tmp/done"], intervalSeconds, deadlineSeconds },
        graceSeconds: 1,
      },
      { parent: this },
    );
    this.name = container.name;
    this.registerOutputs({ name: this.name });
  }
}

/**
 * The provider looks at health once a second, and later on a busy host, so a job that is done stays to be seen. When it
 * has been, it is told to go: see job-hook.ts.
 */
const FINISH = `
set -u
finish() { trap 'exit 0' TERM; touch /tmp/done; sleep 15 & wait; exit 0; }
`;
