import { spawn } from "node:child_process";
import { lstatSync, mkdirSync } from "node:fs";
import * as http from "node:http";
import { Readable, type Duplex } from "node:stream";
import { FrameDecoder } from "./frames.ts";
import { sshStream } from "./ssh-stream.ts";

/**
 * A client for the Docker Engine API, for what the Docker provider cannot do: set and read a pids limit, see who holds
 * a port, read health for a table. It goes to the engine the way the docker CLI does: a socket, TCP, or the `ssh` of
 * the user (keys from the agent, known hosts checked), so no second place decides who may connect.
 */
export class Engine {
  readonly host: string;
  readonly sshOptions: readonly string[];
  readonly #agent: http.Agent;

  /**
   * @param host `unix:///path`, `tcp://address:port` or `ssh://user@address[:port]`.
   * @param options arguments for `ssh`, before the destination. @default sshOptions(host)
   */
  constructor(host: string, options: readonly string[] = sshOptions(host)) {
    this.host = host;
    this.sshOptions = options;
    this.#agent = new EngineAgent(host, options);
  }

  /**
   * Throws unless the engine answers. The connection of an earlier run may be kept still, and not know that the host
   * was away meanwhile, or that its user belongs to another group now: one that does not serve is given up.
   */
  async ping(): Promise<void> {
    const ask = () => this.#request("GET", "/_ping", undefined, FIRST_ANSWER_TIMEOUT_MS);
    await ask().catch(async (error: Error) => {
      const left = await leaveSharedConnection(this.host, this.sshOptions);
      // One that was silent may have found out by itself since that it is dead.
      const died = this.host.startsWith("ssh:") && error.message.includes("no answer in ");
      if (!left && !died) throw error;
      await ask();
    });
  }

  async get<T>(path: string): Promise<T> {
    return JSON.parse(String(await this.#request("GET", path))) as T;
  }

  /** What is there, or undefined. */
  async find<T>(path: string): Promise<T | undefined> {
    return this.get<T>(path).catch(noSuchThing);
  }

  async post<T>(path: string, body?: unknown): Promise<T> {
    const answer = String(await this.#request("POST", path, body));
    return (answer === "" ? undefined : JSON.parse(answer)) as T;
  }

  async delete(path: string): Promise<void> {
    await this.#request("DELETE", path);
  }

  /** Sends what may take minutes (a pull, or an image as a tar stream); gives the engine's messages, one a line. */
  async stream<T>(path: string, body?: Readable, headers: Record<string, string> = {}): Promise<T[]> {
    const answer = String(await this.#request("POST", path, body, STREAM_SILENCE_MS, headers));
    const lines = answer.split("\n").filter((line) => line.trim() !== "");
    return lines.map((line) => JSON.parse(line) as T);
  }

  /**
   * Pulls an image by its digest. Throws what the engine, or the registry through it, has to say against it.
   *
   * @param login which Docker passes on to the registry, and forgets. @default nobody
   */
  async pull(reference: string, login?: RegistryLogin): Promise<void> {
    const [, name, digest] = /^(.+?)(?::[\w.-]+)?@(sha256:[0-9a-f]{64})$/.exec(reference) ?? [];
    if (name === undefined) throw new Error("it has no digest to be pulled by");
    const messages = await this.stream<{ error?: string }>(
      `/images/create?fromImage=${encodeURIComponent(name)}&tag=${digest}`,
      undefined,
      login && { "X-Registry-Auth": registryAuth(login) },
    );
    const failed = messages.find(({ error }) => error !== undefined);
    if (failed) throw new Error(`${this.host}: ${failed.error}`);
  }

  /** The last lines that a container wrote. */
  async logs(container: string, lines: number): Promise<string> {
    const answer = await this.#request("GET", `/containers/${container}/logs?stdout=1&stderr=1&tail=${lines}`);
    const frames = new FrameDecoder().push(answer);
    return Buffer.concat(frames.map(({ content }) => content)).toString();
  }

  /** All that a container wrote and that a query asks for, as Docker sends it. */
  rawLogs(container: string, query: string): Promise<Buffer> {
    return this.#request("GET", `/containers/${container}/logs?${query}`, undefined, STREAM_SILENCE_MS);
  }

  /** The files in a folder of a container, or one file; undefined if there is no such thing. */
  async files(container: string, path: string): Promise<ArchivedFile[] | undefined> {
    const query = `/containers/${container}/archive?path=${encodeURIComponent(path)}`;
    const archive = await this.#request("GET", query).catch(noSuchThing);
    return archive && filesIn(archive);
  }

  /** Writes a file into a folder of a container, running or not. */
  async putFile(container: string, folder: string, file: string, content: Buffer): Promise<void> {
    const path = `/containers/${container}/archive?path=${encodeURIComponent(folder)}`;
    await this.#request("PUT", path, Readable.from([archiveOf(file, content)]));
  }

  /** Ends idle connections, so that a program which is done can exit. */
  close(): void {
    this.#agent.destroy();
  }

  #request(
    method: string,
    path: string,
    body?: unknown,
    silenceMs = ANSWER_TIMEOUT_MS,
    more: Record<string, string> = {},
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined || body instanceof Readable ? body : JSON.stringify(body);
      const type = payload instanceof Readable ? "application/x-tar" : "application/json";
      const headers = { ...more, ...(payload !== undefined && { "Content-Type": type }) };
      // Not http's own, which a process in place of a socket does not have. It runs once the request has its connection.
      let silence: NodeJS.Timeout | undefined;
      const fail = (cause: Error) => {
        clearTimeout(silence);
        reject(new Error(`${this.host}: ${cause.message}`, { cause }));
      };
      const request = http.request({ agent: this.#agent, host: "docker", method, path, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => {
          silence?.refresh();
          chunks.push(chunk);
        });
        answer.on("error", fail);
        answer.on("end", () => {
          const status = answer.statusCode ?? 0;
          const content = Buffer.concat(chunks);
          clearTimeout(silence);
          if (status < 400) return resolve(content);
          fail(new Error(`${method} ${path} answered ${status}: ${messageIn(String(content))}`));
        });
      });
      let timedOut = false;
      request.on("socket", () => {
        silence = setTimeout(() => {
          timedOut = true;
          request.destroy(new Error(`no answer in ${silenceMs / 1000} s`));
        }, silenceMs);
      });
      request.on("error", (error) => {
        clearTimeout(silence);
        // A connection from before may have ended since, with the daemon or the ssh session; a new one may do.
        if (method === "GET" && request.reusedSocket && !timedOut)
          resolve(this.#request(method, path, body, silenceMs, more));
        else fail(error);
      });
      if (payload instanceof Readable)
        payload
          .on("data", () => silence?.refresh())
          .on("error", (error) => request.destroy(error))
          .pipe(request);
      else request.end(payload);
    });
  }
}

/** Who asks a registry, as Docker's API has it. */
export interface RegistryLogin {
  username?: string;
  password?: string;
  /** In place of both, of a registry that gives such. */
  identitytoken?: string;
  serveraddress: string;
}

/** With its padding, without which Docker before 24 takes it for nobody's, and says nothing. */
function registryAuth(login: RegistryLogin): string {
  return Buffer.from(JSON.stringify(login)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

export interface ArchivedFile {
  /** Without its folder. */
  name: string;
  /** Permissions as in chmod. */
  mode: number;
  uid: number;
  gid: number;
  content: Buffer;
}

/** Files of a tar archive: each has a header of 512 bytes, and its content fills blocks of as many. */
function filesIn(archive: Buffer): ArchivedFile[] {
  const files: ArchivedFile[] = [];
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const text = (from: number, to: number) => archive.toString("utf8", at + from, at + to).replace(/\0[^]*/, "");
    const octal = (from: number, to: number) => parseInt(text(from, to).trim() || "0", 8);
    const [size, begin] = [octal(124, 136), at + 512];
    // "0" is a file; other types are folders, links and notes on the next entry.
    if (["0", ""].includes(text(156, 157)))
      files.push({
        name: text(0, 100).replace(/.*\//, ""),
        mode: octal(100, 108) & 0o7777,
        ...{ uid: octal(108, 116), gid: octal(116, 124) },
        content: archive.subarray(begin, begin + size),
      });
    at = begin + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** A tar archive of one file of root's that all may read, in the format of POSIX. */
function archiveOf(file: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const write = (text: string, at: number) => header.write(text, at, "ascii");
  const octal = (value: number, at: number, digits: number) => write(value.toString(8).padStart(digits, "0"), at);
  write(file, 0);
  octal(0o644, 100, 7);
  for (const at of [108, 116]) octal(0, at, 7);
  octal(content.length, 124, 11);
  octal(Math.floor(Date.now() / 1000), 136, 11);
  write("0", 156);
  write("ustar\u000000", 257);
  // The sum is made as if its own place had blanks.
  write(" ".repeat(8), 148);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  header.writeUInt8(0, 154);
  return Buffer.concat([header, content, Buffer.alloc(1024 + ((512 - (content.length % 512)) % 512))]);
}

function noSuchThing(error: Error): undefined {
  if (!error.message.includes(" answered 404: ")) throw error;
}

/**
 * One connection carries all calls, so that an update with many containers does not run into sshd's MaxStartups; a
 * host key that is not known is an error and never a question. The text is the same for every user and machine, because
 * the provider's settings are in the state: another one would be a change.
 *
 * @param shared false to come in anew, though there may be a connection already.
 */
export function sshOptions(host: string, knownHosts?: string, shared = true): string[] {
  if (!host.startsWith("ssh:")) return [];
  makeOwnFolder(sshDirectory);
  const options = {
    BatchMode: "yes",
    StrictHostKeyChecking: "yes",
    ConnectTimeout: "10",
    // Three of them without an answer end the connection.
    ServerAliveInterval: "5",
    ...(shared
      ? { ControlMaster: "auto", ControlPath: "/tmp/bulkhead-ssh-%i/%C", ControlPersist: "60" }
      : { ControlPath: "none" }),
    ...(knownHosts === undefined ? {} : { UserKnownHostsFile: knownHosts }),
  };
  return Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

/**
 * Where the shared connections of this user are: ssh puts its number in place of %i. Not in TMPDIR, which is so long on
 * some systems that no socket's name fits (103 letters on macOS).
 */
export const sshDirectory = `/tmp/bulkhead-ssh-${process.getuid!()}`;

/** Arguments for `ssh`: the host of an `ssh://` URL, and a command to run there. */
export function sshArguments(host: string, options: readonly string[], ...command: string[]): string[] {
  const url = new URL(host);
  const destination = [...(url.username ? ["-l", url.username] : []), ...(url.port ? ["-p", url.port] : [])];
  return [...options, ...destination, "--", url.hostname.replace(/^\[|\]$/g, ""), ...command];
}

/** Whoever can write where the sockets are can answer in the host's place. */
export function makeOwnFolder(folder: string): void {
  mkdirSync(folder, { mode: 0o700, recursive: true });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid!() || (found.mode & 0o077) !== 0)
    throw new Error(
      `${folder}: is not a folder of this user alone, and connections to hosts are kept there: remove it`,
    );
}

/** Takes the shared connection, if there is one, out of use. A run that is under way on it keeps it. */
function leaveSharedConnection(host: string, options: readonly string[]): Promise<boolean> {
  if (!host.startsWith("ssh:")) return Promise.resolve(false);
  return new Promise((resolve) => {
    const ssh = spawn("ssh", ["-O", "stop", ...sshArguments(host, options)], { stdio: "ignore" });
    ssh.on("error", () => resolve(false));
    ssh.on("close", (code) => resolve(code === 0));
  });
}

/** Longer than ssh takes to give up, so that it says why. */
const FIRST_ANSWER_TIMEOUT_MS = 15_000;

/** Longer than a slow host takes for an inspect, shorter than a person's patience. */
const ANSWER_TIMEOUT_MS = 20_000;

/** An engine that unpacks a large image says nothing for long. */
const STREAM_SILENCE_MS = 300_000;

export function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text.trim();
  }
}

/** Opens connections to the engine; one is kept alive, so that a run over ssh costs one `ssh`. */
export class EngineAgent extends http.Agent {
  readonly #host: string;
  readonly #sshOptions: readonly string[];

  constructor(host: string, sshOptions: readonly string[]) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#host = host;
    this.#sshOptions = sshOptions;
  }

  override createConnection(
    options: http.ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    // What the docker CLI itself does for ssh://.
    if (this.#host.startsWith("ssh:"))
      return sshStream(sshArguments(this.#host, this.#sshOptions, "docker", "system", "dial-stdio")).stream;
    const url = new URL(this.#host);
    const to =
      url.protocol === "unix:" ? { path: url.pathname } : { host: url.hostname, port: Number(url.port || "2375") };
    return super.createConnection({ ...options, socketPath: undefined, host: undefined, ...to }, callback);
  }
}
