// Further domains, aliases, http:// and DNS providers: what a stack file may say of them, and what Traefik is told.
import { beforeAll, describe, expect, test } from "vitest";
import {
  domainMiddlewares,
  domainSecrets,
  domainRouters,
  highestLimit,
  keyOf,
  middlewaresOf,
} from "../../components/edge/domain-settings.ts";
import { dnsProviderSettings } from "../../components/edge/dns-provider.ts";
import { certificateNames, LAST_PRIORITY } from "../../components/edge/hosts.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { onlyOn } from "../../components/edge/route-file.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import type { Certificates } from "../../components/settings/certificates.ts";
import { ConfigError } from "../../components/settings/parse.ts";
import { settings } from "../../settings.ts";
import { container, hex, record } from "../../testing/recorder.ts";
import { makeCertificates } from "../support/certificates.ts";

const files: Record<string, string> = {};
beforeAll(async () => {
  for (const name of ["example.com", "example.org"]) {
    const { certificate, privateKey } = await makeCertificates(name);
    Object.assign(files, { [`${name}.pem`]: certificate, [`${name}.key`]: privateKey });
  }
});

type Given = Record<string, unknown>;
const ofFiles = (name: string) => ({ certificate: `${name}.pem`, privateKey: `${name}.key` });
const FILES: Given = {
  host: "local",
  domain: "example.com",
  certificates: { kind: "files", ...ofFiles("example.com") },
};
const acme = (more: Given = {}) => ({ kind: "acme", email: "ops@example.com", ...more });
const ACME: Given = {
  ...{ host: "local", domain: "example.com", certificates: acme(), dnsApiToken: "a-token-that-nobody-may-see" },
};
const CLOUDFLARE: Given = {
  ...ACME,
  cloudflareApiToken: "x".repeat(40),
  cloudflare: { accountId: "0".repeat(32), zone: "example.com", addresses: ["203.0.113.1"] },
};
const without = (given: Given, key: string) => Object.fromEntries(Object.entries(given).filter(([one]) => one !== key));
const SECRETS = ["dnsApiToken", "cloudflareApiToken", "route53SecretAccessKey", "rfc2136TsigSecret"];

function parsed(given: Given, secrets = SECRETS) {
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return settings.parse(
    Object.fromEntries(Object.entries(given).map(([key, value]) => [`reach:${key}`, text(value)])),
    {
      project: "reach",
      secretKeys: secrets.map((key) => `reach:${key}`),
      readFile: (path) => {
        if (files[path] === undefined) throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
        return files[path];
      },
    },
  );
}

function problemsOf(given: Given, secrets?: string[]): readonly string[] {
  try {
    parsed(given, secrets);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const tsig = { nameserver: "192.0.2.53", tsigKey: "bulkhead" };
const TSIG_SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQ=";
const RFC2136 = { ...without(ACME, "dnsApiToken"), certificates: acme({ dnsProvider: "rfc2136", rfc2136: tsig }) };
const ROUTE53 = {
  ...without(ACME, "dnsApiToken"),
  certificates: acme({ dnsProvider: "route53", route53: { accessKeyId: "AKIAIOSFODNN7EXAMPLE" } }),
};

describe("a stack file is refused", () => {
  const NAME = "give a name like example.org, or a wildcard like *.tenants.example.com";
  test.each<[string, Given, ...string[]]>([
    [
      "with domains that are no list",
      { ...ACME, domains: "example.org" },
      'domains: "example.org" is not a list: give names, each as an object like { name: example.org }',
    ],
    ["with a domain of no name", { ...ACME, domains: [{}] }, `domains.0.name: missing: ${NAME}`],
    [
      "with a wildcard of everything",
      { ...ACME, domains: [{ name: "*.org" }] },
      `domains.0.name: "*.org" is not a domain name: ${NAME}`,
    ],
    [
      "with a star in the middle",
      { ...ACME, domains: [{ name: "a.*.org" }] },
      `domains.0.name: "a.*.org" is not a domain name: ${NAME}`,
    ],
    [
      "with a rule for a name",
      { ...ACME, domains: [{ name: "a.org`) || Host(`b" }] },
      `domains.0.name: "a.org\`) || Host(\`b" is not a domain name: ${NAME}`,
    ],
    [
      "with an unknown key of a domain",
      { ...ACME, domains: [{ name: "a.org", burts: 5 }] },
      "domains.0.burts: unknown key: did you mean reach:domains.0.burst?",
    ],
    [
      "with a policy of two lines",
      { ...ACME, domains: [{ name: "a.org", contentSecurityPolicy: "a\nb" }] },
      "domains.0.contentSecurityPolicy: \"a\\nb\" is not a policy: give one like default-src 'self'",
    ],
    [
      "with a domain twice",
      { ...ACME, domains: [{ name: "a.org" }, { name: "a.org" }] },
      "domains.1.name: a.org is domains.0.name too: leave it out of one of them",
    ],
    [
      "with the domain as a further one",
      { ...ACME, domains: [{ name: "example.com" }] },
      "domains.0.name: example.com is domain too: leave it out of one of them",
    ],
    [
      "with a name that no CA certifies",
      { ...ACME, domains: [{ name: "intranet" }] },
      "domains.0.name: no CA certifies intranet: give a public name, or a certificate",
    ],
    [
      "with a certificate without its key",
      { ...ACME, domains: [{ name: "a.org", certificate: "a.pem" }] },
      "domains.0.privateKey: missing, and certificate is there: give the path of both, or of none",
    ],
    [
      "with less burst than rate",
      { ...ACME, domains: [{ name: "a.org", requestsPerSecond: 500 }] },
      "domains.0.burst: 200 is less than requestsPerSecond: give at least 500",
    ],
    [
      "with a zone and no Cloudflare",
      { ...ACME, domains: [{ name: "a.org", zone: "a.org" }] },
      "domains.0.zone: is for a stack with cloudflare: leave it out, or give cloudflare",
    ],
    [
      "with a name of another zone",
      { ...CLOUDFLARE, domains: [{ name: "a.org" }] },
      "domains.0.name: a.org is not in the zone example.com: give domains.0.zone",
    ],
    [
      "with names and a tunnel",
      {
        ...CLOUDFLARE,
        cloudflare: { accountId: "0".repeat(32), zone: "example.com", tunnel: true },
        domains: [{ name: "b.example.com" }],
      },
      "domains: cloudflare.tunnel leads to domain alone: leave them out, or the tunnel",
    ],
    [
      "with an alias of what is not served",
      { ...ACME, aliases: [{ name: "www.a.org", to: "a.org" }] },
      "aliases.0.to: a.org is not served: give example.com, or a name in domains",
    ],
    [
      "with aliases that lead to each other where a wildcard stands for both",
      {
        ...ACME,
        domains: [{ name: "*.a.org" }],
        aliases: [
          { name: "x.a.org", to: "y.a.org" },
          { name: "y.a.org", to: "x.a.org" },
          { name: "z.a.org", to: "z.a.org" },
        ],
      },
      "aliases.0.to: y.a.org is aliases.1.name, and redirects itself: give a name that is served",
      "aliases.1.to: x.a.org is aliases.0.name, and redirects itself: give a name that is served",
      "aliases.2.to: z.a.org is aliases.2.name, and redirects itself: give a name that is served",
    ],
    [
      "with an alias that is served",
      { ...ACME, aliases: [{ name: "example.com", to: "example.com" }] },
      "aliases.0.name: example.com is domain too: leave it out of one of them",
    ],
    [
      "with an alias that is a wildcard",
      { ...ACME, aliases: [{ name: "*.a.org", to: "example.com" }] },
      'aliases.0.name: "*.a.org" is not a domain name: give the name that redirects, like www.example.com',
    ],
    [
      "with an alias to a URL",
      { ...ACME, aliases: [{ name: "a.org", to: "https://example.com" }] },
      'aliases.0.to: "https://example.com" is not a domain name: give the name that is served, like example.com',
    ],
    [
      "with an alias in no zone",
      { ...CLOUDFLARE, aliases: [{ name: "a.org", to: "example.com" }] },
      "aliases.0.name: a.org is not in the zone example.com, where its target is: give a name there",
    ],
    [
      "with a name that no file certifies",
      { ...FILES, domains: [{ name: "a.org" }], aliases: [{ name: "b.org", to: "a.org" }] },
      "domains.0.name: a.org is in no certificate: give certificate and privateKey beside it, or one for all names",
      "aliases.0.name: b.org is in no certificate: give certificates that are for it too",
    ],
    [
      "with the certificate of another name",
      { ...FILES, domains: [{ name: "a.org", ...ofFiles("example.org") }] },
      "domains.0.certificate: example.org.pem is not for a.org: give one that is issued for that name",
    ],
    [
      "with the key of another certificate",
      { ...FILES, domains: [{ name: "example.org", certificate: "example.org.pem", privateKey: "example.com.key" }] },
      "domains.0.privateKey: example.com.key is not the key of the certificate: give the one that the certificate was issued for",
    ],
    [
      "with a certificate that is not there",
      { ...FILES, domains: [{ name: "example.org", certificate: "no.pem", privateKey: "example.org.key" }] },
      "domains.0.certificate: no.pem cannot be read (ENOENT): give a file that is there; `bulkhead up` makes those of the local stack",
    ],
    [
      "with a port of http:// that is off",
      { ...FILES, edge: { httpPort: 8080 } },
      "edge.httpPort: is for edge.httpRedirect, which is off: leave it out, or set that to true",
    ],
    [
      "with http:// on the port of https://",
      { ...FILES, edge: { httpRedirect: true, httpPort: 443 } },
      "edge.httpPort: 443 is the httpsPort too: give another port",
    ],
    [
      "with http:// on a TCP port",
      { ...FILES, edge: { httpRedirect: true, httpPort: 2222 } },
      "edge.tcp.clients: 2222 is the httpPort too: give another port",
    ],
    [
      "with a redirect that is no boolean",
      { ...FILES, edge: { httpRedirect: "yes" } },
      'edge.httpRedirect: "yes" is not a boolean: give true or false',
    ],
    [
      "with http:// behind Cloudflare",
      { ...CLOUDFLARE, edge: { httpRedirect: true } },
      "edge.httpRedirect: Cloudflare redirects http:// itself, and nobody else comes here: leave it out",
    ],
    [
      "with http:// and a tunnel",
      {
        ...CLOUDFLARE,
        cloudflare: { accountId: "0".repeat(32), zone: "example.com", tunnel: true },
        edge: { httpRedirect: true },
      },
      "edge.httpRedirect: with cloudflare.tunnel no port of the host is open: leave it out",
    ],
    [
      "with UDP",
      { ...FILES, edge: { udp: { game: 27015 } } },
      "edge.udp: is not published: the door hands on TCP alone, could not tell who sends a datagram, and would lose them in every rollout: run what speaks UDP on a host of its own, or use its TCP",
    ],
    [
      "with an unknown provider",
      { ...ACME, certificates: acme({ dnsProvider: "gandi" }) },
      'certificates.dnsProvider: "gandi" is no known provider: give cloudflare, route53, hetzner, digitalocean or rfc2136',
    ],
    [
      "with Hetzner and no token",
      { ...without(ACME, "dnsApiToken"), certificates: acme({ dnsProvider: "hetzner" }) },
      "dnsApiToken: missing, and dnsProvider hetzner needs it: set it with `pulumi config set --secret dnsApiToken`",
    ],
    [
      "with Route 53 and nothing of it",
      { ...without(ACME, "dnsApiToken"), certificates: acme({ dnsProvider: "route53" }) },
      "certificates.route53: missing, and dnsProvider route53 needs it: give an object with accessKeyId, region, hostedZoneId",
      "route53SecretAccessKey: missing, and dnsProvider route53 needs it: set it with `pulumi config set --secret route53SecretAccessKey`",
    ],
    [
      "with bad keys of Route 53",
      {
        ...ROUTE53,
        route53SecretAccessKey: "short",
        certificates: acme({
          dnsProvider: "route53",
          route53: { accessKeyId: "akia", region: "here", hostedZoneId: "1" },
        }),
      },
      'certificates.route53.accessKeyId: "akia" is not an access key id: give the IAM user\'s, like AKIA…',
      'certificates.route53.region: "here" is not a region: give one like eu-central-1, or leave the key out',
      'certificates.route53.hostedZoneId: "1" is not a hosted zone id: give one like Z0123456789, or leave the key out',
      "route53SecretAccessKey: the secret is not a secret access key: set it with `pulumi config set --secret route53SecretAccessKey`",
    ],
    [
      "with bad keys of RFC 2136",
      {
        ...RFC2136,
        rfc2136TsigSecret: "!",
        certificates: acme({
          dnsProvider: "rfc2136",
          rfc2136: { nameserver: "ns example", tsigKey: "a b", tsigAlgorithm: "hmac-md5" },
        }),
      },
      'certificates.rfc2136.nameserver: "ns example" is not a DNS server: give the primary\'s address or name, like 192.0.2.53 or ns.example.com:53',
      'certificates.rfc2136.tsigKey: "a b" is not the name of a key: give the name that the server knows the key by',
      'certificates.rfc2136.tsigAlgorithm: "hmac-md5" is no algorithm of TSIG: give hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512',
      "rfc2136TsigSecret: the secret is not a TSIG secret in base64: set it with `pulumi config set --secret rfc2136TsigSecret`",
    ],
    [
      "with what is for another provider",
      { ...ACME, rfc2136TsigSecret: TSIG_SECRET, certificates: acme({ rfc2136: tsig }) },
      "certificates.rfc2136: is for dnsProvider rfc2136, which is cloudflare: leave it out, or change that",
      "rfc2136TsigSecret: is for another dnsProvider: leave it out, or say in certificates which one serves the zone",
    ],
  ])("%s", (_, given, ...problems) => {
    const found = problemsOf(given);
    expect(found).toEqual(problems.map((problem) => `reach:${problem}`));
    expect(found.join()).not.toContain("undefined");
  });

  test("whose secrets stand in clear, and shows none of them", () => {
    const secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
    const problems = problemsOf({ ...ROUTE53, route53SecretAccessKey: secret }, []);
    expect(problems).toEqual([
      "reach:route53SecretAccessKey: stands in clear in the stack file: revoke it, make a new one, and set it with `pulumi config set --secret route53SecretAccessKey`",
    ]);
    expect(problems.join()).not.toContain(secret);
  });
});

test("what a domain has of its own is read, its certificate too", () => {
  const domains = [{ name: "example.org", burst: 900, ...ofFiles("example.org") }, { name: "*.example.com" }];
  const given = { ...FILES, domains, aliases: [{ name: "www.example.org", to: "example.org" }] };
  expect(parsed(given)).toMatchObject({
    domains: [
      {
        ...{ name: "example.org", burst: 900 },
        certificate: { certificatePem: files["example.org.pem"], privateKeyPem: files["example.org.key"] },
      },
      { name: "*.example.com" },
    ],
    aliases: given.aliases,
  });
  expect(parsed({ ...RFC2136, rfc2136TsigSecret: TSIG_SECRET })).toMatchObject({ certificates: { rfc2136: tsig } });
});

test("a CA is asked for one certificate for a name and all below it, and for none that is there already", () => {
  const domains = ["*.t.example.com", "*.example.org", "example.org", "api.example.com", "files.net"].map((name) => ({
    name,
    ...(name === "files.net" && { certificate: { certificatePem: "", privateKeyPem: "" } }),
  }));
  const aliases = ["www.example.org", "www.example.net", "files.net"].map((name) => ({ name, to: "example.com" }));
  expect(certificateNames("example.com", domains, aliases)).toEqual([
    ["example.com", "*.example.com"],
    ["example.org", "*.example.org"],
    ["*.t.example.com"],
    ["www.example.net", "*.www.example.net"],
  ]);
});

const NAMES = {
  domain: "example.com",
  domains: [{ name: "example.org", requestsPerSecond: 5, burst: 10 }, { name: "*.t.example.com" }],
  aliases: [{ name: "www.example.com", to: "example.com" }],
  portInUrls: ":8443",
};
const LIMITS = { requestsPerSecond: 100, burst: 200 };
const EDGE = "0123456789ab";

test("without further names Traefik is told nothing of them", () => {
  const plain = { domain: "example.com", ...LIMITS };
  expect([domainRouters(plain, EDGE), domainMiddlewares(plain, {})]).toEqual([{}, {}]);
});

test("an alias answers redirects alone, and a certificate is asked for by a router that serves nobody", () => {
  const routers = domainRouters(NAMES, EDGE) as Record<string, object>;
  expect(routers["alias-www.example.com"]).toEqual({
    entryPoints: ["websecure"],
    rule: "Host(`www.example.com`)",
    service: "noop@internal",
    middlewares: ["to-www.example.com"],
  });
  expect(routers["certificate-example.org"]).toMatchObject({
    priority: LAST_PRIORITY + 1,
    middlewares: ["not-found"],
    tls: { certResolver: onlyOn(EDGE, "acme"), domains: [{ main: "example.org", sans: ["*.example.org"] }] },
  });
  expect(Object.keys(domainRouters(NAMES, undefined))).toEqual(["alias-www.example.com"]);
});

test("http:// redirects GET and HEAD of known hosts, and an edge of before can bear the router", () => {
  const settings = { ...NAMES, ...LIMITS, httpRedirect: true };
  const routers = Object.entries(domainRouters(settings, undefined)).filter(([name]) => name.startsWith("http-"));
  expect(routers.map(([name]) => name)).toEqual(
    ["example.com", "example.org", "_.t.example.com", "www.example.com"].map((name) => `http-${name}`),
  );
  for (const [, router] of routers) {
    expect(router).toMatchObject({ entryPoints: ["http", "release"], service: "noop@internal" });
    expect((router as { rule: string }).rule).toMatch(/^Host.*\) && \(Method\(`GET`\) \|\| Method\(`HEAD`\)\)$/);
  }
  const to = (to: string) => ({ plugin: { bulkhead: { kind: "redirect", to, port: ":8443" } } });
  expect(domainMiddlewares(settings, {})).toMatchObject({
    "to-www.example.com": to("example.com"),
    "to-https-example.org": to("example.org"),
    "to-https-_.t.example.com": to(""),
  });
});

test("the longest names have files of their own with names that a file may have", () => {
  const long = (end: string) => `${`${"a".repeat(61)}.`.repeat(4)}${end}`.slice(-253);
  const certificate = { certificatePem: "", privateKeyPem: "" };
  const names = ["x.org", "y.org"].map(long);
  const keys = Object.keys(domainSecrets(names.map((name) => ({ name, certificate }))));
  expect(new Set(keys).size).toBe(4);
  for (const key of keys) expect(key.length).toBeLessThan(255);
  expect(keyOf("*.a.org")).toBe("_.a.org");
});

test("the entry point keeps to the highest limit, and a domain with a lower one has it on its routes", () => {
  const lower = { ...NAMES, ...LIMITS };
  expect(highestLimit(lower)).toEqual({ average: 100, burst: 200 });
  expect(middlewaresOf({ name: "example.com" }, lower)).toEqual([]);
  expect(middlewaresOf(NAMES.domains[0]!, lower)).toEqual(["rate-limit-example.org"]);
  expect(domainMiddlewares(lower, { of: "one" })).toMatchObject({
    "rate-limit-example.org": { rateLimit: { average: 5, burst: 10, period: "1s", of: "one" } },
  });
  const higher = {
    domain: "example.com",
    domains: [{ name: "example.org", requestsPerSecond: 500, burst: 600 }],
    ...LIMITS,
  };
  expect(highestLimit(higher)).toEqual({ average: 500, burst: 600 });
  expect(middlewaresOf(higher.domains[0]!, higher)).toEqual([]);
  expect(middlewaresOf({ name: "example.com" }, higher)).toEqual(["rate-limit-example.com"]);
});

test.each([
  [{}, ["CF_DNS_API_TOKEN"], {}],
  [{ dnsProvider: "hetzner" as const }, ["HETZNER_API_TOKEN"], {}],
  [{ dnsProvider: "digitalocean" as const }, ["DO_AUTH_TOKEN"], {}],
  [
    { dnsProvider: "route53" as const, route53: { accessKeyId: "AKIA", hostedZoneId: "Z1" } },
    ["AWS_SHARED_CREDENTIALS"],
    { AWS_REGION: "us-east-1", AWS_HOSTED_ZONE_ID: "Z1" },
  ],
  [
    { dnsProvider: "rfc2136" as const, rfc2136: tsig },
    ["RFC2136_TSIG_SECRET"],
    {
      RFC2136_NAMESERVER: "192.0.2.53:53",
      RFC2136_TSIG_KEY: "bulkhead.",
      RFC2136_TSIG_ALGORITHM: "hmac-sha256.",
    },
  ],
])("lego gets the secret of %j as a file", (given, secrets, env) => {
  const base: Certificates & { kind: "acme" } = { kind: "acme", email: "", caServer: "", validityHours: 2160 };
  const found = dnsProviderSettings({ ...base, ...given }, "the secret");
  expect([Object.keys(found.secrets), found.env]).toEqual([secrets, env]);
});

test("one edge alone asks the CA for the certificates of further names, and what a program says is no template", async () => {
  const image = `example:1@sha256:${hex("example", 64)}`;
  const secret = "s".repeat(40);
  const recording = await record(
    () => {
      const host = new DockerHost("host", { host: "local", jobImage: image });
      const edge = new Proxy("edge", {
        ...{ networks: new Networks("networks", { host }), images: { traefik: image, haproxy: image } },
        ...{ address: "127.0.0.1", httpsPort: 443, requestsPerSecond: 1, burst: 1, ...NAMES },
        domains: [{ name: "example.org" }, { name: "{{env `HOSTNAME`}}.example.org" }],
        certificates: { kind: "acme", email: "a@example.com", caServer: "https://ca.test/dir", validityHours: 2160 },
        dnsApiToken: secret,
      });
      edge.endOfServices();
    },
    { secrets: [secret] },
  );
  const { envs = [] } = container(recording, "edge-settings-job").inputs;
  const text = envs.find((env) => env.startsWith("ROUTE="))!.slice(6);
  const actions = [...text.matchAll(/\{\{.*?\}\}/g)].map(([action]) => action);
  expect(new Set(actions)).toEqual(new Set([`{{ if eq (env \`HOSTNAME\`) \`${hex("edge", 12)}\` }}`, "{{ end }}"]));
  // As the edge reads it, and as every other one does.
  const asked = (read: string) =>
    Object.values((JSON.parse(read) as { http: { routers: Record<string, Router> } }).http.routers).flatMap(({ tls }) =>
      (tls?.domains ?? []).map(({ main }) => [main, tls?.certResolver]),
    );
  const own = asked(text.replaceAll(/\{\{.*?\}\}/g, ""));
  expect(own).toContainEqual(["example.org", "acme"]);
  expect(asked(text.replaceAll(/\{\{ if .*?\{\{ end \}\}/g, ""))).toEqual(own.map(([main]) => [main, ""]));
});

interface Router {
  tls?: { certResolver: string; domains?: { main: string }[] };
}
