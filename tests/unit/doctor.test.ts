import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Verdict } from "../../cli/doctor/finding.ts";
import { checks } from "../../cli/doctor/host-checks.ts";
import { gatherFacts, shellFacts, type HostFacts, type ShellFacts } from "../../cli/doctor/host-facts.ts";
import { insideOf } from "../../cli/doctor/network-facts.ts";
import { servedCertificate, type ServedCertificate } from "../../cli/doctor/served-certificate.ts";
import type { VaultLock } from "../../cli/doctor/vault-lock.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { makeCertificates } from "../support/certificates.ts";
import { startFakeEngine } from "./fake-engine.ts";
import { soundEngine as engine } from "./sound-engine.ts";
import { projectDirectory } from "./source.ts";

const shell: ShellFacts = {
  user: "deploy",
  groups: ["deploy", "docker"],
  disk: { total: 40 * 2 ** 20, free: 30 * 2 ** 20 },
  inodes: { total: 1000, free: 900 },
  listening: [{ address: "0.0.0.0", port: 22 }],
  addresses: ["127.0.0.1", "203.0.113.10", "172.17.0.1", "::1", "fe80::1"],
  routes: ["172.17.0.0/16", "203.0.113.0/24"],
  mtu: 1500,
  firewall: "-P PREROUTING ACCEPT\n-N DOCKER",
  timeSynchronized: true,
  sshd: { maxStartups: 10, maxSessions: 10 },
  daemon: '{ "live-restore": true, "log-opts": { "max-size": "10m" } }',
  kernel: "6.12.30",
  securityUpdates: 0,
  rebootRequired: false,
};
const good: HostFacts = {
  stack: {
    label: "reach-prod",
    domain: "reach.example.com",
    edge: { address: "203.0.113.10", httpsPort: 443, tcp: { clients: 2222 } },
    memoryMb: 1536,
  },
  url: "ssh://deploy@203.0.113.10",
  agentHasKey: true,
  engine,
  containers: [],
  clock: { aheadSeconds: 0.1, uncertainSeconds: 0.2 },
  domainAddresses: ["203.0.113.10"],
  hostAddresses: ["203.0.113.10"],
  now: new Date("2026-03-01T12:00:00Z"),
  certificate: {
    ...{ kind: "acme", names: ["reach.example.com", "*.reach.example.com"] },
    ...{ from: new Date("2026-02-01T00:00:00Z"), until: new Date("2026-05-02T00:00:00Z") },
  },
  shell,
  data: [],
  network: {
    networks: [{ name: "bridge", subnets: ["172.17.0.0/16"] }],
    pools: [{ Base: "172.16.0.0/12", Size: 16 }],
    inside: { resolverAnswers: true, metadataAnswers: false },
  },
};

const onEngine = (changes: Partial<HostFacts["engine"]>): Partial<HostFacts> => ({ engine: { ...engine, ...changes } });
const inShell = (changes: Partial<ShellFacts>): Partial<HostFacts> => ({ shell: { ...shell, ...changes } });
const onContainerd = ({ free }: { free: number }): Partial<HostFacts> => ({
  ...onEngine({ Driver: "overlayfs", DriverStatus: [["driver-type", "io.containerd.snapshotter.v1"]] }),
  ...inShell({ imageDisk: { total: 20 * 2 ** 20, free } }),
});
const edge = (changes: Partial<HostFacts["stack"]["edge"]>): Partial<HostFacts> => ({
  stack: { ...good.stack, edge: { ...good.stack.edge!, ...changes } },
});
const certificate = (changes: object): Partial<HostFacts> => ({
  certificate: { ...(good.certificate as Exclude<ServedCertificate, string>), ...changes },
});
const at = (day: string): Partial<HostFacts> => ({ now: new Date(`${day}T00:00:00Z`) });
const uploads = (usedMb: number): Partial<HostFacts> => ({ data: [{ name: "uploads", usedMb, maxMb: 1000 }] });
const backedUp = (backupKeyKept: string | undefined): Partial<HostFacts> => ({
  containers: [
    { Names: ["/backup"], Ports: [], Labels: { "bulkhead.stack": "reach-prod", "bulkhead.backup": "watch" } },
  ],
  stack: { ...good.stack, backupKeyKept },
});
const pools = (image: string, labels: Record<string, string> = {}): Partial<HostFacts> => ({
  containers: [{ Names: ["/reach-prod-pool"], Image: image, Ports: [], Labels: labels }],
});
/** Each without its bucket, which is the same one. */
type Lock = VaultLock extends infer Each ? (Each extends VaultLock ? Omit<Each, "bucket"> : never) : never;
const inVaults = (...locks: Lock[]): Partial<HostFacts> => ({
  vaults: locks.map((lock) => ({ bucket: "copies", ...lock })),
});
/** A stack that opens no port. */
const TUNNELED = { ...good.stack, edge: undefined };
const WITHOUT_EDGE = { ...TUNNELED, domain: undefined };
const publishes = (name: string, port: number, stack?: string): Partial<HostFacts> => ({
  containers: [
    {
      Names: [`/${name}`],
      Labels: stack === undefined ? {} : { "bulkhead.stack": stack },
      Ports: [{ PublicPort: port, IP: "0.0.0.0", Type: "tcp" }],
    },
  ],
});
const network = (changes: Partial<NonNullable<HostFacts["network"]>>): Partial<HostFacts> => ({
  network: { ...good.network!, ...changes },
});
/** Of the 16 in the pool, all but so many. */
const takenBut = (free: number) => [
  { name: "all", subnets: Array.from({ length: 16 - free }, (_, at) => `172.${16 + at}.0.0/16`) },
];
const listens = (address: string, port: number) => inShell({ listening: [{ address, port }] });
const withoutShell = { shell: undefined };

/** Another host, and what a check says of it; where it is not ok, one thing that the cure tells to run or to do. */
type Row = [check: string, host: Partial<HostFacts>, verdict: Verdict, found: string, cure?: string];

const rows: Row[] = [
  ["way in", {}, "ok", "ssh://deploy@203.0.113.10, host key known, key in the agent"],
  ["way in", { url: "unix:///var/run/docker.sock" }, "ok", "unix:///var/run/docker.sock"],
  ["way in", { agentHasKey: false }, "warn", "no key in the agent", "ssh-add ~/.ssh/id_ed25519"],
  ["way in", { url: "tcp://203.0.113.10:2375" }, "bad", "without encryption", "ssh://"],

  ["login", {}, "ok", "deploy, in the group docker: as good as root"],
  ["login", inShell({ groups: ["deploy"] }), "ok", "deploy, who may use Docker: as good as root"],
  ["login", { url: "unix:///var/run/docker.sock" }, "ok", "this machine's user"],
  ["login", onEngine({ SecurityOptions: ["name=rootless"] }), "ok", "no more rights than this user"],
  ["login", inShell({ user: "root" }), "warn", "root", "adduser deploy docker"],
  ["login", withoutShell, "unknown", "no shell"],

  ["Docker", {}, "ok", "29.3.0"],
  ["Docker", onEngine({ ServerVersion: "25.0.14" }), "ok", "25.0.14"],
  ["Docker", onEngine({ ServerVersion: "20.10.24+dfsg1" }), "ok", "kept up by the distribution"],
  ["Docker", onEngine({ ServerVersion: "27.5.1" }), "warn", "27 has had no fixes since 2025-05-03", "Upgrade Docker"],
  ["Docker", onEngine({ ServerVersion: "20.10.24" }), "warn", "20.10 has had no fixes since 2023-12-10", "Upgrade"],
  ["Docker", onEngine({ ServerVersion: "19.03.15" }), "bad", "older than 20.10", "Upgrade Docker"],

  ["API", {}, "ok", "a socket only"],
  ["API", listens("127.0.0.1", 2376), "warn", "127.0.0.1:2376", "systemctl restart docker"],
  [
    "API",
    onEngine({
      Warnings: ["WARNING: API is accessible on http://0.0.0.0:2375 without encryption.\n  Access to it is..."],
    }),
    "bad",
    "open on http://0.0.0.0:2375, without encryption",
    "Take its tcp:// out of `hosts`",
  ],
  ["API", inShell({ listening: undefined }), "unknown", "cannot be seen"],

  ["live-restore", {}, "ok", "on"],
  ["live-restore", onEngine({ LiveRestoreEnabled: false }), "warn", "off", '"live-restore": true'],

  ["users", {}, "ok", "remapped"],
  ["users", onEngine({ SecurityOptions: ["name=rootless"] }), "ok", "rootless"],
  ["users", onEngine({ SecurityOptions: null }), "warn", "not remapped", '"userns-remap": "default"'],

  ["confinement", {}, "ok", "AppArmor"],
  ["confinement", onEngine({ SecurityOptions: ["name=selinux"] }), "ok", "SELinux"],
  ["confinement", onEngine({ SecurityOptions: [] }), "warn", "neither", "apt-get install -y apparmor"],

  ["seccomp", {}, "ok", "profile builtin"],
  ["seccomp", onEngine({ SecurityOptions: ["name=seccomp"] }), "ok", "profile default"],
  ["seccomp", onEngine({ SecurityOptions: [] }), "bad", "not there", "CONFIG_SECCOMP_FILTER"],
  ["seccomp", onEngine({ SecurityOptions: ["name=seccomp,profile=unconfined"] }), "bad", "unconfined", "daemon.json"],

  ["cgroup", {}, "ok", "version 2, driver systemd"],
  // Docker 20.10 and older say nothing of the version where it is 1.
  ["cgroup", onEngine({ CgroupVersion: undefined }), "warn", "version 1", "systemd.unified_cgroup_hierarchy=1"],
  ["cgroup", onEngine({ CgroupDriver: "none" }), "bad", "driver none", "delegation"],

  ["limits", {}, "ok", "memory, swap, CPU, processes"],
  ["limits", onEngine({ SwapLimit: false }), "warn", "none for swap", "swapoff -a"],
  ["limits", onEngine({ PidsLimit: false, MemoryLimit: false }), "bad", "none for memory, processes", "cgroup_enable"],
  ["limits", onEngine({ CpuCfsQuota: false }), "bad", "none for CPU", "reboot"],

  ["storage", {}, "ok", "overlay2 on extfs"],
  ["storage", onEngine({ Driver: "vfs", DriverStatus: null }), "warn", "vfs", '"storage-driver": "overlay2"'],
  ["storage", onEngine({ DriverStatus: [["Supports d_type", "false"]] }), "bad", "without d_type", "mkfs.xfs"],

  ["logs", {}, "ok", "json-file by default, rotated"],
  ["logs", onEngine({ LoggingDriver: "journald" }), "ok", "journald"],
  ["logs", inShell({ daemon: undefined }), "warn", "never rotated", '"log-driver": "local"'],
  ["logs", withoutShell, "unknown", "json-file"],

  ["disk", {}, "ok", "30.0 GiB free of 40.0 in /var/lib/docker, 90 % of the inodes"],
  ["disk", inShell({ inodes: undefined }), "ok", "30.0 GiB free of 40.0 in /var/lib/docker"],
  ["disk", inShell({ disk: { total: 40 * 2 ** 20, free: 4 * 2 ** 20 } }), "warn", "4.0 GiB free", "docker image prune"],
  ["disk", inShell({ disk: { total: 800 * 2 ** 20, free: 70 * 2 ** 20 } }), "warn", "70.0 GiB free", "du -xh"],
  ["disk", inShell({ inodes: { total: 1000, free: 90 } }), "warn", "9 % of the inodes", "docker image prune"],
  ["disk", inShell({ disk: { total: 40 * 2 ** 20, free: 2 ** 19 } }), "bad", "0.5 GiB free", "docker image prune"],
  ["disk", inShell({ inodes: { total: 1000, free: 19 } }), "bad", "1 % of the inodes", "docker image prune"],
  ["disk", inShell({ disk: undefined }), "unknown", "/var/lib/docker"],
  ["disk", inShell({ imageDisk: { total: 2 ** 20, free: 0 } }), "ok", "30.0 GiB free of 40.0 in /var/lib/docker"],
  [
    "disk",
    onContainerd({ free: 8 * 2 ** 20 }),
    "ok",
    "90 % of the inodes; 8.0 GiB free of 20.0 in /var/lib/containerd",
  ],
  [
    "disk",
    onContainerd({ free: 4 * 2 ** 20 }),
    "warn",
    "4.0 GiB free of 20.0",
    "du -xh --max-depth=2 /var/lib/containerd",
  ],
  ["disk", onContainerd({ free: 2 ** 19 }), "bad", "0.5 GiB free of 20.0 in /var/lib/containerd", "docker image prune"],

  ["backup key", {}, "ok", "the stack has no backups"],
  ["backup key", backedUp(undefined), "warn", "nobody has said where a copy of it is kept", "bulkhead backup-key"],
  ["backup key", backedUp("our safe"), "ok", "kept: our safe"],

  ["pgbouncer", {}, "ok", "none"],
  ["pgbouncer", pools("edoburu/pgbouncer:v1.26.0-p0@sha256:0123"), "ok", "reach-prod-pool is 1.26.0"],
  [
    "pgbouncer",
    pools("edoburu/pgbouncer:v1.25.9-p0@sha256:0123"),
    "bad",
    "reach-prod-pool is 1.25.9, which has CVE-2026-19888",
    "Give it an image of 1.26 or newer, by digest: dataImages.pgbouncer is one. docs/how-to/pgbouncer.md",
  ],
  [
    "pgbouncer",
    pools("registry.example.com:5000/pgbouncer@sha256:0123"),
    "warn",
    "the tag of reach-prod-pool has no version",
    "docker exec reach-prod-pool pgbouncer --version",
  ],
  [
    "pgbouncer",
    pools("pgbouncer:latest", { "bulkhead.stack": "reach-prod", "bulkhead.role": "database" }),
    "ok",
    "reach-prod-pool is 1.26 or newer",
  ],
  ["pgbouncer", pools("example.com/pgbouncer-exporter:1.2"), "ok", "none"],
  ["backup lock", {}, "ok", "the stack has no backups"],
  ["backup lock", inVaults({ mode: "COMPLIANCE", days: 30 }), "ok", "copies: COMPLIANCE, 30 days"],
  ["backup lock", inVaults({ mode: "none" }, { mode: "COMPLIANCE", days: 7 }), "ok", "copies has none; copies: COMPL"],
  ["backup lock", inVaults({ mode: "GOVERNANCE", days: 30 }), "warn", "copies: GOVERNANCE, 30 days", "COMPLIANCE"],
  ["backup lock", inVaults({ mode: "none" }), "warn", "copies has none", "object lock"],
  ["backup lock", inVaults({ mode: "unknown", why: "away" }), "unknown", "copies: away"],

  ["data", { data: undefined }, "unknown", "takes Docker too long"],
  ["data", { data: [] }, "ok", "no volume of the program"],
  ["data", uploads(799), "ok", "uploads has 799 of 1000 MiB"],
  ["data", uploads(801), "warn", "uploads has 801 of 1000 MiB", "maxMb of the DataVolume"],
  ["data", uploads(1001), "bad", "uploads has 1001 of 1000 MiB", "maxMb of the DataVolume"],
  [
    "data",
    { ...uploads(100), ...inShell({ disk: { total: 40 * 2 ** 20, free: 800 * 2 ** 10 } }) },
    "warn",
    "uploads has 100 of 1000 MiB; they may grow by 900 MiB, and 800 are free",
    "a full disk stops everything",
  ],

  ["memory", {}, "ok", "8192 MiB; the services' limits are 1536 MiB"],
  ["memory", onEngine({ MemTotal: 3000 * 2 ** 20 }), "warn", "3000 MiB", "memoryMb"],

  ["clock", {}, "ok", "as this machine's"],
  // It cannot be told from a slow answer.
  ["clock", { clock: { aheadSeconds: 20, uncertainSeconds: 20 } }, "ok", "as this machine's"],
  ["clock", { clock: { aheadSeconds: 3, uncertainSeconds: 0.5 } }, "ok", "3 s ahead of this machine's"],
  ["clock", { clock: { aheadSeconds: -30, uncertainSeconds: 1 } }, "warn", "29 s behind", "timedatectl set-ntp true"],
  ["clock", { clock: { aheadSeconds: 3600, uncertainSeconds: 0 } }, "bad", "3600 s ahead", "timedatectl"],

  ["time", {}, "ok", "synchronised"],
  ["time", inShell({ timeSynchronized: false }), "warn", "not synchronised", "timedatectl set-ntp true"],
  ["time", inShell({ timeSynchronized: undefined }), "unknown", "no timedatectl"],

  ["updates", {}, "ok", "none wait; kernel 6.12.30"],
  ["updates", inShell({ securityUpdates: 3 }), "warn", "3 security updates wait", "apt-get upgrade"],
  ["updates", inShell({ newerKernel: "6.12.38" }), "warn", "kernel 6.12.38 waits for a reboot", "reboot"],
  ["updates", inShell({ rebootRequired: true }), "warn", "an update waits for a reboot", "reboot"],
  ["updates", inShell({ securityUpdates: undefined }), "unknown", "kernel 6.12.30"],
  ["updates", withoutShell, "unknown", "no shell"],

  ["ports", {}, "ok", "443 and 2222 on 203.0.113.10"],
  ["ports", { ...publishes("door", 443, "reach-prod"), ...listens("0.0.0.0", 443) }, "ok", "443 and 2222"],
  ["ports", listens("127.0.0.1", 443), "ok", "443 and 2222"],
  ["ports", { stack: TUNNELED, ...publishes("other", 443) }, "ok", "none: clients come through a tunnel"],
  ["address", { stack: TUNNELED }, "ok", "none: clients come through a tunnel"],
  ["DNS", { stack: TUNNELED, domainAddresses: ["192.0.2.7"] }, "ok", "is 192.0.2.7"],
  ["DNS", { stack: TUNNELED, domainAddresses: [] }, "warn", "has no address", "point"],
  ...["ports", "address", "clients", "DNS", "certificate"].map((check): Row => [
    check,
    { stack: WITHOUT_EDGE },
    "ok",
    "none: the stack has no edge",
  ]),
  ["ports", withoutShell, "unknown", "443 and 2222 on 203.0.113.10: no other container's"],
  ["ports", publishes("other", 2222), "bad", "edge.tcp.clients: 2222 is held by the container other", "ss -ltnp"],
  ["ports", publishes("door", 443, "reach-blue"), "bad", "edge.httpsPort: 443 is held by the container door", "Stop"],
  ["ports", listens("::", 443), "bad", "edge.httpsPort: 443 is held by a process", "sport = :443"],
  [
    "ports",
    inShell({ listening: [{ address: "0.0.0.0", port: 443, process: "nginx (pid 12)" }] }),
    "bad",
    "443 is held by nginx (pid 12), which is in no container",
  ],

  ["address pools", {}, "ok", "room for 15 more networks"],
  ["address pools", network({ pools: [{ Base: "10.200.0.0/16", Size: 24 }] }), "ok", "room for 100 networks and more"],
  ["address pools", network({ networks: takenBut(3) }), "warn", "room for 3 more networks", "default-address-pools"],
  ["address pools", network({ networks: takenBut(0) }), "bad", "no room for another network", '"size": 24'],
  ["address pools", inShell({ routes: ["172.16.0.0/13"] }), "ok", "room for 8 more networks"],
  ["address pools", { network: undefined }, "unknown", "cannot be seen"],

  ["MTU", {}, "ok", "1500 in Docker's networks, 1500 on the host's way out"],
  ["MTU", inShell({ mtu: 1450 }), "warn", "1500 in Docker's networks, 1450", "networks: { mtu: 1450 }"],
  [
    "MTU",
    {
      ...inShell({ mtu: 1450 }),
      ...network({ networks: [{ name: "n", subnets: [], mtu: 1400, stack: "reach-prod" }] }),
    },
    "ok",
    "1400 in Docker's networks, 1450",
  ],
  ["MTU", withoutShell, "unknown", "cannot be seen"],

  ["resolvers", {}, "ok", "answer from within a container"],
  ["resolvers", network({ inside: { resolverAnswers: false, metadataAnswers: false } }), "warn", "do not", '"dns":'],
  ["resolvers", network({ inside: { metadataAnswers: false } }), "unknown", "no container"],

  ["firewall", {}, "ok", "has Docker's rules"],
  ["firewall", inShell({ firewall: "table ip docker-bridges" }), "ok", "has Docker's rules"],
  ["firewall", inShell({ firewall: "-P PREROUTING ACCEPT" }), "warn", "none of Docker's", "systemctl restart docker"],
  ["firewall", withoutShell, "unknown", "root"],

  ["metadata", {}, "ok", "does not answer"],
  [
    "metadata",
    network({ inside: { metadataAnswers: true } }),
    "warn",
    "169.254.169.254 answers containers",
    "iptables -I DOCKER-USER -d 169.254.169.254 -j DROP",
  ],
  ["metadata", network({ inside: undefined }), "unknown", "no container"],

  ["address", {}, "ok", "edge.address 203.0.113.10 is the host's"],
  ["address", edge({ address: "0.0.0.0" }), "ok", "edge.address 0.0.0.0"],
  ["address", edge({ address: "127.0.0.1" }), "ok", "edge.address 127.0.0.1"],
  ["address", edge({ address: "198.51.100.7" }), "bad", "198.51.100.7 is not the host's", "It has 203.0.113.10:"],
  ["address", withoutShell, "unknown", "edge.address 203.0.113.10"],

  ["clients", {}, "ok", "each by its own address"],
  ["clients", { stack: TUNNELED }, "ok", "come through a tunnel"],
  ["clients", edge({ address: "::" }), "warn", "over IPv6 all show as one", "edge.address: 0.0.0.0"],

  ["sshd", {}, "ok", "MaxSessions 10, MaxStartups 10"],
  ["sshd", { url: "unix:///var/run/docker.sock" }, "ok", "not on the way"],
  ["sshd", inShell({ sshd: { maxSessions: 2, maxStartups: 10 } }), "warn", "MaxSessions 2", "PULUMI_PARALLEL=6"],
  ["sshd", inShell({ sshd: { maxSessions: 10, maxStartups: 5 } }), "warn", "MaxStartups 5", "PULUMI_PARALLEL=1"],
  ["sshd", inShell({ sshd: undefined }), "unknown", "for root to read"],

  ["DNS", {}, "ok", "reach.example.com is 203.0.113.10"],
  ["DNS", { stack: { ...good.stack, domain: "localhost" } }, "ok", "localhost"],
  ["DNS", { domainAddresses: [] }, "warn", "reach.example.com has no address", "point reach.example.com to the host"],
  ["DNS", { domainAddresses: ["198.51.100.7"] }, "warn", "198.51.100.7, not the host", "Cloudflare"],

  ["certificate", {}, "ok", "for reach.example.com, *.reach.example.com until 2026-05-02, 61 days"],
  ["certificate", certificate({ names: ["*.example.com"] }), "ok", "for *.example.com until 2026-05-02"],
  [
    "certificate",
    at("2026-04-12"),
    "warn",
    "until 2026-05-02, 20 days",
    "label=bulkhead.role=edge) 2>&1 | grep -i acme",
  ],
  [
    "certificate",
    { ...at("2026-04-12"), ...certificate({ kind: "files" }) },
    "warn",
    "20 days",
    "certificates in its stack file",
  ],
  ["certificate", at("2026-05-02"), "bad", "over since 2026-05-02", "its log says why"],
  ["certificate", certificate({ names: ["example.com"] }), "bad", "and not for reach.example.com", "for its domain"],
  ["certificate", certificate({ names: ["*.com"] }), "bad", "and not for reach.example.com", "for its domain"],
  ["certificate", { certificate: "none yet" }, "bad", "none yet", "label=bulkhead.stack=reach-prod"],
  ["certificate", { certificate: undefined }, "unknown", "no edge runs there"],
];

describe("a host", () => {
  const cases = rows.map(([check, host, verdict, found, cure]) => ({ check, host, verdict, found, cure }));
  test.each(cases)("$check, $verdict: $found", ({ check, host, verdict, found, cure }) => {
    const finding = checks[check]!({ ...good, ...host });
    expect(finding.verdict).toBe(verdict);
    expect(finding.found).toContain(found);
    if (cure !== undefined) expect(finding.cure.join("\n")).toContain(cure);
    expect(finding.cure.length > 0).toBe(verdict === "warn" || verdict === "bad");
  });

  test("is asked each of these once at least, and the page on it has them all", () => {
    expect(new Set(rows.map(([check]) => check))).toEqual(new Set(Object.keys(checks)));
    const page = readFileSync(join(projectDirectory, "docs/reference/host-checks.md"), "utf8");
    const documented = [...page.matchAll(/^\| (\w[\w -]*?) +\| /gm)].map(([, name]) => name).slice(1);
    expect(documented).toEqual(Object.keys(checks));
  });
});

describe("a shell on the host", () => {
  const PRINTED = `Welcome to the box
@@user
deploy

@@groups
deploy docker

@@disk
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/vda1         41152832 20000000  19000000      52% /

@@inodes
Filesystem      Inodes  IUsed   IFree IUse% Mounted on
/dev/vda1      2621440 100000 2521440    4% /

@@images
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/vdb1         20971520 20000000    971520      96% /var/lib/containerd

@@listening
State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*
LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=7,fd=3))
LISTEN 0      128             [::]:22           [::]:*
LISTEN 0      4096               *:2375            *:*

@@addresses
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 203.0.113.10/24 brd 203.0.113.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::1/64 scope global \\       valid_lft forever preferred_lft forever

@@routes
default via 203.0.113.1 dev eth0 proto dhcp
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1
203.0.113.0/24 dev eth0 proto kernel scope link src 203.0.113.10

@@links
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN
2: eth0@if7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc fq_codel state UP

@@firewall
-P PREROUTING ACCEPT
-N DOCKER

@@time
no

@@sshd
#MaxSessions 3
#UseDNS
MaxSessions 4
Include /etc/ssh/sshd_config.d/*.conf
maxstartups 5:30:60
MaxSessions 20

@@daemon
{ "live-restore": true }

@@kernel
6.12.30

@@kernels
/boot/vmlinuz-6.12.30
/boot/vmlinuz-6.12.38

@@updates
Inst libc6 [2.41-12] (2.41-13 Debian-Security:13/stable-security [amd64])
Inst vim [9.1] (9.2 Debian:13.1/stable [amd64])

@@reboot
/run/reboot-required
`;

  test("tells these facts", () => {
    expect(shellFacts(PRINTED)).toEqual({
      user: "deploy",
      groups: ["deploy", "docker"],
      disk: { total: 41152832, free: 19000000 },
      inodes: { total: 2621440, free: 2521440 },
      imageDisk: { total: 20971520, free: 971520 },
      listening: [
        { address: "127.0.0.53", port: 53 },
        { address: "0.0.0.0", port: 22, process: "sshd (pid 7)" },
        { address: "::", port: 22 },
        { address: "::", port: 2375 },
      ],
      addresses: ["127.0.0.1", "203.0.113.10", "2001:db8::1"],
      routes: ["172.17.0.0/16", "203.0.113.0/24"],
      mtu: 1450,
      firewall: "-P PREROUTING ACCEPT\n-N DOCKER",
      timeSynchronized: false,
      sshd: { maxStartups: 5, maxSessions: 4 },
      daemon: '{ "live-restore": true }',
      kernel: "6.12.30",
      newerKernel: "6.12.38",
      securityUpdates: 1,
      rebootRequired: true,
    });
  });

  test("tells nothing of images that are on the same disk", () =>
    expect(shellFacts(PRINTED.replace("96% /var/lib/containerd", "52% /"))!.imageDisk).toBeUndefined());

  test("that has none of the tools tells what it can, and makes nothing up", () => {
    const sections = PRINTED.match(/^@@\w+$/gm)!
      .join("\n\n")
      .replace("@@user\n", "@@user\ndeploy\n");
    const facts = shellFacts(sections)!;
    expect(facts).toEqual({ user: "deploy", groups: [], kernel: "", rebootRequired: false });
    const verdicts = Object.entries(checks).map(([check, judge]) => [check, judge({ ...good, shell: facts }).verdict]);
    expect(verdicts.filter(([, verdict]) => verdict === "unknown").map(([check]) => check)).toEqual([
      "API",
      "disk",
      "time",
      "updates",
      "sshd",
      "MTU",
      "firewall",
      "ports",
      "address",
    ]);
  });

  test("that is none tells nothing", () =>
    expect(shellFacts("This account is currently not available.\n")).toBeUndefined());

  test("keeps the kernel that runs where the newer one is not told of", () => {
    // As on a cloud's machine, which is started with another kernel than those that are installed.
    const facts = shellFacts("@@user\ndeploy\n@@kernel\n6.12.30-cloud\n@@kernels\n/boot/vmlinuz-6.12.38\n");
    expect(facts).toMatchObject({ kernel: "6.12.30-cloud", newerKernel: undefined });
  });
});

test("what a container sees from within is read from what its tools say", () => {
  const said = (dns: string, metadata: string) => insideOf(`dns ${dns}\nmetadata ${metadata}\n`);
  const gone = "1 wget: download timed out";
  const noName = "Server: 127.0.0.11 ** server can't find x.test: NXDOMAIN";
  expect(said(noName, gone)).toEqual({ resolverAnswers: true, metadataAnswers: false });
  expect(said("Server: 127.0.0.11 Name: x.example Address: 192.0.2.1", "0 ")).toEqual({
    resolverAnswers: true,
    metadataAnswers: true,
  });
  const refused = "1 wget: server returned error: HTTP/1.1 401 Unauthorized";
  expect(said(";; connection timed out; no servers could be reached", refused)).toEqual({
    resolverAnswers: false,
    metadataAnswers: true,
  });
  expect(insideOf(`metadata ${gone}\n`)).toEqual({ metadataAnswers: false });
  const refusedByGnu = "8 HTTP request sent, awaiting response... 404 Not Found";
  expect(insideOf(`metadata ${refusedByGnu}\n`)).toEqual({ metadataAnswers: true });
  expect(insideOf("metadata 4 failed: Connection refused.\n")).toEqual({ metadataAnswers: false });
});

test("the clock is measured against the time that the answer took", async () => {
  const HOUR_MS = 3600 * 1000;
  const { host } = await startFakeEngine(() => [], {
    info: () => ({ ...engine, SystemTime: new Date(Date.now() + HOUR_MS).toISOString() }),
  });
  const fake = new Engine(host);
  const { clock, shell: found } = await gatherFacts(fake, { ...good.stack, domain: "203.0.113.10" });
  fake.close();
  expect(Math.abs(clock.aheadSeconds - 3600)).toBeLessThanOrEqual(clock.uncertainSeconds + 0.001);
  // It says that it runs on another machine than this one.
  expect(found).toBeUndefined();
});

describe("the edge's certificate", () => {
  /** A tar archive of one file, as far as it is read. */
  const archive = (content: string) => {
    const header = Buffer.alloc(512);
    header.write("file");
    header.write("0", 156);
    header.write(content.length.toString(8).padStart(11, "0"), 124);
    return Buffer.concat([header, Buffer.from(content), Buffer.alloc(1024)]);
  };
  const readFrom = async (files: Record<string, string>, edges = [{ Id: "e1" }]) => {
    const { host } = await startFakeEngine((request) => {
      if (request.startsWith("GET /containers/json?")) return edges;
      const path = /^GET \/containers\/e1\/archive\?path=(.+)$/.exec(request)?.[1];
      const content = path === undefined ? undefined : files[decodeURIComponent(path)];
      return content === undefined ? undefined : archive(content);
    });
    const engine = new Engine(host);
    return servedCertificate(engine, "reach-prod").finally(() => engine.close());
  };

  test("is read where Traefik keeps it, or from the file that it was given", async () => {
    const made = await makeCertificates("reach.example.com");
    const { validFromDate: from, validToDate: until } = new X509Certificate(made.certificate);
    const expected = { names: ["reach.example.com", "*.reach.example.com", "localhost"], from, until };
    const store = { acme: { Account: {}, Certificates: [{ certificate: btoa(made.certificate), key: "k" }] } };
    expect(await readFrom({ "/acme/acme.json": JSON.stringify(store) })).toEqual({ kind: "acme", ...expected });
    expect(await readFrom({ "/run/secrets/certificate": made.certificate })).toEqual({ kind: "files", ...expected });
  });

  test("is none where the CA gave none, and unknown where no edge runs", async () => {
    expect(await readFrom({ "/acme/acme.json": "" })).toBe("none yet");
    const store = { acme: { Account: {}, Certificates: null } };
    expect(await readFrom({ "/acme/acme.json": JSON.stringify(store) })).toBe("none yet");
    expect(await readFrom({}, [])).toBeUndefined();
  });
});
