import { isIP } from "node:net";
import { covers } from "../../components/edge/hosts.ts";
import { overlap, publishersOf } from "../../components/docker-engine/published-ports.ts";
import { isAtLeast } from "../../toolchain/pins.ts";
import { type HostFacts, type Space } from "./host-facts.ts";
import { bad, inDaemonJson, ok, unknown, warn, type Finding, type Verdict } from "./finding.ts";
import { networkChecks } from "./network-checks.ts";
import { pgbouncerVersion } from "./pgbouncer-version.ts";
import { enumerated } from "../report/markdown.ts";

/** Of the engine alone: what it says of itself is enough, and a shell on its host says more. */
export const engineChecks: Record<string, (facts: Pick<HostFacts, "engine" | "shell">) => Finding> = {
  engine: ({ engine: { ServerVersion } }) => {
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
    if (listening === undefined) return unknown("the engine tells of none; the host's sockets cannot be seen");
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

/** What `bulkhead doctor` looks at, in the order in which it says it. */
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

  ...engineChecks,

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

  disk: ({ engine: { DockerRootDir }, shell }) => {
    const { disk, inodes } = shell ?? {};
    if (disk === undefined) return unknown(DockerRootDir);
    const found = `${gib(disk.free)} GiB free of ${gib(disk.total)} in ${DockerRootDir}${inodes ? `, ${percentFree(inodes)} % of the inodes` : ""}`;
    const cure = [
      "Images and logs need room, and a full disk stops databases. As root on the host:",
      "  docker system df && docker image prune --all    # images that no container uses",
      `  du -xh --max-depth=2 ${DockerRootDir} | sort -h | tail`,
    ];
    const least = inodes ? percentFree(inodes) : 100;
    if (disk.free < MIB || least < 2) return bad(found, cure);
    return disk.free < 5 * MIB || percentFree(disk) < 10 || least < 10 ? warn(found, cure) : ok(found);
  },

  data: ({ data, shell }) => {
    if (data === undefined) return unknown("what its volumes hold takes Docker too long to tell");
    if (data.length === 0) return ok("no volume of the program");
    const found = data.map(({ name, usedMb, maxMb }) => `${name} has ${Math.round(usedMb)} of ${maxMb} MiB`).join(", ");
    const cure = [
      "Nothing stops a volume at its maxMb, as Docker has no quota for it; a full disk stops everything. Delete what is no",
      "more needed, or give it more: maxMb of the DataVolume in the program, and a disk with room for it.",
    ];
    if (data.some(({ usedMb, maxMb }) => usedMb > maxMb)) return bad(found, cure);
    const growMb = data.reduce((sum, { usedMb, maxMb }) => sum + Math.max(0, maxMb - usedMb), 0);
    const freeMb = (shell?.disk?.free ?? Infinity) / 1024;
    if (growMb > freeMb)
      return warn(`${found}; they may grow by ${Math.round(growMb)} MiB, and ${Math.round(freeMb)} are free`, cure);
    return data.some(({ usedMb, maxMb }) => usedMb > 0.8 * maxMb) ? warn(found, cure) : ok(found);
  },

  "backup key": ({ containers, stack: { label, backupKeyKept } }) => {
    const isBackedUp = containers.some(
      ({ Labels }) => Labels["bulkhead.stack"] === label && Labels["bulkhead.backup"] !== undefined,
    );
    if (!isBackedUp) return ok("the stack has no backups");
    if (backupKeyKept !== undefined) return ok(`kept: ${backupKeyKept}`);
    return warn("nobody has said where a copy of it is kept", [
      "If this host and Pulumi's state are lost, nobody can read the backups without the key.",
      "  bulkhead backup-key                          # shows it, at a terminal alone",
      '  bulkhead backup-key --kept "our safe, 2026"  # says where it is kept',
    ]);
  },

  pgbouncer: ({ containers, stack: { label } }) => pgbouncerVersion(containers, label),
  "backup lock": ({ vaults = [] }) => {
    if (vaults.length === 0) return ok("the stack has no backups");
    const found = vaults
      .map((each) => {
        if (each.mode === "unknown") return `${each.bucket}: ${each.why}`;
        return each.mode === "none" ? `${each.bucket} has none` : `${each.bucket}: ${each.mode}, ${each.days} days`;
      })
      .join("; ");
    // One place that nobody can empty is enough to come back from.
    if (vaults.some(({ mode }) => mode === "COMPLIANCE")) return ok(found);
    if (vaults.every(({ mode }) => mode === "unknown")) return unknown(found);
    return warn(found, [
      "Whoever takes the host has the storage's credentials, and deletes the backups with it. Make the bucket with S3's",
      "object lock and a default retention in the mode COMPLIANCE: GOVERNANCE is ended by a key that may bypass it.",
      "With R2: `lockDays` of the ObjectStorage. See docs/how-to/backup-copy.md.",
    ]);
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

  ports: (facts) => {
    if (!facts.stack.edge) return ok(NO_PORT);
    const { address, httpsPort, httpRedirect = false, httpPort = 80, tcp = {} } = facts.stack.edge;
    const ports = [
      ["edge.httpsPort", httpsPort] as const,
      ...(httpRedirect ? [["edge.httpPort", httpPort] as const] : []),
      ...Object.entries(tcp).map(([name, port]) => [`edge.tcp.${name}`, port] as const),
    ];
    const holders = ports.flatMap(([path, port]) =>
      holdersOf(facts, address, port).map((holder) => `${path}: ${port} is held by ${holder}`),
    );
    const found = `${enumerated(ports.map(([, port]) => String(port)))} on ${address}`;
    if (holders.length === 0)
      return facts.shell?.listening === undefined ? unknown(`${found}: no other container's`) : ok(found);
    return bad(holders.join("; "), [
      "Stop what holds it, or give another port in the stack file. As root on the host:",
      `  ss -ltnp '( ${ports.map(([, port]) => `sport = :${port}`).join(" or ")} )'    # names the process`,
    ]);
  },

  ...networkChecks,

  address: ({ stack: { edge }, shell }) => {
    if (!edge) return ok(NO_PORT);
    if (overlap(edge.address, "127.0.0.1")) return ok(`edge.address ${edge.address}`);
    if (shell?.addresses === undefined) return unknown(`edge.address ${edge.address}`);
    return shell.addresses.includes(edge.address)
      ? ok(`edge.address ${edge.address} is the host's`)
      : bad(`edge.address ${edge.address} is not the host's`, [
          `It has ${shell.addresses.filter(isOutside).join(", ")}: give one of these, or 0.0.0.0. A cloud's public address is`,
          "often not on the machine itself.",
        ]);
  },

  clients: ({ stack: { edge } }) => {
    if (!edge) return ok("come through a tunnel");
    if (isIP(edge.address) !== 6) return ok("each by its own address");
    return warn("over IPv6 all show as one, by an address of Docker's", [
      "Docker hands their connections on by itself, as its networks have no IPv6: all together get what one client gets.",
      "Listen on IPv4 (edge.address: 0.0.0.0) and give the domain no AAAA record; behind Cloudflare's proxy, which serves",
      "IPv6 to clients, nothing is lost. Else say how many they are: edge.sharedAddresses, with the address in the edge's log.",
    ]);
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

  DNS: (facts) => {
    const { stack, further = [] } = facts;
    const named = further.flatMap(({ name, addresses }) => (addresses === undefined ? [] : [{ name, addresses }]));
    return worst([
      dnsOf(facts),
      ...named.map(({ name, addresses }) =>
        dnsOf({ ...facts, stack: { ...stack, domain: name }, domainAddresses: addresses }),
      ),
    ]);
  },

  certificate: (facts) => {
    const { stack, further = [] } = facts;
    return worst([
      certificateOf(facts),
      ...further.map(({ name, certificate }) =>
        certificateOf({ ...facts, certificate, stack: { ...stack, domain: name } }),
      ),
    ]);
  },
};

/** What is found of each, with the worst verdict and the cures; one that is said twice is said once. */
function worst(findings: readonly Finding[]): Finding {
  const order: readonly Verdict[] = ["bad", "warn", "unknown", "ok"];
  const verdict = order.find((each) => findings.some((finding) => finding.verdict === each))!;
  return {
    found: [...new Set(findings.map(({ found }) => found))].join("; "),
    verdict,
    cure: [...new Set(findings.flatMap(({ cure }) => cure))],
  };
}

function dnsOf({ stack: { domain, edge }, domainAddresses, hostAddresses }: HostFacts): Finding {
  if (!domain.includes(".")) return ok(`${domain} is a name of this machine alone`);
  const cure = [`Clients find the stack by this name: point ${domain} to the host, in the DNS of its zone.`];
  if (domainAddresses.length === 0) return warn(`${domain} has no address`, cure);
  const found = `${domain} is ${domainAddresses.join(", ")}`;
  // Those of Cloudflare, where the tunnel ends.
  if (!edge) return ok(found);
  return domainAddresses.some((address) => hostAddresses.includes(address))
    ? ok(found)
    : warn(`${found}, not the host`, ["Right if a proxy like Cloudflare's stands before it.", ...cure]);
}

function certificateOf({ certificate, now, stack: { label, domain } }: HostFacts): Finding {
  if (certificate === undefined) return unknown("no edge runs there");
  const log = `  docker logs $(docker ps -q -f label=bulkhead.stack=${label} -f label=bulkhead.role=edge) 2>&1 | grep -i acme`;
  if (certificate === "none yet")
    return bad("none yet: clients are shown one of the edge's own", [
      "The CA has not given one: the edge's log says why. It asks again when a route changes, as in a release. On the host:",
      log,
    ]);
  const { kind, names, from, until } = certificate;
  const days = Math.floor((until.getTime() - now.getTime()) / DAY_MS);
  const found = `for ${names.join(", ")} until ${until.toISOString().slice(0, 10)}, ${days} days`;
  const cure =
    kind === "acme"
      ? ["The edge renews it when a third of its time is left, and has not: its log says why. On the host:", log]
      : ["Give the stack a newer one (certificates in its stack file), and `bulkhead up`."];
  if (until <= now) return bad(`for ${names.join(", ")}, and over since ${until.toISOString().slice(0, 10)}`, cure);
  if (!names.some((name) => covers(name, domain)))
    return bad(`${found}, and not for ${domain}`, [
      "Give the stack one for its domain (certificates in its stack file).",
    ]);
  return until.getTime() - now.getTime() < (until.getTime() - from.getTime()) / 4 ? warn(found, cure) : ok(found);
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

const DAY_MS = 86_400_000;

/** In KiB. */
const MIB = 2 ** 20;

function hasOption({ SecurityOptions }: HostFacts["engine"], name: string): boolean {
  return (SecurityOptions ?? []).some((option) => option.startsWith(`name=${name}`));
}

function isRootless(engine: HostFacts["engine"]): boolean {
  return hasOption(engine, "rootless");
}

const NO_PORT = "none: clients come through a tunnel";

/** Who holds a port of the host that this stack wants. */
function holdersOf({ containers, stack, shell }: HostFacts, address: string, port: number): string[] {
  const publishers = publishersOf(containers, address, port);
  const others = publishers.filter(({ Labels }) => Labels["bulkhead.stack"] !== stack.label);
  if (publishers.length > 0) return others.map(({ Names }) => `the container ${Names[0]?.slice(1)}`);
  const listener = shell?.listening?.find((other) => other.port === port && overlap(other.address, address));
  return listener === undefined ? [] : [`${listener.process ?? "a process"}, which is in no container`];
}

function isOutside(address: string): boolean {
  return isIP(address) !== 0 && !/^(127\.|::1$|fe80:|172\.(1[6-9]|2\d|3[01])\.)/.test(address);
}

function gib(kib: number): string {
  return (kib / MIB).toFixed(1);
}

function percentFree({ total, free }: Space): number {
  return Math.floor((100 * free) / total);
}
