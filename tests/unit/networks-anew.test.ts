// An edge that is removed for good waits for nobody; and networks that are made anew are left in time.
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { endIdleEdges } from "../../cli/stack/idle-edge.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { leaveNetworks, leaveNetworksThatMove, type StackNetwork } from "../../components/host/networks-anew.ts";
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
const STOP_FIRST = { "bulkhead.rollout": "stop-first" };
const named = (id: string, role: string, more: object = {}): Told => ({
  ...container(id, role),
  Labels: { "bulkhead.role": role, "bulkhead.name": "it", ...more },
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

describe("in an update, of what is told to end and still runs", () => {
  const followed = (seconds: number, role: string, more: object = {}) => [
    { ...named("old", role, more), seconds },
    named("new", role, more),
  ];
  const alone = (seconds: number, role: string, more: object = {}) => [{ ...named("old", role, more), seconds }];
  const kill = ["POST /containers/old/kill"];
  const cutOff = ["POST /networks/n1/disconnect"];

  test.each<[what: string, containers: Told[], areMoving: boolean, done: string[]]>([
    ["an edge without a door ends at once", alone(0, "edge"), false, kill],
    ["an edge whose door is there has some time", [DOOR, ...alone(5, "edge")], true, []],
    ["an edge whose door is there, and that nobody follows, ends then", [DOOR, ...alone(11, "edge")], false, kill],
    ["an edge that another one follows is left alone", [DOOR, ...followed(60, "edge")], false, []],
    ["an edge ends where networks are made anew", [DOOR, ...followed(11, "edge")], true, kill],
    ["a service drains", [DOOR, ...alone(15, "service")], true, []],
    ["a service reaches nobody after that, and ends in its own time", [DOOR, ...alone(21, "service")], true, cutOff],
    ["so does one that nobody follows", [DOOR, ...alone(21, "service")], false, cutOff],
    ["a service that another one follows is left alone", [DOOR, ...followed(60, "service")], false, []],
    ["a door is left alone", alone(60, "door"), false, []],
    ["a door is taken off networks that are made anew", alone(60, "door"), true, cutOff],
    ["what ends before another one starts is left alone", alone(60, "service", STOP_FIRST), false, []],
    ["and is taken off networks that are made anew", alone(60, "service", STOP_FIRST), true, cutOff],
  ])("%s", async (_, containers, areMoving, done) => {
    expect(await doneInUpdate(containers, areMoving)).toEqual(done);
  });

  test.each([
    ["that nobody told to end", [DOOR, named("e1", "edge")]],
    ["that was killed", [DOOR, { ...named("e1", "edge"), seconds: 60, signal: "9" }]],
    ["that has ended", [{ ...named("e1", "edge"), seconds: 60, State: "exited" }]],
  ])("one %s is left alone", async (_, containers) => {
    expect(await doneInUpdate(containers, true)).toEqual([]);
  });

  async function doneInUpdate(containers: Told[], areMoving: boolean): Promise<string[]> {
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
    await leaveNetworks(engine, "reach-local", { since: new Date(), areMoving, ended: ended.signal, lookMs: 5 });
    return fake.requests.filter((request) => !request.startsWith("GET"));
  }
});

describe("an update looks for such containers where the networks that are there are others than the stack file says", () => {
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
