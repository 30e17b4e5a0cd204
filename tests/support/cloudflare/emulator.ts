import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Access, type NewToken, type Token } from "./access.ts";
import { ApiError, matchRoute, notFound, type Answer, type Call, type Route } from "./api.ts";
import { ipRoutes, someRanges } from "./ips.ts";
import { Buckets } from "./r2.ts";
import { tokenRoutes } from "./tokens.ts";
import { Tunnels } from "./tunnels.ts";
import { Zones } from "./zones.ts";

/** What goes wrong with the next requests that match, instead of an answer. */
export interface Fault {
  /**
   * `rate-limit`: 429 with Retry-After. `error`: 500. `hang`: no answer, until the emulator is closed. `cut`: the
   * connection ends without an answer. `lie`: the answer is that it was done, and it was not.
   */
  kind: "rate-limit" | "error" | "hang" | "cut" | "lie";
  /** How many requests it meets. */
  times: number;
  /** @default 1 */
  retryAfterSeconds?: number;
  /** `PUT /zones/…/dns_records/…` @default every request */
  request?: RegExp;
}

/** A request as it came, without the token. */
export interface RequestNote {
  method: string;
  path: string;
  status: number | "hang" | "cut";
  /** Milliseconds of the clock when it came. */
  at: number;
}

/**
 * Cloudflare's API for one account, with a state: what is made is there afterwards, what is refused is refused with the
 * status and the code of the real one. It knows as much of it as this project uses, and answers 404 to the rest.
 */
export class CloudflareEmulator {
  readonly account = { id: "a1b2c3d4e5f60718293a4b5c6d7e8f90", name: "Example" };
  readonly access = new Access(this.account.id);
  readonly zones = new Zones(this.account);
  readonly buckets = new Buckets();
  readonly tunnels = new Tunnels(this.account.id);
  readonly ranges = someRanges();
  readonly requests: RequestNote[] = [];
  readonly #faults: Fault[] = [];
  readonly #hanging = new Set<ServerResponse>();
  readonly #server: Server;
  readonly #routes: readonly Route[];

  /** On a free port. */
  static async start(address = "127.0.0.1"): Promise<CloudflareEmulator> {
    const emulator = new CloudflareEmulator();
    await new Promise<void>((done) => emulator.#server.listen(0, address, done));
    return emulator;
  }

  private constructor() {
    this.#routes = [
      ...this.zones.routes(this.access),
      ...this.buckets.routes,
      ...tokenRoutes(this.account.id, this.access),
      ...this.tunnels.routes,
      ...ipRoutes(this.ranges),
    ];
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** What clients take for the API's address. */
  get baseUrl(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}/client/v4`;
  }

  /** A token as if it had been made in the dashboard. */
  addToken(token: NewToken): Token {
    return this.access.add(token);
  }

  fail(fault: Fault): void {
    this.#faults.push({ ...fault });
  }

  /** Forgets the faults that have not come true. */
  heal(): void {
    this.#faults.length = 0;
    for (const response of this.#hanging) response.destroy();
    this.#hanging.clear();
  }

  /** How often a kind of request came, like `POST` and `dns_records`. */
  count(method: string, path: string): number {
    return this.requests.filter((request) => request.method === method && request.path.includes(path)).length;
  }

  async close(): Promise<void> {
    this.heal();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, "http://127.0.0.1");
    const note: RequestNote = {
      method: request.method!,
      path: url.pathname.replace(/^\/client\/v4/, ""),
      status: 0,
      at: Date.now(),
    };
    this.requests.push(note);
    const chunks: Buffer[] = [];
    // A client that hangs up is no failure of this server.
    request.on("error", () => undefined);
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fault = this.#takeFault(`${note.method} ${note.path}`);
    if (fault?.kind === "hang") {
      note.status = "hang";
      this.#hanging.add(response);
      return;
    }
    if (fault?.kind === "cut") {
      note.status = "cut";
      response.destroy();
      return;
    }
    const ask = () => this.#answer(request, url, note.path, Buffer.concat(chunks).toString());
    const answer = fault?.kind === "lie" ? this.zones.unchanged(ask) : fault ? faultAnswer(fault) : ask();
    note.status = answer.status;
    response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
    response.end(JSON.stringify(answer.body));
  }

  #takeFault(request: string): Fault | undefined {
    const fault = this.#faults.find((candidate) => candidate.times > 0 && (candidate.request ?? /^/).test(request));
    if (fault) fault.times -= 1;
    return fault;
  }

  #answer(request: IncomingMessage, url: URL, path: string, body: string): Answer {
    try {
      const token = this.access.authenticate(request.headers.authorization);
      const found = matchRoute(this.#routes, request.method!, path);
      if (!found) throw notFound(7003, `Could not route to ${path}, perhaps your object identifier is invalid?`);
      const { route, params } = found;
      const call: Call = { params, query: url.searchParams, headers: request.headers, body: parsedBody(body), token };
      if (route.needs) this.access.check(token, route.needs, call);
      const { result, info } = route.handle(call);
      return {
        status: 200,
        body: { success: true, errors: [], messages: [], result, ...(info ? { result_info: info } : {}) },
      };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error.answer();
    }
  }
}

function parsedBody(body: string): unknown {
  if (body === "") return undefined;
  try {
    return JSON.parse(body) as unknown;
  } catch {
    throw new ApiError(400, 6007, "Malformed JSON in request body");
  }
}

function faultAnswer({ kind, retryAfterSeconds = 1 }: Fault): Answer {
  if (kind === "rate-limit") {
    const error = new ApiError(429, 10429, "Rate limit exceeded");
    return { ...error.answer(), headers: { "retry-after": String(retryAfterSeconds) } };
  }
  return new ApiError(500, 10001, "Internal server error").answer();
}
