import { isDeepStrictEqual } from "node:util";
import { DNS_RECORD, LEADING, ZONE_SETTING } from "../../policy/cloudflare.ts";
import { DONE, UNKNOWN, type Change } from "./engine-events.ts";
import { listOf, type ContainerChange } from "./container-change.ts";

/** What changes at Cloudflare, a line each, with what it is to those who ask for a name. */
export function cloudflareLines(changes: readonly Change[]): string[] {
  const changed = changes.filter(({ type, op }) => type.startsWith("cloudflare:") && op !== "same");
  return [
    ...recordLines(changed.filter(({ type }) => type === DNS_RECORD)),
    ...changed
      .filter(({ type }) => type !== DNS_RECORD && type !== TOKEN)
      .map(({ type, op, name, before, after }) => {
        if (type === ZONE_SETTING) {
          const setting = shown((after ?? before)?.["settingId"]);
          return `${setting} of ${zoneOf(name, setting)}: ${shown(before?.["value"])} → ${shown(after?.["value"])}`;
        }
        return `${type.slice(type.lastIndexOf(":") + 1)} \`${name}\` is ${DONE[op]}`;
      }),
  ];
}

const TOKEN = "cloudflare:index/accountToken:AccountToken";

/** By the name of its setting: what is beside the stack's own zone has the zone's name in it. */
function zoneOf(setting: string, id: string): string {
  const zone = setting.slice(0, -`-${id}`.length);
  return zone === "zone" ? "the zone" : `the zone ${zone.replace(/^zone-/, "")}`;
}

/** Records by their names: one in another's place is a change, though it is another resource. */
function recordLines(changes: readonly Change[]): string[] {
  const named = ({ before, after }: Change) => String((after ?? before)?.["name"]);
  return [...new Set(changes.map(named))].flatMap((name) => {
    const own = changes.filter((change) => named(change) === name);
    const goes = own.flatMap(({ op, before }) => (op !== "create" && before ? [wayOf(before)] : []));
    const comes = own.flatMap(({ op, after }) => (op !== "delete" && after ? [wayOf(after)] : []));
    if (isDeepStrictEqual(goes, comes)) return [];
    const said = (ways: readonly Way[]) => ways.map(({ text }) => text).join(" and ");
    if (goes.length === 0) return `\`${name}\` is new: ${said(comes)}`;
    if (comes.length === 0) return `\`${name}\` is gone: ${said(goes)}`;
    // A proxied name always answers with Cloudflare's addresses; what is behind them changes at once.
    const proxied = [...goes, ...comes].every((way) => way.proxied);
    const when = proxied
      ? "at once"
      : "when their resolvers forget the old one, after 5 minutes (Cloudflare's own TTL)";
    return `\`${name}\`: ${said(goes)} → ${said(comes)}; clients follow ${when}`;
  });
}

interface Way {
  text: string;
  proxied: boolean;
}

function wayOf(record: NonNullable<Change["before"]>): Way {
  const { type, content, data, proxied } = record;
  const leads = LEADING.includes(String(type));
  const how = proxied === true ? ", proxied" : leads ? ", not proxied: it shows where the host is" : "";
  return { text: `${String(type)} ${shown(content ?? data)}${how}`, proxied: proxied === true };
}

function shown(value: unknown): string {
  if (value === undefined) return "none";
  if (value === UNKNOWN) return "known in the update";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What becomes of the certificate that the edge shows. */
export function certificateLines(services: readonly ContainerChange[], files: ReadonlyMap<string, string>): string[] {
  return services.flatMap(({ name, before, after, op }) => {
    if (op === "delete" || after === undefined) return [];
    const [was, is] = [asked(before), asked(after)];
    if (is.names.length > 0 && !isDeepStrictEqual(was.names, is.names))
      return [
        `a certificate for ${is.names.map((each) => `\`${each}\``).join(" and ")} is asked of ${is.ca}: until it is there, ` +
          `${name} shows one that no client trusts`,
      ];
    if (is.names.length > 0 && was.ca !== is.ca) return [`certificates come from ${is.ca} from now on`];
    const held = listOf(before?.volumes).some(({ volumeName }) => files.get(volumeName ?? "") === `${name}-secrets`);
    return held && isEdge(after) ? [`${name} gets the certificate of its files anew`] : [];
  });
}

/** What Traefik's arguments say of certificates. */
function asked(container: ContainerChange["before"]): { names: string[]; ca?: string } {
  const argument = (key: string) =>
    listOf(container?.command)
      .find((each) => each.toLowerCase().startsWith(`--${key}=`))
      ?.slice(key.length + 3);
  const names = ["main", "sans"].flatMap((key) => argument(`entrypoints.websecure.http.tls.domains[0].${key}`) ?? []);
  return { names, ca: argument("certificatesresolvers.acme.acme.caserver") };
}

function isEdge(container: ContainerChange["after"]): boolean {
  return listOf(container?.command).some((argument) => argument.startsWith("--entrypoints."));
}
