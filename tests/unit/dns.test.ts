import type { DnsRecordArgs } from "@pulumi/cloudflare/dnsRecord.js";
import type { RulesetArgs } from "@pulumi/cloudflare/ruleset.js";
import type * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CloudflareAccount } from "../../components/cloudflare/cloudflare-account.ts";
import { authoritiesOf, Dns, type DnsArgs } from "../../components/cloudflare/dns.ts";
import { Zone, type ZoneArgs } from "../../components/cloudflare/zone.ts";
import { hex, ofType, record, type RecordOptions } from "../../testing/recorder.ts";

const TOKEN = "a-token-that-nobody-may-see-0123456789abcdef";

function account() {
  return new CloudflareAccount("cloudflare", { id: "0".repeat(32), apiToken: TOKEN });
}

async function recordsOf(args: Partial<DnsArgs>, zoneArgs: Partial<ZoneArgs> = {}) {
  const recording = await record(() => {
    const zone = new Zone("zone", { account: account(), id: "1".repeat(32), domain: "example.com", ...zoneArgs });
    new Dns("dns", { zone, addresses: ["203.0.113.10"], domain: "example.com", ...args });
  });
  return {
    recording,
    records: ofType<pulumi.Unwrap<DnsRecordArgs>>(recording, "cloudflare:index/dnsRecord:DnsRecord"),
    ruleset: ofType<pulumi.Unwrap<RulesetArgs>>(recording, "cloudflare:index/ruleset:Ruleset")[0]!.inputs,
  };
}

/** As Pulumi's errors arrive. */
function grpcError(details: string): Error {
  return Object.assign(new Error(details), { details });
}

describe("names", () => {
  test("the domain has a proxied record for each address, and nothing else", async () => {
    const { records } = await recordsOf({ addresses: ["203.0.113.10", "2001:db8::10"] });
    const common = { zoneId: "1".repeat(32), ttl: 1, comment: "of reach-test", name: "example.com", proxied: true };
    expect(records.map(({ inputs }) => inputs)).toEqual([
      { ...common, name: "example.com", type: "A", content: "203.0.113.10" },
      { ...common, name: "example.com", type: "AAAA", content: "2001:db8::10" },
    ]);
    expect(records.map(({ name }) => name)).toEqual(["dns-example.com-203.0.113.10", "dns-example.com-2001:db8::10"]);
    // Another type or name is another record, and the API would not have both.
    expect(records.map(({ options }) => options.deleteBeforeReplace)).toEqual([true, true]);
  });

  test("a host is not proxied only with a reason, which stands in the record", async () => {
    const why = "tunnels are TCP";
    const hosts: DnsArgs["hosts"] = [{ name: "a.example.com" }, { name: "t.example.com", proxied: false, why }];
    const { records } = await recordsOf({ hosts });
    expect(records.map(({ inputs: { name, proxied, comment } }) => [name, proxied, comment])).toEqual([
      ["example.com", true, "of reach-test"],
      ["a.example.com", true, "of reach-test"],
      ["t.example.com", false, "of reach-test, not proxied: tunnels are TCP"],
    ]);
    await expect(recordsOf({ hosts: [{ name: "t.example.com", proxied: false, why: " " }] })).rejects.toThrow(
      "dns: t.example.com shows the host's address: say why",
    );
    await expect(
      recordsOf({ hosts: [{ name: "t.example.com", proxied: false, why: "y".repeat(100) }] }),
    ).rejects.toThrow("dns: t.example.com: why: is longer than a record's comment can be: say it shorter");
  });

  test("the CA of the stack's certificates is named, where its name is known", () => {
    const by = (caServer: string) => authoritiesOf({ kind: "acme", email: "a@b.c", caServer, validityHours: 2160 });
    expect(by("https://acme-v02.api.letsencrypt.org/directory")).toEqual(["letsencrypt.org"]);
    expect(by("https://acme-staging-v02.api.letsencrypt.org/directory")).toEqual(["letsencrypt.org"]);
    expect(by("https://ca.example.com/dir?x=https://a.api.letsencrypt.org/")).toEqual([]);
    expect(authoritiesOf({ kind: "files", certificatePem: "", privateKeyPem: "" })).toEqual([]);
  });

  const TUNNEL = { addresses: [], tunnel: "t.cfargotunnel.com" };

  test("names lead to a tunnel in the place of addresses", async () => {
    const { records } = await recordsOf({ ...TUNNEL, hosts: [{ name: "a.example.com" }] });
    expect(records.map(({ name, inputs: { type, content, proxied } }) => [name, type, content, proxied])).toEqual([
      ["dns-example.com-tunnel", "CNAME", "t.cfargotunnel.com", true],
      ["dns-a.example.com-tunnel", "CNAME", "t.cfargotunnel.com", true],
    ]);
    expect(records.map(({ options }) => options.aliases)).toEqual([[], []]);
  });

  test("the tunnel takes the place of the address that is there, and the address that of the tunnel", async () => {
    const own = (type: string, content: string) => [
      { name: "example.com", type, content },
      { name: "other.example.com", type: "A", content: "203.0.113.11" },
    ];
    const toTunnel = await recordsOf({ ...TUNNEL, own: own("A", "203.0.113.10") });
    expect(toTunnel.records.map(({ options }) => options.aliases)).toEqual([["dns-example.com-203.0.113.10"]]);
    const addresses = ["203.0.113.10", "203.0.113.12"];
    const back = await recordsOf({ addresses, own: own("CNAME", "t.cfargotunnel.com") });
    const [first, second] = addresses.map((address) =>
      back.records.find(({ name }) => name === `dns-example.com-${address}`),
    );
    expect(first!.options.aliases).toEqual(["dns-example.com-tunnel"]);
    // It has to wait for that, or the API refuses an address beside a CNAME.
    expect(second!.options).toMatchObject({ aliases: [], dependencies: [first!.urn] });
    const moved = await recordsOf({ addresses, own: own("A", "203.0.113.9") });
    expect(moved.records.map(({ options }) => options.aliases)).toEqual([[], []]);
  });

  test("aliases lead to the domain, and only the named authorities may certify it", async () => {
    const { records } = await recordsOf({ aliases: ["www.example.com"], certificateAuthorities: ["letsencrypt.org"] });
    const inputs = (name: string) => records.find((found) => found.name === `dns-${name}`)!.inputs;
    expect(inputs("www.example.com")).toMatchObject({
      name: "www.example.com",
      type: "CNAME",
      content: "example.com",
      proxied: true,
    });
    const caa = { name: "example.com", type: "CAA" };
    expect(inputs("issue-letsencrypt.org")).toMatchObject({
      ...caa,
      data: { flags: 0, tag: "issue", value: "letsencrypt.org" },
    });
    expect(inputs("issuewild-letsencrypt.org")).toMatchObject({
      ...caa,
      data: { flags: 0, tag: "issuewild", value: "letsencrypt.org" },
    });
  });

  test.each<[what: string, args: Partial<DnsArgs>, complaint: string]>([
    ["no address", { addresses: [] }, "dns: addresses: give at least one address of the host, or a tunnel"],
    ["both", { tunnel: "t.cfargotunnel.com" }, "dns: tunnel: a name leads to it or to addresses: leave one out"],
    [
      "an address of a tunnel",
      { addresses: [], tunnel: "t.cfargotunnel.com", hosts: [{ name: "t.example.com", proxied: false, why: "TCP" }] },
      "dns: t.example.com is not proxied, and nothing reaches a tunnel but by the proxy",
    ],
    ["an address that is a name", { addresses: ["example.com"] }, "dns: addresses: example.com is not an IP address"],
  ])("%s is an error", async (_, args, complaint) => {
    await expect(recordsOf(args)).rejects.toThrow(complaint);
  });
});

describe("a zone", () => {
  test("is strict by default", async () => {
    const { recording } = await recordsOf({});
    const settings = ofType<{ settingId: string; value: unknown }>(
      recording,
      "cloudflare:index/zoneSetting:ZoneSetting",
    );
    expect(Object.fromEntries(settings.map(({ inputs }) => [inputs.settingId, inputs.value]))).toEqual({
      ssl: "strict",
      always_use_https: "on",
      min_tls_version: "1.2",
      tls_1_3: "on",
      automatic_https_rewrites: "on",
      security_header: {
        strict_transport_security: {
          enabled: true,
          max_age: 63072000,
          include_subdomains: true,
          preload: false,
          nosniff: true,
        },
      },
    });
  });

  test("can be told to say nothing of HSTS", async () => {
    const { recording } = await recordsOf({}, { hstsSeconds: 0 });
    const header = recording.resources.find(({ name }) => name === "zone-security-header")!;
    expect(header.inputs["value"]).toMatchObject({ strict_transport_security: { enabled: false, max_age: 0 } });
  });

  test("caches static files, for as long as the service says, and nothing else", async () => {
    const { ruleset } = await recordsOf({}, { staticPaths: ["/assets", "/img"] });
    const isStatic = '(starts_with(http.request.uri.path, "/assets/") or starts_with(http.request.uri.path, "/img/"))';
    const asTheServiceSays = { mode: "respect_origin" };
    expect(ruleset.rules).toMatchObject([
      {
        expression: `http.host eq "example.com" and ${isStatic}`,
        actionParameters: { cache: true, edgeTtl: asTheServiceSays, browserTtl: asTheServiceSays },
      },
      { expression: `http.host eq "example.com" and not ${isStatic}`, actionParameters: { cache: false } },
    ]);
  });

  test("caches nothing unless told", async () => {
    const { ruleset } = await recordsOf({});
    expect(ruleset.rules).toMatchObject([
      { expression: 'http.host eq "example.com"', actionParameters: { cache: false } },
    ]);
  });

  test.each<[what: string, args: Partial<ZoneArgs>, complaint: string]>([
    ["a path that ends the expression", { staticPaths: ['/a" or true or "'] }, "is not a path: give one like /assets"],
    ["a path without its slash", { staticPaths: ["assets"] }, "zone: staticPaths: assets is not a path"],
    ["everything as static", { staticPaths: ["/"] }, "zone: staticPaths: / is not a path"],
    ["half a second", { hstsSeconds: 0.5 }, "zone: hstsSeconds: 0.5 is not a whole number from 0 to 63072000"],
    ["more than the API takes", { hstsSeconds: 63072001 }, "zone: hstsSeconds: 63072001 is not a whole number"],
  ])("%s is an error", async (_, args, complaint) => {
    await expect(recordsOf({}, args)).rejects.toThrow(complaint);
  });
});

describe("an account", () => {
  const checked = async (
    cloudflare: RecordOptions["cloudflare"],
    addresses = ["203.0.113.10"],
    fetch?: RecordOptions["fetch"],
  ) => {
    let found: Awaited<ReturnType<CloudflareAccount["check"]>> | undefined;
    const names = { zone: "example.com", hosts: ["example.com", "t.example.com"], addresses };
    await record(
      async () => {
        found = await account().check(names);
      },
      { cloudflare, fetch },
    );
    return found!;
  };
  const refusal = (status: string, code: number, message: string) => () => {
    const body = JSON.stringify({ success: false, errors: [{ code, message }] });
    throw grpcError(`failed to make http request: GET "https://api.cloudflare.com/client/v4/zones": ${status} ${body}`);
  };
  const records =
    (...there: { name?: string; type?: string; content: string; comment?: string }[]) =>
    ({ name }: Record<string, unknown>) => ({
      results: there
        .map((given) => ({ name: "example.com", type: "A", ...given }))
        .filter((given) => given.name === (name as { exact: string }).exact),
    });

  test("finds the id of a zone", async () => {
    expect(await checked({ getZones: () => ({ results: [{ id: "abc" }] }) })).toEqual({ id: "abc", own: [] });
  });

  test.each<[what: string, answers: RecordOptions["cloudflare"], complaint: string]>([
    [
      "a zone that the token does not see",
      { getZones: () => ({ results: [] }) },
      `cloudflare.zone: the token sees no zone example.com in the account ${"0".repeat(32)}: check both, and that the token has Zone: Read for this zone`,
    ],
    [
      "a token that is none",
      { getZones: refusal("401 Unauthorized", 1000, "Invalid API Token") },
      "cloudflare: the API refuses the token (Invalid API Token): make a new one as docs/how-to/cloudflare.md says, and `pulumi config set --secret cloudflareApiToken`",
    ],
    [
      "a token that may not read records",
      { getDnsRecords: refusal("403 Forbidden", 10000, "Authentication error") },
      "cloudflare: the API refuses the token (Authentication error): make a new one",
    ],
    [
      "an API that has a bad day",
      { getZones: refusal("500 Internal Server Error", 10001, "Internal server error") },
      "cloudflare: the API answers 500 (Internal server error): try again",
    ],
    [
      "an API that is not there",
      {
        getZones: () => {
          throw grpcError("dial tcp: connection refused");
        },
      },
      "cloudflare: the API cannot be asked: dial tcp: connection refused",
    ],
    [
      "a name that leads elsewhere",
      { getDnsRecords: records({ content: "198.51.100.1" }) },
      "cloudflare: example.com has a record that is not this stack's: A 198.51.100.1: delete it, or give another name",
    ],
    [
      "a name of another stack",
      { getDnsRecords: records({ name: "t.example.com", content: "198.51.100.1", comment: "of reach-test2" }) },
      "cloudflare: t.example.com has a record that is not this stack's: A 198.51.100.1",
    ],
  ])("%s is one clear error", async (_, answers, complaint) => {
    await expect(checked(answers)).rejects.toThrow(complaint);
  });

  test.each([
    ["of its own, from before its address changed", records({ content: "198.51.100.1", comment: "of reach-test" })],
    [
      "of its own, not proxied",
      records({ name: "t.example.com", content: "198.51.100.1", comment: "of reach-test, not proxied: TCP" }),
    ],
    ["that lead here, to be imported", records({ content: "203.0.113.10" })],
    ["that lead nowhere", records({ type: "TXT", content: "v=spf1 -all" })],
  ])("minds no records %s", async (_, getDnsRecords) => {
    expect(await checked({ getDnsRecords })).toMatchObject({ id: hex("example.com", 32) });
  });

  describe("whose API is asked before all else", () => {
    beforeEach(() => {
      for (const name of ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "CLOUDFLARE_BASE_URL"])
        vi.stubEnv(name, undefined);
    });
    afterEach(() => void vi.unstubAllEnvs());
    const asked: string[] = [];
    const silent: RecordOptions["fetch"] = (url, options) => {
      asked.push(url);
      expect(options?.signal).toBeInstanceOf(AbortSignal);
      return Promise.reject(new DOMException("it took too long", "TimeoutError"));
    };

    test("is told when that says nothing", async () => {
      await expect(checked({}, undefined, silent)).rejects.toThrow(
        "cloudflare: the API says nothing (https://api.cloudflare.com/client/v4, for 10 s): try again; https://www.cloudflarestatus.com tells of trouble",
      );
      expect(asked).toEqual(["https://api.cloudflare.com/client/v4/ips"]);
    });

    test.each([
      ["cannot be reached, as the plugin says it better", () => Promise.reject(new TypeError("fetch failed"))],
      ["has a bad day", () => Promise.resolve(new Response("", { status: 500 }))],
    ])("leaves it to the plugin when that %s", async (_, fetch) => {
      expect(await checked({}, undefined, fetch)).toMatchObject({ own: [] });
    });

    test("asks nothing by itself where the way is through a proxy", async () => {
      vi.stubEnv("HTTPS_PROXY", "http://proxy.example:3128");
      expect(await checked({}, undefined, silent)).toMatchObject({ own: [] });
    });
  });

  test("tells which records are the stack's own", async () => {
    const comment = "of reach-test";
    const own = { name: "example.com", type: "A", content: "198.51.100.1" };
    const there = records({ ...own, comment }, { content: "203.0.113.10" }, { type: "TXT", content: "v", comment });
    expect((await checked({ getDnsRecords: there })).own).toEqual([own]);
    expect((await checked({ getDnsRecords: records({ ...own, comment }) }, [])).own).toEqual([own]);
  });

  test("that has several records at a name is told that a tunnel takes the place of one", async () => {
    const comment = "of reach-test";
    const there = [
      { content: "198.51.100.1", comment },
      { type: "AAAA", content: "2001:db8::1", comment },
    ];
    await expect(checked({ getDnsRecords: records(...there) }, [])).rejects.toThrow(
      "cloudflare.tunnel: example.com has 2 addresses, and one alone can become a tunnel: leave one in cloudflare.addresses, run `bulkhead up`, then give the tunnel",
    );
    expect(await checked({ getDnsRecords: records(...there) })).toHaveProperty("own.length", 2);
  });
});
