/** What Docker says in `/info` of its own settings. */
export interface DaemonInfo {
  LiveRestoreEnabled: boolean;
  /** Like `name=seccomp,profile=builtin`. */
  SecurityOptions: string[] | null;
  CgroupVersion?: string;
  CgroupDriver: string;
  MemoryLimit: boolean;
  SwapLimit: boolean;
  CpuCfsQuota: boolean;
  PidsLimit: boolean;
  Driver: string;
  LoggingDriver: string;
  DefaultRuntime?: string;
  Debug?: boolean;
  ExperimentalBuild?: boolean;
  Swarm?: { LocalNodeState: string };
  RegistryConfig?: {
    InsecureRegistryCIDRs?: string[] | null;
    IndexConfigs?: Record<string, { Secure: boolean }> | null;
    Mirrors?: string[] | null;
  };
  Plugins?: { Authorization?: string[] | null };
}

/** By name, as text: what an update keeps in the state, and what is compared with it later. */
export type DaemonSettings = Readonly<Record<string, string>>;

/** Settings that decide how containers are held, and from where images come. None changes by itself. */
export function daemonSettings(info: DaemonInfo): DaemonSettings {
  const { RegistryConfig, Plugins, Swarm } = info;
  const named = Object.entries(RegistryConfig?.IndexConfigs ?? {}).filter(([, { Secure }]) => !Secure);
  // Of itself every Docker trusts its own machine.
  const ranges = (RegistryConfig?.InsecureRegistryCIDRs ?? []).filter((range) => !LOOPBACK.includes(range));
  const limits = { memory: info.MemoryLimit, swap: info.SwapLimit, CPU: info.CpuCfsQuota, processes: info.PidsLimit };
  const option = (name: string) => securityOption(info, name);
  return {
    "live-restore": onOff(info.LiveRestoreEnabled),
    users: option("rootless") ? "rootless" : option("userns") ? "remapped" : "not remapped",
    confinement: option("apparmor") ? "AppArmor" : option("selinux") ? "SELinux" : "none",
    seccomp: option("seccomp")?.replace(/^profile=(default|builtin)$/, "Docker's profile") ?? "none",
    "new privileges": option("no-new-privileges") ? "refused by default" : "as each container says",
    cgroup: `version ${info.CgroupVersion ?? "1"}, driver ${info.CgroupDriver}`,
    limits: listed(Object.entries(limits).flatMap(([name, works]) => (works ? [name] : []))),
    storage: info.Driver,
    logs: info.LoggingDriver,
    runtime: info.DefaultRuntime ?? "none",
    "insecure registries": listed([...ranges, ...named.map(([name]) => name)]),
    "registry mirrors": listed(RegistryConfig?.Mirrors ?? []),
    "authorization plugins": listed(Plugins?.Authorization ?? []),
    swarm: Swarm?.LocalNodeState ?? "inactive",
    debug: onOff(info.Debug ?? false),
    experimental: onOff(info.ExperimentalBuild ?? false),
  };
}

const LOOPBACK = ["127.0.0.0/8", "::1/128"];

/** What follows the name of an option; undefined where Docker has none of that name. */
function securityOption({ SecurityOptions }: DaemonInfo, name: string): string | undefined {
  const [found] = (SecurityOptions ?? []).flatMap((option) => {
    const [, key, rest] = /^name=([^,]+)(?:,(.*))?$/.exec(option) ?? [];
    return key === name ? [rest ?? "on"] : [];
  });
  return found;
}

function onOff(value: boolean): string {
  return value ? "on" : "off";
}

function listed(names: readonly string[]): string {
  return [...names].sort().join(", ") || "none";
}
