import * as http from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { askHttps, askTcp, complaintOfSsh, whyNot, whyNotSecure, type Outcome } from "../../cli/doctor/client-probe.ts";
import { complaints, judgeAnswer, judgePort, outsideOf } from "../../cli/doctor/outside-verdict.ts";
import { clientAddresses, servicesIn } from "../../cli/doctor/published.ts";

const PATIENCE = { connectMs: 1_000, answerMs: 300, stayMs: 200 };

test("a TCP port is open if it keeps the connection, and not if it only takes it", async () => {
  expect(await askTcp(await listening(() => undefined), PATIENCE)).toEqual({ kind: "open" });
  expect(await askTcp(await listening((server) => server.on("connection", (it) => it.end())), PATIENCE)).toEqual({
    kind: "closed",
  });
  const gone = await listening((server) => void server.close());
  expect(await askTcp(gone, PATIENCE)).toEqual({ kind: "refused" });
});

test("TLS that nobody answers hangs, and one that is ended is closed", async () => {
  const request = { domain: "reach.test", path: "/", patience: PATIENCE };
  expect(await askHttps(await listening(() => undefined), request)).toEqual({ kind: "hangs" });
  const ends = await listening((server) => server.on("connection", (it) => it.destroy()));
  expect(await askHttps(ends, request)).toEqual({ kind: "closed" });
  const plain = http.createServer((_, answer) => answer.end());
  expect(await askHttps(await listening(() => undefined, plain), request)).toEqual({ kind: "closed" });
});

test.each<[object, Outcome["kind"]]>([
  [{ code: "ECONNREFUSED" }, "refused"],
  [{ code: "ETIMEDOUT" }, "silent"],
  [{ code: "ENOTFOUND" }, "no address"],
  [{ code: "EHOSTUNREACH", message: "no route" }, "no way"],
  [{ errors: [{ code: "ENETUNREACH" }, { code: "ECONNREFUSED" }] }, "refused"],
])("what %o says is: %s", (error, kind) => {
  expect(whyNot(error as never).kind).toBe(kind);
});

test("a certificate that is not trusted is told from a connection that ends", () => {
  for (const code of ["SELF_SIGNED_CERT_IN_CHAIN", "ERR_TLS_CERT_ALTNAME_INVALID", "CERT_HAS_EXPIRED"])
    expect(whyNotSecure({ name: "", code, message: "m" })).toEqual({ kind: "certificate", said: "m" });
  expect(whyNotSecure({ name: "", code: "ECONNRESET", message: "m" })).toEqual({ kind: "closed" });
});

test("what ssh could not ask says nothing of the port", () => {
  expect(complaintOfSsh("channel 0: open failed: connect failed: Connection refused").kind).toBe("refused");
  expect(complaintOfSsh("channel 0: open failed: administratively prohibited: open failed").kind).toBe("not asked");
});

test.each([
  ["unix:///s", "127.0.0.1", [{ address: "127.0.0.1", fromHost: false }]],
  [
    "unix:///s",
    "0.0.0.0",
    [
      { address: "127.0.0.1", fromHost: false },
      { address: "192.0.2.7", fromHost: false },
    ],
  ],
  ["ssh://a@203.0.113.9", "0.0.0.0", [{ address: "203.0.113.9", fromHost: false }]],
  ["ssh://a@203.0.113.9", "127.0.0.1", [{ address: "127.0.0.1", fromHost: true }]],
  ["ssh://a@203.0.113.9", "10.0.0.4", [{ address: "203.0.113.9", fromHost: false }]],
  ["ssh://a@10.0.0.9", "10.0.0.4", [{ address: "10.0.0.4", fromHost: false }]],
  ["tcp://203.0.113.9:2375", "127.0.0.1", []],
])("clients of %s that listens on %s are at %j", (host, listensOn, all) => {
  expect(clientAddresses(host, listensOn, "192.0.2.7")).toEqual(all);
});

test("a restart is told for a dead port alone", () => {
  const facts = { name: "prod", holds: true, dead: false, atHost: { kind: "refused" } as Outcome };
  const told = (outcome: Outcome, more: object = {}) => judgePort(outcome, { ...facts, ...more });
  expect(told({ kind: "refused" }, { dead: true }).cure.join()).toContain("restarts the door");
  const others: [Outcome, object][] = [
    [{ kind: "refused" }, {}],
    [{ kind: "refused" }, { atHost: { kind: "not asked", said: "no shell" } }],
    [{ kind: "silent" }, {}],
    [{ kind: "closed" }, {}],
    [{ kind: "hangs" }, {}],
  ];
  for (const [outcome, more] of others) expect(told(outcome, more).cure.join()).not.toMatch(/restarts|docker restart/);
  expect(told({ kind: "silent" }, { atHost: { kind: "open" } }).found).toContain("the host itself reaches it");
  expect(told({ kind: "silent" }).found).toContain("packets are dropped");
});

const answered = (status: number, body = "", headers = {}): Outcome => ({ kind: "answered", status, body, headers });

test("an answer is the service's, and well, or it is red", () => {
  const nobody = answered(404, "404 page not found\n", { "content-type": "text/plain" });
  const judge = (outcome: Outcome, isHealthPath = false) =>
    judgeAnswer(outcome, { isHealthPath, nobody, name: "prod", acme: false });
  expect(judge(answered(200), true)).toMatchObject({ ok: true, found: "200" });
  expect(judge(answered(301), true).ok).toBe(true);
  expect(judge(answered(400), true).ok).toBe(false);
  expect(judge(answered(401)).ok).toBe(true);
  expect(judge(answered(404, "404 page not found\n", { "content-type": "text/plain" }))).toMatchObject({
    ok: false,
    found: "404 by the edge: it has no route to it",
  });
  const csp = { "content-type": "text/plain", "content-security-policy": "default-src 'none'" };
  expect(judge(answered(404, "404 page not found\n", csp)).ok).toBe(true);
  for (const status of [500, 502, 503, 504, 522, 429]) expect(judge(answered(status)).ok).toBe(false);
  const inMaintenance = (outcome: Outcome) =>
    judgeAnswer(outcome, { isHealthPath: false, nobody, name: "prod", acme: false, inMaintenance: true });
  const away = answered(503, "Service Unavailable\n", { "retry-after": "300" });
  expect(inMaintenance(away)).toMatchObject({ ok: true, found: "503: in maintenance, as the stack file says" });
  expect(judge(away).ok).toBe(false);
  expect(inMaintenance(answered(503)).ok).toBe(false);
  const others: Outcome[] = [
    { kind: "certificate", said: "expired" },
    { kind: "no answer", said: "in 10 s" },
    { kind: "closed" },
    { kind: "refused" },
    { kind: "no address" },
  ];
  for (const outcome of others) expect(judge(outcome).ok, outcome.kind).toBe(false);
});

test("services are known by the state, and one that it says nothing of is left out", () => {
  const service = (name: string, outputs: object, type = "bulkhead:index:WebService") => ({
    ...{ urn: `urn:pulumi:prod::reach::${type}::${name}`, type, outputs },
  });
  const frontend = { path: "/health", isHealthPath: true, tcp: [] };
  const backend = { path: "/api", isHealthPath: false, tcp: ["clients"] };
  const all = [
    service("frontend", { url: "https://prod.test", fromOutside: frontend }),
    service("backend", { fromOutside: backend }),
    service("deployed-before", { url: "https://prod.test" }),
    service("another", { fromOutside: backend }, "acme:index:Thing"),
  ];
  expect(servicesIn(all).published).toEqual([
    { name: "backend", ...backend },
    { name: "frontend", ...frontend },
  ]);
});

test("a program without an edge opens no port, and of a state that is not known the ports are asked", () => {
  const database = { urn: "urn:pulumi:prod::reach::bulkhead:index:Postgres::db", type: "bulkhead:index:Postgres" };
  const edge = { urn: "urn:pulumi:prod::reach::bulkhead:index:Proxy::proxy", type: "bulkhead:index:Proxy" };
  expect(servicesIn([database]).hasEdge).toBe(false);
  expect(servicesIn([database, edge]).hasEdge).toBe(true);
  expect(servicesIn(undefined)).toEqual({ hasEdge: true, published: [] });
});

test("a cell shows what is red before what is well, and each complaint has its cure", () => {
  const seen = [
    { resource: "door", asked: "https://a", found: "open", ok: true, cure: [] },
    { resource: "door", asked: "tcp://a", found: "dead", ok: false, cure: ["do this"] },
    { resource: "web", asked: "https://a/", found: "200", ok: true, cure: [] },
  ];
  expect([outsideOf(seen, "door"), outsideOf(seen, "web"), outsideOf(seen, "edge")]).toEqual(["dead", "200", ""]);
  expect(complaints(seen)).toEqual(["door: tcp://a: dead\n  do this"]);
});

async function listening(prepare: (server: Server) => void, server: Server = createServer()) {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const open = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => open.add(socket));
  prepare(server);
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { address: "127.0.0.1", port };
}
