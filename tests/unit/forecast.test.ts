// What a preview is said to mean: from Pulumi's events alone. That it comes true is for tests/e2e/preview.test.ts.
import { describe, expect, test, vi } from "vitest";
import type { Agreement } from "../../cli/agreement.ts";
import { isAgreed } from "../../cli/deploy.ts";
import { acknowledgementOf, unacknowledged } from "../../cli/preview/data.ts";
import { previewOf, UNKNOWN } from "../../cli/preview/engine-events.ts";
import { forecastOf, type Forecast } from "../../cli/preview/forecast.ts";
import { isRefused, markdown, type Report } from "../../cli/preview/report.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { startFakeEngine } from "./fake-engine.ts";
import { fakePulumi } from "./fake-pulumi.ts";

const CONTAINER = "docker:index/container:Container";
const VOLUME = "docker:index/volume:Volume";
const NETWORK = "docker:index/network:Network";

interface Told {
  name: string;
  type?: string;
  /** In the order in which Pulumi tells them. */
  ops?: string[];
  before?: object;
  after?: object;
  id?: string;
  retained?: boolean;
}

function step({
  name,
  type = CONTAINER,
  ops = ["same"],
  before,
  after,
  id = `id of ${name}`,
  retained,
}: Told): object[] {
  const urn = `urn:pulumi:prod::reach::${type}::${name}`;
  return ops.map((op) => ({
    resourcePreEvent: {
      metadata: {
        ...{ op, urn, type },
        ...(before && { old: { inputs: before, id, retainOnDelete: retained } }),
        ...(after && { new: { inputs: after } }),
      },
    },
  }));
}

const log = (...events: object[]) => events.map((event) => JSON.stringify(event)).join("\n") + "\n";
const told = (...changes: Told[]) => forecastOf(previewOf(log(...changes.flatMap(step))));
const diagnostic = (severity: string, message: string) => ({ diagnosticEvent: { severity, message, color: "never" } });

const REPLACED = ["create-replacement", "replace", "delete-replaced"];
const GOES_FIRST = ["delete-replaced", "replace", "create-replacement"];

const service = (name: string, more: object = {}) => ({
  ...{ restart: "always", image: "example/app:1@sha256:" + "a".repeat(64), memory: 256, memorySwap: 256, cpus: "1.0" },
  ...{ envs: ["DRAIN_SECONDS=7"], volumes: [], networksAdvanced: [], ports: [] },
  labels: [
    { label: "bulkhead.name", value: name },
    { label: "bulkhead.pids", value: "64" },
  ],
  ...more,
});

const jobOf = (role: string, name: string) => ({
  restart: "no",
  labels: [
    { label: "bulkhead.role", value: role },
    { label: "bulkhead.for", value: name },
  ],
});

const said = (forecast: Forecast, more: Partial<Report> = {}) =>
  markdown({ ...forecast, stack: "prod", unacknowledged: unacknowledged(forecast.dataAtRisk, ""), ...more });

describe("what happens to a service", () => {
  const ofOne = (change: Omit<Told, "name">, ...others: Told[]) =>
    told({ name: "web", ...change }, ...others).services.find(({ name }) => name === "web");

  test.each([
    ["created", { ops: ["create"], after: service("web") }, { downtimeSeconds: 0 }],
    ["removed", { ops: ["delete"], before: service("web") }, { downtimeSeconds: 0 }],
    ["same", { before: service("web"), after: service("web") }, { downtimeSeconds: 0 }],
    [
      "updated",
      { ops: ["update"], before: service("web"), after: service("web", { memory: 512 }) },
      { downtimeSeconds: 0 },
    ],
    [
      "rolled",
      { ops: REPLACED, before: service("web"), after: service("web") },
      { downtimeSeconds: 0, drainSeconds: 7 },
    ],
    ["restarted", { ops: GOES_FIRST, before: service("web"), after: service("web") }, { downtimeSeconds: undefined }],
  ])("it is %s", (what, change, more) => {
    expect(ofOne(change)).toMatchObject({ name: "web", what, ...more });
  });

  test("one that holds ports leaves them closed for a known time", () => {
    const ports = [{ ip: "0.0.0.0", external: 443, internal: 8443 }];
    const door = { before: service("web", { ports }), after: service("web", { ports, image: "example/app:2" }) };
    expect(ofOne({ ops: GOES_FIRST, ...door })).toMatchObject({ what: "restarted", downtimeSeconds: 1, ports: [443] });
    const without = told({ name: "web", ops: REPLACED, ...door, after: service("web") });
    expect(without.services).toMatchObject([{ what: "rolled", closedPorts: [443], isRouted: false }]);
    expect(said(without)).toContain("; open streams have 7 s to end; port 443 is closed from then on |");
  });

  test("what an interrupted update has left to delete is no change", () => {
    const forecast = told({
      name: "web",
      ops: ["same", "delete-replaced"],
      before: service("web"),
      after: service("web"),
    });
    expect(forecast.services).toMatchObject([{ what: "same" }]);
    expect(told({ name: "old", ops: ["delete-replaced"], before: service("old") }).services).toEqual([]);
  });

  test("a job that writes its route alone leaves it running; one that runs before it is told", () => {
    const route = (path: string) => {
      const http = {
        routers: { web: { entryPoints: ["websecure"], rule: `PathPrefix(\`${path}/\`)`, service: "web" } },
      };
      return { ...jobOf("route", "web"), envs: [`ROUTE=${JSON.stringify({ http })}`, "ROUTE_FILE=web-route"] };
    };
    const unchanged = { before: service("web"), after: service("web") };
    const job = { name: "web-route-job", ops: REPLACED, before: route("/docs"), after: route("/guide") };
    expect(ofOne(unchanged, job)).toMatchObject({ what: "rerouted", reasons: ["paths /docs → /guide"] });
    const asked = (path: string, seconds: number) => ({
      ...jobOf("route", "web"),
      envs: [...route("/docs").envs, `CHECK_PATH=${path}`, `CHECK_SECONDS=${seconds}`],
    });
    const other = { ...job, before: asked("/health", 5), after: asked("/ready", 9) };
    expect(ofOne(unchanged, other)).toMatchObject({
      what: "rerouted",
      reasons: ["health path /health → /ready", "seconds for the health path 5 → 9"],
    });
    const inner = (subnet: string) => {
      const from = `ClientIP(\`${subnet}\`)`;
      const http = { routers: { "web-services": { rule: `PathPrefix(\`/services/web/\`) && (${from})` } } };
      const tcp = { routers: { "web-tcp-mail": { rule: `HostSNI(\`*\`) && !(${from})` } } };
      return { ...jobOf("route", "web"), envs: [`ROUTE=${JSON.stringify({ http, tcp })}`] };
    };
    const users = { ...job, before: inner("172.18.0.0/16"), after: inner("172.19.0.0/16") };
    expect(ofOne(unchanged, users)).toMatchObject({ what: "rerouted", reasons: ["who uses it", "TCP"] });
    const before = { name: "web-pre-deploy", ops: ["create"], after: jobOf("job", "web") };
    expect(ofOne(unchanged, before)).toMatchObject({ what: "same", preDeploy: true });
  });
});

test("names that come, go and lead elsewhere are told, and none that was there before they were in a label", () => {
  const job = (names: object | undefined, route = UNKNOWN) => ({
    ...jobOf("route", "edge"),
    envs: route === UNKNOWN ? UNKNOWN : [`ROUTE=${route}`],
    labels: [
      ...jobOf("route", "edge").labels,
      ...(names ? [{ label: "bulkhead.names", value: JSON.stringify(names) }] : []),
    ],
  });
  const lines = (before: ReturnType<typeof job>, after: ReturnType<typeof job>) =>
    told({ name: "edge-settings-job", ops: REPLACED, before, after }).names;
  const names = { "a.test": "", "b.test": "", "www.a.test": "a.test" };
  expect(lines(job(undefined, "{}"), job(names))).toEqual([
    "`a.test` is served from now on",
    "`b.test` is served from now on",
    "`www.a.test` redirects to `a.test` from now on",
  ]);
  expect(lines(job(names), job({ "a.test": "", "b.test": "a.test" }))).toEqual([
    "`b.test` redirects to `a.test` from now on",
    "`www.a.test` no longer redirects: its clients get 404",
  ]);
  expect(lines(job(names), job(undefined))).toContain("`a.test` is no longer served: its clients get 404");
  expect(lines(job(names), job(names))).toEqual([]);
  expect(lines(job(undefined, JSON.stringify(names)), job(names))).toEqual([]);
});

describe("routes that more people get through are told, also when the service is rolled:", () => {
  const job = (guards: object | undefined) => ({
    ...jobOf("route", "web"),
    // Not known in a preview before the release has its name.
    envs: UNKNOWN,
    labels: [
      ...jobOf("route", "web").labels,
      ...(guards ? [{ label: "bulkhead.guards", value: JSON.stringify(guards) }] : []),
    ],
  });
  const less = (before: object | undefined, after: object | undefined) =>
    told({ name: "web-route-job", ops: REPLACED, before: job(before), after: job(after) }).weakenedRoutes;
  const rate = (requestsPerSecond: number) => ({ rateLimit: { requestsPerSecond, burst: 5 } });

  test.each<[string, object, object | undefined, string[]]>([
    ["no auth", { basicAuth: ["ann"] }, {}, ["loses basicAuth: whoever it kept out gets through"]],
    ["no list", { allowFrom: ["192.0.2.7"] }, undefined, ["loses allowFrom: whoever it kept out gets through"]],
    [
      "more addresses",
      { allowFrom: ["192.0.2.7"] },
      { allowFrom: ["192.0.2.7", "198.51.100.0/24"] },
      ["lets 198.51.100.0/24 pass too (allowFrom)"],
    ],
    ["more users", { basicAuth: ["ann"] }, { basicAuth: ["ann", "bob"] }, ["lets bob pass too (basicAuth)"]],
    ["another question", { basicAuth: ["ann"] }, { forwardAuth: "gate/" }, ["asks gate/ instead of for a password"]],
    ["another service", { forwardAuth: "gate/" }, { forwardAuth: "open/" }, ["asks open/ instead of gate/"]],
    ["more requests", rate(1), rate(9), ["takes 9 requests a second of one client, and not 1"]],
  ])("%s", (_, was, is, lines) => {
    const place = "example.com/admin";
    expect(less({ [place]: was }, is && { [place]: is })).toEqual(lines.map((line) => `web: ${place} ${line}`));
  });

  test("not those that fewer get through, nor a service that goes", () => {
    const place = "example.com/admin";
    expect(less(undefined, { [place]: { basicAuth: ["ann"] } })).toEqual([]);
    expect(less({ [place]: { basicAuth: ["ann", "bob"] } }, { [place]: { basicAuth: ["ann"] } })).toEqual([]);
    expect(less({ [place]: rate(9) }, { [place]: { ...rate(1), allowFrom: ["192.0.2.7"] } })).toEqual([]);
    const gone = { name: "web-route-job", ops: ["delete"], before: job({ [place]: { basicAuth: ["ann"] } }) };
    expect(told(gone).weakenedRoutes).toEqual([]);
  });

  test("in the report, which is then no green one", () => {
    const forecast = told({
      ...{ name: "web-route-job", ops: REPLACED, after: job(undefined) },
      before: job({ "example.com/admin": { basicAuth: ["ann"] } }),
    });
    const text = markdown({ ...forecast, stack: "prod", unacknowledged: [] });
    expect(text).toMatch(/^### ⚠️/);
    expect(text).toContain("Routes that more people get through");
    expect(text).toContain("web: example.com/admin loses basicAuth: whoever it kept out gets through");
  });
});

describe("why", () => {
  const reasons = (before: object, after: object, ...others: Told[]) =>
    told({ name: "web", ops: REPLACED, before: service("web", before), after: service("web", after) }, ...others)
      .services[0]!.reasons;

  test.each([
    [
      "an image",
      { image: "app:2@sha256:" + "b".repeat(64) },
      [`image example/app:1 ${"a".repeat(12)} → app:2 ${"b".repeat(12)}`],
    ],
    [
      "an image to be built",
      { image: UNKNOWN },
      [`image example/app:1 ${"a".repeat(12)} → one that is built in the update`],
    ],
    ["settings, without their values", { envs: ["DRAIN_SECONDS=7", "A=hidden", "B=2"] }, ["settings A, B"]],
    ["limits", { memory: 512, memorySwap: 512, cpus: "0.5" }, ["CPU 1 → 0.5", "memory 256 → 512 MiB"]],
    ["arguments by their names", { command: ["--log.level=DEBUG"] }, ["arguments log.level"]],
    ["arguments that may be secret", { command: ["sh", "-c", "curl hidden"] }, ["arguments"]],
    ["a volume", { volumes: [{ volumeName: "other", containerPath: "/v", readOnly: true }] }, ["volumes"]],
    ["nothing that is known", { volumes: [], __defaults: ["name"] }, []],
  ])("%s", (_, after, expected) => {
    expect(reasons({}, after)).toEqual(expected);
  });

  test("a way to the internet that comes, or that goes", () => {
    const on = (...names: string[]) => ({
      networksAdvanced: names.map((name) => ({ name: `reach-prod-${name}` })),
      labels: [...service("web").labels, { label: "bulkhead.role", value: "worker" }],
    });
    const less = "no way to the internet any more";
    expect(reasons(on("proxy", "web"), on("web-edge"))).toEqual(["networks", less]);
    expect(reasons(on("web-edge", "web-egress"), on("web-edge"))).toEqual(["networks", less]);
    expect(reasons(on("web-edge"), on("web-edge", "web-egress"))).toEqual([
      "networks",
      "reaches the internet from now on",
    ]);
    expect(reasons(on("web-edge"), on("web-edge", "web-2"))).toEqual(["networks"]);
  });

  test("files that are others, and a network that is made anew", () => {
    const volumes = (volumeName: string) => ({
      volumes: [{ volumeName, containerPath: "/run/secrets", readOnly: true }],
    });
    const files = {
      ...{ name: "web-secrets-files", type: VOLUME, ops: REPLACED, id: "files-1" },
      before: { labels: [{ label: "bulkhead.name", value: "web-secrets" }] },
      after: {},
    };
    expect(reasons(volumes("files-1"), volumes(UNKNOWN), files)).toEqual(["files of web-secrets"]);
    const network = {
      name: "networks-web",
      type: NETWORK,
      ops: GOES_FIRST,
      before: { name: "reach-prod-web" },
      after: {},
    };
    const on = { networksAdvanced: [{ name: "reach-prod-web" }] };
    expect(reasons(on, on, network)).toEqual(["the network reach-prod-web is made anew"]);
  });
});

describe("data at risk", () => {
  const data = { name: "notes", labels: [{ label: "bulkhead.data", value: "true" }] };
  const BUCKET = "cloudflare:index/r2Bucket:R2Bucket";

  test.each([
    ["a volume that is deleted", { type: VOLUME, ops: ["delete"], before: data }, "is deleted with all that is in it"],
    [
      "one that is made anew",
      { type: VOLUME, ops: GOES_FIRST, before: data, after: data },
      "is deleted with all that is in it, and made anew",
    ],
    [
      "one that stays",
      { type: VOLUME, ops: ["delete"], before: data, retained: true },
      "is retained on the host but no longer managed by this stack",
    ],
    ["a bucket", { type: BUCKET, ops: ["delete"], before: { name: "notes" } }, "is deleted with all that is in it"],
    [
      "a bucket that stays",
      { type: BUCKET, ops: ["delete"], before: { name: "notes" }, retained: true },
      "is retained at Cloudflare but no longer managed by this stack",
    ],
  ])("%s", (_, change, fate) => {
    expect(told({ name: "x", ...change }).dataAtRisk).toEqual([{ name: "notes", fate }]);
  });

  test("a volume that a service writes to is data, said to be so or not; one that it reads is not", () => {
    const volume = { name: "v", type: VOLUME, ops: ["delete"], before: {}, id: "v-1" };
    const user = (readOnly: boolean) => {
      const volumes = [{ volumeName: "v-1", containerPath: "/v", readOnly }];
      return { name: "web", ops: REPLACED, before: service("web", { volumes }), after: service("web") };
    };
    expect(told(volume, user(false)).dataAtRisk).toEqual([{ name: "v-1", fate: "is deleted with all that is in it" }]);
    expect(told(volume, user(true)).dataAtRisk).toEqual([]);
    expect(told({ ...volume, ops: ["same"], after: {} }, user(false)).dataAtRisk).toEqual([]);
  });

  test("objects that are deleted sooner, or may be", () => {
    const DAY = 86_400;
    const lifecycle = (days: Record<string, number>) => ({
      bucketName: "files",
      rules: Object.entries(days).map(([prefix, value]) => ({
        ...{ enabled: true, conditions: { prefix } },
        deleteObjectsTransition: { condition: { type: "Age", maxAge: value * DAY } },
      })),
    });
    const rules = (before: Record<string, number>, after: Record<string, number>) =>
      told({
        ...{ name: "files-lifecycle", type: "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle", ops: ["update"] },
        ...{ before: lifecycle(before), after: lifecycle(after) },
      }).dataAtRisk;
    expect(rules({ "": 30 }, { "": 7, "tmp/": 1 })).toEqual([
      { name: "files", fate: "deletes everything that is older than 7 days" },
      { name: "files", fate: "deletes everything under tmp/ that is older than 1 days" },
    ]);
    expect(rules({ "": 7, "tmp/": 1 }, { "": 30 })).toEqual([]);

    const lock = (days: number) => ({
      bucketName: "files",
      rules: [{ prefix: "backups/", condition: { type: "Age", maxAgeSeconds: days * DAY } }],
    });
    const locks = (before: object, after: object | undefined, op: string) =>
      told({ name: "l", type: "cloudflare:index/r2BucketLock:R2BucketLock", ops: [op], before, after }).dataAtRisk;
    const fate = (now: number) => `keeps everything under backups/ from deletion for ${now} days and not for 30`;
    expect(locks(lock(30), lock(3), "update")).toEqual([{ name: "files", fate: fate(3) }]);
    expect(locks(lock(30), undefined, "delete")).toEqual([{ name: "files", fate: fate(0) }]);
    expect(locks(lock(3), lock(30), "update")).toEqual([]);
  });

  test("is accepted by a line of its own, with its own name", () => {
    const risks = [{ name: "notes", fate: "is deleted" }];
    expect(acknowledgementOf(risks[0]!)).toBe("I accept the loss of notes");
    for (const text of [
      "",
      "I accept the loss of",
      "I accept the loss of notes-2",
      "Do I accept the loss of notes?",
      "yes",
    ])
      expect(unacknowledged(risks, text), text).toEqual(risks);
    for (const text of ["I accept the loss of notes", "Tidy up\r\n\r\n  I accept the loss of notes.\r\nThanks"])
      expect(unacknowledged(risks, text), text).toEqual([]);
  });
});

describe("names, certificates and tokens", () => {
  const record = (name: string, ops: string[], more: { before?: object; after?: object }): Told => {
    const full = (given: object | undefined) =>
      given && { name: "app.example.com", type: "A", proxied: true, ...given };
    return {
      name,
      type: "cloudflare:index/dnsRecord:DnsRecord",
      ops,
      before: full(more.before),
      after: full(more.after),
    };
  };

  test("one record in another's place is a change of the name", () => {
    const [from, to] = [{ content: "203.0.113.10" }, { content: "203.0.113.11" }];
    expect(told(record("a", ["delete"], { before: from }), record("b", ["create"], { after: to })).cloudflare).toEqual([
      "`app.example.com`: A 203.0.113.10, proxied → A 203.0.113.11, proxied; clients follow at once",
    ]);
    const shown = { ...to, proxied: false };
    expect(told(record("a", ["update"], { before: from, after: shown })).cloudflare).toEqual([
      "`app.example.com`: A 203.0.113.10, proxied → A 203.0.113.11, not proxied: it shows where the host is; clients " +
        "follow when their resolvers forget the old one, after 5 minutes (Cloudflare's own TTL)",
    ]);
    expect(told(record("a", ["create"], { after: to })).cloudflare).toEqual([
      "`app.example.com` is new: A 203.0.113.11, proxied",
    ]);
    expect(told(record("a", ["delete"], { before: to })).cloudflare).toEqual([
      "`app.example.com` is gone: A 203.0.113.11, proxied",
    ]);
    expect(
      told(record("a", ["update"], { before: { ...to, comment: "a" }, after: { ...to, comment: "b" } })).cloudflare,
    ).toEqual([]);
  });

  test("a setting says which zone it is of", () => {
    const setting = (name: string): Told => ({
      ...{ name, type: "cloudflare:index/zoneSetting:ZoneSetting", ops: ["update"] },
      before: { settingId: "min_tls_version", value: "1.0" },
      after: { settingId: "min_tls_version", value: "1.2" },
    });
    expect(told(setting("zone-min-tls-version"), setting("zone-example.net-min-tls-version")).cloudflare).toEqual([
      "min_tls_version of the zone example.net: 1.0 → 1.2",
      "min_tls_version of the zone: 1.0 → 1.2",
    ]);
  });

  test("a CA is asked for a certificate when the names are others, and told when it is another CA", () => {
    const edge = (domain: string, ca: string) =>
      service("edge", {
        command: [
          `--entrypoints.websecure.http.tls.domains[0].main=${domain}`,
          `--entrypoints.websecure.http.tls.domains[0].sans=*.${domain}`,
          `--certificatesresolvers.acme.acme.caserver=https://${ca}/directory`,
        ],
      });
    const lines = (before: object, after: object) => told({ name: "edge", ops: REPLACED, before, after }).certificates;
    expect(lines(service("edge"), edge("a.example.com", "ca"))).toEqual([
      "a certificate for `a.example.com` and `*.a.example.com` is asked of https://ca/directory: until it is there, edge " +
        "shows one that no client trusts",
    ]);
    expect(lines(edge("a", "ca"), edge("a", "other"))).toEqual([
      "certificates come from https://other/directory from now on",
    ]);
    expect(lines(edge("a", "ca"), edge("a", "ca"))).toEqual([]);
  });

  test("tokens and generated values, with who gets them", () => {
    const volumes = [{ volumeName: "files-1", containerPath: "/run/secrets", readOnly: true }];
    const { secrets } = told(
      {
        name: "api-key-value",
        type: "random:index/randomPassword:RandomPassword",
        ops: REPLACED,
        before: {},
        after: {},
      },
      { name: "files-token", type: "cloudflare:index/accountToken:AccountToken", ops: REPLACED, before: {}, after: {} },
      { name: "web-secrets-files", type: VOLUME, ops: REPLACED, id: "files-1", before: {}, after: {} },
      { name: "web", ops: REPLACED, before: service("web", { volumes }), after: service("web") },
    );
    expect(secrets).toEqual([
      { name: "api-key", what: "is generated anew", readers: [] },
      { name: "files-token", what: "is made anew at Cloudflare; the old one is deleted last", readers: [] },
      { name: "web-secrets-files", what: "has other files", readers: ["web"] },
    ]);
  });
});

describe("the page", () => {
  test("limits are held against the host: before, after and meanwhile", () => {
    const forecast = told(
      { name: "web", ops: REPLACED, before: service("web"), after: service("web", { memory: 768, cpus: "2.0" }) },
      { name: "api", before: service("api"), after: service("api") },
    );
    expect(forecast.limits).toEqual({
      memoryMb: { before: 512, after: 1024, duringRollout: 1280 },
      cpus: { before: 2, after: 3 },
    });
    const line = (capacity?: { memoryMb: number; cpus: number }) =>
      said(forecast, { capacity })
        .split("\n")
        .find((each) => each.startsWith("**Limits"));
    expect(line({ memoryMb: 2048, cpus: 4 })).toBe(
      "**Limits of all services together:** memory 1024 of 2048 MiB (50 %), before 512; while old and new run side by side " +
        "1280 of 2048 MiB (63 %); CPU 3 of 4 CPU (75 %), before 2.",
    );
    // It is enough but for the time of the rollout.
    expect(line({ memoryMb: 1100, cpus: 2 })).toContain("**More memory is promised than there is**");
    expect(line({ memoryMb: 1100, cpus: 2 })).toContain("More CPU is promised than there is");
    expect(line()).toContain("The host did not answer, so what it has is not known.");
  });

  test("says at its head whether somebody has to look", () => {
    const head = (forecast: Forecast, more: Partial<Report> = {}) => said(forecast, more).split("\n")[0];
    expect(head(told())).toBe("### ✅ `prod`: nothing changes");
    const change = { before: service("web"), after: service("web") };
    const route = { name: "web-route-job", ops: REPLACED, before: jobOf("route", "web"), after: jobOf("route", "web") };
    expect(head(told({ name: "web", ops: REPLACED, ...change }, route))).toBe(
      "### ✅ `prod`: rolled without downtime: web",
    );
    // What the edge does not know of may have clients that nobody leads to the next one.
    expect(head(told({ name: "web", ops: REPLACED, ...change }))).toBe("### ✅ `prod`: rolled: web");
    expect(head(told({ name: "web", ops: GOES_FIRST, ...change }))).toBe(
      "### ⚠️ `prod`: restarted **with a gap**: web",
    );
    const lost = told({
      name: "b",
      type: "cloudflare:index/r2Bucket:R2Bucket",
      ops: ["delete"],
      before: { name: "b" },
    });
    expect(head(lost)).toBe("### ❌ `prod`: **data at risk**: `b`");
    expect(head(lost, { unacknowledged: [] })).toBe("### ⚠️ `prod`: **data at risk**: `b`");
    expect(said(lost)).toContain("> I accept the loss of b");
    expect(said(lost, { unacknowledged: [] })).toContain("somebody has accepted that in words");
  });

  test("tells a failure once, a policy once for all that break it, and no text from elsewhere is markup", () => {
    const policy = (resource: string) => ({
      policyEvent: {
        ...{ policyName: "container-user", enforcementLevel: "mandatory" },
        message: `Root is root.\n${resource}: runs as root: give a user\n`,
      },
    });
    const forecast = forecastOf(
      previewOf(
        log(
          ...[policy("web"), policy("api"), diagnostic("error", "preview failed")],
          ...[
            diagnostic("warning", "a | b <script>\nc"),
            diagnostic("warning", "a | b <script>\nc"),
            diagnostic("debug", "x"),
          ],
        ),
      ),
    );
    expect(isRefused(forecast)).toBe(true);
    const text = said(forecast);
    expect(text).toContain("### ❌ `prod`: the policies refuse it");
    expect(text).toContain("- api and web: runs as root: give a user (`container-user`)");
    expect(text).not.toContain("The preview failed");
    expect(text.match(/a \\\| b &lt;script> c/g)).toHaveLength(1);
    const failed = forecastOf(previewOf(log(diagnostic("error", "no such host"), diagnostic("error", "no such host"))));
    expect(said(failed)).toContain("**The preview failed, and nothing was changed:**\n\n````text\nno such host\n````");
  });
});

describe("make up", () => {
  /** A preview of these changes, and what comes of it where nobody is there to be asked. */
  const agreed = (agreement: Agreement, ...changes: Told[]) => agreedTo(log(...changes.flatMap(step)), agreement);

  async function agreedTo(events: string, agreement: Agreement): Promise<boolean> {
    const { PATH } = fakePulumi(`while [ "$1" != --event-log ]; do shift; done; cat > "$2" <<'END'\n${events}END`);
    const fake = await startFakeEngine(() => undefined, { info: () => ({ MemTotal: 2 ** 30, NCPU: 2 }) });
    vi.spyOn(console, "log").mockReturnValue();
    const engine = new Engine(fake.host);
    try {
      return await isAgreed({ name: "prod", engine, env: { PATH } }, agreement);
    } finally {
      engine.close();
    }
  }

  const risky: Told = { name: "b", type: "cloudflare:index/r2Bucket:R2Bucket", ops: ["delete"], before: { name: "b" } };

  test("asks somebody, unless told not to", async () => {
    await expect(agreed({})).rejects.toThrow("nobody is here to answer: --yes, or YES=1");
    expect(await agreed({ yes: true })).toBe(true);
  });

  test("does not go on when the preview failed or a policy refused it", async () => {
    const policyEvent = { policyName: "container-user", enforcementLevel: "mandatory", message: "Why.\nweb: is root" };
    expect(await agreedTo(log({ policyEvent }), { yes: true })).toBe(false);
    expect(await agreedTo(log(diagnostic("error", "no such host")), { yes: true })).toBe(false);
    const advice = { policyEvent: { ...policyEvent, enforcementLevel: "advisory" } };
    expect(await agreedTo(log(advice, diagnostic("warning", "old")), { yes: true })).toBe(true);
  });

  test("does not go on over data at risk, whatever else it was told, without the words", async () => {
    expect(await agreed({ yes: true }, risky)).toBe(false);
    expect(await agreed({ yes: true, acceptDataLoss: ["c"], acknowledged: "I accept the loss of d" }, risky)).toBe(
      false,
    );
    await expect(agreed({}, risky)).rejects.toThrow(
      'nobody is here to answer: --accept-data-loss b, or ACKNOWLEDGED="I accept the loss of b"',
    );
    // A name is meant for the option: a description that says no more has accepted nothing.
    expect(await agreed({ yes: true, acknowledged: "b" }, risky)).toBe(false);
    expect(await agreed({ yes: true, acknowledged: "Less.\nI accept the loss of b." }, risky)).toBe(true);
    expect(await agreed({ yes: true, acceptDataLoss: ["c", "b"] }, risky)).toBe(true);
  });
});
