import { getAccountApiTokenPermissionGroupsList } from "@pulumi/cloudflare/getAccountApiTokenPermissionGroupsList.js";
import { getDnsRecords } from "@pulumi/cloudflare/getDnsRecords.js";
import { getIpRanges } from "@pulumi/cloudflare/getIpRanges.js";
import { getZeroTrustTunnelCloudflaredToken } from "@pulumi/cloudflare/getZeroTrustTunnelCloudflaredToken.js";
import { getZones } from "@pulumi/cloudflare/getZones.js";
import * as cloudflare from "@pulumi/cloudflare/provider.js";
import * as pulumi from "@pulumi/pulumi";

export interface CloudflareAccountArgs {
  /** The account's id: 32 hex digits. */
  id: string;
  /** The token with which all of the stack's work at Cloudflare is done; docs/how-to/cloudflare.md says what it has to be for. */
  apiToken: pulumi.Input<string>;
  /** Address of the API. @default Cloudflare's own */
  apiUrl?: string;
}

/** A record that says where clients of a name go. */
export interface OwnRecord {
  name: string;
  /** A, AAAA or CNAME. */
  type: string;
  content: string;
}

/** The Cloudflare account of the stack: the provider for all that is made there. */
export class CloudflareAccount extends pulumi.ComponentResource {
  readonly id: string;
  readonly provider: cloudflare.Provider;
  readonly #apiUrl: string;
  #permissionGroups: Promise<{ id: string; name: string }[]> | undefined;

  constructor(name: string, args: CloudflareAccountArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:CloudflareAccount", name, {}, opts);
    this.id = args.id;
    this.#apiUrl = args.apiUrl ?? process.env["CLOUDFLARE_BASE_URL"] ?? "https://api.cloudflare.com/client/v4";
    this.provider = new cloudflare.Provider(
      `${name}-provider`,
      { apiToken: pulumi.secret(args.apiToken), baseUrl: args.apiUrl },
      { parent: this },
    );
    this.registerOutputs({ id: this.id });
  }

  /**
   * Throws one clear error unless the token opens the zone, and nobody else has a record at the stack's names: a second
   * address at a name would be no error to the API, and every other client would be led astray. Gives the zone's id, and
   * the stack's own records at its names. No address: the names are to lead to a tunnel.
   */
  async check(names: {
    zone: string;
    /** The key of the stack file that names the zone. @default "cloudflare.zone" */
    key?: string;
    hosts: string[];
    addresses: string[];
  }): Promise<{ id: string; own: OwnRecord[] }> {
    const { zone, key = "cloudflare.zone", hosts, addresses } = names;
    await refuseSilence(this.#apiUrl);
    const options = { provider: this.provider };
    const zones = await getZones({ name: zone, account: { id: this.id } }, options).catch(explain);
    const [found] = zones.results;
    if (!found)
      throw new pulumi.RunError(
        `${key}: the token sees no zone ${zone} in the account ${this.id}: ` +
          "check both, and that the token has Zone: Read for this zone",
      );
    const zoneId = found.id;
    const lists = await Promise.all(
      hosts.map((exact) => getDnsRecords({ zoneId, name: { exact } }, options).catch(explain)),
    );
    const leading = lists.flatMap(({ results }) => results).filter(({ type }) => isLeading(type));
    const foreign = leading.filter(({ content, comment }) => !isOwn(comment) && !addresses.includes(content));
    const problems = foreign.map(
      ({ name, type, content }) =>
        `cloudflare: ${name} has a record that is not this stack's: ${type} ${content}: delete it, or give another name`,
    );
    const own = leading.filter(({ comment }) => isOwn(comment));
    // The API has no way to put one record in the place of several.
    for (const host of addresses.length === 0 ? hosts : []) {
      const there = own.filter(({ name }) => name === host).length;
      if (there > 1)
        problems.push(
          `cloudflare.tunnel: ${host} has ${there} addresses, and one alone can become a tunnel: ` +
            "leave one in cloudflare.addresses, run `bulkhead up`, then give the tunnel",
        );
    }
    if (problems.length > 0) throw new pulumi.RunError(problems.join("\n"));
    return { id: zoneId, own: own.map(({ name, type, content }) => ({ name, type, content })) };
  }

  /** A secret: what opens a tunnel's end on the host. */
  tunnelToken(tunnelId: pulumi.Output<string>): pulumi.Output<string> {
    const ask = (id: string) =>
      getZeroTrustTunnelCloudflaredToken({ accountId: this.id, tunnelId: id }, { provider: this.provider });
    return pulumi.secret(tunnelId.apply((id) => ask(id).then(({ token }) => token, explain)));
  }

  /** The addresses from which Cloudflare's proxy connects, as CIDR. */
  async proxyAddresses(): Promise<string[]> {
    const { ipv4Cidrs, ipv6Cidrs } = await getIpRanges({}, { provider: this.provider }).catch(explain);
    return [...ipv4Cidrs, ...ipv6Cidrs].sort();
  }

  /** The id of what a token may do, by its name; all are asked for once. */
  permissionGroupId(name: string): pulumi.Output<string> {
    const options = { provider: this.provider };
    this.#permissionGroups ??= getAccountApiTokenPermissionGroupsList({ accountId: this.id }, options)
      .then(({ results }) => results)
      .catch(explain);
    return pulumi.output(this.#permissionGroups).apply((groups) => {
      const found = groups.find((group) => group.name === name);
      if (!found) throw new pulumi.RunError(`cloudflare: the API knows no permission group called "${name}"`);
      return found.id;
    });
  }
}

/** Stands in the comment of every record, which says whose it is. */
export function ownerComment(): string {
  return `of ${pulumi.getProject()}-${pulumi.getStack()}`;
}

function isOwn(comment: string | undefined): boolean {
  return comment?.split(",")[0] === ownerComment();
}

/** Whether a record says where clients go. */
function isLeading(type: string): boolean {
  return ["A", "AAAA", "CNAME"].includes(type);
}

const TOKEN_CURE =
  "make a new one as docs/how-to/cloudflare.md says, and `pulumi config set --secret cloudflareApiToken`";

/**
 * The plugin waits for ever for an API that takes a connection and says nothing, and Pulumi for the plugin. So it is asked
 * something by this program first, that needs no token. What else may be wrong, the plugin says; and whether there is a
 * way past a proxy, only the plugin knows.
 */
async function refuseSilence(apiUrl: string): Promise<void> {
  if (PROXY_SETTINGS.some((name) => process.env[name])) return;
  try {
    await fetch(`${apiUrl}/ips`, { signal: AbortSignal.timeout(ANSWER_SECONDS * 1000) });
  } catch (error) {
    if ((error as Error).name !== "TimeoutError") return;
    const cure = "try again; https://www.cloudflarestatus.com tells of trouble";
    throw new pulumi.RunError(`cloudflare: the API says nothing (${apiUrl}, for ${ANSWER_SECONDS} s): ${cure}`);
  }
}

const ANSWER_SECONDS = 10;
const PROXY_SETTINGS = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/** The plugin's words are a request and an answer as JSON; people want to know what to do. */
function explain(error: Error): never {
  const [, status = "", body = ""] = /": (\d{3}) [^{]*(\{.*\})/s.exec(error.message) ?? [];
  const said = /"message":\s*"([^"]*)"/.exec(body)?.[1] ?? "";
  if (["400", "401", "403"].includes(status))
    throw new pulumi.RunError(`cloudflare: the API refuses the token (${said}): ${TOKEN_CURE}`);
  if (status !== "")
    throw new pulumi.RunError(
      `cloudflare: the API answers ${status} (${said}): try again; https://www.cloudflarestatus.com tells of trouble`,
    );
  throw new pulumi.RunError(`cloudflare: the API cannot be asked: ${error.message}`);
}
