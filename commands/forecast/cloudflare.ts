import { isDeepStrictEqual } from "node:util";
import { UNKNOWN, type Change } from "./engine-events.ts";
import type { ChangedFiles } from "./secrets.ts";
import { listOf, type ContainerChange } from "./services.ts";

/** What changes at Cloudflare, a line each, with what it is to those who ask for a name. */
export function cloudflareLines(changes: readonly Change[]): string[] {
  return changes.flatMap((change) => {
    const { type, op, name, before, after } = change;
    if (!type.startsWith("cloudflare:") || op === "same" || type === TOKEN) return [];
    if (type === RECORD) return recordLine(op, before, after);
    const setting = (after ?? before)?.["settingId"];
    if (type === ZONE_SETTING && setting !== undefined)
      return `${shown(setting)} of the zone: ${shown(before?.["value"])} → ${shown(after?.["value"])}`;
    const kind = type.slice(type.lastIndexOf(":") + 1);
    return `${kind} \`${name}\` is ${{ create: "made", update: "changed", replace: "made anew", delete: "removed" }[op]}`;
  });
}

const TOKEN = "cloudflare:index/accountToken:AccountToken";
const RECORD = "cloudflare:index/dnsRecord:DnsRecord";
const ZONE_SETTING = "cloudflare:index/zoneSetting:ZoneSetting";

type Inputs = Change["before"];

function recordLine(op: Change["op"], before: Inputs, after: Inputs): string[] {
  const leads = (inputs: NonNullable<Inputs>) =>
    `${String(inputs["type"])} ${shown(inputs["content"] ?? inputs["data"])}${inputs["proxied"] === true ? ", proxied" : ""}`;
  const name = `\`${String((after ?? before)?.["name"])}\``;
  if (op === "create") return [`${name} is new: ${leads(after!)}`];
  if (op === "delete") return [`${name} is gone: ${leads(before!)}`];
  const [was, is] = [leads(before!), leads(after!)];
  if (was === is) return [];
  // A proxied name always answers with Cloudflare's addresses; what is behind them changes at once.
  const proxied = before?.["proxied"] === true && after?.["proxied"] === true;
  const when = proxied
    ? "at once"
    : "when their resolvers have forgotten the old one: Cloudflare's own TTL is 5 minutes";
  return [`${name}: ${was} → ${is}; clients follow ${when}`];
}

function shown(value: unknown): string {
  if (value === undefined) return "none";
  if (value === UNKNOWN) return "known in the update";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What becomes of the certificate that the edge shows. */
export function certificateLines(services: readonly ContainerChange[], files: ChangedFiles): string[] {
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
