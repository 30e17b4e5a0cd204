import { createHash, randomBytes } from "node:crypto";
import { ApiError, now, type Call } from "./api.ts";

const ACCOUNT = "com.cloudflare.api.account";
const ZONE = "com.cloudflare.api.account.zone";

/** What a token may be allowed to do, each to read or to write, by the names that the API gives; and on what. */
export const PERMISSIONS = {
  Zone: ZONE,
  "Zone Settings": ZONE,
  DNS: ZONE,
  "Cache Settings": ZONE,
  "SSL and Certificates": ZONE,
  "Workers R2 Storage": ACCOUNT,
  "Account API Tokens": ACCOUNT,
  "Cloudflare Tunnel": ACCOUNT,
  "Workers R2 Storage Bucket Item": "com.cloudflare.edge.r2.bucket",
} as const;

export type Permission = keyof typeof PERMISSIONS;

/** What docs/how-to/cloudflare.md asks for in the account's own token, for names and settings; to make tokens takes one more. */
export const BOOTSTRAP = ["Zone Read", "Zone Settings Write", "DNS Write", "Cache Settings Write"];

export interface Need {
  permission: Permission;
  level: "Read" | "Write";
}

export interface PermissionGroup {
  id: string;
  name: string;
  scopes: string[];
}

export const permissionGroups: readonly PermissionGroup[] = Object.entries(PERMISSIONS).flatMap(([permission, scope]) =>
  ["Read", "Write"].map((level) => {
    const name = `${permission} ${level}`;
    return { id: createHash("md5").update(name).digest("hex"), name, scopes: [scope] };
  }),
);

/** A resource key to `*`, or to such keys of what lies in it. */
export type Resources = { [key: string]: string | Record<string, string> };

export interface Policy {
  id: string;
  effect: "allow" | "deny";
  permission_groups: { id: string }[];
  resources: Resources;
}

export interface Token {
  id: string;
  name: string;
  /** Known to nobody but its owner after it was made. */
  value: string;
  status: "active" | "disabled";
  policies: Policy[];
  issued_on: string;
  modified_on: string;
  expires_on?: string;
  not_before?: string;
  /** From where it may be used. Requests to the emulator are not held to it. */
  condition?: object;
}

/** `permissions` are names of groups, like `DNS Write`; they hold for all of the account unless `resources` says less. */
export interface NewToken {
  name: string;
  permissions: string[];
  resources?: Resources;
  expires_on?: string;
}

/** The tokens of an account, and what each may do. */
export class Access {
  readonly tokens = new Map<string, Token>();
  readonly #account: string;

  constructor(account: string) {
    this.#account = account;
  }

  add({ name, permissions, resources, expires_on }: NewToken): Token {
    const groups = permissions.map((permission) => {
      const group = permissionGroups.find((candidate) => candidate.name === permission);
      if (!group) throw new Error(`no permission group ${permission}`);
      return { id: group.id };
    });
    const all = {
      [`${ACCOUNT}.${this.#account}`]: "*",
      [`${ZONE}.*`]: "*",
      "com.cloudflare.edge.r2.bucket.*": "*",
    };
    const policy = { effect: "allow" as const, permission_groups: groups, resources: resources ?? all };
    return this.create({ name, policies: [policy], expires_on });
  }

  create(
    given: Pick<Token, "name" | "expires_on" | "not_before" | "condition"> & { policies: Omit<Policy, "id">[] },
  ): Token {
    const token: Token = {
      ...given,
      id: newId(),
      value: newTokenValue(),
      status: "active",
      policies: given.policies.map((policy) => ({ id: newId(), ...policy })),
      issued_on: now(),
      modified_on: now(),
    };
    this.tokens.set(token.id, token);
    return token;
  }

  /** The token of a request, if it is one and still holds. */
  authenticate(header: string | undefined): Token {
    if (header === undefined)
      throw new ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
    const value = /^Bearer ([A-Za-z0-9_-]{40,80})$/.exec(header)?.[1];
    if (value === undefined) {
      const chain = [{ code: 6111, message: "Invalid format for Authorization header" }];
      throw new ApiError(400, 6003, "Invalid request headers", chain);
    }
    const token = [...this.tokens.values()].find((candidate) => candidate.value === value);
    if (!token || !isValid(token)) throw new ApiError(401, 1000, "Invalid API Token");
    return token;
  }

  check(token: Token, need: Need, call: Call): void {
    const { zone, account } = call.params;
    if (account !== undefined && account !== this.#account) throw forbidden();
    if (!this.allows(token, need, zone)) throw forbidden();
  }

  /** Whether a token may do a thing, in a zone or else in the account. */
  allows(token: Token, need: Need, zone?: string): boolean {
    return this.#may(token, need, (resources) => this.#covers(resources, zone));
  }

  /** Whether a token opens a bucket to S3 clients. */
  opens(token: Token, level: Need["level"], jurisdiction: string, bucket: string): boolean {
    const BUCKET = PERMISSIONS["Workers R2 Storage Bucket Item"];
    const keys = [`${BUCKET}.${this.#account}_${jurisdiction}_${bucket}`, `${BUCKET}.*`];
    const need = { permission: "Workers R2 Storage Bucket Item", level } as const;
    return this.#may(token, need, (resources) => keys.some((key) => resources[key] === "*"));
  }

  #may(token: Token, { permission, level }: Need, covers: (resources: Resources) => boolean): boolean {
    // Who may write may read.
    const levels = level === "Read" ? ["Read", "Write"] : ["Write"];
    const ids = permissionGroups
      .filter(({ name }) => levels.some((wanted) => name === `${permission} ${wanted}`))
      .map(({ id }) => id);
    const covering = token.policies.filter(
      ({ permission_groups, resources }) => permission_groups.some(({ id }) => ids.includes(id)) && covers(resources),
    );
    return covering.length > 0 && covering.every(({ effect }) => effect === "allow");
  }

  #covers(resources: Resources, zone: string | undefined): boolean {
    const account = `${ACCOUNT}.${this.#account}`;
    if (zone === undefined) return resources[account] === "*" || resources[`${ACCOUNT}.*`] === "*";
    const inside = resources[account];
    const named = (keys: Record<string, unknown>) => keys[`${ZONE}.${zone}`] === "*" || keys[`${ZONE}.*`] === "*";
    return named(resources) || (typeof inside === "object" && named(inside));
  }
}

/** Whether it holds today. */
export function isValid({ status, expires_on, not_before }: Token): boolean {
  const today = now();
  return status === "active" && !(expires_on && expires_on < today) && !(not_before && not_before > today);
}

export function newId(): string {
  return randomBytes(16).toString("hex");
}

export function newTokenValue(): string {
  return randomBytes(30).toString("base64url");
}

function forbidden(): ApiError {
  return new ApiError(403, 10000, "Authentication error");
}
