// One question as a client asks it: a connection, TLS with the domain's name, a request. What came of it is told in full.
import * as https from "node:https";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import type { Engine } from "../../components/docker-engine/client.ts";
import { sshArguments } from "../../components/docker-engine/ssh.ts";
import { sshStream } from "../../components/docker-engine/ssh-stream.ts";

export type Outcome =
  /** The name has no address. */
  | { kind: "no address" }
  /** Nobody listens there, and the machine says so at once. */
  | { kind: "refused" }
  /** No packet came back: what drops packets, or no machine. */
  | { kind: "silent" }
  /** The network says that there is no way. */
  | { kind: "no way"; said: string }
  /** It was connected, and ended from there before anything came. */
  | { kind: "closed" }
  /** It was connected, and nothing came. */
  | { kind: "hangs" }
  | { kind: "certificate"; said: string }
  /** TLS is done, and the request got no answer, or the connection ended. */
  | { kind: "no answer"; said: string }
  /** Could not be asked, which says nothing of the port. */
  | { kind: "not asked"; said: string }
  /** TCP alone: the connection stays, or something came. */
  | { kind: "open" }
  | { kind: "answered"; status: number; body: string; headers: Readonly<Record<string, unknown>> };

/** Where to connect. */
export interface Place {
  address: string;
  port: number;
  /** From the host itself, through its ssh. @default from this machine */
  from?: Engine;
}

export interface Request {
  /** For SNI, and the name that the certificate has to be for. */
  domain: string;
  path: string;
  /** @default the domain, with the port unless it is 443 */
  host?: string;
  /** PEM of CAs that are trusted beside this machine's own. */
  ca?: readonly string[];
  patience?: Patience;
}

/** In milliseconds. */
export interface Patience {
  connectMs: number;
  answerMs: number;
  /** How long a TCP connection has to stay. */
  stayMs: number;
}

const PATIENCE: Patience = { connectMs: 5_000, answerMs: 10_000, stayMs: 3_000 };

export async function askHttps(place: Place, request: Request): Promise<Outcome> {
  const { domain, path, ca = [], patience = PATIENCE } = request;
  const way = await open(place, patience);
  if ("kind" in way) return way;
  const secured = await secure(way, { domain, ca, patience });
  if ("kind" in secured) return secured;
  const host = request.host ?? (place.port === 443 ? domain : `${domain}:${place.port}`);
  return answer(secured, { host, path, answerMs: patience.answerMs });
}

/** TCP alone: whoever takes the connection and ends it at once has nobody behind it. */
export async function askTcp(place: Place, patience = PATIENCE): Promise<Outcome> {
  const way = await open(place, patience);
  if ("kind" in way) return way;
  return new Promise((resolve) => {
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      way.stream.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end({ kind: "open" }), patience.stayMs);
    way.stream.once("data", () => end({ kind: "open" }));
    way.stream.once("error", () => end(way.ended() ?? { kind: "closed" }));
    way.stream.once("close", () => end(way.ended() ?? { kind: "closed" }));
    way.stream.once("end", () => end(way.ended() ?? { kind: "closed" }));
  });
}

interface Way {
  stream: Duplex;
  /** Why it ended, where it is known only then. */
  ended: () => Outcome | undefined;
}

function open({ address, port, from }: Place, { connectMs }: Patience): Promise<Way | Outcome> {
  if (from) return Promise.resolve(throughSsh(from, address, port));
  return new Promise((resolve) => {
    const socket: Socket = connect({ host: address, port, autoSelectFamily: true });
    const timer = setTimeout(() => {
      socket.destroy();
      resolve({ kind: "silent" });
    }, connectMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve({ stream: socket, ended: () => undefined });
    });
    // It stays: an error after the connection is told by whoever reads then.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve(whyNot(error));
    });
  });
}

/** What an error of connect(2), or of the resolver, says. Of several addresses the one that tells most. */
export function whyNot(error: NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] }): Outcome {
  const codes = [error, ...(error.errors ?? [])].map(({ code }) => code);
  if (codes.includes("ECONNREFUSED")) return { kind: "refused" };
  if (codes.includes("ETIMEDOUT")) return { kind: "silent" };
  if (codes.includes("ENOTFOUND") || codes.includes("EAI_AGAIN")) return { kind: "no address" };
  if (codes.includes("ECONNRESET")) return { kind: "closed" };
  return { kind: "no way", said: error.message };
}

/** The host's own sshd opens the connection: what it cannot reach is not a matter of the way to it. */
function throughSsh({ host, sshOptions }: Engine, address: string, port: number): Way {
  const target = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  const { stream, complaint } = sshStream(["-W", target, ...sshArguments(host, sshOptions)]);
  return { stream, ended: () => (complaint() === "" ? undefined : complaintOfSsh(complaint())) };
}

/** What ssh says of a connection that its other end could not open. */
export function complaintOfSsh(complaint: string): Outcome {
  if (/connection refused/i.test(complaint)) return { kind: "refused" };
  if (/connection timed out/i.test(complaint)) return { kind: "silent" };
  return { kind: "not asked", said: complaint.trim() };
}

interface Secure {
  domain: string;
  ca: readonly string[];
  patience: Patience;
}

function secure({ stream, ended }: Way, { domain, ca, patience }: Secure): Promise<tls.TLSSocket | Outcome> {
  return new Promise((resolve) => {
    const options = { servername: domain, ca: [...tls.rootCertificates, ...extraCas(), ...ca] };
    const socket = tls.connect({ socket: stream, ALPNProtocols: ["http/1.1"], ...options });
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      socket.destroy();
      stream.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end({ kind: "hangs" }), patience.answerMs);
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => end(ended() ?? whyNotSecure(error)));
    socket.once("close", () => end(ended() ?? { kind: "closed" }));
  });
}

/** By the names of OpenSSL's verdicts, as Node gives them; all else ended the connection. */
export function whyNotSecure({ code = "", message }: NodeJS.ErrnoException): Outcome {
  return /CERT|ALTNAME|SIGNATURE|ISSUER/.test(code) ? { kind: "certificate", said: message } : { kind: "closed" };
}

/** What this machine trusts beyond Node's own list; a client's browser does too. */
function extraCas(): string[] {
  return typeof tls.getCACertificates === "function"
    ? [...tls.getCACertificates("system"), ...tls.getCACertificates("extra")]
    : [];
}

interface Ask {
  host: string;
  path: string;
  answerMs: number;
}

function answer(socket: tls.TLSSocket, { host, path, answerMs }: Ask): Promise<Outcome> {
  return new Promise((resolve) => {
    const headers = { Host: host, "User-Agent": "bulkhead", Connection: "close" };
    const request = https.request({ createConnection: () => socket, method: "GET", path, headers });
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      request.destroy();
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end({ kind: "no answer", said: `in ${answerMs / 1000} s` }), answerMs);
    request.on("error", ({ message }) => end({ kind: "no answer", said: message }));
    request.on("response", (response) => {
      const { statusCode: status = 0, headers } = response;
      let body = "";
      const finish = () => end({ kind: "answered", status, body, headers });
      // Only this one is told apart by its text; another may be a stream without an end.
      if (status !== 404) return finish();
      response.on("data", (chunk: Buffer) => (body += chunk.toString()).length > MOST_READ && finish());
      response.on("end", finish);
      response.on("error", finish);
    });
    request.end();
  });
}

const MOST_READ = 4_096;
