// An edge that is removed for good waits for nobody; one whose door is there is never touched.
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { endIdleEdges } from "../../cli/stack/idle-edge.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { endEdgesIfNetworksMove, endEdgesWithoutDoor, type StackNetwork } from "../../components/host/networks-anew.ts";
import type { NetworkSettings } from "../../components/host/subnets.ts";
import { startFakeEngine } from "./fake-engine.ts";

const container = (Id: string, role: string, State = "running") => ({ Id, State, Labels: { "bulkhead.role": role } });
const DOOR = container("d1", "door");
const EDGES = [container("e1", "edge"), container("e2", "edge", "exited")];
const SERVICE = container("s1", "service");

test("when the door is removed, the edges that run end, and nothing else", async () => {
  expect(await endedAfter([DOOR, ...EDGES, SERVICE], [...EDGES, SERVICE])).toEqual(["POST /containers/e1/kill"]);
});

test.each([
  ["stops, and is not removed,", [DOOR, ...EDGES], [container("d1", "door", "exited"), ...EDGES]],
  ["was never there", EDGES, EDGES],
])("a door that %s ends no edge", async (_, first, then) => {
  expect(await endedAfter(first, then)).toEqual([]);
});

describe("in an update", () => {
  const told = (id: string, signal = "15") => JSON.stringify({ Actor: { ID: id, Attributes: { signal } } });

  test("an edge that is told to end and has no door is ended, and no other", async () => {
    expect(await endedInUpdate(EDGES, [told("e1"), told("e2"), told("s1", "9")])).toEqual(["POST /containers/e1/kill"]);
  });

  test.each([
    ["whose door is there", [DOOR, ...EDGES], [told("e1")]],
    ["that nobody told to end", EDGES, []],
    ["that was killed", EDGES, [told("e1", "9")]],
  ])("one %s is left alone", async (_, containers, events) => {
    expect(await endedInUpdate(containers, events)).toEqual([]);
  });

  async function endedInUpdate(containers: object[], events: string[]): Promise<string[]> {
    const ended = new AbortController();
    let lists = 0;
    const fake = await startFakeEngine((request) => {
      if (request.startsWith("GET /events")) return Buffer.from(events.map((event) => `${event}\n`).join(""));
      if (!request.startsWith("GET /containers/json")) return {};
      if (++lists === 2) ended.abort();
      return lists === 1 ? containers : [];
    });
    const engine = new Engine(fake.host);
    onTestFinished(() => engine.close());
    await endEdgesWithoutDoor(engine, "reach-local", new Date(), ended.signal);
    return fake.requests.filter((request) => !request.startsWith("GET"));
  }
});

describe("an update looks for such edges where the networks that are there are others than the stack file says", () => {
  const network = (Subnet: string, mtu?: string): StackNetwork => ({
    Name: "networks-edge",
    Options: mtu === undefined ? null : { "com.docker.network.driver.mtu": mtu },
    IPAM: { Config: [{ Subnet }] },
  });
  const [docker, own] = [network("172.18.0.0/16"), network("10.213.5.128/25", "1400")];
  const settings = { mtu: 1400, subnets: "10.213.0.0/16" };

  test.each<[string, StackNetwork[], NetworkSettings, boolean]>([
    ["none is there yet", [], settings, false],
    ["Docker's own stay", [docker], {}, false],
    ["their own stay", [own, own], settings, false],
    ["another MTU", [own], { ...settings, mtu: 1450 }, true],
    ["an MTU", [docker], { mtu: 1450 }, true],
    ["no MTU any more", [own], { subnets: settings.subnets }, true],
    ["another range", [own], { ...settings, subnets: "10.214.0.0/16" }, true],
    ["a range", [docker], { subnets: "10.213.0.0/16" }, true],
    ["no range any more", [own], { mtu: 1400 }, true],
  ])("%s", async (_, networks, wanted, looks) => {
    const info = vi.fn(() => ({ SystemTime: new Date().toISOString() }));
    const fake = await startFakeEngine(() => [], { info });
    const engine = new Engine(fake.host);
    onTestFinished(() => engine.close());
    await endEdgesIfNetworksMove(engine, "reach-local", networks, wanted);
    expect(info).toHaveBeenCalledTimes(looks ? 1 : 0);
  });
});

/** What was asked of Docker, but for the lists: the first one, and then the other until three were given. */
async function endedAfter(first: object[], then: object[]): Promise<string[]> {
  const ended = new AbortController();
  let lists = 0;
  const fake = await startFakeEngine((request) => {
    if (!request.startsWith("GET /containers/json")) return {};
    if (++lists === 3) ended.abort();
    return lists === 1 ? first : then;
  });
  const engine = new Engine(fake.host);
  onTestFinished(() => engine.close());
  await endIdleEdges(engine, "local", ended.signal);
  return fake.requests.filter((request) => !request.startsWith("GET"));
}
