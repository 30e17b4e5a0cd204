import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { run } from "../../toolchain/steps.ts";
import { runCommand } from "./command.ts";

/** The link between a test engine's network namespace and this machine. */
export interface Link {
  /** The host's end; it goes away with the namespace. */
  interfaceName: string;
  hostAddress: string;
  engineAddress: string;
  prefixLength: number;
  mtu: number;
}

/** Gives the network namespace of a process a way out through this machine: a veth pair and address translation. */
export async function connectNamespace(name: string, namespacePath: string): Promise<Link> {
  await disconnectNamespace(name);
  const uplink = await defaultRouteInterface();
  const subnet = await freeSubnet(name);
  const link: Link = {
    interfaceName: interfaceName(name),
    hostAddress: formatAddress(subnet + 1),
    engineAddress: formatAddress(subnet + 2),
    prefixLength: 30,
    // Packets that fit the way out need no fragments.
    mtu: uplink?.mtu ?? 1500,
  };
  const { interfaceName: outside, mtu } = link;
  const inside = (...args: string[]) => run("nsenter", [`--net=${namespacePath}`, "ip", ...args]);
  // The far end is made inside at once: it is never seen among this machine's interfaces.
  await run("ip", [
    ...["link", "add", outside, "mtu", `${mtu}`, "type", "veth"],
    ...["peer", "name", "uplink", "mtu", `${mtu}`, "netns", namespacePath],
  ]);
  await run("ip", ["address", "add", `${link.hostAddress}/${link.prefixLength}`, "dev", outside]);
  await run("ip", ["link", "set", outside, "up"]);
  await inside("address", "add", `${link.engineAddress}/${link.prefixLength}`, "dev", "uplink");
  await inside("link", "set", "uplink", "up");
  await inside("route", "add", "default", "via", link.hostAddress);

  if (uplink) {
    enableForwarding(outside, uplink.name);
    const source = `${formatAddress(subnet)}/${link.prefixLength}`;
    const comment = ["-m", "comment", "--comment", name];
    await iptables("nat", ["-I", "POSTROUTING", "-s", source, "-o", uplink.name, ...comment, "-j", "MASQUERADE"]);
    // A machine that runs Docker drops what it is not told to forward.
    await iptables("filter", ["-I", "FORWARD", "-i", outside, "-o", uplink.name, ...comment, "-j", "ACCEPT"]);
    await iptables("filter", ["-I", "FORWARD", "-i", uplink.name, "-o", outside, ...comment, "-j", "ACCEPT"]);
  }
  return link;
}

/** Takes away whatever connectNamespace left on this machine under a name. */
export async function disconnectNamespace(name: string): Promise<void> {
  if ((await interfaces()).some(({ ifname }) => ifname === interfaceName(name))) {
    // It may be going away by itself at this moment.
    await runCommand("ip", ["link", "delete", interfaceName(name)]);
  }
  for (const table of ["nat", "filter"]) {
    for (const rule of (await iptables(table, ["-S"])).split("\n")) {
      const words = rule.replaceAll('"', "").split(" ");
      if (words[0] !== "-A" || words[words.indexOf("--comment") + 1] !== name) continue;
      await iptables(table, ["-D", ...words.slice(1)]);
    }
  }
  await restoreForwarding();
}

const interfacePrefix = "bulkhd";
const interfaceName = (name: string) =>
  interfacePrefix +
  createHash("sha256")
    .update(name)
    .digest("hex")
    .slice(0, 15 - interfacePrefix.length);

const iptables = (table: string, args: string[]) => run("iptables", ["--wait", "-t", table, ...args]);

interface Uplink {
  name: string;
  mtu: number;
}

async function defaultRouteInterface(): Promise<Uplink | undefined> {
  const routes = JSON.parse(await run("ip", ["-json", "-4", "route", "show", "default"])) as { dev: string }[];
  const link = (await interfaces()).find(({ ifname }) => ifname === routes[0]?.dev);
  return link && { name: link.ifname, mtu: link.mtu };
}

/** Asked of the kernel, as /sys/class/net may be that of another namespace. */
async function interfaces(): Promise<{ ifname: string; mtu: number }[]> {
  return JSON.parse(await run("ip", ["-json", "link"])) as { ifname: string; mtu: number }[];
}

// Forwarding is switched on for the two interfaces alone, not for the whole machine, and back off with the last engine.
const forwarding = (name: string) => `/proc/sys/net/ipv4/conf/${name}/forwarding`;
const forwardingRecord = "/run/bulkhead-test-forwarding";

function enableForwarding(outside: string, uplink: string): void {
  writeFileSync(forwarding(outside), "1");
  if (readFileSync(forwarding(uplink), "utf8").trim() === "1") return;
  writeFileSync(forwardingRecord, uplink);
  writeFileSync(forwarding(uplink), "1");
}

async function restoreForwarding(): Promise<void> {
  if ((await interfaces()).some(({ ifname }) => ifname.startsWith(interfacePrefix))) return;
  // Only now, and nothing is waited for from here on: another engine that begins or ends may have done it meanwhile.
  if (!existsSync(forwardingRecord)) return;
  // Somebody who has switched on forwarding for the whole machine since then relies on it.
  const wholeMachine = readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim() === "1";
  const uplink = readFileSync(forwardingRecord, "utf8");
  if (!wholeMachine && existsSync(forwarding(uplink))) writeFileSync(forwarding(uplink), "0");
  rmSync(forwardingRecord, { force: true });
}

/** A /30 of 10.213.0.0/16 that no address or route of this machine touches. */
async function freeSubnet(name: string): Promise<number> {
  const routes = JSON.parse(await run("ip", ["-json", "-4", "route", "show", "table", "all"])) as { dst: string }[];
  const taken = routes.filter(({ dst }) => dst !== "default").map(({ dst }) => parseRange(dst));
  const first = parseAddress("10.213.0.0");
  const slots = 2 ** 14;
  const start = parseInt(createHash("sha256").update(name).digest("hex").slice(0, 8), 16) % slots;
  for (let step = 0; step < slots; step++) {
    const subnet = first + ((start + step) % slots) * 4;
    if (taken.every((range) => subnet + 3 < range.first || subnet > range.last)) return subnet;
  }
  throw new Error("no free subnet in 10.213.0.0/16 for a test engine");
}

function parseRange(destination: string): { first: number; last: number } {
  const [address, length = "32"] = destination.split("/");
  const first = parseAddress(address!);
  return { first, last: first + 2 ** (32 - Number(length)) - 1 };
}

const parseAddress = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
const formatAddress = (number: number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
