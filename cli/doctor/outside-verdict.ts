// What is wrong with a port or a service that was asked from outside, and what to do about it.
import type { Outcome } from "./client-probe.ts";
import type { Published, PublishedService } from "./published.ts";

/** One thing that was asked, and what came of it. */
export interface Seen {
  /** A service by its name, or `door` for a port. */
  resource: string;
  /** What was asked, as a client would write it. */
  asked: string;
  found: string;
  ok: boolean;
  cure: readonly string[];
  /** Of the door: nobody can reach the port, so that nothing is lost by a restart of it. */
  dead?: boolean;
}

export interface PortFacts {
  name: string;
  /** What the host itself got. */
  atHost: Outcome;
  /** Whether Docker says that a container of the stack has the port. */
  holds: boolean;
  dead: boolean;
}

/** Of a port that does not answer: what is wrong, and what to do. A restart of the door is advised for a dead port alone. */
export function judgePort(outcome: Outcome, { name, atHost, holds, dead }: PortFacts) {
  const up = `\`bulkhead up --stack ${name}\``;
  const found = (text: string, ...cure: string[]) => ({ found: text, cure });
  if (!holds && outcome.kind === "refused")
    return found("refused: no running container has the port", `${up} starts what the stack promises.`);
  if (dead)
    return found(
      "dead: refused, though Docker says that the door has it",
      "Docker's own process for the port (docker-proxy) is gone. Nobody can connect, so nothing more is lost by it:",
      `${up} restarts the door.`,
    );
  if (["open", "answered"].includes(atHost.kind))
    return found(
      `${saidOf(outcome)}; the host itself reaches it`,
      "A firewall or a NAT is in between: open the port for TCP there (the cloud's security group, the host's own",
      "firewall, the router's forwarding). The stack is well: restart nothing.",
    );
  if (outcome.kind === "silent")
    return found(
      "no answer: packets are dropped",
      "A firewall drops them, on the host or before it, or the host is down; a dead port would refuse. On the host, as root:",
      "  iptables -S; nft list ruleset    # look for DROP; then the cloud's own firewall",
    );
  if (outcome.kind === "refused")
    return found(
      `refused from here; the host: ${saidOf(atHost)}`,
      "Another of its addresses may still serve clients, or a firewall refuses: look before anything is restarted.",
    );
  if (outcome.kind === "closed")
    return found(
      "connected, and closed at once: nothing is behind it",
      `The door or the service behind it ends connections: \`bulkhead audit --stack ${name}\`, and \`docker logs\` of the door and edge.`,
    );
  if (outcome.kind === "hangs")
    return found(
      "connected, and then nothing came",
      "The door or the edge hangs, or is full: `docker logs` and `docker stats` of both. Others may still be served.",
    );
  return found(saidOf(outcome), "Look at the network between here and the host.");
}

export interface AnswerFacts extends Pick<PublishedService, "isHealthPath"> {
  name: string;
  acme: boolean;
  inMaintenance?: boolean;
  /** What the edge itself says where no service has the name. @default a proxy stands before it */
  nobody?: Outcome;
}

/** Of a service, asked by its public route. */
export function judgeAnswer(outcome: Outcome, facts: AnswerFacts): Pick<Seen, "found" | "ok" | "cure"> {
  const { isHealthPath, nobody, acme, name, inMaintenance = false } = facts;
  const bad = (found: string, ...cure: string[]) => ({ found, ok: false, cure });
  if (outcome.kind === "certificate")
    return bad(
      `certificate: ${outcome.said}`,
      acme
        ? "A first one takes minutes: `bulkhead doctor` again; else the edge's log says why the CA gave none."
        : "Give the stack one that clients trust (certificates in its stack file); NODE_EXTRA_CA_CERTS names a CA of your own.",
    );
  if (outcome.kind === "no address")
    return bad("the name has no address", "Point it to the host in DNS. A new one may take until resolvers forget.");
  if (outcome.kind === "no answer")
    return bad(
      `no answer ${outcome.said}`,
      "The service hangs, or is too slow for clients: `docker logs` of its container, then `docker restart` it if it hangs.",
    );
  if (outcome.kind !== "answered")
    return bad(saidOf(outcome), `Nothing behind the name takes the connection: \`bulkhead audit --stack ${name}\`.`);
  const { status } = outcome;
  if (isNobody(outcome, nobody))
    return bad("404 by the edge: it has no route to it", `\`bulkhead up --stack ${name}\` writes the route again.`);
  if (inMaintenance && status === 503 && outcome.headers["retry-after"] !== undefined)
    return { found: "503: in maintenance, as the stack file says", ok: true, cure: [] };
  if ([502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530].includes(status))
    return bad(`${status}: nothing answers behind it`, "`docker logs` of the service's container says why.");
  if (status >= 500) return bad(`${status}`, "`docker logs` of the service's container says why.");
  if (status === 429) return bad("429: the rate limit holds this machine", "Wait, and look again.");
  if (isHealthPath && status >= 400)
    return bad(`${status} on its health path`, "Clients get that too: the log of the service says what it refuses.");
  return { found: String(status), ok: true, cure: [] };
}

/** The edge gives all that it has no route for the same answer; a service's has its Content-Security-Policy at least. */
function isNobody(outcome: Outcome & { kind: "answered" }, nobody: Outcome | undefined): boolean {
  if (outcome.status !== 404 || nobody?.kind !== "answered") return false;
  const shape = ({ status, body, headers }: typeof outcome) =>
    JSON.stringify([status, body, headers["content-type"], headers["content-security-policy"]]);
  return shape(outcome) === shape(nobody);
}

/** Whether an edge answered. A door for Cloudflare alone ends the connections of others: that it took one is all it shows. */
export function reached(
  outcome: Outcome,
  { onlyThroughCloudflare }: Pick<Published, "onlyThroughCloudflare">,
): boolean {
  // A certificate that clients do not trust is told with the services: the port is open.
  if (["answered", "certificate", "open", "no answer"].includes(outcome.kind)) return true;
  return onlyThroughCloudflare && outcome.kind === "closed";
}

export function saidOf(outcome: Outcome): string {
  return "said" in outcome ? `${outcome.kind}: ${outcome.said}` : outcome.kind;
}

/** What a service, or the door, is from outside, for one cell of a table. */
export function outsideOf(seen: readonly Seen[], resource: string): string {
  const own = seen.filter((each) => each.resource === resource);
  const red = own.filter(({ ok }) => !ok);
  return [...new Set((red.length > 0 ? red : own).map(({ found }) => found))].join("; ");
}

/** All that is red, with the cure. */
export function complaints(seen: readonly Seen[]): string[] {
  return seen
    .filter(({ ok }) => !ok)
    .map(({ resource, asked, found, cure }) =>
      [`${resource}: ${asked}: ${found}`, ...cure.map((line) => `  ${line}`)].join("\n"),
    );
}
