import { z } from "zod";
import { ApiError, bodyOf, now, type Call, type Route } from "./api.ts";
import type { Zone } from "./zones.ts";

const onOff = z.enum(["on", "off"]);
const version = z.enum(["1.0", "1.1", "1.2", "1.3"]);
const securityHeader = z.strictObject({
  strict_transport_security: z.strictObject({
    enabled: z.boolean(),
    max_age: z.number().int().min(0).max(63072000).optional(),
    include_subdomains: z.boolean().optional(),
    preload: z.boolean().optional(),
    nosniff: z.boolean().optional(),
  }),
});

/** Settings of a zone that this project uses: what each may be, and what it is in a new zone. */
export const SETTINGS: Record<string, { schema: z.ZodType; usual: unknown }> = {
  ssl: { schema: z.enum(["off", "flexible", "full", "strict"]), usual: "full" },
  always_use_https: { schema: onOff, usual: "off" },
  min_tls_version: { schema: version, usual: "1.0" },
  tls_1_3: { schema: z.enum(["on", "off", "zrt"]), usual: "on" },
  automatic_https_rewrites: { schema: onOff, usual: "on" },
  opportunistic_encryption: { schema: onOff, usual: "on" },
  "0rtt": { schema: onOff, usual: "off" },
  http3: { schema: onOff, usual: "on" },
  websockets: { schema: onOff, usual: "on" },
  brotli: { schema: onOff, usual: "on" },
  security_header: {
    schema: securityHeader,
    usual: {
      strict_transport_security: {
        enabled: false,
        max_age: 0,
        include_subdomains: false,
        preload: false,
        nosniff: false,
      },
    },
  },
};

export function settingRoutes(of: (call: Call) => Zone): Route[] {
  const path = "/zones/:zone/settings/:setting";
  const shown = (zone: Zone, id: string) => ({
    id,
    value: zone.settings.get(id),
    editable: true,
    modified_on: zone.settingTimes.get(id) ?? null,
  });
  const known = ({ params }: Call): string => {
    const id = params["setting"]!;
    if (!(id in SETTINGS)) throw new ApiError(400, 1006, "Unrecognized zone setting name");
    return id;
  };
  return [
    {
      method: "GET",
      path,
      needs: { permission: "Zone Settings", level: "Read" },
      handle: (call) => ({ result: shown(of(call), known(call)) }),
    },
    {
      method: "PATCH",
      path,
      needs: { permission: "Zone Settings", level: "Write" },
      handle: (call) => {
        const [zone, id] = [of(call), known(call)];
        const body = z.strictObject({ value: SETTINGS[id]!.schema, enabled: z.boolean().optional() });
        zone.settings.set(id, bodyOf(call, body, 1007).value);
        zone.settingTimes.set(id, now());
        return { result: shown(zone, id) };
      },
    },
  ];
}
