import { z } from "zod";
import { newId } from "./access.ts";
import { ApiError, bodyOf, notFound, now, without, type Call, type Route } from "./api.ts";
import type { Zone } from "./zones.ts";

export interface Ruleset {
  id: string;
  name: string;
  description: string;
  kind: string;
  phase: string;
  version: string;
  last_updated: string;
  rules: Record<string, unknown>[];
}

const ttl = (modes: [string, ...string[]]) =>
  z.strictObject({ mode: z.enum(modes), default: z.number().int().min(0).optional() });
const rulesetBody = z.strictObject({
  name: z.string().min(1),
  description: z.string().optional(),
  kind: z.enum(["zone"]),
  phase: z.enum(["http_request_cache_settings"]),
  rules: z
    .array(
      z.strictObject({
        id: z.string().optional(),
        ref: z.string().optional(),
        version: z.string().optional(),
        action: z.enum(["set_cache_settings"]),
        action_parameters: z
          .strictObject({
            cache: z.boolean().optional(),
            edge_ttl: ttl(["respect_origin", "bypass_by_default", "override_origin"]).optional(),
            browser_ttl: ttl(["respect_origin", "bypass_by_default", "override_origin", "bypass"]).optional(),
            respect_strong_etags: z.boolean().optional(),
          })
          .optional(),
        description: z.string().optional(),
        enabled: z.boolean().optional(),
        expression: z.string().min(1),
      }),
    )
    .nullish(),
});

/** Rulesets of a zone: one for each phase. Only that of cache rules is known. */
export function rulesetRoutes(of: (call: Call) => Zone): Route[] {
  const path = "/zones/:zone/rulesets";
  const read = { permission: "Cache Settings", level: "Read" } as const;
  const write = { permission: "Cache Settings", level: "Write" } as const;
  const one = (call: Call): [Zone, Ruleset] => {
    const zone = of(call);
    const ruleset = zone.rulesets.get(call.params["ruleset"]!);
    if (!ruleset) throw notFound(10003, "could not find ruleset");
    return [zone, ruleset];
  };
  const keep = (zone: Zone, id: string, body: z.output<typeof rulesetBody>, number: number): Ruleset => {
    if ([...zone.rulesets.values()].some((ruleset) => ruleset.id !== id && ruleset.phase === body.phase))
      throw new ApiError(
        400,
        20217,
        `A similar configuration with rules already exists and overwriting will have unintended consequences.`,
      );
    const rules = (body.rules ?? []).map((rule) => {
      const ruleId = rule.id ?? newId();
      return {
        enabled: true,
        description: "",
        ...rule,
        id: ruleId,
        ref: rule.ref ?? ruleId,
        version: String(number),
        last_updated: now(),
      };
    });
    const { name, description = "", kind, phase } = body;
    const ruleset = { id, name, description, kind, phase, version: String(number), last_updated: now(), rules };
    zone.rulesets.set(id, ruleset);
    return ruleset;
  };
  return [
    {
      method: "GET",
      path,
      needs: read,
      handle: (call) => ({ result: [...of(call).rulesets.values()].map((ruleset) => without(ruleset, "rules")) }),
    },
    {
      method: "POST",
      path,
      needs: write,
      handle: (call) => ({ result: keep(of(call), newId(), bodyOf(call, rulesetBody, 20021), 1) }),
    },
    { method: "GET", path: `${path}/:ruleset`, needs: read, handle: (call) => ({ result: one(call)[1] }) },
    {
      method: "PUT",
      path: `${path}/:ruleset`,
      needs: write,
      handle: (call) => {
        const [zone, { id, name, description, kind, phase, version: last }] = one(call);
        const body = bodyOf(
          { ...call, body: { name, description, kind, phase, ...(call.body as object) } },
          rulesetBody,
          20021,
        );
        return { result: keep(zone, id, body, Number(last) + 1) };
      },
    },
    {
      method: "DELETE",
      path: `${path}/:ruleset`,
      needs: write,
      handle: (call) => {
        const [zone, { id }] = one(call);
        zone.rulesets.delete(id);
        return { result: null };
      },
    },
  ];
}
