import { z } from "zod";
import { newTokenValue, permissionGroups, type Access, type Policy, type Token } from "./access.ts";
import { ApiError, bodyOf, notFound, now, paged, without, type Call, type Route } from "./api.ts";

const tokenBody = z.strictObject({
  name: z.string().min(1).max(120),
  policies: z
    .array(
      z.strictObject({
        id: z.string().optional(),
        effect: z.enum(["allow", "deny"]),
        permission_groups: z
          .array(z.strictObject({ id: z.string(), name: z.string().optional(), meta: z.unknown().optional() }))
          .min(1),
        resources: z.record(z.string(), z.union([z.string(), z.record(z.string(), z.string())])),
      }),
    )
    .min(1),
  expires_on: z.iso.datetime().nullish(),
  not_before: z.iso.datetime().nullish(),
  status: z.enum(["active", "disabled"]).nullish(),
  condition: z
    .strictObject({
      request_ip: z
        .strictObject({ in: z.array(z.string()).nullish(), not_in: z.array(z.string()).nullish() })
        .nullish(),
    })
    .nullish(),
});
type TokenBody = z.output<typeof tokenBody>;

/** Tokens of the account: made with a value that is told once, rolled, deleted; and the groups that they are made of. */
export function tokenRoutes(account: string, access: Access): Route[] {
  const path = "/accounts/:account/tokens";
  const read = { permission: "Account API Tokens", level: "Read" } as const;
  const write = { permission: "Account API Tokens", level: "Write" } as const;
  const one = ({ params }: Call): Token => {
    const token = access.tokens.get(params["token"]!);
    if (!token) throw notFound(1003, "Token not found");
    return token;
  };
  return [
    {
      method: "GET",
      path: `${path}/verify`,
      handle: ({ token: { id, status } }) => ({ result: { id, status } }),
    },
    {
      method: "GET",
      path: `${path}/permission_groups`,
      needs: read,
      handle: ({ query }) => {
        const [name, scope] = [query.get("name"), query.get("scope")];
        const found = permissionGroups
          // In the address a name is encoded, and in the parameter once more.
          .filter((group) => name === null || group.name === decodeURIComponent(name))
          .filter((group) => scope === null || group.scopes.includes(decodeURIComponent(scope)));
        return { result: found };
      },
    },
    {
      method: "GET",
      path,
      needs: read,
      handle: (call) => {
        const { result, info } = paged([...access.tokens.values()], call, 50);
        return { result: result.map(withoutValue), info };
      },
    },
    {
      method: "POST",
      path,
      needs: write,
      handle: (call) => {
        const body = bodyOf(call, tokenBody, 1001);
        return {
          result: access.create({ name: body.name, policies: checkedPolicies(body, account), ...limits(body) }),
        };
      },
    },
    { method: "GET", path: `${path}/:token`, needs: read, handle: (call) => ({ result: withoutValue(one(call)) }) },
    {
      method: "PUT",
      path: `${path}/:token`,
      needs: write,
      handle: (call) => {
        const token = one(call);
        const body = bodyOf(call, tokenBody, 1001);
        const policies = checkedPolicies(body, account).map((policy, index) => ({
          ...policy,
          id: token.policies[index]?.id ?? token.id,
        }));
        Object.assign(token, { name: body.name, policies, ...limits(body), modified_on: now() });
        if (body.status) token.status = body.status;
        return { result: withoutValue(token) };
      },
    },
    {
      method: "PUT",
      path: `${path}/:token/value`,
      needs: write,
      handle: (call) => {
        const token = one(call);
        token.value = newTokenValue();
        token.modified_on = now();
        return { result: token.value };
      },
    },
    {
      method: "DELETE",
      path: `${path}/:token`,
      needs: write,
      handle: (call) => {
        const { id } = one(call);
        access.tokens.delete(id);
        return { result: { id } };
      },
    },
  ];
}

function limits({
  expires_on,
  not_before,
  condition,
}: TokenBody): Pick<Token, "expires_on" | "not_before" | "condition"> {
  return {
    expires_on: expires_on ?? undefined,
    not_before: not_before ?? undefined,
    condition: condition ?? undefined,
  };
}

function withoutValue(token: Token): Omit<Token, "value"> {
  return without(token, "value");
}

/** Groups that there are, on resources that they are for. */
function checkedPolicies({ policies }: TokenBody, account: string): Omit<Policy, "id">[] {
  return policies.map(({ effect, permission_groups, resources }) => {
    const groups = permission_groups.map(({ id }) => {
      const group = permissionGroups.find((candidate) => candidate.id === id);
      if (!group) throw new ApiError(400, 1001, `Permission group ${id} is not valid`);
      return group;
    });
    for (const key of Object.keys(resources)) {
      const scope = scopeOf(key);
      const account_ = /^com\.cloudflare\.api\.account\.([0-9a-f]{32})$/.exec(key)?.[1];
      if (scope === undefined || (account_ !== undefined && account_ !== account))
        throw new ApiError(400, 1001, `Resource ${key} is not valid`);
      const inZone = (value: unknown) => typeof value === "object";
      const wanted = inZone(resources[key]) ? "com.cloudflare.api.account.zone" : scope;
      for (const group of groups)
        if (!group.scopes.includes(wanted))
          throw new ApiError(400, 1001, `Permission group ${group.name} is not for the resource ${key}`);
    }
    return { effect, permission_groups: groups.map(({ id, name }) => ({ id, name })), resources };
  });
}

function scopeOf(key: string): string | undefined {
  if (/^com\.cloudflare\.edge\.r2\.bucket\.([0-9a-f]{32}_[a-z]+_[a-z0-9-]+|\*)$/.test(key))
    return "com.cloudflare.edge.r2.bucket";
  if (/^com\.cloudflare\.api\.account\.zone\.([0-9a-f]{32}|\*)$/.test(key)) return "com.cloudflare.api.account.zone";
  if (/^com\.cloudflare\.api\.account\.([0-9a-f]{32}|\*)$/.test(key)) return "com.cloudflare.api.account";
  return undefined;
}
