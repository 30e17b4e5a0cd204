/** What a hook gets of a container, as far as the hooks look at it. */
export interface ContainerInputs {
  /** On the host: Pulumi's own. */
  name: string;
  ports?: { external: number }[];
  labels: { label: string; value: string }[];
  image: string;
  /** Like KEY=value. */
  envs?: string[];
  mustRun?: boolean;
  tmpfs?: Record<string, string>;
  volumes?: { containerPath?: string }[];
  mounts?: { target: string }[];
}

/** The most processes that it may have. */
export function pidsOf({ labels }: ContainerInputs): number {
  return Number(labels.find(({ label }) => label === "bulkhead.pids")?.value);
}
