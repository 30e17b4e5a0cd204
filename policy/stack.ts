import type { ContainerArgs } from "@pulumi/docker/container.js";
import type { ServiceArgs } from "@pulumi/docker/service.js";
import type { DnsRecordArgs } from "@pulumi/cloudflare/dnsRecord.js";
import type { ZoneSettingArgs } from "@pulumi/cloudflare/zoneSetting.js";
import type { Unwrap } from "@pulumi/pulumi";
import { backupRules } from "./backups.ts";
import { DNS_RECORD, LEADING, ZONE_SETTING, ZONE_SETTINGS } from "./cloudflare.ts";
import { compartmentRules } from "./compartments.ts";
import { CONTAINER } from "./containers.ts";
import { exceptionsOf, hasEnded } from "./exceptions.ts";
import { judged, ofEach } from "./inputs.ts";
import { holdsData, NETWORK, VOLUME } from "./networks-and-volumes.ts";
import type { Resource, StackRule } from "./rule.ts";
import { SERVICE } from "./services.ts";
import { ofEachWorkload, workloadAndNetworks } from "./stack-workloads.ts";
import type { Workload } from "./workloads.ts";

/** What a database's image is called. */
const DATABASES =
  /(^|\/)(postgres(ql)?|pgvector|timescaledb|pgbouncer|mysql|mariadb|percona|redis|valkey|dragonfly|memcached|mongo(db)?|clickhouse(-server)?|cassandra|elasticsearch|opensearch|influxdb|etcd)([:@]|$)/;

export const stackRules: StackRule[] = [
  ...compartmentRules,
  {
    name: "stack-public-entry-point",
    severity: "mandatory",
    why: "What the public reaches without TLS is read on the way, and without a rate limit one client takes all of it (OWASP 7, NSA/CISA: encrypt in transit).",
    cure: "give Traefik's entry point http.tls and a middleware whose name says rate-limit, so that every route has both",
    faults: (resources) => {
      const published = publishedPorts(resources);
      return ofEachWorkload(resources, ({ resource, workload }) =>
        entryPoints(workload)
          .filter(({ port, redirects }) => published.has(port) && !redirects)
          .flatMap(({ name, hasTls, hasRateLimit }) => {
            const fault = (missing: string, part: string) => ({
              ...{ resource, what: `serves the public entry point ${name} without ${missing}` },
              ...{ part: `${name} ${part}`, within: name },
            });
            return [
              ...(hasTls ? [] : [fault("TLS", "TLS")]),
              ...(hasRateLimit ? [] : [fault("a rate limit", "rate limit")]),
            ];
          }),
      );
    },
  },
  {
    name: "stack-database-internal",
    severity: "mandatory",
    why: "A database that the internet reaches, or that reaches the internet, loses its data with its first flaw (OWASP 5, NSA/CISA: network separation).",
    cure: "publish no port, and put it on networks with internal: true alone",
    faults: (resources) => {
      const internal = new Set(
        ofEach(
          resources.filter(({ type, props }) => type === NETWORK && props["internal"] === true),
          // A container may name a network by either.
          ({ props }) => ["name", "id"].flatMap((key) => judged(() => [props[key]])),
        ),
      );
      return ofEachWorkload(resources, ({ resource, workload, networks }) => {
        if (!DATABASES.test(workload.image?.replace(/@.*/, "") ?? "")) return [];
        return [
          ...workload.ports.map(({ port }) => ({
            ...{ resource, what: `is a database and publishes the port ${port}`, part: String(port) },
          })),
          ...networks
            .filter((network) => !internal.has(network))
            .map((network) => ({
              resource,
              what: `is a database and on the network ${network}, which is not one of the stack's that is internal`,
              part: network,
            })),
        ];
      });
    },
  },
  {
    name: "stack-data-in-backup",
    severity: "mandatory",
    why: "A disk fails, and what was on it alone is gone.",
    cure: "name it in the label bulkhead.backs-up of the container that backs it up, or except it if it can be made again",
    faults: (resources) => {
      // Not by ofEach: a label that is not known yet may name any volume.
      const backedUp = new Set(
        resources.flatMap(
          (resource) =>
            workloadAndNetworks(resource)
              ?.workload.label("bulkhead.backs-up")
              ?.split(/[\s,]+/) ?? [],
        ),
      );
      // What prepares a volume says so, as Docker keeps the labels that the volume was made with.
      const excepted = new Set(
        ofEach(
          resources.filter(({ type }) => type === CONTAINER),
          (resource) =>
            exceptionsOf(resource).flatMap((exception) =>
              exception.rule === "stack-data-in-backup" && !hasEnded(exception, new Date()) ? [exception.part] : [],
            ),
        ),
      );
      return ofEach(
        resources.filter(({ type }) => type === VOLUME),
        (resource) => {
          const name = String(resource.props["name"]);
          return holdsData(resource.props) && !backedUp.has(name) && !excepted.has(name)
            ? [{ resource, what: "holds data and is in no backup" }]
            : [];
        },
      );
    },
  },
  ...backupRules,
  {
    name: "stack-zone-settings",
    severity: "mandatory",
    why: "Cloudflare's own settings take any certificate for the origin's, and serve without TLS (NSA/CISA: encrypt in transit).",
    cure: "set ssl, min_tls_version and always_use_https of its zone in the same stack",
    faults: (resources) => {
      const isSet = new Set(
        ofEach(
          resources.filter(({ type }) => type === ZONE_SETTING).map(({ props }) => props as never as ZoneSetting),
          ({ zoneId, settingId }) => [`${zoneId} ${settingId}`],
        ),
      );
      return ofEach(
        resources.filter(({ type }) => type === DNS_RECORD),
        (resource) => {
          const { type, proxied, zoneId } = resource.props as never as Unwrap<DnsRecordArgs>;
          if (!LEADING.includes(type) || !proxied) return [];
          return Object.keys(ZONE_SETTINGS)
            .filter((setting) => !isSet.has(`${zoneId} ${setting}`))
            .map((setting) => ({ resource, what: `is served without a word on ${setting}` }));
        },
      );
    },
  },
];

type ZoneSetting = Unwrap<ZoneSettingArgs>;

/** Ports of containers that clients reach: a door hands each on under the same number. */
function publishedPorts(resources: readonly Resource[]): Set<number> {
  return new Set(
    ofEach(resources, ({ type, props }) => {
      if (type === CONTAINER)
        return ofEach((props as never as Unwrap<ContainerArgs>).ports, ({ internal }) => [internal]);
      if (type !== SERVICE) return [];
      return ofEach((props as never as Unwrap<ServiceArgs>).endpointSpec?.ports, ({ targetPort }) => [targetPort]);
    }),
  );
}

/** The entry points of a Traefik, from its arguments: what is set on an entry point holds for every route of it. */
function entryPoints({ arguments: given }: Workload) {
  const settings = new Map(
    given.flatMap((argument) => {
      const [, name, key, value] = /^--entrypoints\.([\w-]+)\.([^=]+)(?:=(.*))?$/i.exec(argument) ?? [];
      return name && key ? [[`${name.toLowerCase()} ${key.toLowerCase()}`, value ?? "true"] as const] : [];
    }),
  );
  return [...settings].flatMap(([setting, address]) => {
    const [name, key] = setting.split(" ");
    if (key !== "address") return [];
    const has = (pattern: RegExp) => [...settings.keys()].some((other) => pattern.test(other.replace(`${name} `, "")));
    const tls = settings.get(`${name} http.tls`);
    return {
      name: name!,
      port: Number(/:(\d+)(\/\w+)?$/.exec(address)?.[1]),
      hasTls: tls === undefined ? has(/^http\.tls\./) : tls !== "false",
      hasRateLimit: /rate-?limit/i.test(settings.get(`${name} http.middlewares`) ?? ""),
      redirects: settings.has(`${name} http.redirections.entrypoint.to`),
    };
  });
}
