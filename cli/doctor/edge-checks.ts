// The ports that clients come to, the names that lead there, and the certificates that they get.
import { isIP } from "node:net";
import { covers } from "../../components/edge/hosts.ts";
import { overlap, publishersOf } from "../../components/docker-engine/published-ports.ts";
import { bad, ok, unknown, warn, type Finding, type Verdict } from "./finding.ts";
import type { HostFacts } from "./host-facts.ts";
import { enumerated } from "../report/markdown.ts";

export const edgeChecks: Record<string, (facts: HostFacts) => Finding> = {
  ports: (facts) => {
    if (!facts.stack.edge) return ok(noPort(facts.stack.domain));
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

  address: ({ stack: { edge, domain }, shell }) => {
    if (!edge) return ok(noPort(domain));
    if (overlap(edge.address, "127.0.0.1")) return ok(`edge.address ${edge.address}`);
    if (shell?.addresses === undefined) return unknown(`edge.address ${edge.address}`);
    return shell.addresses.includes(edge.address)
      ? ok(`edge.address ${edge.address} is the host's`)
      : bad(`edge.address ${edge.address} is not the host's`, [
          `It has ${shell.addresses.filter(isOutside).join(", ")}: give one of these, or 0.0.0.0. A cloud's public address is`,
          "often not on the machine itself.",
        ]);
  },

  clients: ({ stack: { edge, domain } }) => {
    if (!edge) return ok(domain === undefined ? NO_EDGE : "come through a tunnel");
    if (isIP(edge.address) !== 6) return ok("each by its own address");
    return warn("over IPv6 all show as one, by an address of Docker's", [
      "Docker hands their connections on by itself, as its networks have no IPv6: all together get what one client gets.",
      "Listen on IPv4 (edge.address: 0.0.0.0) and give the domain no AAAA record; behind Cloudflare's proxy, which serves",
      "IPv6 to clients, nothing is lost. Else say how many they are: edge.sharedAddresses, with the address in the edge's log.",
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

const NO_EDGE = "none: the stack has no edge";

function noPort(domain: string | undefined): string {
  return domain === undefined ? NO_EDGE : "none: clients come through a tunnel";
}

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
  if (domain === undefined) return ok(NO_EDGE);
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
  if (domain === undefined) return ok(NO_EDGE);
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

const DAY_MS = 86_400_000;
