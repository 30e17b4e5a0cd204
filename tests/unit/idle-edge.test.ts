// An edge that is removed for good waits for nobody; one whose door is there is never touched.
import { describe, expect, onTestFinished, test } from "vitest";
import { endEdgesWithoutDoor, endIdleEdges } from "../../cli/stack/idle-edge.ts";
import { Engine } from "../../components/docker-engine/client.ts";
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
    await endEdgesWithoutDoor(engine, "local", new Date(), ended.signal);
    return fake.requests.filter((request) => !request.startsWith("GET"));
  }
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
