import * as http from "node:http";
import { Readable, type Duplex } from "node:stream";
import { archiveOf, filesIn, type ArchivedFile } from "./archive.ts";
import { FrameDecoder } from "./frames.ts";
import { leaveSharedConnection, sshArguments, sshOptions } from "./ssh.ts";
import { sshStream } from "./ssh-stream.ts";

/**
 * A client for the Docker Engine API, for what the Docker provider cannot do: set and read a pids limit, see who holds
 * a port, read health for a table. It goes to Docker the way the docker CLI does: a socket, TCP, or the `ssh` of
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
   * Throws unless Docker answers. The connection of an earlier run may be kept still, and not know that the host
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

  /** Sends what may take minutes (a pull, or an image as a tar stream); gives Docker's messages, one a line. */
  async stream<T>(path: string, body?: Readable, headers: Record<string, string> = {}): Promise<T[]> {
    const answer = String(await this.#request("POST", path, body, STREAM_SILENCE_MS, headers));
    const lines = answer.split("\n").filter((line) => line.trim() !== "");
    return lines.map((line) => JSON.parse(line) as T);
  }

  /**
   * Pulls an image by its digest. Throws what Docker, or the registry through it, has to say against it.
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

function noSuchThing(error: Error): undefined {
  if (!error.message.includes(" answered 404: ")) throw error;
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

/** Opens connections to Docker; one is kept alive, so that a run over ssh costs one `ssh`. */
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
