// Services that say which path they were asked for, behind routes of every kind.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { WebService, type WebServiceArgs } from "../../../components/edge/web-service.ts";
import { GeneratedSecret } from "../../../components/host/secret.ts";
import { platform } from "../../../components/platform.ts";
import { settings } from "./settings.ts";

const config = settings.load();
const { edge, stackOutputs } = await platform(config, { pages: "pages" });
// Takes a path for whatever some framework takes it for, and /admin for what must not be seen.
const APP = `
const meanings = (text) => {
  const decode = (given) => { try { return decodeURIComponent(given); } catch { return unescape(given); } };
  const all = new Set([text]);
  for (let round = 0; round < 4; round++)
    for (const one of [...all])
      for (const other of [
        decode(one), unescape(one), one.replace(/\\\\/g, "/"), one.replace(/;[^/]*/g, ""), one.normalize("NFKC"),
        one.toLowerCase(), one.replace(/[?#\\0].*/s, ""), one.replace(/\\/{2,}/g, "/"), one.replace(/\\.[a-z]+$/, ""),
        one.trim(), one.replace(/[. ]+(?=\\/|$)/g, (dots) => (dots === "." || dots === ".." ? dots : "")),
        new URL(one.startsWith("/") ? "http://a" + one.replace(/^\\/+/, "/") : "http://a/" + one, "http://a").pathname,
        one.replace(/%[cC]0%[aA][fF]/g, "/").replace(/%[cC]0%[aA][eE]/g, "."),
      ]) all.add(other);
  return all;
};
const isAdmin = (text) => [...meanings(text)].some((one) => /^\\/(admin|private|member)\\/?$/.test(one));
const answer = (request, response) => {
  const { url, headers } = request;
  if (url === "/down") return response.writeHead(503, { "content-type": "application/json" }).end('{"down":true}');
  if (url === "/busy") return response.writeHead(503).end("busy");
  if (url === "/style.css") return response.writeHead(200, { "content-type": "text/css" }).end("a{color:red}".repeat(500));
  if (url === "/slow") return setTimeout(() => response.end("at last"), 3000);
  if (headers["content-type"] === "application/grpc") {
    response.setHeader("content-type", "application/grpc");
    if (url.endsWith("/unknown"))
      return response.stream.respond({ "content-type": "application/grpc", "grpc-status": "12" }, { endStream: true });
    response.addTrailers({ "grpc-status": "0" });
    return request.on("data", (message) => response.write(message)).on("end", () => response.end());
  }
  request.resume();
  // What says who the client is, by whatever name.
  const identity = Object.entries(headers).filter(([name]) => /user|groups|authorization/.test(name));
  response.setHeader("x-seen", JSON.stringify(Object.fromEntries(identity)));
  if (process.env.NAME === "gate" && url.startsWith("/verify")) {
    const [, user] = /member=(\\w+)/.exec(headers.cookie || "") || [];
    response.setHeader("x-asked", ["method", "host", "uri", "proto"].map((of) => headers["x-forwarded-" + of]).join(" "));
    if (user) response.setHeader("x-forwarded-user", user);
    if (/big/.test(headers.cookie || "")) return response.writeHead(403).end("x".repeat(70000));
    if (!user) response.setHeader("location", "/login?to=" + headers["x-forwarded-uri"]);
    return response.writeHead(user ? 204 : 302).end();
  }
  response.setHeader("x-robots-tag", "the service's own");
  const asked = [url.split("?")[0], headers["x-original-url"], headers["x-rewrite-url"], headers["x-forwarded-prefix"]];
  const admin = process.env.NAME === "app" && !headers["x-forwarded-user"] && asked.some((one) => one && isAdmin(one)) ? "SECRET " : "";
  response.end(admin + process.env.NAME + " " + url + " " + (headers["x-forwarded-prefix"] || ""));
};
const { MODULE, CERTIFICATE_FILE, PRIVATE_KEY_FILE } = process.env;
const read = require("node:fs").readFileSync;
const files = CERTIFICATE_FILE ? { cert: read(CERTIFICATE_FILE), key: read(PRIVATE_KEY_FILE) } : {};
require(MODULE).createServer(files, answer).listen(8000).on("upgrade", ({ url }, socket) =>
  socket.end("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\nopened " + url));
require("node:http").createServer(answer).listen(8001);
`;

function app(
  name: string,
  routes: WebServiceArgs["routes"],
  more: Pick<Partial<WebServiceArgs>, "protocol" | "healthPath" | "upstreamTls" | "secrets"> = {},
): WebService {
  const { protocol = "http" } = more;
  return new WebService(name, {
    edge,
    image: config.images.node,
    port: 8000,
    command: ["node", "--eval", APP],
    env: { NAME: name, MODULE: { h2c: "node:http2", https: "node:https", http: "node:http" }[protocol] },
    health: { test: ["CMD", "node", "--eval", "fetch('http://127.0.0.1:8001/').catch(() => process.exit(1))"] },
    healthPath: "/",
    limits: { memoryMb: 128, cpus: 1, pids: 64 },
    drainSeconds: 1,
    routes,
    ...more,
  });
}

const gate = app("gate", { paths: ["/login"] }, { healthPath: "/login/up" });
const users = {
  ann: pulumi.secret(process.env["ANN"] ?? "a horse with no name"),
  bob: new GeneratedSecret("bob-password").value,
};

app("app", [
  { paths: ["/"], headers: { "X-Robots-Tag": "noindex" } },
  // The tests come from a private address.
  { paths: ["/admin"], allowFrom: ["192.0.2.0/24", "2001:db8::/32"] },
  { paths: ["/inside"], allowFrom: ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] },
  { paths: ["/small"], maxBodyMb: 1 },
  { paths: ["/slow"], responseTimeoutSeconds: 1 },
  { paths: ["/down"], errorPages: false },
  { paths: ["/private"], basicAuth: { users, userHeader: "X-Forwarded-User" }, cors: { origins: ["https://a.test"] } },
  { paths: ["/passed"], basicAuth: { users, realm: "Passed on", passAuthorization: true } },
  { paths: ["/member"], forwardAuth: { to: gate, path: "/verify", responseHeaders: ["X-Forwarded-User"] } },
  { paths: ["/few"], rateLimit: { requestsPerSecond: 1, burst: 5 } },
]);
app("api", {
  paths: ["/api"],
  stripPrefix: true,
  cors: {
    origins: ["https://app.example.com"],
    methods: ["GET", "PUT"],
    headers: ["Authorization"],
    credentials: true,
  },
});
app("registry", {
  paths: ["/registry"],
  exceptions: [{ encodedSlashes: true, why: "an npm client asks for @scope%2fname" }],
});
const sealed = (file: string) => readFileSync(join(process.env["SEALED"]!, file), "utf8");
app(
  "sealed",
  { paths: ["/sealed"] },
  {
    protocol: "https",
    upstreamTls: { caCertificatePem: sealed("ca.pem"), serverName: process.env["SEALED_AS"] ?? "sealed.test" },
    secrets: { CERTIFICATE: sealed("certificate.pem"), PRIVATE_KEY: sealed("private.key") },
  },
);
app("calls", { paths: ["/calls"] }, { protocol: "h2c" });

export const { url, services } = stackOutputs();
