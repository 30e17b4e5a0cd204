import { spawn } from "node:child_process";
import { Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { hostname } from "node:os";
import type { DaemonInfo } from "../../components/docker-engine/daemon-settings.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { sshArguments } from "../../components/docker-engine/ssh.ts";
import { type Publisher } from "../../components/docker-engine/published-ports.ts";
import { dataUse, type DataUse } from "./data-use.ts";
import { vaultLocks, type VaultLock } from "./vault-lock.ts";
import { networkFacts, type AddressPool, type NetworkFacts } from "./network-facts.ts";
import { servedCertificate, type ServedCertificate } from "./served-certificate.ts";
import { run } from "../../toolchain/steps.ts";

/** All that `bulkhead doctor` judges. What could not be learned is not there. */
export interface HostFacts {
  stack: StackFacts;
  url: string;
  /** Whether the ssh agent of this machine holds a key. */
  agentHasKey: boolean;
  engine: EngineFacts;
  containers: readonly Publisher[];
  /** By this machine's clock. */
  now: Date;
  /** The host's clock against this machine's. */
  clock: { aheadSeconds: number; uncertainSeconds: number };
  /** The addresses that the domain has in DNS, and those under which the host is reached. */
  domainAddresses: readonly string[];
  hostAddresses: readonly string[];
  /** Undefined where no edge runs. */
  certificate?: ServedCertificate;
  /** Of each further name: its addresses in DNS (a wildcard's are not asked), and the certificate that it is shown. */
  further?: readonly { name: string; addresses?: readonly string[]; certificate?: ServedCertificate }[];
  /** From a shell on the host, where there is one. */
  shell?: ShellFacts;
  network?: NetworkFacts;
  /** The volumes with data of the program, and how full they are. Undefined where Docker takes too long to tell. */
  data?: readonly DataUse[];
  /** The buckets of its backups. */
  vaults?: readonly VaultLock[];
}

export interface StackFacts {
  /** As in the label of its containers. */
  label: string;
  /** Absent: of a program without an edge. */
  domain?: string;
  /** Names beside it: further domains, and aliases. */
  further?: readonly string[];
  /** Absent: clients come through a tunnel, or there is no edge, and nothing listens. */
  edge?: {
    address: string;
    httpsPort: number;
    httpRedirect?: boolean;
    httpPort?: number;
    tcp?: Readonly<Record<string, number>>;
  };
  /** What its services may use together. */
  memoryMb: number;
  /** Where a copy of the backups' key is kept, as the stack file says. */
  backupKeyKept?: string;
}

/** What Docker says of itself in `/info`. */
export interface EngineFacts extends DaemonInfo {
  Name: string;
  ServerVersion: string;
  SystemTime: string;
  DockerRootDir: string;
  DriverStatus: [string, string][] | null;
  MemTotal: number;
  DefaultAddressPools?: readonly AddressPool[] | null;
  Warnings: string[] | null;
}

export interface ShellFacts {
  user: string;
  groups: readonly string[];
  /** Where Docker keeps its data. */
  disk?: Space;
  inodes?: Space;
  /** Where containerd keeps images, if that is another disk. */
  imageDisk?: Space;
  /** The process is told to root alone. */
  listening?: readonly { address: string; port: number; process?: string }[];
  addresses?: readonly string[];
  /** Ranges of addresses that it has a route to, other than the default one. */
  routes?: readonly string[];
  /** Of the interface that its default route goes out by. */
  mtu?: number;
  /** The rules of its packet filter, which root alone may read. */
  firewall?: string;
  timeSynchronized?: boolean;
  /** As far as its files say, and can be read. */
  sshd?: { maxStartups: number; maxSessions: number };
  /** /etc/docker/daemon.json, if there is one. */
  daemon?: string;
  kernel: string;
  /** One that is installed, and newer than the one that runs. */
  newerKernel?: string;
  securityUpdates?: number;
  rebootRequired: boolean;
}

/** In KiB, or inodes. */
export interface Space {
  total: number;
  free: number;
}

/** Looks and changes nothing. Docker has to answer. */
export async function gatherFacts(engine: Engine, stack: StackFacts): Promise<HostFacts> {
  const asked = Date.now();
  const info = await engine.get<EngineFacts>("/info");
  const uncertainSeconds = (Date.now() - asked) / 2000;
  const url = engine.host;
  const [containers, agentHasKey, domainAddresses, hostAddresses, shell, certificate, data, network, vaults, further] =
    await Promise.all([
      engine.get<Publisher[]>("/containers/json"),
      run("ssh-add", ["-l"]).then(
        () => true,
        () => false,
      ),
      stack.domain === undefined ? [] : addressesOf(stack.domain),
      url.startsWith("ssh:") ? addressesOf(new URL(url).hostname.replace(/^\[|\]$/g, "")) : [],
      collectHostFacts(engine, info),
      stack.domain === undefined ? undefined : servedCertificate(engine, stack.label, stack.domain),
      dataUse(engine, stack.label),
      networkFacts(engine, info, stack.label, stack.domain),
      vaultLocks(engine, stack.label),
      Promise.all(
        (stack.further ?? []).map(async (name) => ({
          name,
          ...(!name.startsWith("*.") && name.includes(".") && { addresses: await addressesOf(name) }),
          certificate: await servedCertificate(engine, stack.label, name),
        })),
      ),
    ]);
  return {
    now: new Date(asked),
    ...{
      stack,
      url,
      agentHasKey,
      engine: info,
      containers,
      domainAddresses,
      shell,
      certificate,
      data,
      network,
      vaults,
      further,
    },
    hostAddresses: [...new Set([...hostAddresses, ...(shell?.addresses ?? [])])],
    clock: {
      aheadSeconds: (new Date(info.SystemTime).getTime() - asked) / 1000 - uncertainSeconds,
      uncertainSeconds,
    },
  };
}

/** In DNS. Name servers that do not answer are not waited for. */
async function addressesOf(name: string): Promise<string[]> {
  if (isIP(name)) return [name];
  const resolver = new Resolver({ timeout: 1_500, tries: 2 });
  const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  return found.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
}

/**
 * Where Docker runs: on this machine, or where ssh leads. Not in a virtual machine, and not at the end of tcp.
 *
 * @param options `updates`: false to leave out how many wait, which takes apt seconds. `signal` ends the look.
 */
export async function collectHostFacts(
  engine: Engine,
  info: EngineFacts,
  { updates = true, signal }: { updates?: boolean; signal?: AbortSignal } = {},
): Promise<ShellFacts | undefined> {
  const look = updates ? LOOK : LOOK.replace(/^section updates .*\n/m, "");
  const script = `root='${info.DockerRootDir.replaceAll("'", "'\\''")}'\n${look}`;
  if (engine.host.startsWith("ssh:"))
    return shellFacts(await output("ssh", sshArguments(engine.host, engine.sshOptions, "sh", "-s"), script, signal));
  const isHere = engine.host.startsWith("unix:") && process.platform === "linux" && info.Name === hostname();
  return isHere ? shellFacts(await output("sh", ["-s"], script, signal)) : undefined;
}

/** Its own default. */
export const CONTAINERD_ROOT = "/var/lib/containerd";

/** Sections that begin with `@@name`. What is not there, or not for this user to see, is an empty one. */
const LOOK = `
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
section() { printf '\\n@@%s\\n' "$1"; shift; "$@" 2>/dev/null; }
# Not every folder above the data lets this user look.
until df -P "$root" >/dev/null 2>&1 || [ -z "$root" ]; do root=\${root%/*}; done
section user id -un
section groups id -Gn
section disk df -Pk "\${root:-/}"
section inodes df -Pi "\${root:-/}"
section images df -Pk ${CONTAINERD_ROOT}
section listening ss -ltnp
section addresses ip -o addr show
section routes ip -4 route show
section links ip -o link show
section firewall sh -c 'nft list tables | grep docker-bridges; iptables -t nat -S; iptables-legacy -t nat -S'
section time timedatectl show --property=NTPSynchronized --value
section sshd sh -c 'sshd -T || cat /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config'
section daemon cat /etc/docker/daemon.json
section kernel uname -r
section kernels sh -c 'ls /boot/vmlinuz-* | sort -V'
section updates sh -c 'ls /var/lib/apt/lists/*Release && apt-get -s -o Debug::NoLocking=true upgrade'
section reboot ls /run/reboot-required /var/run/reboot-required
`;

const LOOK_TIMEOUT_MS = 30_000;

function output(command: string, args: readonly string[], input: string, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"], timeout: LOOK_TIMEOUT_MS });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.on("error", reject);
    // What it started may hold the pipe open for as long as it runs.
    signal?.addEventListener("abort", () => (child.kill(), child.stdout.destroy()));
    // The last section may have failed; that is its own matter.
    child.on("close", () => resolve(text));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

/** What the script above printed. */
export function shellFacts(text: string): ShellFacts | undefined {
  const sections = new Map(
    text
      .split(/^@@(?=\w+$)/m)
      .slice(1)
      .map((part) => [/^\w+/.exec(part)![0], part.replace(/^\w+/, "").trim()]),
  );
  const section = (name: string) => sections.get(name) || undefined;
  const user = section("user");
  if (user === undefined) return undefined;
  const sshd = section("sshd");
  const updates = section("updates");
  const kernel = section("kernel") ?? "";
  // Oldest first.
  const kernels = section("kernels")?.replaceAll("/boot/vmlinuz-", "").split("\n") ?? [];
  return {
    user,
    groups: section("groups")?.split(" ") ?? [],
    disk: spaceIn(section("disk")),
    inodes: spaceIn(section("inodes")),
    imageDisk: mountPoint(section("images")) === mountPoint(section("disk")) ? undefined : spaceIn(section("images")),
    listening: section("listening")?.split("\n").flatMap(listener),
    addresses: section("addresses")
      ?.split("\n")
      .flatMap((line) => / inet6? ([^\s/]+)/.exec(line)?.[1] ?? []),
    ...networkOf(section("routes"), section("links")),
    firewall: section("firewall"),
    timeSynchronized: section("time") === undefined ? undefined : section("time") === "yes",
    // The first of two settings is the one that counts.
    sshd:
      sshd === undefined
        ? undefined
        : { maxStartups: setting(sshd, "MaxStartups"), maxSessions: setting(sshd, "MaxSessions") },
    daemon: section("daemon"),
    kernel,
    newerKernel: kernels.includes(kernel) && kernels.at(-1) !== kernel ? kernels.at(-1) : undefined,
    securityUpdates: updates === undefined ? undefined : (updates.match(/^Inst .*security/gim) ?? []).length,
    rebootRequired: section("reboot") !== undefined,
  };
}

/** The second line of df: file system, total, used, free. */
function spaceIn(text: string | undefined): Space | undefined {
  const [, total, , free] = (text?.split("\n").at(-1) ?? "").split(/\s+/).map(Number);
  // File systems that make inodes as they need them have none.
  return total ? { total, free: free ?? 0 } : undefined;
}

function mountPoint(text: string | undefined): string | undefined {
  return text?.split(/\s+/).at(-1);
}

/** By the lines of `ip route` and `ip link`. */
function networkOf(routes: string | undefined, links: string | undefined): Pick<ShellFacts, "routes" | "mtu"> {
  if (routes === undefined) return {};
  const lines = routes.split("\n");
  const [, link] = lines.map((line) => /^default .*\bdev (\S+)/.exec(line)).find((found) => found !== null) ?? [];
  const line = links?.split("\n").find((each) => each.split(": ")[1]?.replace(/@.*/, "") === link);
  const mtu = Number(/\bmtu (\d+)/.exec(line ?? "")?.[1]);
  return {
    routes: lines.flatMap((each) => /^(\d[\d.]+(?:\/\d+)?) /.exec(each)?.[1] ?? []),
    ...(mtu > 0 && { mtu }),
  };
}

/** A line of ss: state, two queues, and the address with its port. */
function listener(line: string): { address: string; port: number; process?: string }[] {
  const [, address, port] = /^\S+\s+\S+\s+\S+\s+(\S+):(\d+)\s/.exec(line) ?? [];
  if (address === undefined) return [];
  // With the interface after a %, or as * for all.
  const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(line) ?? [];
  const process = name === undefined ? {} : { process: `${name} (pid ${pid})` };
  return [{ address: address.replace(/^\[|\]|%.*$/g, "").replace("*", "::"), port: Number(port), ...process }];
}

/** The first number after a word; sshd's own default for both is 10. */
function setting(sshd: string, name: string): number {
  return Number(new RegExp(`^\\s*${name}[\\s=]+(\\d+)`, "im").exec(sshd)?.[1] ?? 10);
}
