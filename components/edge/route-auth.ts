import type * as pulumi from "@pulumi/pulumi";
import type { Reachable } from "../host/networks.ts";

/** Users and their passwords, which a browser asks for. */
export interface BasicAuth {
  /**
   * Each user's password, a secret of 16 to 71 characters: `new GeneratedSecret("admin-password").value`, or one of the
   * stack's settings. The edge gets a hash of it, in a file of its own.
   */
  users: Readonly<Record<string, pulumi.Input<string>>>;
  /** What a browser shows when it asks. @default the service's name */
  realm?: string;
  /** The header in which the service gets the user's name. @default none */
  userHeader?: string;
  /** Whether the service gets the header Authorization, which has the password. @default false */
  passAuthorization?: boolean;
}

/** A service of the same program that says who may pass. */
export interface ForwardAuth {
  /** A service behind the same edge. It gets each request's headers, and answers 2xx for who may pass. */
  to: Reachable & pulumi.Resource;
  /** Path that it is asked for. What was asked of the edge stands in X-Forwarded-Method, -Host and -Uri. */
  path: string;
  /** Headers of its answer that the service gets, such as X-Forwarded-User. @default [] */
  responseHeaders?: readonly string[];
}

/** What of a route says who may pass. */
export interface RouteAuth {
  basicAuth?: BasicAuth;
  forwardAuth?: ForwardAuth;
}

/** Traefik's middlewares of it, by name and in order. @param usersFile where the edge finds the users of basicAuth */
export function authMiddlewares(
  name: string,
  { basicAuth, forwardAuth }: RouteAuth,
  service: string,
  usersFile: string | undefined,
): Record<string, object> {
  if (basicAuth === undefined && forwardAuth === undefined) return {};
  return {
    // A CDN keeps files by their names, whoever asked for them, and would give them to everybody.
    [`${name}-uncached`]: { headers: { customResponseHeaders: { "CDN-Cache-Control": "no-store" } } },
    [`${name}-auth`]: basicAuth
      ? {
          basicAuth: {
            usersFile,
            realm: basicAuth.realm ?? service,
            removeHeader: basicAuth.passAuthorization !== true,
            ...(basicAuth.userHeader !== undefined && { headerField: canonical(basicAuth.userHeader) }),
          },
        }
      : {
          forwardAuth: {
            // By the edge itself, which knows which release of it serves.
            address: `http://${EDGE_ITSELF}:8081/auth/${forwardAuth!.to.name}${forwardAuth!.path}`,
            trustForwardHeader: false,
            preserveLocationHeader: true,
            authResponseHeaders: forwardAuth!.responseHeaders ?? [],
            // Each request takes as much memory beforehand.
            maxResponseBodySize: 64 * 1024,
          },
        },
  };
}

/** Where the edge asks itself. */
export const EDGE_ITSELF = "127.0.0.1";

/** As Go, and with it Traefik, writes the names of headers. */
function canonical(header: string): string {
  return header.toLowerCase().replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** Headers that a service takes the edge's word for: no client may send them on any of its routes. */
export function identityHeaders(routes: readonly RouteAuth[]): string[] {
  const all = routes.flatMap(({ basicAuth, forwardAuth }) => [
    ...(basicAuth?.userHeader === undefined ? [] : [basicAuth.userHeader]),
    ...(forwardAuth?.responseHeaders ?? []),
  ]);
  return [...new Set(all.map(canonical))].sort();
}

/**
 * A regular expression of the names by which a service may find one of these headers. To CGI, WSGI and PHP the hyphen of a
 * name and any other sign in its place are the same.
 */
export function spellingsOfHeaders(headers: readonly string[]): string {
  return `(?i)^(?:${headers.map((header) => header.replace(/[^A-Za-z0-9]/g, "[^A-Za-z0-9]")).join("|")})$`;
}

/** Whether two routes let the same people pass. */
export function isSameAuth(one: RouteAuth, other: RouteAuth): boolean {
  const [own, others] = [one.basicAuth?.users, other.basicAuth?.users];
  if ((own === undefined) !== (others === undefined)) return false;
  const users = Object.keys(own ?? {});
  // The same input; what it is when it is known nobody can say here.
  const sameUsers =
    users.length === Object.keys(others ?? {}).length && users.every((user) => own![user] === others![user]);
  return (
    sameUsers &&
    one.forwardAuth?.to === other.forwardAuth?.to &&
    (one.forwardAuth?.path ?? "") === (other.forwardAuth?.path ?? "")
  );
}

/** Everything that is wrong with it, each with the key that it is of. */
export function authProblems({ basicAuth, forwardAuth }: RouteAuth): string[] {
  return [
    ...(basicAuth && forwardAuth ? ["forwardAuth: stands beside basicAuth: leave one of them out"] : []),
    ...(basicAuth ? basicProblems(basicAuth) : []).map((problem) => `basicAuth.${problem}`),
    ...(forwardAuth ? forwardProblems(forwardAuth) : []).map((problem) => `forwardAuth.${problem}`),
  ];
}

function basicProblems({ users, realm, userHeader }: BasicAuth): string[] {
  const names = Object.keys(users);
  return [
    ...(names.length === 0 ? ["users: is empty, which would let nobody in: name users, or leave basicAuth out"] : []),
    ...names
      .filter((user) => !/^[\w.@+-]{1,64}$/.test(user))
      .map((user) => `users: ${user} is not the name of a user: give at most 64 letters, digits and any of . _ @ + -`),
    ...names.flatMap((user) => {
      const password = users[user];
      const problem = typeof password === "string" ? passwordProblem(password) : undefined;
      return problem === undefined ? [] : [`users.${user}: ${problem}`];
    }),
    ...(realm !== undefined && !/^[\w .,:@+-]{1,100}$/.test(realm)
      ? ["realm: is not plain text: give at most 100 letters, digits, spaces and any of . , : @ + _ -"]
      : []),
    ...(userHeader !== undefined ? identityProblems(userHeader) : []).map((problem) => `userHeader: ${problem}`),
  ];
}

/** What is wrong with a password, which the text does not tell. */
export function passwordProblem(password: string): string | undefined {
  const generated = 'give another, such as `new GeneratedSecret("NAME").value`';
  if (password.length < 16) return `has a password of less than 16 characters, which can be guessed: ${generated}`;
  // bcrypt looks at no more.
  if (Buffer.byteLength(password) > 71) return "has a password of more than 71 bytes: give a shorter one";
  return /[\0\r\n]/.test(password) ? `has a password of more than one line: ${generated}` : undefined;
}

function forwardProblems({ path, responseHeaders = [] }: ForwardAuth): string[] {
  return [
    ...(/^\/[\w.~!$&'()*+,;=:@%/?-]*$/.test(path) ? [] : [`path: ${path} is not a path: give one like /verify`]),
    ...responseHeaders.flatMap((header) => identityProblems(header)).map((problem) => `responseHeaders: ${problem}`),
  ];
}

function identityProblems(header: string): string[] {
  if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(header))
    return [`${header} is not the name of such a header: give one like X-Forwarded-User`];
  return TAKEN.has(header.toLowerCase())
    ? [`${header} says something else already: give one like X-Forwarded-User`]
    : [];
}

/** Of the connection, or what the edge and clients say in them. */
const TAKEN: ReadonlySet<string> = new Set([
  ...["host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "content-length", "content-type"],
  ...["content-encoding", "keep-alive", "proxy-connection", "expect", "range", "cookie", "origin", "accept"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server"],
  ...["x-forwarded-prefix", "x-forwarded-uri", "x-forwarded-method", "x-real-ip", "bulkhead-client"],
]);
