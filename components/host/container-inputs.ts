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

/** The value of a setting among entries like KEY=value. */
export function settingIn(entries: readonly string[], key: string): string | undefined {
  return entries.find((entry) => entry.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** The most processes that it may have. */
export function pidsOf({ labels }: ContainerInputs): number {
  return Number(labels.find(({ label }) => label === "bulkhead.pids")?.value);
}
