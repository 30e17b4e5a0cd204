import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { CloudflareApi } from "../../cli/audit/cloudflare-api.ts";
import { cloudflareFindings } from "../../cli/audit/cloudflare-drift.ts";
import type { CloudflareState } from "../../cli/audit/cloudflare-records.ts";
import { cloudflareState } from "../../cli/audit/cloudflare-state.ts";
import type { Finding } from "../../cli/audit/finding.ts";
import { promises, type ExpectedCloudflare } from "../../cli/audit/expected-state.ts";
import { permissionGroups } from "../support/cloudflare/access.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";

const TOKEN = "bootstrap-token-that-nobody-is-to-see-0123";
const secret = (value: unknown) => ({
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  plaintext: JSON.stringify(value),
});
const BUCKET = "com.cloudflare.edge.r2.bucket.account_default_files";
const ZONE = "com.cloudflare.api.account.zone.zone";
const resource = (name: string, kind: string, id: string, inputs: object, outputs: object = {}) => ({
  urn: `urn:pulumi:prod::reach::cloudflare:index/${kind[0]!.toLowerCase()}${kind.slice(1)}:${kind}::${name}`,
  type: `cloudflare:index/${kind[0]!.toLowerCase()}${kind.slice(1)}:${kind}`,
  ...{ id, inputs: { ...inputs }, outputs: { ...outputs } },
});
const record = { zoneId: "zone", ttl: 1, proxied: true, comment: "of reach-prod" };
const policy = { effect: "allow", permissionGroups: [{ id: "g" }], resources: JSON.stringify({ [BUCKET]: "*" }) };

const { cloudflare } = promises({
  resources: [
    {
      urn: "a::cloudflare-provider",
      ...{ type: "pulumi:providers:cloudflare", id: "p", inputs: { apiToken: secret(TOKEN), baseUrl: "http://api" } },
    },
    resource("dns", "DnsRecord", "r1", { ...record, name: "reach.example.com", type: "A", content: "203.0.113.10" }),
    resource("caa", "DnsRecord", "r2", {
      ...{ zoneId: "zone", ttl: 1, name: "reach.example.com", type: "CAA" },
      data: { flags: 0, tag: "issue", value: "letsencrypt.org" },
    }),
    resource("token", "AccountToken", "t1", {
      ...{ accountId: "account", name: "reach-prod-files-2026-01-01", policies: [policy] },
    }),
    resource("edge-dns", "AccountToken", "t2", {
      ...{ accountId: "account", name: "reach-prod-edge-dns" },
      policies: [{ ...policy, resources: JSON.stringify({ [ZONE]: "*" }) }],
    }),
    resource(
      ...(["files", "R2Bucket", "files"] as const),
      { accountId: "account", name: "files", jurisdiction: "default" },
      { location: "WEUR", creationDate: "2026-01-01T00:00:00.123Z" },
    ),
    resource("worker", "WorkersScript", "w1", { accountId: "account" }),
    { ...resource("old", "DnsRecord", "r0", { ...record, name: "old.example.com" }), delete: true },
  ],
});
const promised: ExpectedCloudflare = cloudflare!;

const tokenState = {
  ...{ id: "t1", name: "reach-prod-files-2026-01-01", status: "active" },
  policies: [{ effect: "allow", permission_groups: [{ id: "g" }], resources: { [BUCKET]: "*" } }],
};
const zoneToken = {
  ...{ id: "t2", name: "reach-prod-edge-dns", status: "active" },
  policies: [{ effect: "allow", permission_groups: [{ id: "g" }], resources: { [ZONE]: "*" } }],
};
const dns = { id: "r1", name: "reach.example.com", type: "A", content: "203.0.113.10" };
const caa = { id: "r2", name: "reach.example.com", type: "CAA", content: '0 issue "letsencrypt.org"' };
const state: CloudflareState = {
  answers: {
    dns: {
      it: { ...dns, ttl: 1, proxied: true, comment: "of reach-prod", tags: [], settings: { flatten_cname: false } },
    },
    caa: {
      it: { ...caa, ttl: 1, proxied: false, comment: null, data: { flags: 0, tag: "issue", value: "letsencrypt.org" } },
    },
    token: { it: tokenState },
    "edge-dns": { it: zoneToken },
    files: { it: { location: "weur", storage_class: "Standard", creation_date: "2026-01-01T00:00:00Z" } },
    worker: {},
  },
  ...{
    records: [dns, caa],
    tokens: [tokenState, zoneToken],
    otherValues: [],
    permissions: new Map([["g", "DNS Write"]]),
  },
};

const short = ({ resource, field, promised, found }: Finding) => `${resource}, ${field}: ${promised} -> ${found}`;
const said = (changes: Partial<CloudflareState>) => cloudflareFindings(promised, { ...state, ...changes }).map(short);

test("what is as promised has no findings, also where the API says more than was asked for, and of kinds that are not known", () =>
  expect(said({})).toEqual([]));

test("a stack without Cloudflare has nothing to compare", () =>
  expect(promises({ resources: [] }).cloudflare).toBeUndefined());

test("what is not there is told in words", () => {
  const answers = {
    ...state.answers,
    dns: { it: { ...dns, ttl: 1, proxied: false, comment: "mine, all mine" } },
    token: { it: { ...tokenState, policies: [...tokenState.policies, tokenState.policies[0]] } },
    caa: {},
  };
  expect(said({ answers })).toEqual([
    "dns, proxied: true -> false",
    "dns, comment: of reach-prod -> mine, all mine",
    "caa, itself: there -> gone",
    "token, policy 2: none -> there",
  ]);
  const [, , , ...rest] = cloudflareFindings(promised, { ...state, answers });
  expect(rest[0]!.cure).toContain("pulumi up --replace");
});

test("what a token may do is told by the names of its permissions", () => {
  const policies = [{ ...tokenState.policies[0]!, permission_groups: [{ id: "g" }, { id: "h" }] }];
  const answers = { ...state.answers, token: { it: { ...tokenState, policies } } };
  const permissions = new Map([...state.permissions, ["h", "Zone Read"] as const]);
  expect(said({ answers, permissions })).toEqual(["token, policy 1: permissions: DNS Write -> DNS Write, Zone Read"]);
});

test("another value of a token is told, unless something else keeps it from opening anything", () => {
  expect(said({ otherValues: ["token"] })).toEqual(["token, value: as made -> another"]);
  const answers = { ...state.answers, token: { it: { ...tokenState, status: "disabled" } } };
  expect(said({ otherValues: ["token"], answers })).toEqual(["token, status: active -> disabled"]);
});

test("a bucket that is public is told, and that no update mends it", () => {
  const managed = { enabled: true, domain: "pub-files.r2.dev" };
  const domains = [
    { domain: "files.example.com", enabled: true },
    { domain: "off.example.com", enabled: false },
  ];
  const files = { ...state.answers["files"], managed, custom: { domains }, cors: { rules: [{}] }, lock: { rules: [] } };
  const found = cloudflareFindings(promised, { ...state, answers: { ...state.answers, files } });
  expect(found.map(short)).toEqual([
    "files, public address: none -> pub-files.r2.dev",
    "files, public domains: none -> files.example.com",
    "files, CORS rules: none -> 1",
  ]);
  for (const { cure } of found) expect(cure).toContain("no update takes it away");
});

describe("of what the stack did not make", () => {
  const other = (change: object) => ({ ...dns, id: "other", ...change });
  const token = (name: string, resources: object) => ({
    ...{ id: "other", name, status: "active" },
    policies: [{ effect: "allow", permission_groups: [{ id: "g" }], resources }],
  });

  test.each([
    ["a second address", other({ content: "198.51.100.1" }), "A 198.51.100.1"],
    ["an alias", other({ type: "CNAME", content: "evil.test" }), "CNAME evil.test"],
    ["another authority", other({ type: "CAA", content: '0 issue "evil.test"' }), 'CAA 0 issue "evil.test"'],
    ["other name servers", other({ type: "NS", content: "ns.evil.test" }), "NS ns.evil.test"],
  ])("%s is told", (_, stranger, found) =>
    expect(said({ records: [dns, caa, stranger] })).toEqual([
      `reach.example.com, record that the stack did not make: none -> ${found}`,
    ]),
  );

  test("mail and texts at its names are no matter of the stack's, nor an authority where it names none", () => {
    expect(said({ records: [dns, caa, other({ type: "MX" }), other({ type: "TXT" })] })).toEqual([]);
    const withoutCaa = { ...promised, all: promised.all.filter(({ name }) => name !== "caa") };
    const records = [dns, other({ type: "CAA", content: '0 issue "b.test"' })];
    expect(cloudflareFindings(withoutCaa, { ...state, records })).toEqual([]);
  });

  test("a token for its bucket is told, and one with its name", () => {
    expect(said({ tokens: [tokenState, token("reader", { [BUCKET]: "*" })] })).toEqual([
      `token reader, token for the stack's bucket: none -> ${BUCKET}`,
    ]);
    expect(said({ tokens: [tokenState, token("reach-prod-files-2025-10-03", { [ZONE]: "*" })] })).toEqual([
      "token reach-prod-files-2025-10-03, token with the name of one of the stack's: none -> reach-prod-files-2025-10-03",
    ]);
  });

  test("other stacks' tokens are not, nor the account's own", () => {
    const tokens = [
      token("reach-prod-eu-files-2026-01-01", { "com.cloudflare.edge.r2.bucket.account_default_files-eu": "*" }),
      token("bootstrap", { "com.cloudflare.api.account.account": "*", "com.cloudflare.edge.r2.bucket.*": "*" }),
      token("other-edge-dns", { [ZONE]: "*" }),
    ];
    expect(said({ tokens: [tokenState, ...tokens] })).toEqual([]);
  });
});

describe("the API", () => {
  async function started() {
    const emulator = await CloudflareEmulator.start();
    onTestFinished(() => emulator.close());
    const permissions = permissionGroups.map(({ name }) => name);
    const { value } = emulator.addToken({ name: "bootstrap", permissions });
    const ask = (apiToken = value) => new CloudflareApi({ apiToken, apiUrl: emulator.baseUrl, all: [] });
    return { emulator, ask, tokens: `/accounts/${emulator.account.id}/tokens` };
  }

  test("is asked for all pages of a list", async () => {
    const { emulator, ask, tokens } = await started();
    for (let number = 1; number < 120; number += 1)
      emulator.addToken({ name: `t${number}`, permissions: ["DNS Read"] });
    expect(await ask().list(`${tokens}?per_page=50`)).toHaveLength(120);
    expect(emulator.count("GET", "/tokens")).toBe(3);
  });

  test("that is busy is asked again, and one that stays so is an error", async () => {
    const { emulator, ask, tokens } = await started();
    emulator.fail({ kind: "rate-limit", times: 1, retryAfterSeconds: 1 });
    expect(await ask().list(tokens)).toHaveLength(1);
    emulator.fail({ kind: "rate-limit", times: 3, retryAfterSeconds: 1 });
    await expect(ask().list(tokens)).rejects.toThrow(/answers 429 to GET .*Rate limit exceeded.*try again/);
  });

  test("says nothing of what is not there", async () => {
    const { ask, tokens } = await started();
    expect(await ask().find(`${tokens}/nothing`)).toBeUndefined();
  });

  test("that refuses the token is one clear error, without the token", async () => {
    const { ask, tokens } = await started();
    const refused = ask(TOKEN).list(tokens);
    await expect(refused).rejects.toThrow(
      /^cloudflare: the API answers 401 to GET .*Invalid API Token.*`bulkhead up` first$/,
    );
    await expect(refused).rejects.not.toThrow(TOKEN);
  });

  test("that cannot be reached is one clear error, without the token", async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => listener.on("listening", resolve));
    const { port } = listener.address() as AddressInfo;
    await new Promise((resolve) => listener.close(resolve));
    const asked = cloudflareState({ ...promised, apiUrl: `http://127.0.0.1:${port}` });
    await expect(asked).rejects.toThrow(
      /^cloudflare: the API cannot be asked \(http:\/\/127\.0\.0\.1:\d+\): .*ECONNREFUSED/,
    );
    await expect(asked).rejects.not.toThrow(TOKEN);
  });
});
