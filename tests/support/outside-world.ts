import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { run } from "../../toolchain/steps.ts";

/**
 * A machine beyond the engine's, on a public-looking address (TEST-NET-2): a network namespace with a cable to the
 * engine's. It is where "the internet" is for containers, and where clients come from.
 */
export interface OutsideWorld {
  /**
   * What comes to its port 8443 goes on to the engine's machine, as through a proxy. Answers "outside" on port 8080, and on port 53 every DNS question about a name in .example, with this
   * address.
   */
  address: string;
  /** A second address of the same machine, for a second client. */
  otherAddress: string;
  /** Where clouds tell a machine its credentials; here it is one more address of the outside machine. */
  metadataAddress: string;
  /** Where clients from outside reach the engine's machine. */
  engineAddress: string;
  /** Connects from outside. */
  connect: (port: number, from?: string) => Socket;
  /** Gives the machine that many more addresses. */
  addAddresses: (count: number) => Promise<string[]>;
  /** Runs Node there. What it prints is its result. */
  node: (args: string[]) => Promise<string>;
  stop: () => Promise<void>;
}

const address = "198.51.100.2";
const otherAddress = "198.51.100.3";
const metadataAddress = "169.254.169.254";
const engineAddress = "198.51.100.1";

export async function startOutsideWorld(): Promise<OutsideWorld> {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-outside-"));
  const relay = join(directory, "relay.sock");
  const script = fileURLToPath(import.meta.url);
  const machine = spawn("unshare", ["--net", process.execPath, script, relay], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const stop = async () => {
    if (machine.exitCode === null && machine.signalCode === null) {
      const ended = once(machine, "exit");
      machine.stdin.end();
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const ready = await Promise.race([once(machine.stdout, "data"), once(machine, "exit")]);
    if (String(ready[0]) !== "ready\n") throw new Error("the outside machine did not start");
    const inside = (...args: string[]) => run("nsenter", [`--net=/proc/${machine.pid}/ns/net`, "ip", ...args]);
    await run("ip", ["link", "add", "outside", "type", "veth", "peer", "name", "uplink", "netns", `${machine.pid}`]);
    await run("ip", ["address", "add", `${engineAddress}/24`, "dev", "outside"]);
    await run("ip", ["link", "set", "outside", "up"]);
    for (const one of [address, otherAddress]) await inside("address", "add", `${one}/24`, "dev", "uplink");
    await inside("address", "add", `${metadataAddress}/32`, "dev", "uplink");
    await inside("link", "set", "lo", "up");
    await inside("link", "set", "uplink", "up");
    await run("ip", ["route", "add", `${metadataAddress}/32`, "dev", "outside"]);
    return {
      address,
      otherAddress,
      metadataAddress,
      engineAddress,
      connect: (port, from = address) => {
        // A socket file is in no network namespace: the machine at its other end dials.
        const socket = connect(relay);
        socket.write(`${from} ${port}\n`);
        return socket;
      },
      addAddresses: async (count) => {
        const more = Array.from({ length: count }, (_, index) => `198.51.100.${100 + index}`);
        for (const one of more) await inside("address", "add", `${one}/24`, "dev", "uplink");
        return more;
      },
      node: (args) => run("nsenter", [`--net=/proc/${machine.pid}/ns/net`, process.execPath, ...args]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What runs there. It ends with the process that started it. */
async function serve(relay: string): Promise<void> {
  const web = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("outside\n");
  }).listen(8080, "0.0.0.0");
  const dns = createSocket("udp4", (question, { port, address: asker }) => dns.send(answer(question), port, asker));
  dns.bind(53, "0.0.0.0");
  const dialer = createServer((caller) => {
    caller.on("error", () => undefined);
    caller.once("data", (first: Buffer) => {
      const end = first.indexOf("\n");
      const [localAddress, port] = first.subarray(0, end).toString().split(" ") as [string, string];
      dial(caller, localAddress, Number(port)).write(first.subarray(end + 1));
    });
  }).listen(relay);
  const proxy = createServer((caller) => void dial(caller, address, PROXIED_PORT)).listen(PROXIED_PORT, address);
  await Promise.all([web, dns, dialer, proxy].map((server) => once(server, "listening")));
  process.stdout.write("ready\n");
  createInterface(process.stdin).on("close", () => process.exit());
}

const PROXIED_PORT = 8443;

/** Connects somebody with the engine's machine. */
function dial(caller: Socket, localAddress: string, port: number): Socket {
  const call = connect({ host: engineAddress, port, localAddress });
  call.on("error", () => caller.destroy());
  call.on("close", () => caller.destroy());
  caller.on("error", () => undefined);
  caller.on("close", () => call.destroy());
  caller.pipe(call).pipe(caller);
  return call;
}

/** The question, with one A record for it or with "no such name". */
function answer(question: Buffer): Buffer {
  const name = question.subarray(12, question.indexOf(0, 12) + 5);
  const known = name.toString("latin1").includes("\x07example\0");
  const header = Buffer.from(question.subarray(0, 12));
  header.writeUInt16BE(known ? 0x8180 : 0x8183, 2);
  header.writeUInt16BE(known ? 1 : 0, 6);
  header.fill(0, 8);
  if (!known) return Buffer.concat([header, name]);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split(".").map(Number)]);
  return Buffer.concat([header, name, record]);
}

if (import.meta.main) await serve(process.argv[2]!);
