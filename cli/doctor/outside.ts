// The look from outside: what a client gets of a stack, whatever its containers say of themselves.
import { setTimeout as delay } from "node:timers/promises";
import type { TcpPorts } from "../../components/settings/platform.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { publishersOf, type Publisher } from "../../components/docker-engine/published-ports.ts";
import { say } from "../../toolchain/steps.ts";
import { askHttps, askTcp, type Outcome, type Place } from "./client-probe.ts";
import {
  clientAddresses,
  isEvery,
  ownAddress,
  publishedOf,
  type Published,
  type PublishedService,
  type Services,
} from "./published.ts";
import { judgeAnswer, judgePort, reached, type Seen } from "./outside-verdict.ts";
import { stackFilter } from "../stack/containers.ts";

interface Listed extends Publisher {
  Id: string;
  State: string;
  Status: string;
}

/** Looks, and changes nothing. Empty where nothing is deployed. */
export async function lookFromOutside(engine: Engine, name: string, services: Services): Promise<Seen[]> {
  const open = await openOf(name, services);
  return open === undefined ? [] : look(engine, services, open);
}

/** Undefined of a program without an edge. */
async function openOf(name: string, { hasEdge }: Services): Promise<Published | undefined> {
  return hasEdge ? publishedOf(name) : undefined;
}

async function look(engine: Engine, services: Services, { edge, ...published }: Published): Promise<Seen[]> {
  const containers = await containersOf(engine, published.name);
  if (containers.length === 0) return [];
  const straight = edge
    ? await lookStraight(engine, { ...published, edge }, { containers, services: services.published })
    : [];
  const byName = published.byName
    ? await Promise.all(withPath(services.published).map((service) => lookByName({ ...published, edge }, service)))
    : [];
  return [...straight, ...byName];
}

/** Restarts a door whose port is dead for clients, says so, and looks again; as long as what was just started may take. */
export async function lookAndCure(engine: Engine, name: string, services: Services): Promise<Seen[]> {
  const open = await openOf(name, services);
  if (open === undefined) return [];
  const seen = await lookAgain(engine, services, open);
  if (!seen.some(({ dead }) => dead)) return seen;
  const door = (await containersOf(engine, name)).find(
    ({ Labels, State }) => "bulkhead.publishes" in Labels && State === "running",
  );
  if (door === undefined) return seen;
  const ports = seen.filter(({ dead }) => dead).map(({ asked }) => asked);
  say(`${ports.join(" and ")}: dead for every client, though the door runs: restarting ${door.Names[0]?.slice(1)}`);
  await engine.post(`/containers/${door.Id}/restart?t=5`);
  return lookAgain(engine, services, open);
}

/** What was just started needs a moment; a certificate from a CA needs some more. */
async function lookAgain(engine: Engine, services: Services, open: Published): Promise<Seen[]> {
  const until = Date.now() + (open.acme ? 90_000 : 10_000);
  for (;;) {
    const seen = await look(engine, services, open);
    if (seen.every(({ ok }) => ok) || seen.some(({ dead }) => dead) || Date.now() > until) return seen;
    await delay(1_000);
  }
}

function containersOf(engine: Engine, name: string): Promise<Listed[]> {
  return engine.get(`/containers/json?all=1&filters=${stackFilter(name)}`);
}

/** Whether the host has anything of the stack. */
export async function isDeployed(engine: Engine, name: string): Promise<boolean> {
  return (await containersOf(engine, name)).length > 0;
}

type WithPath = PublishedService & { path: string };

function withPath(services: readonly PublishedService[]): WithPath[] {
  return services.flatMap(({ path, ...service }) => (path === undefined ? [] : [{ ...service, path }]));
}

type WithEdge = Published & { edge: NonNullable<Published["edge"]> };

/** Past DNS and whatever stands before the host: its own ports. */
async function lookStraight(
  engine: Engine,
  published: WithEdge,
  { containers, services }: { containers: Listed[]; services: readonly PublishedService[] },
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
function tcpPortsOf(services: readonly PublishedService[], ports: TcpPorts = {}): number[] {
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

function hostIn(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
