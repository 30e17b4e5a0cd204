// Who reaches whom, tried from inside every service, is what the program declares. One more service loses no request.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines } from "../support/command.ts";
import { startLoad } from "../support/load.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { inspectAll, removeStack } from "../support/reach.ts";
import {
  placesOf,
  placesOfEdge,
  reachedFrom,
  withPlacesBeyond,
  type Containers,
  type Places,
} from "../support/reachability.ts";

const DOMAIN = "compartments.test";
const STACK = "compartments-compartments";
const SERVICES = ["api", "page", "mailer"];
/** Without a route: one uses the API, one nothing, and one is on a network of the stack's. */
const PROGRAMS = [...SERVICES, "worker", "alone", "neighbour"];
const engine = new Engine(process.env["DOCKER_HOST"]!);
let project: TestProject;
let ca: string;
let config: Record<string, unknown>;

beforeAll(async () => {
  const images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  const certificates = await makeCertificates(DOMAIN);
  ca = certificates.ca;
  config = {
    "compartments:images": { traefik: images.traefik, haproxy: images.haproxy, node: images.node },
    "compartments:domain": DOMAIN,
    "compartments:edge": { keepAliveSeconds: 4 },
    "compartments:certificatePem": certificates.certificate,
    "compartments:privateKeyPem": certificates.privateKey,
    "compartments:networks": { mtu: 1400, subnets: "10.89.0.0/16" },
  };
  const program = new URL("../programs/compartments", import.meta.url).pathname;
  project = await createTestProject({ stack: "compartments", config, program });
  await up();
});

afterAll(async () => {
  await removeStack(engine, STACK);
  project?.remove();
  engine.close();
});

test("a service reaches what it uses, and nothing else", async () => {
  const containers = await byName();
  const services = Object.fromEntries(SERVICES.map((name) => [name, containers[name]!]));
  const inside: Places = placesOfEdge(containers["edge"]!, services);
  for (const name of PROGRAMS) Object.assign(inside, placesOf(name, containers[name]!));
  Object.assign(inside, placesOf("door", containers["edge-door"]!));
  const seen = await withPlacesBeyond(engine, async (beyond) => {
    const places = { ...inside, ...beyond };
    const each = PROGRAMS.map(async (name) => [name, await reachedFrom(containers[name]!, places)] as const);
    return Object.fromEntries(await Promise.all(each));
  });
  console.log(JSON.stringify({ places: Object.keys(inside).length, seen }));

  const own = (name: string) => [8000, 9000].map((port) => `${name} on ${STACK}-${name}-edge:${port}`);
  expect(seen["api"]).toEqual(own("api"));
  expect(seen["page"]).toEqual([`edge api on ${STACK}-page-edge`, ...own("page")].sort());
  expect(seen["worker"]).toEqual([`edge api on ${STACK}-worker-edge`, ...own("worker")].sort());
  expect(seen["alone"]).toEqual([]);
  // Neither what the host listens on: it has no address there.
  expect(seen["neighbour"]).toEqual([8000, 9000].map((port) => `neighbour on ${STACK}-web-2:${port}`));
  // Who may go out reaches what the host has on every address too: docs/how-to/compartments.md says so.
  const out = seen["mailer"]!.filter((place: string) => !place.startsWith("host "));
  const ownOut = [8000, 9000].map((port) => `mailer on ${STACK}-mailer-egress:${port}`);
  expect(out).toEqual([...own("mailer"), ...ownOut, "internet", "metadata"].sort());
});

test("a TCP port is open to clients", async () => {
  expect(await (await fetch("http://127.0.0.1:18022/")).text()).toBe("api");
});

test("networks are in the range and have the MTU that are said, and another update leaves them", async () => {
  const found = await engine.get<(Network & { Name: string; Options: object })[]>("/networks");
  const own = found.filter(({ Name }) => Name.startsWith(`${STACK}-`));
  expect(own.length).toBeGreaterThan(8);
  for (const { IPAM, Options } of own) {
    expect(IPAM.Config).toEqual([
      expect.objectContaining({ Subnet: expect.stringMatching(/^10\.89\..*\/25$/) as string }),
    ]);
    expect(Options).toMatchObject({ "com.docker.network.driver.mtu": "1400" });
  }
  expect(await up()).toMatch(/^ +\d+ unchanged$/m);
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
  const own = { own: "http://127.0.0.1:8000/" };
  expect(await reachedFrom((await byName())["more-1"]!, own)).toEqual(["own"]);
});

interface Network {
  IPAM: { Config: { Gateway?: string }[] | null };
}

async function up(): Promise<string> {
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
  return stdout;
}

async function byName(): Promise<Containers> {
  const running = (await inspectAll(engine, STACK)).filter(({ State }) => State.Running);
  return Object.fromEntries(running.map((each) => [each.Config.Labels["bulkhead.name"]!, each]));
}
