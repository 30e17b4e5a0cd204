// The APIs of DNS providers, as far as an ACME client asks them: at their own names, by a proxy that leads there.
import aws4 from "aws4";
import { once } from "node:events";
import { createServer as createProxy, type IncomingMessage } from "node:http";
import { createServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { createSecureContext, type SecureContext } from "node:tls";
import { makeCertificates } from "./certificates.ts";
import type { Zone, Zones } from "./cloudflare/zones.ts";

export interface DnsApis {
  /** PEM of the authorities that certify them. */
  ca: string;
  /** Of an HTTP proxy that leads to them, and to nothing else. */
  proxy: string;
  /** What was asked, and what was answered. */
  requests: { host: string; method: string; path: string; status: number }[];
  stop: () => Promise<void>;
}

export interface DnsSecrets {
  hetzner: string;
  digitalocean: string;
  route53: { accessKeyId: string; secretAccessKey: string };
}

interface Asked {
  method: string;
  path: string;
  body: string;
  request: IncomingMessage;
}

interface Answered {
  status: number;
  /** Text is XML. */
  body?: object | string;
}

/** @param address where the proxy listens */
export async function startDnsApis(zones: Zones, address: string, secrets: DnsSecrets): Promise<DnsApis> {
  const apis: Record<string, (asked: Asked) => Answered> = {
    "api.hetzner.cloud": (asked) => hetzner(zones, asked, secrets.hetzner),
    "api.digitalocean.com": (asked) => digitalOcean(zones, asked, secrets.digitalocean),
    "route53.amazonaws.com": (asked) => route53(zones, asked, secrets.route53),
  };
  const contexts = new Map<string, SecureContext>();
  const authorities: string[] = [];
  for (const host of Object.keys(apis)) {
    const { ca, certificate, privateKey } = await makeCertificates(host);
    authorities.push(ca);
    contexts.set(host, createSecureContext({ cert: certificate, key: privateKey }));
  }
  const requests: DnsApis["requests"] = [];
  const server = createServer(
    { SNICallback: (host, done) => done(null, contexts.get(host)) },
    (request, response) =>
      void textOf(request).then((body) => {
        const { method = "", url: path = "" } = request;
        const host = request.headers.host!;
        const answered = apis[host]!({ method, path, body, request });
        requests.push({ host, method, path, status: answered.status });
        const isText = typeof answered.body === "string";
        response.writeHead(answered.status, { "content-type": isText ? "text/xml" : "application/json" });
        response.end(isText ? answered.body : JSON.stringify(answered.body));
      }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sockets = new Set<Socket>();
  const proxy = createProxy((_, response) => response.writeHead(403).end());
  proxy.on("connection", (socket) => sockets.add(socket));
  proxy.on("connect", ({ url = "" }: IncomingMessage, caller: Socket, head: Buffer) => {
    if (apis[url.replace(/:443$/, "")] === undefined) return caller.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const call = connect((server.address() as AddressInfo).port, "127.0.0.1");
    for (const socket of [caller, call]) socket.on("error", () => undefined);
    caller.write("HTTP/1.1 200 OK\r\n\r\n");
    call.write(head);
    return caller.pipe(call).pipe(caller);
  });
  proxy.listen(0, address);
  await once(proxy, "listening");
  return {
    ca: authorities.join("\n"),
    proxy: `http://${address}:${(proxy.address() as AddressInfo).port}`,
    requests,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await Promise.all([server, proxy].map((each) => new Promise((resolve) => each.close(resolve))));
    },
  };
}

const REFUSED = { status: 401, body: { error: { code: "unauthorized", message: "token is invalid" } } };

/** https://docs.hetzner.cloud/reference/cloud#zone-rrset-actions */
function hetzner(zones: Zones, { method, path, body, request }: Asked, token: string): Answered {
  if (request.headers.authorization !== `Bearer ${token}`) return REFUSED;
  const action = {
    action: { id: 1, command: "records", status: "success", progress: 100, resources: [], error: null },
  };
  if (method === "GET" && path === "/v1/actions/1") return { status: 200, body: action };
  const asked = /^\/v1\/zones\/([^/]+)\/rrsets\/([^/]+)\/TXT\/actions\/(add|remove)_records$/.exec(path);
  const zone = asked === null ? undefined : zones.holding(asked[1]!);
  if (method !== "POST" || zone === undefined) return { status: 404, body: { error: { code: "not_found" } } };
  const name = `${asked![2]}.${zone.name}`;
  const { records } = JSON.parse(body) as { records: { value: string }[] };
  for (const { value } of records)
    if (asked![3] === "add") zones.addRecord(zone, { name, type: "TXT", content: value });
    else forget(zone, name, value);
  return { status: 201, body: action };
}

/** https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records */
function digitalOcean(zones: Zones, { method, path, body, request }: Asked, token: string): Answered {
  if (request.headers.authorization !== `Bearer ${token}`) return REFUSED;
  const asked = /^\/v2\/domains\/([^/]+)\/records(?:\/(\d+))?$/.exec(path);
  const zone = asked === null ? undefined : zones.holding(asked[1]!);
  if (zone === undefined) return { status: 404, body: { id: "not_found", message: "not found" } };
  const number = (id: string) => Number.parseInt(id.replaceAll(/\W/g, "").slice(0, 8), 16);
  if (method === "DELETE") {
    for (const id of zone.records.keys()) if (String(number(id)) === asked![2]) zone.records.delete(id);
    return { status: 204 };
  }
  const { name, data } = JSON.parse(body) as { name: string; data: string };
  const { id } = zones.addRecord(zone, { name: name.replace(/\.$/, ""), type: "TXT", content: data });
  return { status: 201, body: { domain_record: { id: number(id), type: "TXT", name, data, ttl: 30 } } };
}

/** https://docs.aws.amazon.com/Route53/latest/APIReference, for who signs as the owner of the key does. */
function route53(zones: Zones, { method, path, body, request }: Asked, key: DnsSecrets["route53"]): Answered {
  const [, names = ""] = /SignedHeaders=([^,]+)/.exec(request.headers.authorization ?? "") ?? [];
  const headers = Object.fromEntries(names.split(";").map((name) => [name, String(request.headers[name])]));
  const ours = aws4.sign({ service: "route53", region: "us-east-1", method, path, headers, body }, key);
  if (ours.headers!["Authorization"] !== request.headers.authorization)
    return { status: 403, body: xml("ErrorResponse", "<Error><Code>SignatureDoesNotMatch</Code></Error>") };
  const { pathname, searchParams } = new URL(path, "https://route53.amazonaws.com");
  const change =
    "<ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo>";
  if (pathname === "/2013-04-01/change/C1") return { status: 200, body: xml("GetChangeResponse", change) };
  if (pathname === "/2013-04-01/hostedzonesbyname") {
    const hosted = [...zones.all.values()].map(
      ({ id, name }) =>
        `<HostedZone><Id>/hostedzone/Z${id}</Id><Name>${name}.</Name><CallerReference>1</CallerReference>` +
        "<Config><PrivateZone>false</PrivateZone></Config></HostedZone>",
    );
    const rest = "<IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>";
    const body = xml("ListHostedZonesByNameResponse", `<HostedZones>${hosted.join("")}</HostedZones>${rest}`);
    return { status: 200, body };
  }
  const [, id = ""] = /^\/2013-04-01\/hostedzone\/Z([^/]+)\/rrset\/?$/.exec(pathname) ?? [];
  const zone = zones.all.get(id);
  if (zone === undefined)
    return { status: 404, body: xml("ErrorResponse", "<Error><Code>NoSuchHostedZone</Code></Error>") };
  if (method === "GET") {
    const name = searchParams.get("name")!.replace(/\.$/, "");
    const there = [...zone.records.values()].filter((record) => record.name === name && record.type === "TXT");
    // In quotes, which a zone keeps without.
    const quoted = there.map(({ content }) => `"${content.replaceAll('"', "")}"`);
    const values = quoted.map((value) => `<ResourceRecord><Value>${value}</Value></ResourceRecord>`).join("");
    const set = `<ResourceRecordSet><Name>${name}.</Name><Type>TXT</Type><TTL>10</TTL><ResourceRecords>${values}</ResourceRecords></ResourceRecordSet>`;
    const rest = "<IsTruncated>false</IsTruncated><MaxItems>300</MaxItems>";
    const sets = `<ResourceRecordSets>${there.length > 0 ? set : ""}</ResourceRecordSets>${rest}`;
    return { status: 200, body: xml("ListResourceRecordSetsResponse", sets) };
  }
  const name = /<Name>(.+?)\.?<\/Name>/.exec(body)![1]!;
  forget(zone, name);
  if (body.includes("<Action>UPSERT</Action>"))
    for (const [, content] of body.matchAll(/<Value>(.+?)<\/Value>/g))
      zones.addRecord(zone, {
        name,
        type: "TXT",
        content: content!.replaceAll("&#34;", '"').replaceAll("&quot;", '"'),
      });
  return { status: 200, body: xml("ChangeResourceRecordSetsResponse", change) };
}

function xml(root: string, content: string): string {
  return `<?xml version="1.0"?><${root} xmlns="https://route53.amazonaws.com/doc/2013-04-01/">${content}</${root}>`;
}

/** @param content that of one of them. @default all of the name */
function forget(zone: Zone, name: string, content?: string): void {
  for (const [id, record] of zone.records)
    if (record.name === name && record.type === "TXT" && (content === undefined || record.content === content))
      zone.records.delete(id);
}
