import { newId, type Access } from "./access.ts";
import { notFound, now, paged, type Call, type Route } from "./api.ts";
import { keepRecord, recordRoutes, type DnsRecord } from "./dns-records.ts";
import { rulesetRoutes, type Ruleset } from "./rulesets.ts";
import { SETTINGS, settingRoutes } from "./zone-settings.ts";

export interface Zone {
  id: string;
  name: string;
  records: Map<string, DnsRecord>;
  settings: Map<string, unknown>;
  /** When each setting was changed last, for those that were. */
  settingTimes: Map<string, string>;
  rulesets: Map<string, Ruleset>;
}

/** Zones with their DNS records, settings and rulesets. */
export class Zones {
  readonly all = new Map<string, Zone>();
  readonly #account: { id: string; name: string };

  constructor(account: { id: string; name: string }) {
    this.#account = account;
  }

  /** A zone as it is after its name servers were changed: with the settings that Cloudflare gives a new one. */
  add(name: string): Zone {
    const settings = new Map(Object.entries(SETTINGS).map(([id, { usual }]) => [id, structuredClone(usual)]));
    const zone = { id: newId(), name, records: new Map(), settings, settingTimes: new Map(), rulesets: new Map() };
    this.all.set(zone.id, zone);
    return zone;
  }

  /** A record that somebody made in the dashboard. */
  addRecord(zone: Zone, given: { name: string; type: string; content: string; proxied?: boolean }): DnsRecord {
    return keepRecord(zone, newId(), { ttl: 1, ...given });
  }

  /** What somebody changed in the dashboard. */
  change(zone: Zone, name: string, type: string, change: Partial<DnsRecord>): void {
    Object.assign(this.record(zone, name, type), change, { modified_on: now() });
  }

  /** The zone that a name is in. */
  holding(name: string): Zone | undefined {
    return [...this.all.values()].find((zone) => name === zone.name || name.endsWith(`.${zone.name}`));
  }

  record(zone: Zone, name: string, type: string): DnsRecord {
    const found = [...zone.records.values()].filter((record) => record.name === name && record.type === type);
    if (found.length !== 1) throw new Error(`${found.length} records ${name} ${type}`);
    return found[0]!;
  }

  /** What something gives, without what it does to the zones. */
  unchanged<T>(act: () => T): T {
    const before = [...this.all.values()].map((zone) => [zone, structuredClone({ ...zone })] as const);
    const result = act();
    for (const [zone, state] of before) Object.assign(zone, state);
    return result;
  }

  routes(access: Access): Route[] {
    const of = (call: Call) => this.#zone(call);
    return [
      {
        method: "GET",
        path: "/zones",
        handle: (call) => {
          const { query, token } = call;
          const [name, account] = [query.get("name"), query.get("account.id")];
          const visible = [...this.all.values()]
            .filter(({ id }) => access.allows(token, { permission: "Zone", level: "Read" }, id))
            .filter((zone) => name === null || zone.name === name)
            .filter(() => account === null || account === this.#account.id);
          const { result, info } = paged(visible, call, 50);
          return { result: result.map((zone) => this.#shown(zone)), info };
        },
      },
      {
        method: "GET",
        path: "/zones/:zone",
        needs: { permission: "Zone", level: "Read" },
        handle: (call) => ({ result: this.#shown(of(call)) }),
      },
      ...recordRoutes(of),
      ...settingRoutes(of),
      ...rulesetRoutes(of),
    ];
  }

  #zone({ params }: Call): Zone {
    const zone = this.all.get(params["zone"]!);
    if (!zone)
      throw notFound(7003, `Could not route to /zones/${params["zone"]}, perhaps your object identifier is invalid?`);
    return zone;
  }

  #shown({ id, name }: Zone) {
    return {
      id,
      name,
      account: this.#account,
      status: "active",
      paused: false,
      type: "full",
      development_mode: 0,
      name_servers: ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
      original_name_servers: null,
      original_registrar: null,
      original_dnshost: null,
      created_on: "2026-01-01T00:00:00Z",
      modified_on: "2026-01-01T00:00:00Z",
      activated_on: "2026-01-01T00:00:00Z",
      meta: { step: 2, custom_certificate_quota: 0, page_rule_quota: 3, phishing_detected: false },
      owner: { id: null, type: "user", email: null },
      plan: { id: "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", name: "Free Website", price: 0, currency: "USD", frequency: "" },
      tenant: { id: null, name: null },
      tenant_unit: { id: null },
      permissions: ["#zone:read"],
    };
  }
}
