// What Docker says of itself, with the cure of what is wrong.
import { isAtLeast } from "../../toolchain/pins.ts";
import { bad, inDaemonJson, ok, unknown, warn, type Finding } from "./finding.ts";
import type { HostFacts } from "./host-facts.ts";

/** Of Docker alone: what it says of itself is enough, and a shell on its host says more. */
export const dockerChecks: Record<string, (facts: Pick<HostFacts, "engine" | "shell">) => Finding> = {
  Docker: ({ engine: { ServerVersion } }) => {
    const cure = ["Upgrade Docker: https://docs.docker.com/engine/install/"];
    if (!isAtLeast(ServerVersion, "20.10")) return bad(`${ServerVersion}, older than 20.10`, cure);
    // Distributions mend their own; only their support says for how long.
    if (/\+dfsg|-\dubuntu|~/.test(ServerVersion)) return ok(`${ServerVersion}, kept up by the distribution`);
    const [release, end] = ENDS.find(([release]) => ServerVersion.startsWith(`${release}.`)) ?? [];
    return end === undefined
      ? ok(ServerVersion)
      : warn(`${ServerVersion}: ${release} has had no fixes since ${end}`, cure);
  },

  API: ({ engine, shell }) => {
    const open = /API is accessible on (\S+)/.exec((engine.Warnings ?? []).join("\n"))?.[1];
    const cure = [
      "Take its tcp:// out of `hosts` in /etc/docker/daemon.json, or -H tcp:// out of `systemctl cat docker`. As root:",
      "  systemctl restart docker    # and look: ss -ltnp 'sport = :2375'",
    ];
    if (open !== undefined)
      return bad(`open on ${open.replace(/\.$/, "")}, without encryption`, [
        "Whoever can connect to it is root on the host, and so is every container there.",
        ...cure,
      ]);
    const { listening } = shell ?? {};
    if (listening === undefined) return unknown("Docker tells of none; the host's sockets cannot be seen");
    const found = listening.find(({ port }) => DOCKER_PORTS.includes(port));
    return found === undefined
      ? ok("a socket only")
      : warn(`something listens on ${found.address}:${found.port}, a port of Docker`, [
          "If that is Docker, whoever has a certificate for it, or is on the host, is root there.",
          ...cure,
        ]);
  },

  "live-restore": ({ engine }) =>
    engine.LiveRestoreEnabled
      ? ok("on")
      : warn("off", [
          "Every container stops when Docker is upgraded or restarted.",
          ...inDaemonJson('"live-restore": true', "reload"),
        ]),

  users: ({ engine }) => {
    if (isRootless(engine)) return ok("rootless: root in a container is the user of Docker");
    if (hasOption(engine, "userns")) return ok("remapped: root in a container is nobody on the host");
    return warn("not remapped: root in a container is root on the host, if it gets out", [
      "The services are not root, but couriers and jobs are, without capabilities. Only on a host without containers and",
      "data, for everything that Docker has is hidden afterwards:",
      ...inDaemonJson('"userns-remap": "default"', "restart"),
    ]);
  },

  confinement: ({ engine }) => {
    if (hasOption(engine, "apparmor")) return ok("AppArmor");
    if (hasOption(engine, "selinux")) return ok("SELinux");
    return warn("neither AppArmor nor SELinux", [
      "Nothing but the kernel's own checks stands between a container and the host's files. On Debian and Ubuntu, as root:",
      "  apt-get install -y apparmor && reboot",
      "On Fedora and its kin:",
      ...inDaemonJson('"selinux-enabled": true', "restart"),
    ]);
  },

  seccomp: ({ engine }) => {
    const profile = /name=seccomp(?:,profile=(\S+))?/.exec((engine.SecurityOptions ?? []).join("\n"));
    if (profile !== null && profile[1] !== "unconfined") return ok(`profile ${profile[1] ?? "default"}`);
    return bad(profile === null ? "not there" : "unconfined", [
      "Containers may make any call to the kernel. It needs a kernel with CONFIG_SECCOMP_FILTER, and no",
      '"seccomp-profile": "unconfined" in /etc/docker/daemon.json.',
    ]);
  },

  cgroup: ({ engine: { CgroupVersion = "1", CgroupDriver } }) => {
    const found = `version ${CgroupVersion}, driver ${CgroupDriver}`;
    if (CgroupDriver === "none")
      return bad(found, [
        "No limit holds. Rootless Docker needs cgroup version 2 and systemd with delegation:",
        "https://docs.docker.com/engine/security/rootless/tips/#limiting-resources",
      ]);
    return CgroupVersion === "1"
      ? warn(found, [
          "systemd and Docker are giving it up. A distribution of these years has version 2; on one that offers both, as",
          "root: add systemd.unified_cgroup_hierarchy=1 to the kernel's command line, and reboot.",
        ])
      : ok(found);
  },

  limits: ({ engine: { MemoryLimit, CpuCfsQuota, PidsLimit, SwapLimit } }) => {
    const missing = Object.entries({ memory: MemoryLimit, CPU: CpuCfsQuota, processes: PidsLimit })
      .filter(([, works]) => !works)
      .map(([name]) => name);
    if (missing.length > 0)
      return bad(`none for ${missing.join(", ")}`, [
        "The stack's limits cannot be set. The kernel needs these controllers; on some boards they are off. As root: add",
        "cgroup_enable=memory cgroup_memory=1 to the kernel's command line, and reboot.",
      ]);
    return SwapLimit
      ? ok("memory, swap, CPU, processes")
      : warn("memory, CPU, processes; none for swap", [
          "A container at its memory limit goes on into swap. As root: add swapaccount=1 to the kernel's command line and",
          "reboot, or do without swap: swapoff -a, and its line out of /etc/fstab.",
        ]);
  },

  storage: ({ engine: { Driver, DriverStatus } }) => {
    const found = [Driver, ...(DriverStatus ?? []).flatMap(([key, value]) => (/^Backing/.test(key) ? [value] : []))];
    if ((DriverStatus ?? []).some(([key, value]) => key === "Supports d_type" && value === "false"))
      return bad(`${found.join(" on ")}, without d_type`, [
        "Files of images go wrong on it. Make the file system anew with mkfs.xfs -n ftype=1, and move Docker's data there.",
      ]);
    return GOOD_DRIVERS.includes(Driver)
      ? ok(found.join(" on "))
      : warn(found.join(" on "), [
          "Newer Docker has it no more, or it copies every layer whole. On a host without containers and data:",
          ...inDaemonJson('"storage-driver": "overlay2"', "restart"),
        ]);
  },
};

export function isRootless(engine: HostFacts["engine"]): boolean {
  return hasOption(engine, "rootless");
}

function hasOption({ SecurityOptions }: HostFacts["engine"], name: string): boolean {
  return (SecurityOptions ?? []).some((option) => option.startsWith(`name=${name}`));
}

/** Releases of Docker that get no more fixes, by what the project has announced. */
const ENDS: readonly [string, string][] = [
  ["20.10", "2023-12-10"],
  ["23.0", "2025-05-19"],
  ["24.0", "2024-06-08"],
  ["26.0", "2024-06-08"],
  ["26.1", "2025-02-17"],
  ["27", "2025-05-03"],
];

const DOCKER_PORTS = [2375, 2376];
const GOOD_DRIVERS = ["overlay2", "overlayfs", "btrfs", "zfs", "fuse-overlayfs"];
