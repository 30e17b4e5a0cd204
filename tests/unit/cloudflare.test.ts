import { describe, expect, onTestFinished, test } from "vitest";
import { permissionGroups, type Resources } from "../support/cloudflare/access.ts";
import type { Answer } from "../support/cloudflare/api.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";

const ALL = permissionGroups.map(({ name }) => name);

/** An emulator with the zone example.com, and a token with those permissions. */
async function started(permissions = ALL, resources?: (zone: string, account: string) => Resources) {
  const emulator = await CloudflareEmulator.start();
  onTestFinished(() => emulator.close());
  const zone = emulator.zones.add("example.com");
  const account = `/accounts/${emulator.account.id}`;
  const token = emulator.addToken({ name: "t", permissions, resources: resources?.(zone.id, emulator.account.id) });
  const call = async (method: string, path: string, body?: unknown, more: Record<string, string> = {}) => {
    const headers = { authorization: `Bearer ${token.value}`, ...more };
    const response = await fetch(emulator.baseUrl + path, { method, headers, body: JSON.stringify(body) });
    return { status: response.status, headers: response.headers, ...((await response.json()) as Answer["body"]) };
  };
  const made = async <Result = { id: string }>(method: string, path: string, body?: unknown): Promise<Result> => {
    const answer = await call(method, path, body);
    expect(answer, `${method} ${path}`).toMatchObject({ status: 200, success: true, errors: [] });
    return answer.result as Result;
  };
  return { emulator, zone, account, token, call, made, records: `/zones/${zone.id}/dns_records` };
}

const A = { type: "A", name: "www.example.com", content: "203.0.113.1", ttl: 1 };
const refused = (status: number, code: number) => ({
  status,
  success: false,
  result: null,
  errors: [expect.objectContaining({ code }) as unknown],
});

describe("a token", () => {
  test.each([
    [400, 9106, undefined],
    [400, 6003, "Bearer short"],
    [400, 6003, `Token ${"a".repeat(40)}`],
    [401, 1000, `Bearer ${"a".repeat(40)}`],
  ])("%i, %i for the header %s", async (status, code, authorization) => {
    const { emulator } = await started();
    const response = await fetch(`${emulator.baseUrl}/zones`, { headers: authorization ? { authorization } : {} });
    expect(response.status).toBe(status);
    expect(((await response.json()) as Answer["body"]).errors[0]!.code).toBe(code);
  });

  test("that has expired, or was disabled, is none", async () => {
    const { token, call } = await started();
    expect(await call("GET", "/zones")).toMatchObject({ status: 200 });
    token.expires_on = "2020-01-01T00:00:00Z";
    expect(await call("GET", "/zones")).toMatchObject(refused(401, 1000));
    token.expires_on = undefined;
    token.status = "disabled";
    expect(await call("GET", "/zones")).toMatchObject(refused(401, 1000));
  });

  test.each<[permission: string, method: string, path: string]>([
    ["DNS Write", "POST", "/zones/ZONE/dns_records"],
    ["DNS Read", "GET", "/zones/ZONE/dns_records"],
    ["Zone Settings Write", "PATCH", "/zones/ZONE/settings/ssl"],
    ["Cache Settings Write", "POST", "/zones/ZONE/rulesets"],
    ["Workers R2 Storage Write", "POST", "/accounts/ACCOUNT/r2/buckets"],
    ["Account API Tokens Write", "POST", "/accounts/ACCOUNT/tokens"],
    ["Cloudflare Tunnel Write", "POST", "/accounts/ACCOUNT/cfd_tunnel"],
  ])("needs %s for %s %s", async (permission, method, path) => {
    const without = await started(
      ALL.filter((name) => name !== permission && name !== permission.replace("Read", "Write")),
    );
    const at = (to: typeof without) => path.replace("ZONE", to.zone.id).replace("ACCOUNT", to.emulator.account.id);
    const body = method === "GET" ? undefined : {};
    expect(await without.call(method, at(without), body)).toMatchObject(refused(403, 10000));
    const having = await started([permission]);
    // It is let in, and then the empty body is looked at.
    expect((await having.call(method, at(having), body)).status).not.toBe(403);
  });

  test("may read what it may write, and not the other way round", async () => {
    const writer = await started(["DNS Write"]);
    expect(await writer.call("GET", writer.records)).toMatchObject({ status: 200 });
    const reader = await started(["DNS Read"]);
    expect(await reader.call("POST", reader.records, A)).toMatchObject(refused(403, 10000));
  });

  test.each<[what: string, resources: (zone: string, account: string) => Resources, status: number]>([
    ["that zone", (zone) => ({ [`com.cloudflare.api.account.zone.${zone}`]: "*" }), 200],
    ["every zone", () => ({ "com.cloudflare.api.account.zone.*": "*" }), 200],
    [
      "every zone of the account",
      (_, account) => ({ [`com.cloudflare.api.account.${account}`]: { "com.cloudflare.api.account.zone.*": "*" } }),
      200,
    ],
    ["another zone", () => ({ [`com.cloudflare.api.account.zone.${"0".repeat(32)}`]: "*" }), 403],
    ["the account alone", (_, account) => ({ [`com.cloudflare.api.account.${account}`]: "*" }), 403],
  ])("for %s", async (_, resources, status) => {
    const { call, records } = await started(["DNS Read"], resources);
    expect((await call("GET", records)).status).toBe(status);
  });

  test("sees no zone that it may not read", async () => {
    const { call } = await started(["DNS Write"]);
    expect(await call("GET", "/zones?name=example.com")).toMatchObject({ status: 200, result: [] });
  });
});

describe("DNS records", () => {
  test("are made, read, changed and deleted", async () => {
    const { call, made, records } = await started();
    const { id } = await made("POST", records, { ...A, proxied: true });
    expect(await made("GET", `${records}/${id}`)).toMatchObject({ ...A, proxied: true, proxiable: true });
    await made("PUT", `${records}/${id}`, { ...A, content: "203.0.113.2" });
    expect(await made("GET", `${records}/${id}`)).toMatchObject({ content: "203.0.113.2", proxied: false });
    await made("PATCH", `${records}/${id}`, { ttl: 300 });
    expect(await made("GET", `${records}/${id}`)).toMatchObject({ content: "203.0.113.2", ttl: 300 });
    await made("DELETE", `${records}/${id}`);
    expect(await call("GET", `${records}/${id}`)).toMatchObject(refused(404, 81044));
    expect(await call("DELETE", `${records}/${id}`)).toMatchObject(refused(404, 81044));
  });

  test("come in pages", async () => {
    const { made, call, records } = await started();
    for (let host = 1; host <= 5; host++) await made("POST", records, { ...A, name: `h${host}.example.com` });
    const page = await call("GET", `${records}?page=2&per_page=2`);
    expect((page.result as { name: string }[]).map(({ name }) => name)).toEqual(["h3.example.com", "h4.example.com"]);
    expect(page.result_info).toEqual({ page: 2, per_page: 2, count: 2, total_count: 5, total_pages: 3 });
    expect((await call("GET", `${records}?page=4&per_page=2`)).result).toEqual([]);
    expect(await call("GET", `${records}?per_page=0`)).toMatchObject(refused(400, 9000));
    expect((await call("GET", `${records}?name=h5.example.com&type=A`)).result_info).toMatchObject({ total_count: 1 });
  });

  test.each<[what: string, there: object, given: object, code: number]>([
    ["the same again", A, A, 81058],
    ["a CNAME where an address is", A, { type: "CNAME", name: A.name, content: "example.net", ttl: 1 }, 81053],
    ["an address where a CNAME is", { type: "CNAME", name: A.name, content: "example.net", ttl: 1 }, A, 81054],
  ])("%s is refused", async (_, there, given, code) => {
    const { made, call, records } = await started();
    await made("POST", records, there);
    expect(await call("POST", records, given)).toMatchObject(refused(400, code));
  });

  test.each<[what: string, given: object]>([
    ["an address that is none", { ...A, content: "203.0.113.256" }],
    ["an IPv4 address as AAAA", { ...A, type: "AAAA" }],
    ["a name of another zone", { ...A, name: "www.example.net.", ttl: 2 }],
    ["a TTL that is too short", { ...A, ttl: 30 }],
    ["a proxied TXT", { ...A, type: "TXT", proxied: true }],
    ["CAA without data", { ...A, type: "CAA" }],
  ])("%s is refused", async (_, given) => {
    const { call, records } = await started();
    expect(await call("POST", records, given)).toMatchObject(refused(400, 1004));
  });

  test("a field that the API does not have is refused", async () => {
    const { call, records } = await started();
    expect(await call("POST", records, { ...A, proxy: true })).toMatchObject(refused(400, 9207));
  });

  test("two addresses of one name are two records", async () => {
    const { made, records, zone } = await started();
    await made("POST", records, A);
    await made("POST", records, { ...A, content: "203.0.113.2" });
    expect(zone.records.size).toBe(2);
  });
});

test("a zone is found by its name", async () => {
  const { made, zone, emulator } = await started();
  emulator.zones.add("example.org");
  expect(await made("GET", `/zones?name=example.com&account.id=${emulator.account.id}`)).toMatchObject([
    { id: zone.id, name: "example.com", status: "active" },
  ]);
  expect(await made("GET", `/zones?name=example.com&account.id=${"0".repeat(32)}`)).toEqual([]);
  expect(await made("GET", "/zones")).toHaveLength(2);
});

test("a zone's settings are what they are set to, and nothing else", async () => {
  const { made, call, zone } = await started();
  const ssl = `/zones/${zone.id}/settings/ssl`;
  expect(await made("GET", ssl)).toMatchObject({ id: "ssl", value: "full" });
  await made("PATCH", ssl, { value: "strict" });
  expect(await made("GET", ssl)).toMatchObject({ value: "strict" });
  expect(await call("PATCH", ssl, { value: "very strict" })).toMatchObject(refused(400, 1007));
  expect(await call("PATCH", `/zones/${zone.id}/settings/sll`, { value: "on" })).toMatchObject(refused(400, 1006));
});

test("cache rules: one ruleset, with a version for each change", async () => {
  const { made, call, zone } = await started();
  const rulesets = `/zones/${zone.id}/rulesets`;
  const rule = { action: "set_cache_settings", expression: "true", action_parameters: { cache: true } };
  const ruleset = { name: "cache", kind: "zone", phase: "http_request_cache_settings", rules: [rule] };
  const { id } = await made("POST", rulesets, ruleset);
  expect(await call("POST", rulesets, ruleset)).toMatchObject(refused(400, 20217));
  expect(await made("PUT", `${rulesets}/${id}`, { rules: [] })).toMatchObject({ version: "2", rules: [] });
  const wrong = { ...ruleset, rules: [{ ...rule, action: "explode" }] };
  expect(await call("PUT", `${rulesets}/${id}`, wrong)).toMatchObject(refused(400, 20021));
  await made("DELETE", `${rulesets}/${id}`);
  expect(await call("GET", `${rulesets}/${id}`)).toMatchObject(refused(404, 10003));
});

test("buckets, with lifecycle, CORS and lock", async () => {
  const { made, call, account, emulator } = await started();
  const buckets = `${account}/r2/buckets`;
  await made("POST", buckets, { name: "files", locationHint: "eeur" });
  expect(await call("POST", buckets, { name: "files" })).toMatchObject(refused(409, 10004));
  expect(await call("POST", buckets, { name: "Files" })).toMatchObject(refused(400, 10005));
  const eu = { "cf-r2-jurisdiction": "eu" };
  expect(await call("GET", `${buckets}/files`, undefined, eu), "is another").toMatchObject(refused(404, 10006));

  const days = (count: number) => ({ condition: { type: "Age", maxAge: count * 86400 } });
  const expiry = { id: "expire", enabled: true, conditions: { prefix: "" }, deleteObjectsTransition: days(7) };
  await made("PUT", `${buckets}/files/lifecycle`, { rules: [expiry] });
  expect(await made("GET", `${buckets}/files/lifecycle`)).toEqual({ rules: [expiry] });
  const misspelled = { rules: [{ ...expiry, deleteObjectTransition: days(7) }] };
  expect(await call("PUT", `${buckets}/files/lifecycle`, misspelled)).toMatchObject(refused(400, 10040));

  expect(await call("GET", `${buckets}/files/cors`)).toMatchObject(refused(404, 10059));
  const cors = { allowed: { methods: ["PUT"], origins: ["https://example.com"] }, maxAgeSeconds: 3600 };
  await made("PUT", `${buckets}/files/cors`, { rules: [cors] });
  expect(await made("GET", `${buckets}/files/cors`)).toEqual({ rules: [cors] });
  await made("DELETE", `${buckets}/files/cors`);

  const lock = { id: "keep", enabled: true, condition: { type: "Age", maxAgeSeconds: 86400 } };
  await made("PUT", `${buckets}/files/lock`, { rules: [lock] });
  expect(await made("GET", `${buckets}/files/lock`)).toEqual({ rules: [lock] });

  emulator.buckets.all.get("default_files")!.objects = 1;
  expect(await call("DELETE", `${buckets}/files`)).toMatchObject(refused(409, 10008));
  emulator.buckets.all.get("default_files")!.objects = 0;
  await made("DELETE", `${buckets}/files`);
  expect(await call("GET", `${buckets}/files`)).toMatchObject(refused(404, 10006));
});

describe("account tokens", () => {
  const group = (name: string) => permissionGroups.find((candidate) => candidate.name === name)!.id;

  test("are made, roll and go; the value is told once", async () => {
    const { made, call, account, zone, emulator, records } = await started();
    const policy = {
      effect: "allow",
      permission_groups: [{ id: group("DNS Write") }],
      resources: { [`com.cloudflare.api.account.zone.${zone.id}`]: "*" },
    };
    const { id, value } = await made<{ id: string; value: string }>("POST", `${account}/tokens`, {
      name: "dns",
      policies: [policy],
    });
    expect(value).toMatch(/^[\w-]{40}$/);
    expect(await made("GET", `${account}/tokens/${id}`)).not.toHaveProperty("value");
    const by = (authorization: string) =>
      fetch(emulator.baseUrl + records, { headers: { authorization: `Bearer ${authorization}` } });
    expect((await by(value)).status).toBe(200);
    const rolled = await made<string>("PUT", `${account}/tokens/${id}/value`, {});
    expect((await by(value)).status).toBe(401);
    expect((await by(rolled)).status).toBe(200);
    await made("DELETE", `${account}/tokens/${id}`);
    expect((await by(rolled)).status).toBe(401);
    expect(await call("GET", `${account}/tokens/${id}`)).toMatchObject(refused(404, 1003));
  });

  test("are for what there is", async () => {
    const { call, account } = await started();
    const attempt = (permission: string, key: string) =>
      call("POST", `${account}/tokens`, {
        name: "t",
        policies: [{ effect: "allow", permission_groups: [{ id: permission }], resources: { [key]: "*" } }],
      });
    const bucket = `com.cloudflare.edge.r2.bucket.${account.slice(-32)}_default_files`;
    expect(await attempt(group("Workers R2 Storage Bucket Item Read"), bucket)).toMatchObject({ status: 200 });
    expect(await attempt("0".repeat(32), bucket)).toMatchObject(refused(400, 1001));
    expect(await attempt(group("DNS Write"), bucket)).toMatchObject(refused(400, 1001));
    expect(await attempt(group("DNS Write"), "com.cloudflare.zone.x")).toMatchObject(refused(400, 1001));
  });

  test("are made of groups that are found by name", async () => {
    const { made, account } = await started();
    const path = `${account}/tokens/permission_groups`;
    expect(await made("GET", `${path}?name=DNS%20Write`)).toEqual([
      { id: group("DNS Write"), name: "DNS Write", scopes: ["com.cloudflare.api.account.zone"] },
    ]);
    expect(await made("GET", `${path}?name=DNS%20Wright`)).toEqual([]);
  });
});

test("a tunnel, its configuration and its token", async () => {
  const { made, call, account, emulator } = await started();
  const { id } = await made("POST", `${account}/cfd_tunnel`, { name: "reach", config_src: "cloudflare" });
  expect(await call("POST", `${account}/cfd_tunnel`, { name: "reach" })).toMatchObject(refused(409, 1013));
  const ingress = [{ hostname: "example.com", service: "https://edge:8443" }];
  const config = `${account}/cfd_tunnel/${id}/configurations`;
  expect(await call("PUT", config, { config: { ingress } }), "no rule for the rest").toMatchObject(refused(400, 1056));
  const whole = { ingress: [...ingress, { service: "http_status:404" }] };
  await made("PUT", config, { config: whole });
  expect(await made("GET", config)).toMatchObject({ version: 1, config: whole });
  const token = await made<string>("GET", `${account}/cfd_tunnel/${id}/token`);
  expect(JSON.parse(Buffer.from(token, "base64").toString())).toMatchObject({ a: emulator.account.id, t: id });

  const tunnel = emulator.tunnels.all.get(id)!;
  tunnel.connections = 1;
  expect(await made("GET", `${account}/cfd_tunnel/${id}`)).toMatchObject({ status: "healthy" });
  expect(await call("DELETE", `${account}/cfd_tunnel/${id}`)).toMatchObject(refused(400, 1022));
  tunnel.connections = 0;
  expect(await made("GET", `${account}/cfd_tunnel/${id}`)).toMatchObject({ status: "inactive" });
  await made("DELETE", `${account}/cfd_tunnel/${id}`);
  expect(emulator.tunnels.all.size).toBe(0);
});

describe("faults", () => {
  test("429 with Retry-After, and 500, for as many requests as told", async () => {
    const { emulator, call } = await started();
    emulator.fail({ kind: "rate-limit", times: 1, retryAfterSeconds: 7 });
    emulator.fail({ kind: "error", times: 1 });
    const limited = await call("GET", "/zones");
    expect(limited).toMatchObject(refused(429, 10429));
    expect(limited.headers.get("retry-after")).toBe("7");
    expect(await call("GET", "/zones")).toMatchObject({ status: 500, success: false });
    expect(await call("GET", "/zones")).toMatchObject({ status: 200 });
    expect(emulator.requests.map(({ status }) => status)).toEqual([429, 500, 200]);
  });

  test("only for the requests that are meant", async () => {
    const { emulator, call, records } = await started();
    emulator.fail({ kind: "error", times: 1, request: /^POST .*dns_records/ });
    expect(await call("GET", records)).toMatchObject({ status: 200 });
    expect(await call("POST", records, A)).toMatchObject({ status: 500 });
    expect(await call("POST", records, A)).toMatchObject({ status: 200 });
  });

  test("a connection that ends without an answer, and one that hangs", async () => {
    const { emulator, call } = await started();
    emulator.fail({ kind: "cut", times: 1 });
    await expect(call("GET", "/zones")).rejects.toThrow();
    emulator.fail({ kind: "hang", times: 1 });
    const hanging = call("GET", "/zones");
    expect(await call("GET", "/zones"), "others are served meanwhile").toMatchObject({ status: 200 });
    emulator.heal();
    await expect(hanging).rejects.toThrow();
  });

  test("a record that somebody changed", async () => {
    const { emulator, made, zone, records } = await started();
    const { id } = await made("POST", records, A);
    emulator.zones.change(zone, A.name, "A", { content: "198.51.100.1" });
    expect(await made("GET", `${records}/${id}`)).toMatchObject({ content: "198.51.100.1" });
  });
});

test("what it does not know is refused", async () => {
  const { call, zone } = await started();
  expect(await call("GET", `/zones/${zone.id}/firewall`)).toMatchObject(refused(404, 7003));
  expect(await call("GET", `/zones/${"0".repeat(32)}/dns_records`)).toMatchObject({ status: 404 });
});
