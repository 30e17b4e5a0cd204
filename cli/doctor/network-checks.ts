// What of a host's networks is wrong, each with its cure.
import type { Finding } from "./host-checks.ts";
import type { HostFacts } from "./host-facts.ts";
import type { AddressPool } from "./network-facts.ts";

export const networkChecks: Record<string, (facts: HostFacts) => Finding> = {
  "address pools": ({ network, shell }) => {
    if (network === undefined) return unknown("Docker's networks cannot be seen");
    const taken = [...network.networks.flatMap(({ subnets }) => subnets), ...(shell?.routes ?? [])];
    const free = roomIn(network.pools, taken);
    const found = free >= MANY ? `room for ${MANY} networks and more` : `room for ${free} more networks`;
    const cure = [
      "Each service takes one network, and one more with egress: true. When there is no room, `bulkhead up` fails with",
      '"could not find an available, non-overlapping IPv4 address pool". Smaller ones, for networks that are made from then on:',
      ...inDaemonJson('"default-address-pools": [{ "base": "10.200.0.0/16", "size": 24 }]'),
    ];
    if (free === 0) return { found: "no room for another network", verdict: "bad", cure };
    return free < FEW ? { found, verdict: "warn", cure } : ok(found);
  },

  MTU: ({ network, shell, stack: { label } }) => {
    if (shell?.mtu === undefined || network === undefined) return unknown("the host's interfaces cannot be seen");
    const { mtu } = shell;
    const own = network.networks.filter(({ stack, name }) => stack === label || name === "bridge");
    const most = Math.max(...own.map((each) => each.mtu ?? ETHERNET));
    const found = `${most} in Docker's networks, ${mtu} on the host's way out`;
    return most <= mtu
      ? ok(found)
      : {
          found,
          verdict: "warn",
          cure: [
            "Larger packets may vanish on the way: connections open, and then hang in TLS. In the stack file, which makes the",
            `stack's networks anew (the preview says what restarts): networks: { mtu: ${mtu} }`,
          ],
        };
  },

  resolvers: ({ network }) => {
    const answers = network?.inside?.resolverAnswers;
    if (answers === undefined) return unknown("no container of the stack to ask from");
    return answers
      ? ok("answer from within a container")
      : {
          found: "do not answer from within a container",
          verdict: "warn",
          cure: [
            "Docker takes the host's name servers from /etc/resolv.conf. One at a private address, or behind a VPN, may not",
            "take questions of containers, and a firewall may drop them. Name others that do:",
            ...inDaemonJson('"dns": ["9.9.9.9", "1.1.1.1"]'),
          ],
        };
  },

  firewall: ({ shell }) => {
    if (shell?.firewall === undefined) return unknown("its rules are for root to read");
    if (/^-N DOCKER|docker-bridges/m.test(shell.firewall)) return ok("has Docker's rules");
    return {
      found: "has none of Docker's rules",
      // Docker may have been told to make none, and somebody has made them in its place.
      verdict: "warn",
      cure: [
        "Containers have no way out, and nothing keeps networks apart: something emptied the tables after Docker had started,",
        "like `iptables -F`, `nft flush ruleset`, or firewalld or ufw when it was started. Docker writes them again:",
        "  systemctl restart docker    # as root; without live-restore every container restarts",
      ],
    };
  },

  metadata: ({ network }) => {
    if (network?.inside === undefined) return unknown("no container of the stack to ask from");
    return network.inside.metadataAnswers
      ? {
          found: "169.254.169.254 answers containers",
          verdict: "warn",
          cure: [
            "Whoever gets into a service with egress: true may ask the cloud for the machine's credentials there. As root, and",
            "again after each restart of the host:",
            "  iptables -I DOCKER-USER -d 169.254.169.254 -j DROP",
            "On AWS, a hop limit of 1 for IMDSv2 does the same.",
          ],
        }
      : ok("169.254.169.254 does not answer containers");
  },
};

/** Networks that Docker can still make, up to as many as count as many. It leaves out what the host has a route to. */
function roomIn(pools: readonly AddressPool[], taken: readonly string[]): number {
  const ranges = taken.flatMap((subnet) => rangeOf(subnet) ?? []);
  let free = 0;
  for (const { Base, Size } of pools) {
    const pool = rangeOf(Base);
    if (pool === undefined) continue;
    const step = 2 ** (32 - Size);
    for (let from = pool.from; from < pool.to && free < MANY; from += step)
      if (!ranges.some((other) => other.from < from + step && from < other.to)) free++;
  }
  return free;
}

/** Undefined for IPv6, of which there is enough. */
function rangeOf(subnet: string): { from: number; to: number } | undefined {
  const [, address, bits = "32"] = /^(\d+\.\d+\.\d+\.\d+)(?:\/(\d+))?$/.exec(subnet) ?? [];
  if (address === undefined) return undefined;
  const size = 2 ** (32 - Number(bits));
  const at = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const from = Math.floor(at / size) * size;
  return { from, to: from + size };
}

/** Fewer than one more service of each kind may need. */
const FEW = 5;
const MANY = 100;
const ETHERNET = 1500;

function ok(found: string): Finding {
  return { found, verdict: "ok", cure: [] };
}

function unknown(found: string): Finding {
  return { found, verdict: "unknown", cure: [] };
}

function inDaemonJson(setting: string): string[] {
  return [`  In /etc/docker/daemon.json, as root: ${setting}`, "  systemctl restart docker"];
}
