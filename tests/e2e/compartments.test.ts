// Who reaches whom, tried from inside every service, is what the program declares. One more service loses no request.
import { createServer } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines, runCommand } from "../support/command.ts";
import { startLoad } from "../support/load.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { inspectAll, removeStack, type ContainerInspect } from "../support/reach.ts";

const DOMAIN = "compartments.test";
const STACK = "compartments-compartments";
const SERVICES = ["api", "page", "mailer"];
/** Two without a route: one uses the API, the other nothing. */
const PROGRAMS = [...SERVICES, "worker", "alone"];
const HOST_PORT = 18_099;
const engine = new Engine(process.env["DOCKER_HOST"]!);
/** What listens on the engine's machine, on every address. */
const onHost = createServer((_, response) => response.end("host"));
let project: TestProject;
let world: OutsideWorld;
let ca: string;
let config: Record<string, unknown>;

beforeAll(async () => {
  world = await startOutsideWorld();
  onHost.listen(HOST_PORT, "0.0.0.0");
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  const certificates = await makeCertificates(DOMAIN);
  ca = certificates.ca;
  config = {
    "compartments:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
    "compartments:domain": DOMAIN,
    "compartments:certificatePem": certificates.certificate,
    "compartments:privateKeyPem": certificates.privateKey,
  };
  const program = new URL("../programs/compartments", import.meta.url).pathname;
  project = await createTestProject({ stack: "compartments", config, program });
  await up();
});

afterAll(async () => {
  await removeStack(engine, STACK);
  project?.remove();
  onHost.close();
  await world?.stop();
  engine.close();
});

test("a service reaches what it uses, and nothing else", async () => {
  const containers = await byName();
  const addressesOf = (name: string) =>
    Object.entries(containers[name]!.NetworkSettings.Networks).map(([network, { IPAddress }]) => [network, IPAddress]);
  const gateways = (await engine.get<Network[]>("/networks")).flatMap(({ IPAM }) =>
    (IPAM.Config ?? []).flatMap(({ Gateway }) => (Gateway === undefined ? [] : [Gateway])),
  );
  const places: Record<string, string> = { internet: `http://${world.address}:8080/` };
  places["metadata"] = `http://${world.metadataAddress}:8080/`;
  for (const gateway of new Set(gateways)) places[`host ${gateway}`] = `http://${gateway}:${HOST_PORT}/`;
  for (const name of PROGRAMS)
    for (const [network, address] of addressesOf(name).filter(([, address]) => address))
      for (const port of [8000, 9000]) places[`${name} on ${network}:${port}`] = `http://${address}:${port}/`;
  for (const [network, address] of addressesOf("edge")) {
    for (const name of SERVICES) places[`edge ${name} on ${network}`] = `http://${address}:8081/services/${name}/`;
    const release = containers["api"]!.Name.slice(1);
    places[`edge TCP port on ${network}`] = `http://${address}:2222/`;
    places[`edge release on ${network}`] = `http://${address}:8082/release/${release}/`;
    places[`edge management on ${network}`] = `http://${address}:8082/api/http/routers`;
    places[`edge ping on ${network}`] = `http://${address}:8080/api/rawdata`;
  }
  for (const [network, address] of addressesOf("edge-door")) places[`door on ${network}`] = `http://${address}:8080/`;

  const own = (name: string) => [8000, 9000].map((port) => `${name} on ${STACK}-${name}-edge:${port}`);
  const each = PROGRAMS.map(async (name): Promise<[string, string[]]> => [name, await look(name, places)]);
  const seen: Record<string, string[]> = Object.fromEntries(await Promise.all(each));
  console.log(JSON.stringify({ places: Object.keys(places).length, seen }));
  expect(seen["api"]).toEqual(own("api"));
  expect(seen["page"]).toEqual([`edge api on ${STACK}-page-edge`, ...own("page")].sort());
  expect(seen["worker"]).toEqual([`edge api on ${STACK}-worker-edge`, ...own("worker")].sort());
  expect(seen["alone"]).toEqual([]);
  // Who may go out reaches what the host has on every address too: docs/how-to/compartments.md says so.
  const out = seen["mailer"]!.filter((place: string) => !place.startsWith("host "));
  const ownOut = [8000, 9000].map((port) => `mailer on ${STACK}-mailer-egress:${port}`);
  expect(out).toEqual([...own("mailer"), ...ownOut, "internet", "metadata"].sort());
});

test("a TCP port is open to clients", async () => {
  expect(await (await fetch("http://127.0.0.1:18022/")).text()).toBe("api");
});

test("one more service loses no request of the others, and is served", { timeout: 300_000 }, async () => {
  const load = startLoad({
    ...{ url: `https://${DOMAIN}:8443/page`, address: "127.0.0.1", ca, connections: 2, seconds: 180 },
    requestsPerSecond: 40,
  });
  project.setConfig({ ...config, "compartments:more": 1 });
  await up();
  const { requests, failed, failures } = await load.stop();
  console.log(JSON.stringify({ load: "one more service", requests, failed }));
  expect(requests).toBeGreaterThan(200);
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect(await look("more-1", { own: "http://127.0.0.1:8000/" })).toEqual(["own"]);
});

interface Network {
  IPAM: { Config: { Gateway?: string }[] | null };
}

async function up(): Promise<void> {
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
}

async function byName(): Promise<Record<string, ContainerInspect>> {
  const running = (await inspectAll(engine, STACK)).filter(({ State }) => State.Running);
  return Object.fromEntries(running.map((each) => [each.Config.Labels["bulkhead.name"]!, each]));
}

/** Names of the places that answer a service, tried from within it. A refusal by the edge (403, 404) is none. */
async function look(service: string, places: Record<string, string>): Promise<string[]> {
  const { Id } = (await byName())[service]!;
  const script = `
const places = ${JSON.stringify(places)};
const ask = async ([name, url]) => {
  // "outside" is no HTTP: that it answers at all is what counts.
  const [host, port] = [new URL(url).hostname, Number(new URL(url).port)];
  const open = await new Promise((resolve) => {
    const socket = require("node:net").connect({ host, port, timeout: 2000 }, () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false)).on("timeout", () => (socket.destroy(), resolve(false)));
  });
  if (!open) return [];
  const status = await fetch(url, { signal: AbortSignal.timeout(3000) }).then(({ status }) => status, () => 0);
  return status === 404 || status === 403 || (status === 0 && name.startsWith("edge ")) ? [] : [name];
};
Promise.all(Object.entries(places).map(ask)).then((found) => console.log(JSON.stringify(found.flat().sort())));
`;
  const { code, stdout, stderr } = await runCommand("docker", ["exec", Id, "node", "--eval", script]);
  if (code !== 0) throw new Error(`from within ${service}: ${stderr}`);
  return JSON.parse(stdout) as string[];
}
