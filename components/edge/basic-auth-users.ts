import { createHmac } from "node:crypto";
import bcrypt from "bcryptjs";
import * as pulumi from "@pulumi/pulumi";
import { GeneratedSecret } from "../host/secret.ts";
import { passwordProblem, type RouteAuth } from "./route-auth.ts";

/**
 * The files with the users of routes, by the name of each route's router: a line for each user, with a hash of the password.
 *
 * The salts are of a secret in the state, so that no other run makes other hashes: they would be other files, and another
 * cutover.
 */
export function usersFiles(
  parent: pulumi.Resource,
  service: string,
  routes: Readonly<Record<string, RouteAuth>>,
): Record<string, pulumi.Output<string>> {
  const guarded = Object.entries(routes).flatMap(([name, { basicAuth }]) => (basicAuth ? [{ name, basicAuth }] : []));
  if (guarded.length === 0) return {};
  const salt = new GeneratedSecret(`${service}-auth-salt`, {}, { parent });
  return Object.fromEntries(
    guarded.map(({ name, basicAuth: { users } }) => [
      name,
      pulumi.secret(
        pulumi.all([salt.value, pulumi.output(users)]).apply(([salt, known]) =>
          Object.entries(known)
            .map(([user, password]) => `${user}:${hash(password, { salt, user, service })}\n`)
            .join(""),
        ),
      ),
    ]),
  );
}

function hash(password: string, { salt, user, service }: { salt: string; user: string; service: string }): string {
  const problem = passwordProblem(password);
  if (problem !== undefined) throw new pulumi.RunError(`${service}: basicAuth.users.${user}: ${problem}`);
  const bytes = createHmac("sha256", salt).update(user).digest().subarray(0, 16);
  return bcrypt.hashSync(password, `$2b$${COST}$${bcrypt.encodeBase64(bytes, 16)}`);
}

/**
 * The least that bcrypt knows, some milliseconds, because the edge does it for every request: at a cost of 10, one client
 * within its rate limit would take all of the edge's processor. That a password cannot be guessed is for its length.
 */
const COST = "04";
