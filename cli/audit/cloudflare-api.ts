import { setTimeout as delay } from "node:timers/promises";
import type { ExpectedCloudflare } from "./expected-state.ts";

/** Cloudflare's API, to read. No message has a token in it. */
export class CloudflareApi {
  readonly #url: string;
  readonly #token: string;

  constructor({ apiToken, apiUrl }: ExpectedCloudflare) {
    this.#token = apiToken;
    this.#url = apiUrl ?? process.env["CLOUDFLARE_BASE_URL"] ?? "https://api.cloudflare.com/client/v4";
  }

  /** What is there, or undefined. */
  async find<T>(path: string, headers: Record<string, string> = {}): Promise<T | undefined> {
    const { status, body } = await this.#ask(path, this.#token, headers);
    if (status === 404) return undefined;
    if (status === 200) return body.result as T;
    throw refusal(path, status, body);
  }

  /** All pages of a list. */
  async list<T>(path: string): Promise<T[]> {
    const all: T[] = [];
    for (let page = 1; ; page += 1) {
      const { status, body } = await this.#ask(`${path}${path.includes("?") ? "&" : "?"}page=${page}`, this.#token);
      if (status !== 200) throw refusal(path, status, body);
      all.push(...(body.result as T[]));
      if (page >= (body.result_info?.total_pages ?? 1)) return all;
    }
  }

  /** The id of another token of the account, asked for with that; undefined if it opens nothing. */
  async idOfToken(account: string, token: string): Promise<string | undefined> {
    const path = `/accounts/${account}/tokens/verify`;
    const { status, body } = await this.#ask(path, token);
    if (status === 200) return (body.result as { id: string }).id;
    if ([400, 401, 403].includes(status)) return undefined;
    throw refusal(path, status, body);
  }

  async #ask(path: string, token: string, headers: Record<string, string> = {}): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const response = await fetch(this.#url + path, {
        headers: { ...headers, authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(ANSWER_SECONDS * 1000),
      }).catch((error: Error) => {
        const { message } = (error.cause ?? error) as Error;
        throw new Error(`cloudflare: the API cannot be asked (${this.#url}): ${message}`);
      });
      const { status } = response;
      const busy = status === 429 || status >= 500;
      if (!busy || attempt === ATTEMPTS)
        return { status, body: (await response.json().catch(() => ({}))) as Answer["body"] };
      await response.body?.cancel();
      await delay(Math.min(Number(response.headers.get("retry-after")) || attempt, LONGEST_WAIT_SECONDS) * 1000);
    }
  }
}

interface Answer {
  status: number;
  body: { result?: unknown; result_info?: { total_pages?: number }; errors?: { message?: string }[] };
}

const ANSWER_SECONDS = 20;
const ATTEMPTS = 3;
const LONGEST_WAIT_SECONDS = 60;

function refusal(path: string, status: number, { errors = [] }: Answer["body"]): Error {
  const said = errors.map(({ message }) => message).join("; ");
  const cure = [400, 401, 403].includes(status)
    ? "it is asked with the token of the last update, which has to be for all that docs/how-to/cloudflare.md says; after a new one, `bulkhead up` first"
    : "try again; https://www.cloudflarestatus.com tells of trouble";
  return new Error(`cloudflare: the API answers ${status} to GET ${path} (${said}): ${cure}`);
}
