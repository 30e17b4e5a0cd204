import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, test } from "vitest";
import { ConfigError, parseStackFile } from "../../components/settings/parse.ts";
import { settings } from "../../settings.ts";
import { makeCertificates } from "../support/certificates.ts";
import { projectDirectory } from "./source.ts";
import { readStack, stacks } from "./stacks.ts";

const files: Record<string, string> = {
  "garbage.pem": "not a certificate",
  "empty.pem": "",
  "framed.pem": "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
  known_hosts: "203.0.113.10 ssh-ed25519 AAAA\n",
};
beforeAll(async () => {
  const [one, other] = await Promise.all([makeCertificates("localhost"), makeCertificates("localhost")]);
  Object.assign(files, { "certificate.pem": one.certificate, "private.key": one.privateKey });
  Object.assign(files, { "other.key": other.privateKey });
});

/** As a stack file says it; a key that is undefined is not in it. */
type Given = Record<string, unknown>;

const LOCAL: Given = {
  host: "local",
  domain: "localhost",
  certificates: { kind: "files", certificate: "certificate.pem", privateKey: "private.key" },
};
const TOKEN = "a-token-that-nobody-may-see";
const ACME: Given = {
  host: "ssh://deploy@203.0.113.10",
  domain: "reach.example.com",
  certificates: { kind: "acme", email: "ops@example.com" },
  dnsApiToken: TOKEN,
};

function parsed(given: Given, secretKeys: string[] = ["dnsApiToken", "cloudflareApiToken"]) {
  const raw = Object.entries(given).flatMap(([key, value]) =>
    value === undefined ? [] : [[key.includes(":") ? key : `reach:${key}`, asText(value)]],
  );
  return settings.parse(Object.fromEntries(raw) as Record<string, string>, {
    project: "reach",
    secretKeys: secretKeys.map((key) => `reach:${key}`),
    readFile: (path) => {
      if (files[path] === undefined) throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
      return files[path];
    },
  });
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function problemsOf(given: Given, secretKeys?: string[]): readonly string[] {
  try {
    parsed(given, secretKeys);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const HOST = "give local, or ssh://user@address[:port]";
const DOMAIN = "give the name that the edge serves, like example.com";
const CERTIFICATES = "give kind: files with certificate and privateKey, or kind: acme with email";
const PEM = "give the path of a PEM file, from the project's folder";
const THERE = "give a file that is there; `bulkhead up` makes those of the local stack";
const CERTIFICATE_LINE = "give a PEM file, with a line -----BEGIN CERTIFICATE-----";
const KEY_LINE = "give a PEM file, with a line -----BEGIN PRIVATE KEY-----";
const SET_TOKEN = "set it with `pulumi config set --secret dnsApiToken`";
const EDGE =
  "give an object with address, httpsPort, httpRedirect, httpPort, requestsPerSecond, burst, maxBodyMb, maxHeaderKb, memoryMb, connectionsPerClient, sharedAddresses, keepAliveSeconds, idleSeconds or tcp";
const serviceDefaults = { drainSeconds: 30, responseTimeoutSeconds: 60, healthTimeoutSeconds: 5 };
const edgeDefaults = {
  ...{ tcp: { clients: 2222 }, requestsPerSecond: 100, burst: 200, maxBodyMb: 10, maxHeaderKb: 32, memoryMb: 512 },
  ...{ connectionsPerClient: 100, sharedAddresses: [], keepAliveSeconds: 60, idleSeconds: 86400 },
};
const SERVICE =
  "give an object with memoryMb, memoryReservationMb, cpus, pids, drainSeconds, maxBodyMb, responseTimeoutSeconds, healthTimeoutSeconds or reviveAfterHangs";
const HTTPS_PORT = "is not a whole number from 1 to 65535: give the port of the host on which the edge serves HTTPS";
const TUNNEL_PORT =
  "is not a whole number from 1 to 65535: give the port of the host on which TCP clients of clients connect";
const PIN = "is not pinned: give name:tag@sha256:<64 hex digits>; `make pin` finds the digest of a tag";
const MEMORY = "is not a whole number from 16 to 1048576: give the memory limit in MiB; there is no swap beyond it";
const PIDS = "is not a whole number from 8 to 32768: give the most processes and threads that the service may have";
const DRAIN =
  "is not a whole number from 0 to 3600: give the seconds that requests and streams get to end in a rollout";
const ACCOUNT = "give the 32 hex digits of the dashboard's overview, in quotes";
const DIGEST = `sha256:${"a1".repeat(32)}`;
const STAND_IN = "bulkhead.local/traefik:0123456789abcdef";
const CLOUDFLARE = { accountId: "0".repeat(32), zone: "example.com" };
const CLOUDFLARE_TOKEN = "a-cloudflare-token-that-nobody-may-see-ever";
const SET_CLOUDFLARE_TOKEN = "set it with `pulumi config set --secret cloudflareApiToken`";
const ADDRESSES = "give the host's public addresses";
/** A stack file with a zone, and what is changed in that. */
const inZone = (change: object = {}, others: Given = {}): Given => ({
  domain: "example.com",
  edge: { address: "203.0.113.10" },
  cloudflare: { ...CLOUDFLARE, ...change },
  cloudflareApiToken: CLOUDFLARE_TOKEN,
  ...others,
});
const filesWith = (change: object) => ({ ...(LOCAL["certificates"] as object), ...change });

/** What is changed in a good stack file, and every problem that is then named. */
const wrong: [what: string, change: Given, ...problems: string[]][] = [
  [
    "an empty stack file",
    { host: undefined, domain: undefined, certificates: undefined },
    `host: missing: ${HOST}`,
    `domain: missing: ${DOMAIN}`,
    `certificates: missing: ${CERTIFICATES}`,
  ],

  ["no host", { host: undefined }, `host: missing: ${HOST}`],
  ["a host that is a name", { host: "production" }, `host: "production" is not a Docker host: ${HOST}`],
  ["a host that is TCP", { host: "tcp://1.2.3.4:2375" }, `host: "tcp://1.2.3.4:2375" is not a Docker host: ${HOST}`],
  [
    "a host that is an object",
    { host: { ssh: "x" } },
    String.raw`host: "{\"ssh\":\"x\"}" is not a Docker host: ${HOST}`,
  ],
  ["an ssh URL without an address", { host: "ssh://" }, `host: "ssh://" is not a Docker host: ${HOST}`],
  ["an ssh URL with a path", { host: "ssh://a@b/c" }, `host: "ssh://a@b/c" is not a Docker host: ${HOST}`],
  ["an ssh URL with a password", { host: "ssh://a:b@c" }, `host: "ssh://a:b@c" is not a Docker host: ${HOST}`],
  ["an ssh port beyond the last", { host: "ssh://a@b:65536" }, `host: "ssh://a@b:65536" is not a Docker host: ${HOST}`],
  ["an ssh port 0", { host: "ssh://a@b:0" }, `host: "ssh://a@b:0" is not a Docker host: ${HOST}`],
  [
    "an ssh address that ssh would take for an option",
    { host: "ssh://-oProxyCommand" },
    `host: "ssh://-oProxyCommand" is not a Docker host: ${HOST}`,
  ],
  [
    "known hosts without a path",
    { host: "ssh://a@b", knownHosts: "" },
    `knownHosts: "" is not a path: give the path of a known_hosts file, from the project's folder`,
  ],
  [
    "known hosts that are not there",
    { host: "ssh://a@b", knownHosts: "no/hosts" },
    "knownHosts: no/hosts cannot be read (ENOENT): give a file that is there; `ssh-keyscan` prints what belongs in it",
  ],

  ["no domain", { domain: undefined }, `domain: missing: ${DOMAIN}`],
  ["a domain that is a URL", { domain: "https://a.b" }, `domain: "https://a.b" is not a domain name: ${DOMAIN}`],
  ["a domain in capitals", { domain: "Example.com" }, `domain: "Example.com" is not a domain name: ${DOMAIN}`],
  [
    "a domain with a dash in front",
    { domain: "-a.example.com" },
    `domain: "-a.example.com" is not a domain name: ${DOMAIN}`,
  ],
  [
    "a domain of 254 letters",
    { domain: "a.".repeat(126) + "aa" },
    `domain: "${"a.".repeat(126)}aa" is not a domain name: ${DOMAIN}`,
  ],

  ["an edge that is text", { edge: "0.0.0.0" }, `edge: "0.0.0.0" is not an object: ${EDGE}`],
  ["an edge that is a list", { edge: [443] }, `edge: [443] is not an object: ${EDGE}`],
  ["an edge that is nothing", { edge: null }, `edge: null is not an object: ${EDGE}`],
  [
    "an address that is a name",
    { edge: { address: "localhost" } },
    'edge.address: "localhost" is not an IP address: give the address of the host to listen on',
  ],
  [
    "an address that is a number",
    { edge: { address: 127 } },
    "edge.address: 127 is not an IP address: give the address of the host to listen on",
  ],
  ["a port 0", { edge: { httpsPort: 0 } }, `edge.httpsPort: 0 ${HTTPS_PORT}`],
  ["a port beyond the last", { edge: { tcp: { clients: 65536 } } }, `edge.tcp.clients: 65536 ${TUNNEL_PORT}`],
  ["a port in quotes", { edge: { httpsPort: "443" } }, `edge.httpsPort: "443" ${HTTPS_PORT}`],
  ["half a port", { edge: { httpsPort: 443.5 } }, `edge.httpsPort: 443.5 ${HTTPS_PORT}`],
  ["a port that is nothing", { edge: { httpsPort: null } }, `edge.httpsPort: null ${HTTPS_PORT}`],
  ["one port for two", { edge: { httpsPort: 2222 } }, "edge.tcp.clients: 2222 is the httpsPort too: give another port"],
  [
    "no requests at all",
    { edge: { requestsPerSecond: 0 } },
    "edge.requestsPerSecond: 0 is not a whole number from 1 to 100000: give the steady rate that one client may keep up",
  ],
  [
    "a burst of true",
    { edge: { burst: true } },
    "edge.burst: true is not a whole number from 1 to 1000000: give the requests that one client may send at once",
  ],
  [
    "a burst below the steady rate",
    { edge: { requestsPerSecond: 300 } },
    "edge.burst: 200 is less than requestsPerSecond: give at least 300",
  ],
  [
    "shared addresses that are no range, and of one client",
    { edge: { sharedAddresses: [{ range: "203.0.113.7", clients: 1 }] } },
    'edge.sharedAddresses.0.range: "203.0.113.7" is not a range of addresses: give one like 203.0.113.7/32',
    "edge.sharedAddresses.0.clients: 1 is not a whole number from 2 to 10000: give how many clients share the addresses",
  ],
  [
    "a timeout beyond all bounds",
    { backend: { responseTimeoutSeconds: 0 } },
    "backend.responseTimeoutSeconds: 0 is not a whole number from 1 to 3600: give the seconds that the first byte of an answer may take",
  ],
  [
    "bodies beyond all bounds",
    { edge: { maxBodyMb: 2000000 } },
    "edge.maxBodyMb: 2000000 is not a whole number from 1 to 1048576: give the largest request body in MiB",
  ],
  [
    "unknown keys of the edge",
    { edge: { httpsport: 443, maxBodyMB: 1, adress: "::", http3: true } },
    "edge.httpsport: unknown key: did you mean reach:edge.httpsPort?",
    "edge.maxBodyMB: unknown key: did you mean reach:edge.maxBodyMb?",
    "edge.adress: unknown key: did you mean reach:edge.address?",
    "edge.http3: unknown key: give one of address, httpsPort, httpRedirect, httpPort, requestsPerSecond, burst, maxBodyMb, maxHeaderKb, memoryMb, connectionsPerClient, sharedAddresses, keepAliveSeconds, idleSeconds, tcp",
  ],

  [
    "maintenance that is neither",
    { maintenance: "yes" },
    'maintenance: "yes" is no maintenance: give true, or an object with allowFrom or retryAfterSeconds',
  ],
  [
    "a list of maintenance that nobody can be on",
    { maintenance: { allowFrom: ["203.0.113.300"] } },
    'maintenance.allowFrom.0: "203.0.113.300" is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24',
  ],
  [
    "a list of maintenance that is for everybody",
    { maintenance: { allowFrom: ["192.0.2.7", "::/0"] } },
    "maintenance.allowFrom.1: ::/0 is everybody: leave maintenance out, or name a smaller range",
  ],
  [
    "a list of maintenance that is for all of IPv4 in the words of IPv6",
    { maintenance: { allowFrom: ["::ffff:0:0/96"] } },
    "maintenance.allowFrom.0: ::ffff:0:0/96 is of IPv4, which no client has in this form: give it like 192.0.2.7 or " +
      "192.0.2.0/24",
  ],
  [
    "a key of maintenance that is misspelt",
    { maintenance: { allowfrom: [] } },
    "maintenance.allowfrom: unknown key: did you mean reach:maintenance.allowFrom?",
  ],
  [
    "maintenance that tells clients to come back at once",
    { maintenance: { retryAfterSeconds: 0 } },
    "maintenance.retryAfterSeconds: 0 is not a whole number from 1 to 86400: give the seconds after which clients may ask again",
  ],
  [
    "networks that no packet or address fits",
    { networks: { mtu: 60, subnets: "10.0.0.0/24" } },
    "networks.mtu: 60 is not a whole number from 576 to 9216: give the MTU of the host's way out, which `bulkhead doctor` tells",
    'networks.subnets: "10.0.0.0/24" is not a range of private IPv4 addresses of /20 or larger: give one like 10.89.0.0/16',
  ],
  ...["8.8.0.0/16", "192.168.0.0/12", "172.32.0.0/16", "10.256.0.0/16", "10.89.0.0", "fd00::/64"].map(
    (range): [string, Given, string] => [
      `networks in ${range}`,
      { networks: { subnets: range } },
      `networks.subnets: "${range}" is not a range of private IPv4 addresses of /20 or larger: give one like 10.89.0.0/16`,
    ],
  ),
  [
    "a key of networks that is misspelt",
    { networks: { subnet: "10.89.0.0/16" } },
    "networks.subnet: unknown key: did you mean reach:networks.subnets?",
  ],
  [
    "networks as text",
    { networks: "10.89.0.0/16" },
    'networks: "10.89.0.0/16" is not an object: give an object with mtu or subnets',
  ],

  ["no certificates", { certificates: undefined }, `certificates: missing: ${CERTIFICATES}`],
  ["certificates as text", { certificates: "acme" }, `certificates: "acme" is not an object: ${CERTIFICATES}`],
  ["certificates of no kind", { certificates: {} }, `certificates.kind: missing: ${CERTIFICATES}`],
  [
    "certificates of another kind",
    { certificates: { kind: "letsencrypt" } },
    `certificates.kind: "letsencrypt" is no known kind: ${CERTIFICATES}`,
  ],
  [
    "certificates without files",
    { certificates: { kind: "files" } },
    `certificates.certificate: missing: ${PEM}`,
    `certificates.privateKey: missing: ${PEM}`,
  ],
  [
    "certificates whose files are no paths",
    { certificates: { kind: "files", certificate: "", privateKey: 5 } },
    `certificates.certificate: "" is not a path: ${PEM}`,
    `certificates.privateKey: 5 is not a path: ${PEM}`,
  ],
  [
    "a key of the other kind, and a misspelled one",
    { certificates: filesWith({ email: "ops@example.com", privatekey: "x" }) },
    "certificates.email: unknown key: give one of kind, certificate, privateKey",
    "certificates.privatekey: unknown key: did you mean reach:certificates.privateKey?",
  ],
  [
    "files that are not there",
    { certificates: { kind: "files", certificate: "no.pem", privateKey: "no.key" } },
    `certificates.certificate: no.pem cannot be read (ENOENT): ${THERE}`,
    `certificates.privateKey: no.key cannot be read (ENOENT): ${THERE}`,
  ],
  [
    "files with something else in them",
    { certificates: { kind: "files", certificate: "garbage.pem", privateKey: "empty.pem" } },
    `certificates.certificate: garbage.pem holds no certificate that can be read: ${CERTIFICATE_LINE}`,
    `certificates.privateKey: empty.pem holds no private key that can be read: ${KEY_LINE}`,
  ],
  [
    "a certificate that only looks like one",
    { certificates: filesWith({ certificate: "framed.pem" }) },
    `certificates.certificate: framed.pem holds no certificate that can be read: ${CERTIFICATE_LINE}`,
  ],
  [
    "files that are mixed up",
    { certificates: { kind: "files", certificate: "private.key", privateKey: "certificate.pem" } },
    `certificates.certificate: private.key holds no certificate that can be read: ${CERTIFICATE_LINE}`,
    `certificates.privateKey: certificate.pem holds no private key that can be read: ${KEY_LINE}`,
  ],
  [
    "the key of another certificate",
    { certificates: filesWith({ privateKey: "other.key" }) },
    "certificates.privateKey: other.key is not the key of the certificate: give the one that the certificate was issued for",
  ],
  [
    "an address of nobody",
    { ...ACME, certificates: { kind: "acme", email: "ops" } },
    'certificates.email: "ops" is not an e-mail address: give the address that the CA may write to',
  ],
  [
    "a CA without TLS",
    { ...ACME, certificates: { kind: "acme", email: "a@b.c", caServer: "http://ca" } },
    `certificates.caServer: "http://ca" is not an https URL: give the CA's ACME directory, or leave the key out`,
  ],
  [
    "a CA's certificate that is none",
    { ...ACME, certificates: { kind: "acme", email: "a@b.c", caCertificate: "private.key" } },
    `certificates.caCertificate: private.key holds no certificate that can be read: ${CERTIFICATE_LINE}`,
  ],
  [
    "a CA's certificate that is not there",
    { ...ACME, certificates: { kind: "acme", email: "a@b.c", caCertificate: "nowhere.pem" } },
    `certificates.caCertificate: nowhere.pem cannot be read (ENOENT): ${THERE}`,
  ],
  [
    "a DNS server without a port",
    { ...ACME, certificates: { kind: "acme", email: "a@b.c", resolvers: ["1.1.1.1"] } },
    'certificates.resolvers.0: "1.1.1.1" is not a DNS server: give an address and a port, like 1.1.1.1:53',
  ],
  [
    "no DNS server",
    { ...ACME, certificates: { kind: "acme", email: "a@b.c", resolvers: [] } },
    "certificates.resolvers: [] is empty: give DNS servers, or leave the key out",
  ],
  [
    "an API without its protocol",
    inZone({ apiUrl: "api.example.com" }),
    'cloudflare.apiUrl: "api.example.com" is not a URL: give the API\'s address without a slash at its end',
  ],
  [
    "an unknown key of acme",
    { ...ACME, certificates: { kind: "acme", email: "a@b.c", caserver: "https://ca" } },
    "certificates.caserver: unknown key: did you mean reach:certificates.caServer?",
  ],

  [
    "an address at which nobody can be told from Cloudflare",
    inZone({ addresses: ["203.0.113.10", "2001:db8::10"] }),
    "cloudflare.addresses: over 2001:db8::10 nobody can be told from Cloudflare: leave it out (Cloudflare itself serves IPv6), or set onlyThroughCloudflare to false",
  ],
  [
    "files in no bucket that there can be",
    inZone({
      files: { bucket: "Files", location: "mars", jurisdiction: "us", expireAfterDays: 0, maxMb: 5001, days: 1 },
    }),
    'cloudflare.files.bucket: "Files" is not the name of a bucket: give 3 to 63 small letters, digits and hyphens',
    'cloudflare.files.location: "mars" is not a location: give weur, eeur, enam, wnam, apac or oc',
    'cloudflare.files.jurisdiction: "us" is not a jurisdiction: give default, eu or fedramp',
    "cloudflare.files.expireAfterDays: 0 is not a whole number from 1 to 36500: give the days after which files are deleted",
    "cloudflare.files.maxMb: 5001 is not a whole number from 1 to 5000: give the largest file in MiB",
    "cloudflare.files.days: unknown key: give one of bucket, location, jurisdiction, expireAfterDays, maxMb",
  ],
  [
    "files in a bucket without a name",
    inZone({ files: {} }),
    "cloudflare.files.bucket: missing: give 3 to 63 small letters, digits and hyphens",
  ],
  [
    "files that are no object",
    inZone({ files: true }),
    "cloudflare.files: true is not an object: give an object with bucket, location, jurisdiction, expireAfterDays or maxMb",
  ],
  [
    "tokens that are never used",
    inZone({ rotateTokensAfterDays: 0 }),
    "cloudflare.rotateTokensAfterDays: 0 is not a whole number from 1 to 3650: give the days after which an update makes new API tokens",
  ],
  [
    "a tunnel beside what is for open ports",
    inZone(
      { tunnel: true, addresses: ["203.0.113.10"], directHost: "t.example.com", onlyThroughCloudflare: false },
      { edge: { address: "203.0.113.10", httpsPort: 443, tcp: { clients: 2222 }, burst: 300 } },
    ),
    "cloudflare.addresses: names lead to the tunnel, and to no address of the host: leave it out, or the tunnel",
    "cloudflare.directHost: cloudflare.tunnel carries HTTP alone, and no TCP: leave it out, or the tunnel",
    "cloudflare.onlyThroughCloudflare: nothing but cloudflare.tunnel leads here: leave it out, or the tunnel",
    "edge.address: with cloudflare.tunnel no port of the host is open: leave it out, or the tunnel",
    "edge.httpsPort: with cloudflare.tunnel no port of the host is open: leave it out, or the tunnel",
    "edge.tcp: with cloudflare.tunnel no port of the host is open: leave it out, or the tunnel",
  ],
  [
    "a tunnel that is a name",
    inZone({ tunnel: "tunnels.example.com" }),
    'cloudflare.tunnel: "tunnels.example.com" is not a boolean: give true or false',
  ],
  [
    "a connector by its tag",
    { images: { cloudflared: "cloudflare/cloudflared:latest" } },
    `images.cloudflared: "cloudflare/cloudflared:latest" ${PIN}`,
  ],
  [
    "a word for a switch",
    inZone({ onlyThroughCloudflare: "yes" }),
    'cloudflare.onlyThroughCloudflare: "yes" is not a boolean: give true or false',
  ],

  [
    "no token for the CA's challenge",
    { ...ACME, dnsApiToken: undefined },
    `dnsApiToken: missing, and certificates of kind acme need it: ${SET_TOKEN}, or give cloudflare`,
  ],
  [
    "a token that is none",
    { ...ACME, dnsApiToken: "hunter2" },
    `dnsApiToken: the secret is not an API token: ${SET_TOKEN}`,
  ],
  [
    "a public certificate for a local name",
    { ...ACME, domain: "localhost" },
    "domain: no CA certifies localhost: give a public domain, or certificates of kind files",
  ],
  [
    "a public certificate for an address",
    { ...ACME, domain: "203.0.113.10" },
    "domain: no CA certifies 203.0.113.10: give a public domain, or certificates of kind files",
  ],

  [
    "Cloudflare without anything",
    inZone({ accountId: undefined, zone: undefined }),
    `cloudflare.accountId: missing: ${ACCOUNT}`,
    "cloudflare.zone: missing: give the zone's name, like example.com",
  ],
  [
    "Cloudflare as text",
    { ...inZone(), cloudflare: "example.com" },
    'cloudflare: "example.com" is not an object: give an object with accountId, zone, addresses, directHost, tunnel, apiUrl, onlyThroughCloudflare, rotateTokensAfterDays or files',
  ],
  ["an account without quotes", inZone({ accountId: 0 }), `cloudflare.accountId: 0 is not an account id: ${ACCOUNT}`],
  [
    "a zone that is a URL, and its id",
    inZone({ zone: "https://example.com", zoneId: "0" }),
    `cloudflare.zone: "https://example.com" is not a zone: give the zone's name, like example.com`,
    "cloudflare.zoneId: unknown key: did you mean reach:cloudflare.zone?",
  ],
  [
    "a domain outside the zone",
    inZone({}, { domain: "badexample.com" }),
    "domain: badexample.com is not in the zone example.com: give a name in it, or the right zone",
  ],
  [
    "an address that is a name",
    inZone({ addresses: ["203.0.113.10", "example.com"] }),
    `cloudflare.addresses.1: "example.com" is not an IP address: give a public address of the host`,
  ],
  [
    "an address that is not in a list",
    inZone({ addresses: "203.0.113.10" }),
    `cloudflare.addresses: "203.0.113.10" is not a list: ${ADDRESSES}`,
  ],
  ["no address", inZone({ addresses: [] }), `cloudflare.addresses: [] is empty: ${ADDRESSES}, or leave the key out`],
  [
    "an edge that listens everywhere, and no address for its records",
    inZone({}, { edge: {} }),
    `cloudflare.addresses: missing, and edge.address is 0.0.0.0: ${ADDRESSES}`,
  ],
  [
    "a name for TCP outside the zone",
    inZone({ directHost: "tunnels.example.net" }),
    "cloudflare.directHost: tunnels.example.net is not in the zone example.com: give a name in it, or the right zone",
  ],
  [
    "a name for TCP that is none",
    inZone({ directHost: "tunnels:2222" }),
    'cloudflare.directHost: "tunnels:2222" is not a host name: give the name at which TCP clients arrive, or leave the key out',
  ],
  [
    "tunnels at the domain",
    inZone({ directHost: "example.com" }),
    "cloudflare.directHost: is the domain, which is proxied: give another name",
  ],
  [
    "a zone without a token",
    inZone({}, { cloudflareApiToken: undefined }),
    `cloudflareApiToken: missing, and cloudflare needs it: ${SET_CLOUDFLARE_TOKEN}`,
  ],
  [
    "a token without a zone",
    { cloudflareApiToken: CLOUDFLARE_TOKEN },
    "cloudflareApiToken: is for a stack with cloudflare: leave it out, or give cloudflare",
  ],
  [
    "a Cloudflare token that is none",
    inZone({}, { cloudflareApiToken: "hunter2" }),
    `cloudflareApiToken: the secret is not an API token: ${SET_CLOUDFLARE_TOKEN}`,
  ],

  [
    "images that are a list",
    { images: [] },
    "images: [] is not an object: give an object with traefik, haproxy, cloudflared, python, node, backend or frontend",
  ],
  ["an image without a tag", { images: { traefik: "traefik" } }, `images.traefik: "traefik" ${PIN}`],
  ["an image by its tag", { images: { traefik: "traefik:v3.7" } }, `images.traefik: "traefik:v3.7" ${PIN}`],
  ["an image by its digest alone", { images: { node: `node@${DIGEST}` } }, `images.node: "node@${DIGEST}" ${PIN}`],
  [
    "an image by an id, which only one that was built on the host has",
    { images: { node: DIGEST } },
    `images.node: "${DIGEST}" ${PIN}`,
  ],
  [
    "an image with a short digest",
    { images: { node: "node:24@sha256:a1" } },
    `images.node: "node:24@sha256:a1" ${PIN}`,
  ],
  [
    "a stand-in that is not from its recipe",
    { images: { python: "bulkhead.local/python:latest" } },
    `images.python: "bulkhead.local/python:latest" ${PIN}`,
  ],
  [
    "an image that is a number, and one that nobody runs",
    { images: { haproxy: 3, postgres: "x" } },
    "images.haproxy: 3 is not an image: give name:tag@sha256:<64 hex digits>",
    "images.postgres: unknown key: give one of traefik, haproxy, cloudflared, python, node, backend, frontend",
  ],
  [
    "a stand-in in production",
    { ...ACME, images: { traefik: STAND_IN } },
    `images.traefik: ${STAND_IN} is a stand-in for local use: give name:tag@sha256:<64 hex digits>`,
  ],

  ["limits that are text", { backend: "512M" }, `backend: "512M" is not an object: ${SERVICE}`],
  ["limits that are true", { frontend: true }, `frontend: true is not an object: ${SERVICE}`],
  [
    "limits below the least",
    { backend: { memoryMb: 15, cpus: 0, pids: 7, drainSeconds: -1 } },
    `backend.memoryMb: 15 ${MEMORY}`,
    "backend.cpus: 0 is too little: give a number from 0.05 to 256",
    `backend.pids: 7 ${PIDS}`,
    `backend.drainSeconds: -1 ${DRAIN}`,
  ],
  [
    "limits with units",
    { frontend: { memoryMb: "512M", cpus: "2", pids: "64", drainSeconds: "30s" } },
    `frontend.memoryMb: "512M" ${MEMORY}`,
    'frontend.cpus: "2" is not a number of CPUs: give a number from 0.05 to 256',
    `frontend.pids: "64" ${PIDS}`,
    `frontend.drainSeconds: "30s" ${DRAIN}`,
  ],
  [
    "more CPUs than there are",
    { backend: { cpus: 257 } },
    "backend.cpus: 257 is too much: give a number from 0.05 to 256",
  ],
  [
    "unknown limits",
    { backend: { memory: 512, swap: 0 } },
    "backend.memory: unknown key: did you mean reach:backend.memoryMb?",
    "backend.swap: unknown key: give one of memoryMb, memoryReservationMb, cpus, pids, drainSeconds, maxBodyMb, responseTimeoutSeconds, healthTimeoutSeconds, reviveAfterHangs",
  ],

  ["an unknown key", { hots: "local" }, "hots: unknown key: did you mean reach:host?"],
  ["a key in capitals", { DOMAIN: "a.b" }, "DOMAIN: unknown key: did you mean reach:domain?"],
  [
    "an unknown key that is like no other",
    { replicas: 3 },
    "replicas: unknown key: give one of host, knownHosts, domain, domains, aliases, edge, maintenance, networks, certificates, dnsApiToken, route53SecretAccessKey, rfc2136TsigSecret, cloudflare, cloudflareApiToken, registries, restore, upgrade, beginsEmpty, backupKey, backupKeyKept, images, backend, frontend",
  ],
  [
    "a registry's token in clear",
    { registries: { "ghcr.io": { user: "me", token: "a-token" } } },
    "registries: a token stands in clear in the stack file: revoke it, make a new one, and set it with `pulumi config set " +
      "--secret --path 'registries[\"ghcr.io\"].token'`, by the registry's address",
  ],
  [
    "known hosts of this machine",
    { knownHosts: "no/hosts" },
    "knownHosts: is for ssh:// hosts, and the host is local: leave it out",
  ],
  [
    "problems of every kind at once",
    {
      host: "docker",
      domain: "localhost",
      edge: { httpsPort: 2222, burst: 1 },
      certificates: { kind: "acme", email: "a@b.c" },
      cloudflare: CLOUDFLARE,
      images: { traefik: STAND_IN },
      backend: { cpus: "2" },
      frontent: {},
    },
    "frontent: unknown key: did you mean reach:frontend?",
    `host: "docker" is not a Docker host: ${HOST}`,
    'backend.cpus: "2" is not a number of CPUs: give a number from 0.05 to 256',
    "edge.tcp.clients: 2222 is the httpsPort too: give another port",
    "edge.burst: 1 is less than requestsPerSecond: give at least 100",
    "domain: no CA certifies localhost: give a public domain, or certificates of kind files",
    "domain: localhost is not in the zone example.com: give a name in it, or the right zone",
    `cloudflare.addresses: missing, and edge.address is 0.0.0.0: ${ADDRESSES}`,
    `cloudflareApiToken: missing, and cloudflare needs it: ${SET_CLOUDFLARE_TOKEN}`,
    `images.traefik: ${STAND_IN} is a stand-in for local use: give name:tag@sha256:<64 hex digits>`,
  ],
];

describe("a wrong stack file", () => {
  test.each(wrong)("with %s", (_, change, ...problems) => {
    expect(problemsOf({ ...LOCAL, ...change })).toEqual(problems.map((problem) => `reach:${problem}`));
  });

  test("has its problems in one message, one a line", () => {
    expect(() => parsed({ ...LOCAL, host: undefined })).toThrow(new ConfigError([`reach:host: missing: ${HOST}`]));
    expect(() => parsed({ ...LOCAL, host: undefined })).toThrow(
      `the stack's configuration has a problem:\n  reach:host: missing: ${HOST}`,
    );
    expect(() => parsed({ ...LOCAL, host: undefined, domain: undefined })).toThrow(
      `the stack's configuration has 2 problems:\n  reach:host: missing: ${HOST}\n  reach:domain: missing: ${DOMAIN}`,
    );
  });

  test("shows a value as it is, whatever stands in it", () => {
    expect(problemsOf({ ...LOCAL, domain: "a$&b$'" })).toEqual([
      `reach:domain: "a$&b$'" is not a domain name: ${DOMAIN}`,
    ]);
  });
});

describe("a secret is in no message", () => {
  const secret = "s3cret value";
  const change: Given = {
    host: secret,
    domain: secret,
    edge: { address: secret, httpsPort: secret },
    certificates: { kind: "files", certificate: secret, privateKey: secret },
    cloudflare: { accountId: secret, zone: secret, addresses: [secret] },
    cloudflareApiToken: secret,
    images: { traefik: secret },
    backend: { memoryMb: secret },
    dnsApiToken: secret,
    unheardOf: secret,
  };

  test("when Pulumi keeps it as one", () => {
    const problems = problemsOf(change, Object.keys(change));
    expect(problems.length).toBe(14);
    expect(problems.filter((problem) => problem.includes(secret))).toEqual([]);
    expect(problems).toContain(`reach:edge.httpsPort: the secret ${HTTPS_PORT}`);
    // And the same problems show it where it is none, but for the keys whose values never are.
    expect(problemsOf(change, []).filter((problem) => problem.includes(secret)).length).toBe(11);
  });

  test("when two keys contradict each other", () => {
    const given: Given = {
      ...ACME,
      domain: "203.0.113.9",
      cloudflare: { ...CLOUDFLARE, zone: "secret.example", addresses: ["203.0.113.9"], directHost: "t.example.com" },
      cloudflareApiToken: CLOUDFLARE_TOKEN,
      edge: { httpsPort: 4444, tcp: { clients: 4444 }, requestsPerSecond: 777, burst: 666 },
      images: { traefik: STAND_IN },
    };
    const values = /203\.0\.113\.9|secret\.example|4444|777|666|0123456789abcdef/;
    const tokens = ["dnsApiToken", "cloudflareApiToken"];
    expect(problemsOf(given, tokens).filter((problem) => values.test(problem)).length).toBe(6);
    const problems = problemsOf(given, Object.keys(given));
    expect(problems.length).toBe(6);
    expect(problems.filter((problem) => values.test(problem))).toEqual([]);
  });

  test("when it stands in clear by mistake", () => {
    expect(problemsOf(ACME, [])).toEqual([
      `reach:dnsApiToken: stands in clear in the stack file: revoke it, make a new one, and ${SET_TOKEN}`,
    ]);
    expect(problemsOf({ ...LOCAL, ...inZone() }, [])).toEqual([
      `reach:cloudflareApiToken: stands in clear in the stack file: revoke it, make a new one, and ${SET_CLOUDFLARE_TOKEN}`,
    ]);
    expect(problemsOf({ ...ACME, dnsApiToken: "hunter2 hunter2" }, [])).toEqual([
      `reach:dnsApiToken: the secret is not an API token: ${SET_TOKEN}`,
    ]);
  });

  test("when it is a private key", () => {
    const lines = [files["other.key"], files["private.key"]].flatMap((key) => key!.split("\n").filter(Boolean));
    const [problem] = problemsOf({ ...LOCAL, certificates: filesWith({ privateKey: "other.key" }) });
    expect(lines.filter((line) => problem!.includes(line))).toEqual([]);
  });
});

describe("a good stack file", () => {
  test("needs only what has no default", () => {
    expect(parsed(LOCAL)).toEqual({
      host: "local",
      domain: "localhost",
      edge: { address: "0.0.0.0", httpsPort: 443, ...edgeDefaults },
      certificates: { kind: "files", certificatePem: files["certificate.pem"], privateKeyPem: files["private.key"] },
      images: settings.images,
      backend: { memoryMb: 512, cpus: 1, pids: 128, ...serviceDefaults },
      frontend: { memoryMb: 256, cpus: 0.5, pids: 64, ...serviceDefaults },
    });
  });

  test("keeps what it says beside the defaults", () => {
    const cloudflare = {
      ...CLOUDFLARE,
      addresses: ["203.0.113.10", "2001:db8::10"],
      directHost: "t.example.com",
      tunnel: false,
      onlyThroughCloudflare: false,
      rotateTokensAfterDays: 30,
    };
    const config = parsed({
      ...ACME,
      knownHosts: "known_hosts",
      edge: { address: "::", httpsPort: 8443 },
      certificates: {
        kind: "acme",
        email: "ops@example.com",
        caServer: "https://ca.example.com/dir",
        validityHours: 2160,
      },
      cloudflare,
      cloudflareApiToken: CLOUDFLARE_TOKEN,
      images: { traefik: `registry.example.com:5000/traefik:v3@${DIGEST}` },
      backend: { cpus: 0.25, drainSeconds: 0 },
      "docker:registryAuth": "of a provider",
    });
    expect(config).toEqual({
      host: "ssh://deploy@203.0.113.10",
      knownHosts: "known_hosts",
      domain: "reach.example.com",
      edge: { address: "::", httpsPort: 8443, ...edgeDefaults },
      certificates: {
        kind: "acme",
        email: "ops@example.com",
        caServer: "https://ca.example.com/dir",
        validityHours: 2160,
      },
      dnsApiToken: TOKEN,
      cloudflare,
      cloudflareApiToken: CLOUDFLARE_TOKEN,
      images: { ...settings.images, traefik: `registry.example.com:5000/traefik:v3@${DIGEST}` },
      backend: { memoryMb: 512, cpus: 0.25, pids: 128, ...serviceDefaults, drainSeconds: 0 },
      frontend: { memoryMb: 256, cpus: 0.5, pids: 64, ...serviceDefaults },
    });
  });

  test("needs no address of the host with a tunnel", () => {
    const { cloudflare } = parsed({ ...LOCAL, ...inZone({ tunnel: true }), edge: {} });
    expect(cloudflare).toEqual({ ...CLOUDFLARE, tunnel: true, onlyThroughCloudflare: true });
    expect(parsed({ ...LOCAL, ...inZone() }).cloudflare).toMatchObject({ tunnel: false });
  });

  test("certifies by Let's Encrypt unless it says otherwise", () => {
    expect(parsed(ACME).certificates).toEqual({
      kind: "acme",
      email: "ops@example.com",
      caServer: "https://acme-v02.api.letsencrypt.org/directory",
      validityHours: 2160,
    });
  });

  test.each([
    "local",
    "ssh://host",
    "ssh://root@host.example.com:22",
    "ssh://a.b-c@10.0.0.1:65535",
    "ssh://a@[fe80::1]:2222",
  ])("may have the host %s", (host) => {
    expect(parsed({ ...LOCAL, host }).host).toBe(host);
  });

  test("may have stand-ins, where no public certificate depends on them", () => {
    expect(parsed({ ...LOCAL, images: { traefik: STAND_IN } }).images.traefik).toBe(STAND_IN);
  });

  test("may name the zone itself as its domain", () => {
    expect(parsed({ ...LOCAL, ...inZone() }).domain).toBe("example.com");
  });
});

describe("some keys of a stack file", () => {
  test("are read with their defaults, whatever stands beside them", () => {
    const config = { "reach:host": "local", "reach:edge": { httpsPort: 8443 }, "reach:domain": 5, "other:key": 1 };
    expect(parseStackFile("reach", config, ["host", "knownHosts", "edge"], settings.shape)).toMatchObject({
      host: "local",
      edge: { address: "0.0.0.0", httpsPort: 8443, tcp: { clients: 2222 } },
    });
  });

  test("are all named if they are wrong", () => {
    const config = { "reach:host": "shh://box", "reach:edge": { httpsPort: 0 } };
    expect(() => parseStackFile("reach", config, ["host", "domain", "edge"])).toThrow(
      'the stack\'s configuration has 3 problems:\n  reach:host: "shh://box" is not a Docker host: give local, or ' +
        "ssh://user@address[:port]\n  reach:domain: missing: give the name that the edge serves, like example.com\n" +
        "  reach:edge.httpsPort: 0 is not a whole number from 1 to 65535: give the port of the host on which",
    );
  });
});

describe("stack.schema.json", () => {
  const schema = JSON.parse(readFileSync(join(projectDirectory, "stack.schema.json"), "utf8")) as object;
  // Formats are only told to editors; patterns and kinds are what is checked.
  const validate = new Ajv2020({ allErrors: true, validateFormats: false }).compile(schema);
  const complaintsOf = (config: Given) => {
    validate({ config: Object.fromEntries(Object.entries(config).map(([key, value]) => [`reach:${key}`, value])) });
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  };

  // It takes a second, in which the other tests run.
  const generated = new Promise((resolve) => {
    const program = spawn(process.execPath, ["--conditions=bulkhead-source", "scripts/generate.ts", "--check"], {
      cwd: projectDirectory,
    });
    let said = "";
    for (const stream of [program.stdout, program.stderr])
      stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
    program.on("close", (code) => resolve({ code, said }));
  });
  test("and all else that is generated is what the program says", async () => {
    expect(await generated).toEqual({ code: 0, said: "" });
  }, 60_000);

  test.each(stacks)("accepts the stack file %s", (stack) => {
    validate(readStack(stack));
    expect(validate.errors).toBeNull();
  });

  test("accepts secrets as Pulumi writes them", () => {
    expect(complaintsOf({ ...ACME, dnsApiToken: { secure: "v1:abc:def" } })).toEqual([]);
  });

  test.each<[string, Given, string]>([
    ["no host", { host: undefined }, "/config must have required property 'reach:host'"],
    ["another host", { host: "docker" }, '/config/reach:host must match pattern "^(local|'],
    ["an unknown key", { hots: "local" }, "/config must NOT have additional properties"],
    ["an unknown nested key", { edge: { adress: "::" } }, "/config/reach:edge must NOT have additional properties"],
    ["a port 0", { edge: { httpsPort: 0 } }, "/config/reach:edge/httpsPort must be >= 1"],
    ["a port in quotes", { edge: { httpsPort: "443" } }, "/config/reach:edge/httpsPort must be integer"],
    [
      "certificates of another kind",
      { certificates: { kind: "x" } },
      "/config/reach:certificates/kind must be equal to constant",
    ],
    [
      "a file too few",
      { certificates: { kind: "files", certificate: "a" } },
      "/config/reach:certificates must have required property 'privateKey'",
    ],
    ["too little memory", { backend: { memoryMb: 1 } }, "/config/reach:backend/memoryMb must be >= 16"],
    ["an account without quotes", inZone({ accountId: 0 }), "/config/reach:cloudflare/accountId must be string"],
  ])("refuses %s", (_, change, complaint) => {
    const { host, ...others } = { ...LOCAL, ...change };
    const complaints = complaintsOf(host === undefined ? others : { host, ...others });
    expect(complaints).toContainEqual(expect.stringContaining(complaint));
  });

  test("refuses an image that is not pinned", () => {
    expect(complaintsOf({ ...LOCAL, images: { traefik: "traefik:v3" } })).not.toEqual([]);
  });
});
