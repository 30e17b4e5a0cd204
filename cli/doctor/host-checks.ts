// What `bulkhead doctor` looks at, in the order in which it says it.
import { dataChecks } from "./data-checks.ts";
import { dockerChecks, isRootless } from "./docker-checks.ts";
import { edgeChecks } from "./edge-checks.ts";
import { bad, inDaemonJson, ok, unknown, warn, type Finding } from "./finding.ts";
import { CONTAINERD_ROOT, type HostFacts, type Space } from "./host-facts.ts";
import { networkChecks } from "./network-checks.ts";

export const checks: Record<string, (facts: HostFacts) => Finding> = {
  "way in": ({ url, agentHasKey }) => {
    if (url.startsWith("tcp:"))
      return bad(`${url}, without encryption`, [
        "Whoever reaches that port is root on the host. Reach it by ssh:// instead: docs/how-to/ssh-host.md",
      ]);
    if (!url.startsWith("ssh:")) return ok(url);
    if (agentHasKey) return ok(`${url}, host key known, key in the agent`);
    return warn(`${url}, host key known, no key in the agent`, [
      "A key file without a passphrase let you in: whoever gets to read that file is root on the host.",
      "  ssh-keygen -p -f ~/.ssh/id_ed25519    # gives it a passphrase",
      "  ssh-add ~/.ssh/id_ed25519             # and the agent the key",
    ]);
  },

  login: ({ url, shell, engine }) => {
    if (!url.startsWith("ssh:")) return ok("this machine's user");
    if (shell === undefined) return unknown("no shell on the host");
    if (shell.user === "root")
      return warn("root", [
        "A user of its own needs no root login, which sshd can then refuse (PermitRootLogin no). As root on the host:",
        "  adduser --disabled-password deploy && adduser deploy docker",
      ]);
    if (isRootless(engine)) return ok(`${shell.user}; Docker has no more rights than this user`);
    const inGroup = shell.groups.includes("docker") ? "in the group docker" : "who may use Docker";
    return ok(`${shell.user}, ${inGroup}: as good as root`);
  },

  ...dockerChecks,

  logs: ({ engine: { LoggingDriver }, shell }) => {
    if (LoggingDriver !== "json-file") return ok(`${LoggingDriver} by default`);
    if (shell === undefined) return unknown("json-file by default");
    // A pattern, as a file that somebody is at work on may be no JSON.
    return /"max-size"/.test(shell.daemon ?? "")
      ? ok("json-file by default, rotated")
      : warn("json-file by default, never rotated", [
          "The stack rotates its own; the logs of any other container grow until the disk is full.",
          ...inDaemonJson('"log-driver": "local"', "restart"),
        ]);
  },

  disk: ({ engine: { DockerRootDir, DriverStatus }, shell }) => {
    const { disk, inodes, imageDisk } = shell ?? {};
    if (disk === undefined) return unknown(DockerRootDir);
    // Docker 29 on a new host, wherever its own data is.
    const isOnContainerd = (DriverStatus ?? []).some(([, value]) => value.startsWith("io.containerd.snapshotter"));
    const places: { folder: string; disk: Space; inodes?: Space | undefined }[] = [
      { folder: DockerRootDir, disk, inodes },
      ...(isOnContainerd && imageDisk ? [{ folder: CONTAINERD_ROOT, disk: imageDisk }] : []),
    ];
    const found = places
      .map(
        ({ folder, disk, inodes }) =>
          `${gib(disk.free)} GiB free of ${gib(disk.total)} in ${folder}${inodes ? `, ${percentFree(inodes)} % of the inodes` : ""}`,
      )
      .join("; ");
    const cure = [
      "Images and logs need room, and a full disk stops databases. As root on the host:",
      "  docker system df && docker image prune --all    # images that no container uses",
      ...places.map(({ folder }) => `  du -xh --max-depth=2 ${folder} | sort -h | tail`),
    ];
    const least = inodes ? percentFree(inodes) : 100;
    if (places.some(({ disk }) => disk.free < MIB) || least < 2) return bad(found, cure);
    const isLow = places.some(({ disk }) => disk.free < 5 * MIB || percentFree(disk) < 10) || least < 10;
    return isLow ? warn(found, cure) : ok(found);
  },

  memory: ({ engine: { MemTotal }, stack: { memoryMb } }) => {
    const totalMb = Math.round(MemTotal / 2 ** 20);
    const found = `${totalMb} MiB; the services' limits are ${memoryMb} MiB`;
    // While a release replaces another, both are there.
    return totalMb >= 2 * memoryMb
      ? ok(found)
      : warn(found, [
          "During a rollout there are two of a service, and the kernel ends processes of its choice when memory runs out.",
          "Give the services less in the stack file (memoryMb), or the host more.",
        ]);
  },

  clock: ({ clock: { aheadSeconds, uncertainSeconds } }) => {
    const off = Math.max(0, Math.abs(aheadSeconds) - uncertainSeconds);
    const found =
      off < 1 ? "as this machine's" : `${off.toFixed(0)} s ${aheadSeconds > 0 ? "ahead of" : "behind"} this machine's`;
    const cure = [
      "Certificates and tokens are then not yet valid, or no more. Which of the two is wrong? As root on that one:",
      "  timedatectl set-ntp true && timedatectl",
    ];
    if (off > 300) return bad(found, cure);
    return off > 5 ? warn(found, cure) : ok(found);
  },

  time: ({ shell }) => {
    if (shell?.timeSynchronized === undefined) return unknown("no timedatectl to ask");
    return shell.timeSynchronized
      ? ok("synchronised")
      : warn("not synchronised", ["Its clock will drift. As root on the host:", "  timedatectl set-ntp true"]);
  },

  updates: ({ shell }) => {
    if (shell === undefined) return unknown("no shell on the host");
    const { securityUpdates, rebootRequired, kernel, newerKernel } = shell;
    const reboot = newerKernel !== undefined || rebootRequired;
    const found = [
      ...(securityUpdates ? [`${securityUpdates} security updates wait`] : []),
      ...(reboot ? [`${newerKernel === undefined ? "an update" : `kernel ${newerKernel}`} waits for a reboot`] : []),
    ];
    if (found.length > 0)
      return warn(found.join("; "), [
        "The kernel is all that keeps containers apart. As root on the host:",
        ...(securityUpdates ? ["  apt-get update && apt-get upgrade"] : []),
        ...(reboot ? ["  reboot    # the stack comes back by itself"] : []),
      ]);
    return securityUpdates === undefined ? unknown(`kernel ${kernel}`) : ok(`none wait; kernel ${kernel}`);
  },

  sshd: ({ url, shell }) => {
    if (!url.startsWith("ssh:")) return ok("not on the way");
    if (shell?.sshd === undefined) return unknown("its settings are for root to read");
    const { maxStartups, maxSessions } = shell.sshd;
    const found = `MaxSessions ${maxSessions}, MaxStartups ${maxStartups}`;
    return maxSessions >= 10 && maxStartups >= 10
      ? ok(found)
      : warn(found, [
          "Less than sshd's own 10: an update makes more connections, or loses some. Update one resource at a time less:",
          `  export PULUMI_PARALLEL=${Math.max(1, Math.min(maxStartups - 4, 6))}`,
        ]);
  },

  ...networkChecks,
  ...edgeChecks,
  ...dataChecks,
};

function gib(kib: number): string {
  return (kib / MIB).toFixed(1);
}

function percentFree({ total, free }: Space): number {
  return Math.floor((100 * free) / total);
}

/** In KiB. */
const MIB = 2 ** 20;
