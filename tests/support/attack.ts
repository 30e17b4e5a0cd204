import * as http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";

/** What a hostile client does, to an address that the test has made itself, for so long and so often. */
export interface Attack {
  kind:
    | "idle"
    | "half a handshake"
    | "slow headers"
    | "large headers"
    | "slow bodies"
    | "answers that nobody reads"
    | "streams that nobody reads"
    | "streams that are reset";
  host: string;
  port: number;
  domain: string;
  /** Where it comes from. */
  addresses: string[];
  /** Connections that it opens, all in all. */
  connections: number;
  /** How long it keeps them. */
  seconds: number;
}

export interface AttackResult {
  opened: number;
  /** Ended by the other side, or refused. */
  ended: number;
  /** Still open at the end. */
  open: number;
  streams: number;
}

/** Ends by itself when the time is over, whatever came of it. */
async function attack({ kind, host, port, domain, addresses, connections, seconds }: Attack): Promise<AttackResult> {
  const result: AttackResult = { opened: 0, ended: 0, open: 0, streams: 0 };
  const sockets = new Set<Socket>();
  const until = Date.now() + seconds * 1000;
  const open = (index: number): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ host, port, localAddress: addresses[index % addresses.length] });
      sockets.add(socket);
      socket.setTimeout(5_000, resolve);
      socket.on("connect", () => {
        result.opened++;
        act(socket);
        resolve();
      });
      socket.on("error", () => undefined);
      socket.on("close", () => {
        result.ended++;
        sockets.delete(socket);
        resolve();
      });
    });
  const http2Over = (secure: tls.TLSSocket, settings: http2.Settings = {}) => {
    const session = http2.connect(`https://${domain}`, { createConnection: () => secure, settings });
    session.on("error", () => secure.destroy());
    return session;
  };
  const act = (socket: Socket) => {
    if (kind === "idle") return void socket.resume();
    if (kind === "half a handshake") {
      // The begin of a TLS record that would be a greeting of 512 bytes.
      socket.write(Buffer.from("16030102000100", "hex"));
      return void socket.resume();
    }
    const protocol = kind.startsWith("streams ") ? "h2" : "http/1.1";
    const secure = tls.connect({ socket, servername: domain, rejectUnauthorized: false, ALPNProtocols: [protocol] });
    secure.on("error", () => socket.destroy());
    secure.on("close", () => socket.destroy());
    if (kind === "answers that nobody reads") {
      secure.on("secureConnect", () => secure.write(`GET /down?mb=100 HTTP/1.1\r\nHost: ${domain}\r\n\r\n`));
      return;
    }
    secure.resume();
    if (kind === "slow headers")
      secure.on("secureConnect", () => {
        secure.write(`GET / HTTP/1.1\r\nHost: ${domain}\r\n`);
        const more = setInterval(() => secure.write("X-More: x\r\n"), 1_000);
        secure.on("close", () => clearInterval(more));
      });
    if (kind === "large headers")
      secure.on("secureConnect", () => {
        // Almost as much as a server of Go takes by itself, and no end of it.
        secure.write(`GET / HTTP/1.1\r\nHost: ${domain}\r\n${`X-More: ${"x".repeat(1_000)}\r\n`.repeat(950)}`);
      });
    if (kind === "slow bodies")
      secure.on("secureConnect", () => {
        secure.write(`POST /up HTTP/1.1\r\nHost: ${domain}\r\nContent-Length: 1000000\r\n\r\n`);
        const more = setInterval(() => secure.write("x"), 1_000);
        secure.on("close", () => clearInterval(more));
      });
    if (kind === "streams that nobody reads") {
      // As much as a client may take at once: what it takes is in nobody's way but the edge's.
      const session = http2Over(secure, { initialWindowSize: 2 ** 31 - 1 });
      session.on("connect", () => {
        for (let count = 0; count < 30; count++) {
          const stream = session.request({ ":path": "/down?mb=100", ":authority": domain });
          stream.on("error", () => undefined);
          result.streams++;
        }
        setTimeout(() => socket.pause(), 50);
      });
    }
    if (kind === "streams that are reset") {
      const session = http2Over(secure);
      const reset = () => {
        for (let count = 0; count < 20 && !session.closed && !session.destroyed && Date.now() < until; count++) {
          const stream = session.request({ ":path": "/", ":authority": domain });
          stream.on("error", () => undefined);
          stream.close(http2.constants.NGHTTP2_CANCEL);
          result.streams++;
        }
        if (!session.closed && !session.destroyed && Date.now() < until) setTimeout(reset, 20);
      };
      session.on("connect", reset);
    }
  };
  for (let index = 0; index < connections && Date.now() < until; index += BATCH)
    await Promise.all(Array.from({ length: Math.min(BATCH, connections - index) }, (_, at) => open(index + at)));
  // The last of them may still be under way to being refused.
  await sleep(Math.max(1_000, until - Date.now()));
  result.open = sockets.size;
  return result;
}

const BATCH = 100;

if (import.meta.main) {
  console.log(JSON.stringify(await attack(JSON.parse(process.argv[2]!) as Attack)));
  process.exit();
}
