// An edge that is removed for good waits for nobody; and networks that are made anew are left in time.
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { endIdleEdges } from "../../cli/stack/idle-edge.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import {
  leaveNetworks,
  leaveNetworksThatMove,
  networkLabels,
  type StackNetwork,
} from "../../components/host/networks-anew.ts";
import type { NetworkSettings } from "../../components/host/subnets.ts";
import { startFakeEngine } from "./fake-engine.ts";

interface Told {
  Id: string;
  State: string;
  Labels: object;
  /** Since SIGTERM. @default it got none */
  seconds?: number;
  signal?: string;
}

const container = (Id: string, role: string, State = "running") => ({ Id, State, Labels: { "bulkhead.role": role } });
const DOOR = container("d1", "door");
const EDGES = [container("e1", "edge"), container("e2", "edge", "exited")];
const named = (id: string, role: string): Told => ({
  ...container(id, role),
  Labels: { "bulkhead.role": role, "bulkhead.name": "it" },
  ...{ NetworkSettings: { Networks: { own: { NetworkID: "n1" } } } },
});
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

describe("in an update that makes the networks anew, of what is told to end and still runs", () => {
  const old = (seconds: number, role: string): Told => ({ ...named("old", role), seconds });
  const kill = ["POST /containers/old/kill"];
  const cutOff = ["POST /networks/n1/disconnect"];

  test.each<[what: string, containers: Told[], done: string[]]>([
    ["an edge without a door ends at once", [old(0, "edge")], kill],
    ["an edge whose door is there has some time", [DOOR, old(5, "edge")], []],
    ["and ends then", [DOOR, old(11, "edge")], kill],
    ["a service drains", [DOOR, old(15, "service")], []],
    ["and reaches nobody after that, and ends in its own time", [DOOR, old(21, "service")], cutOff],
    ["a door does too", [old(21, "door")], cutOff],
  ])("%s", async (_, containers, done) => {
    expect(await doneInUpdate(containers)).toEqual(done);
  });

  test.each([
    ["that nobody told to end", [DOOR, named("e1", "edge")]],
    ["that was killed", [DOOR, { ...old(60, "edge"), signal: "9" }]],
    ["that has ended", [{ ...old(60, "edge"), State: "exited" }]],
  ])("one %s is left alone", async (_, containers) => {
    expect(await doneInUpdate(containers)).toEqual([]);
  });

  async function doneInUpdate(containers: Told[]): Promise<string[]> {
    const ended = new AbortController();
    let lists = 0;
    const events = containers.flatMap(({ Id, seconds, signal = "15" }) =>
      seconds === undefined
        ? []
        : { Actor: { ID: Id, Attributes: { signal } }, time: Math.floor(Date.now() / 1000) - seconds },
    );
    const fake = await startFakeEngine((request) => {
      if (request.startsWith("GET /events")) {
        if (++lists === 2) ended.abort();
        return Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
      }
      if (!request.startsWith("GET /containers/json")) return {};
      return lists === 1 ? containers : [];
    });
    const engine = new Engine(fake.host);
    onTestFinished(() => engine.close());
    await leaveNetworks(engine, "reach-local", new Date(), ended.signal, 5);
    return fake.requests.filter((request) => !request.startsWith("GET"));
  }
});

describe("an update looks for such containers where the networks that are there are others than the stack file says", () => {
  const network = (settings: NetworkSettings): StackNetwork => ({
    Name: "networks-edge",
    Labels: { "bulkhead.stack": "reach-local", ...networkLabels(settings) },
  });
  const [docker, own] = [network({}), network({ mtu: 1400, subnets: "10.213.0.0/16" })];

  test.each<[string, StackNetwork[], NetworkSettings, boolean]>([
    ["none is there yet", [], { mtu: 1400 }, false],
    ["Docker's own stay", [docker], {}, false],
    ["their own stay", [own, own], { mtu: 1400, subnets: "10.213.0.0/16" }, false],
    ["another MTU", [own], { mtu: 1450, subnets: "10.213.0.0/16" }, true],
    ["an MTU", [docker], { mtu: 1450 }, true],
    ["no MTU any more", [own], { subnets: "10.213.0.0/16" }, true],
    ["another range", [own], { mtu: 1400, subnets: "10.214.0.0/16" }, true],
    ["a range", [docker], { subnets: "10.213.0.0/16" }, true],
    ["no range any more", [own], { mtu: 1400 }, true],
    ["one without labels", [{ Name: "by-hand" }], { mtu: 1400 }, true],
  ])("%s", async (_, networks, wanted, looks) => {
    const info = vi.fn(() => ({ SystemTime: new Date().toISOString() }));
    const fake = await startFakeEngine(() => [], { info });
    const engine = new Engine(fake.host);
    onTestFinished(() => engine.close());
    await leaveNetworksThatMove(engine, "reach-local", networks, wanted);
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
