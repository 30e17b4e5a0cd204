import type { IncomingHttpHeaders } from "node:http";
import type { z } from "zod";
import type { Need, Token } from "./access.ts";

/** The shapes that every answer of the API has. */
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: {
    success: boolean;
    errors: ApiErrorBody[];
    messages: unknown[];
    result: unknown;
    result_info?: PageInfo;
  };
}

interface ApiErrorBody {
  code: number;
  message: string;
  error_chain?: { code: number; message: string }[];
}

export interface PageInfo {
  page: number;
  per_page: number;
  count: number;
  total_count: number;
  total_pages: number;
}

export interface Call {
  params: Record<string, string>;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: unknown;
  token: Token;
}

export interface Route {
  method: string;
  /** Like `/zones/:zone/dns_records/:record`. */
  path: string;
  /** What a token has to hold; absent: any that is valid. */
  needs?: Need;
  handle: (call: Call) => { result: unknown; info?: PageInfo };
}

export class ApiError extends Error {
  readonly status: number;
  readonly code: number;
  readonly #chain: { code: number; message: string }[] | undefined;

  constructor(status: number, code: number, message: string, chain?: { code: number; message: string }[]) {
    super(message);
    this.status = status;
    this.code = code;
    this.#chain = chain;
  }

  answer(): Answer {
    const error = { code: this.code, message: this.message, ...(this.#chain ? { error_chain: this.#chain } : {}) };
    return { status: this.status, body: { success: false, errors: [error], messages: [], result: null } };
  }
}

export const notFound = (code: number, message: string) => new ApiError(404, code, message);

export function matchRoute(
  routes: readonly Route[],
  method: string,
  path: string,
): { route: Route; params: Record<string, string> } | undefined {
  const given = path.split("/");
  for (const route of routes) {
    const wanted = route.path.split("/");
    if (route.method !== method || wanted.length !== given.length) continue;
    if (!wanted.every((part, index) => part.startsWith(":") || part === given[index])) continue;
    const params = wanted.flatMap((part, index) =>
      part.startsWith(":") ? [[part.slice(1), decodeURIComponent(given[index]!)] as const] : [],
    );
    return { route, params: Object.fromEntries(params) };
  }
  return undefined;
}

/** A body of that shape and no other: a field that the API does not have is refused, not ignored. */
export function bodyOf<Schema extends z.ZodType>(call: Call, schema: Schema, code = 1001): z.output<Schema> {
  const result = schema.safeParse(call.body ?? {});
  if (result.success) return result.data;
  const wrong = result.error.issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`).join("; ");
  throw new ApiError(400, code, `Invalid request body: ${wrong}`);
}

/** One page of a list, as `page` and `per_page` ask for it. */
export function paged<Item>(items: Item[], call: Call, most = 100, usual = 20): { result: Item[]; info: PageInfo } {
  const page = pageNumber(call, "page", 1, Number.MAX_SAFE_INTEGER);
  const perPage = pageNumber(call, "per_page", usual, most);
  const result = items.slice((page - 1) * perPage, page * perPage);
  return {
    result,
    info: {
      page,
      per_page: perPage,
      count: result.length,
      total_count: items.length,
      total_pages: Math.ceil(items.length / perPage),
    },
  };
}

function pageNumber(call: Call, name: string, usual: number, most: number): number {
  const given = call.query.get(name);
  if (given === null) return usual;
  const number = Number(given);
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new ApiError(400, 9000, `Invalid ${name}: ${given}`);
}

export function now(): string {
  return new Date().toISOString();
}

export function without<Given extends object, Key extends keyof Given & string>(
  given: Given,
  key: Key,
): Omit<Given, Key> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => name !== key)) as Omit<Given, Key>;
}
