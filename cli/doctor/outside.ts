// The look from outside: what a client gets of a stack, whatever its containers say of themselves.
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { maintenanceOf } from "../../components/settings/maintenance.ts";
import { parseStackFile } from "../../components/settings/parse.ts";
import type { TcpPorts } from "../../components/settings/platform.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { publishersOf, type Publisher } from "../../components/docker-engine/published-ports.ts";
import type { FromOutside } from "../../components/edge/web-service.ts";
import { say } from "../../toolchain/steps.ts";
import { askHttps, askTcp, type Outcome, type Place } from "./client-probe.ts";
import { programSettings } from "../stack/program-settings.ts";
import { committedFile, readStackFile } from "../stack/stack.ts";
import type { StateResource } from "../stack/state-files.ts";
import { programDirectory, projectName } from "../stack/program.ts";
import { stackFilter } from "../stack/containers.ts";

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

/** What a client needs to know of a stack. */
export interface Published {
  name: string;
  domain: string;
  /** Absent: clients come through a tunnel. */
  edge?: { address: string; httpsPort: number; httpRedirect?: boolean; httpPort?: number; tcp?: TcpPorts };
  /** Clients come through Cloudflare, by the name. */
  byName: boolean;
  /** The door takes connections from Cloudflare alone. */
  onlyThroughCloudflare: boolean;
  acme: boolean;
  /** Clients get 503 by the edge, because the stack file says so. */
  inMaintenance?: boolean;
  ca: readonly string[];
}

/** A service that clients reach. */
export interface PublishedService extends FromOutside {
  name: string;
}

interface Listed extends Publisher {
  Id: string;
  State: string;
  Status: string;
}

/** What a client can ask for. */
export type Services = readonly PublishedService[];

/** Looks, and changes nothing. Empty where nothing is deployed. */
export async function lookFromOutside(engine: Engine, name: string, services: Services): Promise<Seen[]> {
  const { edge, ...published } = await publishedOf(name);
  const containers = await containersOf(engine, name);
  if (containers.length === 0) return [];
  const straight = edge ? await lookStraight(engine, { ...published, edge }, { containers, services }) : [];
  const byName = published.byName
    ? await Promise.all(withPath(services).map((service) => lookByName({ ...published, edge }, service)))
    : [];
  return [...straight, ...byName];
}

/** Restarts a door whose port is dead for clients, says so, and looks again; as long as what was just started may take. */
export async function lookAndCure(engine: Engine, name: string, services: Services): Promise<Seen[]> {
  const seen = await lookAgain(engine, name, services);
  if (!seen.some(({ dead }) => dead)) return seen;
  const { edge } = await publishedOf(name);
  const door = (await containersOf(engine, name)).find(
    ({ Labels, State }) => "bulkhead.publishes" in Labels && State === "running",
  );
  if (door === undefined || edge === undefined) return seen;
  const ports = seen.filter(({ dead }) => dead).map(({ asked }) => asked);
  say(`${ports.join(" and ")}: dead for every client, though the door runs: restarting ${door.Names[0]?.slice(1)}`);
  await engine.post(`/containers/${door.Id}/restart?t=5`);
  return lookAgain(engine, name, services);
}

/** What was just started needs a moment; a certificate from a CA needs some more. */
async function lookAgain(engine: Engine, name: string, services: Services): Promise<Seen[]> {
  const { acme } = await publishedOf(name);
  const until = Date.now() + (acme ? 90_000 : 10_000);
  for (;;) {
    const seen = await lookFromOutside(engine, name, services);
    if (seen.every(({ ok }) => ok) || seen.some(({ dead }) => dead) || Date.now() > until) return seen;
    await delay(1_000);
  }
}

async function publishedOf(name: string): Promise<Published> {
  const { config = {} } = await readStackFile(committedFile(name));
  const { shape } = await programSettings();
  const keys = ["domain", "domains", "edge", "cloudflare", "certificates", "maintenance"] as const;
  const {
    domain,
    domains = [],
    edge,
    cloudflare,
    certificates,
    maintenance,
  } = parseStackFile(projectName(), config, [...keys], shape);
  const files = [
    ...(certificates.kind === "files" ? [certificates.certificate] : []),
    ...domains.flatMap(({ certificate }) => certificate ?? []),
  ];
  return {
    ...{ name, domain },
    ...(cloudflare?.tunnel ? {} : { edge }),
    // An API of another address makes no record that the world can look up.
    byName: cloudflare !== undefined && !(cloudflare.apiUrl ?? process.env["CLOUDFLARE_BASE_URL"]),
    onlyThroughCloudflare: cloudflare !== undefined && cloudflare.onlyThroughCloudflare,
    acme: certificates.kind === "acme",
    inMaintenance: maintenanceOf(maintenance) !== undefined,
    ca: (await Promise.all(files.map((file) => ownCas(resolve(programDirectory, file))))).flat(),
  };
}

/** A chain that ends in its own root is one of an authority that its clients were given. */
async function ownCas(file: string): Promise<string[]> {
  const pem = await readFile(file, "utf8").catch(() => "");
  const all = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return all.filter((each) => {
    const certificate = new X509Certificate(each);
    return certificate.ca && certificate.checkIssued(certificate);
  });
}

function containersOf(engine: Engine, name: string): Promise<Listed[]> {
  return engine.get(`/containers/json?all=1&filters=${stackFilter(name)}`);
}

/** Whether the host has anything of the stack. */
export async function isDeployed(engine: Engine, name: string): Promise<boolean> {
  return (await containersOf(engine, name)).length > 0;
}

/** As the state has them. One that was deployed before it said so there is asked for from its next update on. */
export function servicesIn(resources: readonly Pick<StateResource, "urn" | "type" | "outputs">[] = []): Services {
  const services = resources.flatMap(({ urn = "", type, outputs = {} }) => {
    const { fromOutside } = outputs as { fromOutside?: FromOutside };
    if (type !== "bulkhead:index:WebService" || fromOutside === undefined) return [];
    const { host, path, isHealthPath, tcp = [] } = fromOutside as Partial<FromOutside>;
    const name = urn.slice(urn.lastIndexOf("::") + 2);
    return [{ name, ...(host !== undefined && { host }), path, isHealthPath: isHealthPath ?? false, tcp }];
  });
  return services.sort((one, other) => one.name.localeCompare(other.name));
}

type WithPath = PublishedService & { path: string };

function withPath(services: Services): WithPath[] {
  return services.flatMap(({ path, ...service }) => (path === undefined ? [] : [{ ...service, path }]));
}

type WithEdge = Published & { edge: NonNullable<Published["edge"]> };

/** Past DNS and whatever stands before the host: its own ports. */
async function lookStraight(
  engine: Engine,
  published: WithEdge,
  { containers, services }: { containers: Listed[]; services: Services },
): Promise<Seen[]> {
  const { edge, domain, ca } = published;
  const addresses = clientAddresses(engine.host, edge.address, ownAddress());
  const ports = [
    edge.httpsPort,
    ...(edge.httpRedirect ? [edge.httpPort ?? 80] : []),
    ...tcpPortsOf(services, edge.tcp),
  ];
  const places = addresses.flatMap(({ address, fromHost }) =>
    ports.map((port): Place => ({ address, port, ...(fromHost ? { from: engine } : {}) })),
  );
  const host = (path: string) => ({ domain, path, ca });
  const asked = await Promise.all(
    places.map(async (place) => {
      const ask = () => (place.port === edge.httpsPort ? askHttps(place, host(UNKNOWN_PATH)) : askTcp(place));
      const outcome = await patiently(ask);
      return { place, outcome };
    }),
  );
  const open = (port: number) =>
    asked.filter(({ place, outcome }) => place.port === port && reached(outcome, published));
  const doors = await Promise.all(
    asked.map(async ({ place, outcome }): Promise<Seen> => {
      const isHttps = place.port === edge.httpsPort;
      const shown = `${isHttps ? "https" : "tcp"}://${hostIn(place.address)}:${place.port}`;
      if (isHttps ? reached(outcome, published) : outcome.kind === "open")
        return { resource: "door", asked: shown, found: "open", ok: true, cure: [] };
      const holds = publishersOf(
        containers.filter(({ State }) => State === "running"),
        edge.address,
        place.port,
      );
      const atHost = await askFromHost(engine, place, { listensOn: edge.address, outcome });
      const dead =
        outcome.kind === "refused" && open(place.port).length === 0 && atHost.kind === "refused" && holds.length > 0;
      const { found, cure } = judgePort(outcome, { atHost, holds: holds.length > 0, dead, ...published });
      return { resource: "door", asked: shown, found, ok: false, cure, dead };
    }),
  );
  const way = open(edge.httpsPort)[0]?.place;
  // What the door takes from Cloudflare alone, only the name can show.
  if (way === undefined || published.onlyThroughCloudflare) return doors;
  // The edge's own word for what no service has, to tell it from a service's.
  const nobody = await askHttps(way, { ...host("/"), host: "nobody.invalid" });
  const routes = withPath(services).map(async (service): Promise<Seen> => {
    const name = nameOf(service, domain);
    const outcome = await patiently(() => askHttps(way, { ...host(service.path), domain: name }));
    const shown = `https://${name}${way.port === 443 ? "" : `:${way.port}`}${service.path}`;
    return { resource: service.name, asked: shown, ...judgeAnswer(outcome, { ...service, ...published, nobody }) };
  });
  return [...doors, ...(await Promise.all(routes))];
}

/** Those that lead to a service: one that was only declared is not open yet. */
function tcpPortsOf(services: Services, ports: TcpPorts = {}): number[] {
  const taken = new Set(services.flatMap(({ tcp }) => tcp));
  return Object.entries(ports).flatMap(([name, port]) => (taken.has(name) ? [port] : []));
}

async function lookByName(published: Published, service: WithPath): Promise<Seen> {
  const { ca, edge } = published;
  const domain = nameOf(service, published.domain);
  const port = edge?.httpsPort ?? 443;
  const outcome = await patiently(() => askHttps({ address: domain, port }, { domain, path: service.path, ca }));
  const asked = `https://${domain}${port === 443 ? "" : `:${port}`}${service.path} (by the name)`;
  return { resource: service.name, asked, ...judgeAnswer(outcome, { ...service, ...published }) };
}

/** The name to ask a service by; of a wildcard's names, any. */
function nameOf({ host }: PublishedService, domain: string): string {
  return host?.replace("*", "bulkhead") ?? domain;
}

/** A path that is nobody's: whether the port leads to an edge is asked without a service. */
const UNKNOWN_PATH = "/.well-known/bulkhead";

/** One packet may be lost, and a rate limit passes. What takes its time is not asked again. */
async function patiently(ask: () => Promise<Outcome>): Promise<Outcome> {
  for (let left = 2; ; left--) {
    const outcome = await ask();
    const passes =
      ["refused", "closed"].includes(outcome.kind) || (outcome.kind === "answered" && outcome.status === 429);
    if (left === 0 || !passes) return outcome;
    await delay(700);
  }
}

/** From where a client of the port would come, told by the host itself. */
async function askFromHost(
  engine: Engine,
  { port, from }: Place,
  { listensOn, outcome }: { listensOn: string; outcome: Outcome },
): Promise<Outcome> {
  // From the host already, where Docker is on this machine; and what took the connection is no firewall.
  if (from !== undefined || engine.host.startsWith("unix:")) return outcome;
  if (!["refused", "silent", "no way"].includes(outcome.kind)) return outcome;
  if (!engine.host.startsWith("ssh:")) return { kind: "not asked", said: "there is no shell on it" };
  const address = isEvery(listensOn) ? "127.0.0.1" : listensOn;
  return askTcp({ address, port, from: engine });
}

/** Where clients find the ports: where they are on every address, by what leads to the host. */
export function clientAddresses(
  host: string,
  listensOn: string,
  own: string | undefined,
): { address: string; fromHost: boolean }[] {
  const remote = /^(ssh|tcp):/.test(host) ? new URL(host).hostname.replace(/^\[|\]$/g, "") : undefined;
  const here = (address: string) => ({ address, fromHost: false });
  if (remote === undefined)
    return isEvery(listensOn) ? ["127.0.0.1", ...(own === undefined ? [] : [own])].map(here) : [here(listensOn)];
  if (isEvery(listensOn)) return [here(remote)];
  // Only what runs there comes to such an address.
  if (/^127\.|^::1$/.test(listensOn)) return host.startsWith("ssh:") ? [{ address: listensOn, fromHost: true }] : [];
  // Behind the NAT of a cloud; what leads to the host for ssh leads there for clients.
  return [here(isPrivate(listensOn) && isIP(remote) !== 0 && !isPrivate(remote) ? remote : listensOn)];
}

function isEvery(address: string): boolean {
  return ["0.0.0.0", "::"].includes(address);
}

function isPrivate(address: string): boolean {
  return /^(10\.|127\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|f[cd]|fe80:)/i.test(address);
}

/** An address of this machine by which others reach it. */
function ownAddress(): string | undefined {
  const all = Object.entries(networkInterfaces()).filter(([name]) => !/^(docker|br-|veth)/.test(name));
  return all.flatMap(([, found = []]) => found).find(({ internal, family }) => !internal && family === "IPv4")?.address;
}

function hostIn(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Whether an edge answered. A door for Cloudflare alone ends the connections of others: that it took one is all it shows. */
function reached(outcome: Outcome, { onlyThroughCloudflare }: Pick<Published, "onlyThroughCloudflare">): boolean {
  // A certificate that clients do not trust is told with the services: the port is open.
  if (["answered", "certificate", "open", "no answer"].includes(outcome.kind)) return true;
  return onlyThroughCloudflare && outcome.kind === "closed";
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

function saidOf(outcome: Outcome): string {
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
