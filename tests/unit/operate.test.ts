// What the verbs for a stack that runs are made of, without a stack.
import { createServer, type ServerResponse } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { secondsOf } from "../../cli/logs.ts";
import { follow, type NamedLine } from "../../cli/logs/follow.ts";
import { Cursor, LineDecoder } from "../../cli/logs/lines.ts";
import { harmless, readable } from "../../cli/logs/readable.ts";
import { compareReleases } from "../../cli/releases/compare.ts";
import { coloured } from "../../cli/report/colour.ts";
import { generatedSecrets } from "../../cli/rotate.ts";
import { ensureKnown } from "../../cli/stack/containers.ts";
import { needsOf } from "../../cli/status/judge.ts";
import { stateByPulumi } from "../../cli/status/state.ts";
import type { ServingContainer, Status } from "../../cli/status/read-status.ts";
import { screen } from "../../cli/status/screen.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { fakePulumi } from "./fake-pulumi.ts";

const time = (second: number) => `2026-02-03T04:05:${String(second).padStart(2, "0")}.000000000Z`;
const frame = (from: 1 | 2, text: string) => {
  const content = Buffer.from(text);
  const header = Buffer.from([from, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(content.length, 4);
  return Buffer.concat([header, content]);
};

describe("what Docker sends of a log", () => {
  const sent = Buffer.concat([
    frame(1, `${time(1)} grün\r\n`),
    frame(2, `${time(2)} ${"x".repeat(16_384)}`),
    frame(1, `${time(3)} between\n`),
    frame(2, `${time(2)} end\n`),
    frame(1, `${time(4)} not ended`),
  ]);
  const lines = [
    { from: "stdout", time: time(1), text: "grün" },
    { from: "stdout", time: time(3), text: "between" },
    { from: "stderr", time: time(2), text: `${"x".repeat(16_384)}end` },
    { from: "stdout", time: time(4), text: "not ended" },
  ];

  test.each([1, 2, 7, 8, 9, 100, 16_400])("cut into pieces of %i bytes it gives the same lines", (size) => {
    const decoder = new LineDecoder(false);
    const got = [];
    for (let at = 0; at < sent.length; at += size) got.push(...decoder.push(sent.subarray(at, at + size)));
    expect([...got, ...decoder.end()]).toEqual(lines);
  });

  test("of a container with a terminal there are no frames", () => {
    const bytes = Buffer.from(`${time(1)} öne\r\n${time(2)} long${time(2)} er\r\n${time(3)} last`);
    const decoder = new LineDecoder(true);
    const got = [];
    for (let at = 0; at < bytes.length; at += 3) got.push(...decoder.push(bytes.subarray(at, at + 3)));
    expect([...got, ...decoder.end()].map(({ text }) => text)).toEqual(["öne", "longer", "last"]);
  });
});

test("after a break no line comes twice and none is left out, also with equal times and two streams", () => {
  const line = (from: "stdout" | "stderr", second: number, text: string) => ({ from, time: time(second), text });
  const all = [
    line("stdout", 1, "a"),
    line("stdout", 3, "b"),
    line("stdout", 3, "c"),
    line("stderr", 2, "written late"),
    line("stdout", 3, "d"),
    line("stderr", 4, "e"),
  ];
  for (let broken = 1; broken <= all.length; broken++) {
    const cursor = new Cursor();
    const first = all.slice(0, broken).filter((each) => cursor.takes(each));
    cursor.rewind();
    const rest = all.filter((each) => cursor.takes(each));
    expect([...first, ...rest].map(({ text }) => text)).toEqual(all.map(({ text }) => text));
  }
});

test("a connection that breaks while logs are followed: every line once, and of a new container from its beginning", async () => {
  const labels = { "bulkhead.name": "app", "bulkhead.role": "service" };
  const list: object[] = [{ Id: "old", Created: 1, State: "running", Labels: labels }];
  let events: ServerResponse | undefined;
  let asked = 0;
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-follow-"));
  const socket = join(directory, "docker.sock");
  const server = createServer((request, response) => {
    const url = request.url!;
    if (url.startsWith("/events")) return void ((events = response), response.flushHeaders());
    if (url.startsWith("/containers/json")) return void response.end(JSON.stringify(list));
    if (url.endsWith("/json"))
      return void response.end(JSON.stringify({ Config: { Tty: false }, State: { Running: true } }));
    response.flushHeaders();
    if (url.startsWith("/containers/new")) return void response.write(frame(1, `${time(9)} new\n`));
    asked += 1;
    if (asked === 1) {
      // In the middle of a line.
      response.write(Buffer.concat([frame(1, `${time(1)} one\n`), frame(1, `${time(2)} two\n`).subarray(0, 12)]));
      setTimeout(() => response.destroy(), 50);
    } else
      response.write(Buffer.concat([1, 2, 3].map((n) => frame(1, `${time(n)} ${["one", "two", "three"][n - 1]}\n`))));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const engine = new Engine(`unix://${socket}`);
  const stop = new AbortController();
  onTestFinished(() => {
    engine.close();
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });
  const lines: NamedLine[] = [];
  const done = follow({
    ...{ engine, stack: "prod", wants: () => true, cursors: new Map(), since: "0", old: new Set(["old"]) },
    ...{ write: (line) => lines.push(line), say: () => undefined, signal: stop.signal },
  });
  await vi.waitFor(() => expect(lines.map(({ text }) => text)).toEqual(["one", "two", "three"]), 5_000);
  events!.write(`${JSON.stringify({ Actor: { ID: "new", Attributes: labels } })}\n`);
  await vi.waitFor(() => expect(lines.map(({ text }) => text)).toEqual(["one", "two", "three", "new"]), 5_000);
  stop.abort();
  await done;
});

describe("a line as a person reads it", () => {
  const shown = (text: string) => readable({ time: time(6), text });
  test.each([
    [`{"time":"${time(6)}","level":"warn","msg":"slow","ms":12,"path":"/a b"}`, 'WARN slow ms=12 path="/a b"'],
    // Written late: when it happened is told.
    [`{"time":"${time(1)}","level":"info","message":"m"}`, `INFO m time=${time(1)}`],
    ['{"message":{"a":1},"big":12345678901234567890}', 'message={"a":1} big=12345678901234567890'],
    ["{not json", "{not json"],
    ["[1,2]", "[1,2]"],
    ["  GET / 200", "  GET / 200"],
    ["", ""],
  ])("%s", (text, expected) => {
    expect(shown(text)).toBe(`2026-02-03 04:05:06.000 ${expected}`);
  });

  test("what a client wrote into it moves no cursor", () => {
    expect(harmless("\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\r")).toBe(
      "\x1b[31mred\x1b[0m \\x1b]0;title\\x07\\x1b[2J\\x0d",
    );
  });
});

test("since when", () => {
  const now = new Date("2026-02-03T04:05:06Z");
  const at = now.getTime() / 1000;
  expect(["90s", "15m", "1h", "2d"].map((since) => at - secondsOf(since, now))).toEqual([90, 900, 3600, 172_800]);
  expect(secondsOf("2026-02-03T04:05:00Z", now)).toBe(at - 6);
  expect(() => secondsOf("yesterday", now)).toThrow("--since: yesterday: give 90s");
});

test("an unknown name is refused with the nearest and with all, several at once", () => {
  ensureKnown("service", ["backend"], ["backend", "frontend"]);
  expect(() => ensureKnown("service", ["backnd", "zzz"], ["frontend", "backend"])).toThrow(
    "backnd: no such service: did you mean backend? there are backend, frontend\n" +
      "zzz: no such service: there are backend, frontend",
  );
});

test("two releases are compared value by value", () => {
  const before = {
    images: { app: "a@sha256:1", old: "o" },
    settings: { "p:edge": { burst: 1, list: [1] }, "p:x": "y" },
  };
  const after = {
    images: { app: "a@sha256:2" },
    settings: { "p:edge": { burst: 2, list: [1] }, "p:x": "y", "p:n": true },
  };
  expect(compareReleases(before, after)).toEqual([
    { what: "image of app", before: "a@sha256:1", after: "a@sha256:2" },
    { what: "image of old", before: "o", after: undefined },
    { what: "p:edge.burst", before: "1", after: "2" },
    { what: "p:n", before: undefined, after: "true" },
  ]);
  expect(compareReleases(before, before)).toEqual([]);
});

test("a generated secret is found by its name, and what is to be deleted is not it", () => {
  const component = "urn:pulumi:prod::p::bulkhead:index:GeneratedSecret";
  const value = `${component}$random:index/randomPassword:RandomPassword::api-key-value`;
  const resource = { type: "random:index/randomPassword:RandomPassword", urn: value, parent: `${component}::api-key` };
  expect(
    generatedSecrets([
      { type: "bulkhead:index:GeneratedSecret", urn: `${component}::api-key` },
      { ...resource, delete: true },
      resource,
      { type: "random:index/randomId:RandomId", urn: "urn:x", parent: "urn:pulumi:prod::p::acme:index:Thing::t" },
    ]),
  ).toEqual(new Map([["api-key", value]]));
});

describe("a state that is not in files is read by Pulumi", () => {
  const exported = { deployment: { manifest: { time: "2026-02-03T00:00:00Z" }, resources: [] } };
  const read = (script: string) => {
    const { PATH } = fakePulumi(script);
    return stateByPulumi("prod", Promise.resolve({ PATH, PULUMI_BACKEND_URL: "s3://bucket" }));
  };

  test("with who holds its lock", async () => {
    const locked =
      "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete.\n" +
      "  s3://bucket/lock.json: created by deploy@ci (pid 7) at 2026-02-03T04:05:06Z";
    const seen = await read(
      `[ "$2" = export ] && echo '${JSON.stringify(exported)}' || { echo '${locked}' >&2; exit 1; }`,
    );
    expect(seen).toEqual({
      state: exported,
      holders: [{ user: "deploy", machine: "ci", pid: 7, since: new Date("2026-02-03T04:05:06Z"), where: "elsewhere" }],
    });
  });

  test("and where that cannot be, it is told why", async () => {
    const seen = await read("echo 'error: PULUMI_ACCESS_TOKEN must be set' >&2; exit 1");
    expect(seen).toEqual({
      holders: [],
      problem: expect.stringContaining("PULUMI_ACCESS_TOKEN must be set") as string,
    });
  });
});

describe("what needs a hand", () => {
  const container: ServingContainer = {
    ...{ name: "app", role: "service", id: "1", image: "registry.test/app:1@sha256:0123456789abcdef", restarts: 0 },
    state: { Status: "running", Health: { Status: "healthy" }, StartedAt: "2026-02-01T00:00:00Z" },
    ...{ memoryLimitMb: 256, cpuLimit: 1, memoryMb: 100, cpus: 0.25 },
  };
  const status = (changes: Partial<ServingContainer> = {}, more: Partial<Status> = {}): Status => ({
    ...{ stack: "prod", domain: "prod.test", now: new Date("2026-02-03T00:00:00Z"), seen: [], missing: [] },
    engine: { DockerRootDir: "/var/lib/docker" } as Status["engine"],
    containers: [{ ...container, ...changes }],
    state: { pending: 0, holders: [], updatedAt: "2026-02-01T00:00:00Z" },
    ...more,
  });
  const running = (StartedAt: string, Health = "healthy") => ({
    Status: "running",
    Health: { Status: Health },
    StartedAt,
  });
  const holder = { user: "deploy", machine: "ci", pid: 1, since: new Date(0), where: "gone" };

  const certificateUntil = (until: string, name: string) => ({
    ...{ kind: "files" as const, names: [name] },
    ...{ from: new Date("2025-01-01"), until: new Date(until) },
  });

  test("nothing, if all is well", () => {
    expect(needsOf(status())).toEqual([]);
    expect(screen(status(), [])).toMatch(
      /^app +app:1@sha256:0123456789ab +healthy +2 d +0 +100 of 256 MiB +0\.25 of 1$/m,
    );
    const unread = screen({ ...status(), state: undefined, stateProblem: "pulumi: exit 1\nerror: log in first\n" }, []);
    expect(unread).toMatch(/^waits +not known: the stack's state cannot be read from here: error: log in first$/m);
    // Of long ago.
    expect(needsOf(status({ restarts: 3 }))).toEqual([]);
  });

  test("nothing of a job that is well, which says all the same what went wrong before", () => {
    const of = (Status: string, role = "scheduled-job") => {
      const Output =
        "the run of 2026-02-02T23:59 ended with exit code 0 after 1 s\nbefore: the run of 02:30 ended badly\n";
      const Health = { Status, Log: [{ Output }] };
      return status({ role, state: { Status: "running", Health, StartedAt: "2026-02-01T00:00:00Z" } });
    };
    expect(needsOf(of("healthy"))).toEqual([]);
    expect(screen(of("healthy"), [])).toMatch(/^app before +the run of 02:30 ended badly$/m);
    expect(screen(of("healthy", "service"), [])).not.toContain("ended badly");
  });

  test.each<[string, Status, RegExp]>([
    ["stopped", status({ state: { Status: "exited", StartedAt: "2026-02-01T00:00:00Z" } }), /^app: exited/],
    ["unhealthy", status({ state: running("2026-02-01T00:00:00Z", "unhealthy") }), /^app: .*not well/],
    ["started again just now", status({ restarts: 2, state: running("2026-02-02T23:59:00Z") }), /^app: .*2 times/],
    ["at its limit", status({ memoryMb: 250 }), /^app: 250 of 256 MiB/],
    ["gone", status({}, { missing: ["other"] }), /^other: not on the host/],
    ["nothing deployed", status({}, { containers: [] }), /^prod: nothing of it/],
    [
      "not reached",
      status({}, { seen: [{ resource: "app", asked: "https://prod.test/", found: "502", ok: false, cure: ["Do."] }] }),
      /^app: https:\/\/prod\.test\/: 502/,
    ],
    ["a dead lock", status({}, { state: { pending: 1, holders: [holder] } }), /^lock: .*was killed/],
    ["half made", status({}, { state: { pending: 2, holders: [] } }), /^state: .*2 things/],
    [
      "a certificate at its end",
      status({}, { certificate: certificateUntil("2026-02-10", "prod.test") }),
      /^certificate: .*7 days/,
    ],
    [
      "a certificate of another domain at its end",
      status(
        {},
        {
          certificate: certificateUntil("2027-02-10", "prod.test"),
          further: [{ name: "shop.test", certificate: certificateUntil("2026-02-10", "shop.test") }],
        },
      ),
      /^certificate: .*for shop\.test until 2026-02-10, 7 days/,
    ],
    [
      "a full disk",
      status(
        {},
        { shell: { user: "u", groups: [], kernel: "6", rebootRequired: false, disk: { total: 1e8, free: 1e5 } } },
      ),
      /^disk: 0\.1 GiB free/,
    ],
  ])("%s", (_, seen, expected) => {
    const [need, ...others] = needsOf(seen);
    expect(others).toEqual([]);
    expect(`${need!.about}: ${need!.what}`).toMatch(expected);
    expect(need!.cure).not.toBe("");
    expect(screen(seen, [need!])).toContain(need!.cure);
  });

  test("red on a terminal alone, and not where the user wants none", () => {
    vi.stubEnv("NO_COLOR", "");
    onTestFinished(() => void vi.unstubAllEnvs());
    expect([coloured("red", "x", true), coloured("red", "x", false)]).toEqual(["\x1b[31mx\x1b[39m", "x"]);
    vi.stubEnv("NO_COLOR", "1");
    expect(coloured("red", "x", true)).toBe("x");
  });
});
