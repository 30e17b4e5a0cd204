import type { RemoteHost } from "../tests/support/remote-host.ts";

/** Bytes of a host's port 22 up to now, both ways, headers of IP and TCP included. */
export async function sshBytes(host: RemoteHost): Promise<number> {
  let bytes = 0;
  for (const [chain, side] of [
    ["INPUT", "--dport"],
    ["OUTPUT", "--sport"],
  ] as const) {
    const rule = [chain, "-p", "tcp", side, "22"];
    const found = await host.exec("iptables", ["-w", "-C", ...rule]);
    // A rule without a target only counts.
    if (found.code !== 0) await host.exec("iptables", ["-w", "-I", ...rule]);
    const { stdout } = await host.exec("iptables", ["-w", "-nvxL", chain, "1"]);
    bytes += Number(stdout.trim().split(/\s+/)[1]);
  }
  return bytes;
}
