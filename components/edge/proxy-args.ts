import type * as pulumi from "@pulumi/pulumi";
import type { Networks } from "../host/networks.ts";
import type { Maintenance } from "../settings/maintenance.ts";
import type { TcpPorts } from "../settings/platform.ts";
import type { EdgeSettings } from "./edge-settings.ts";
import type { Alias, Domain } from "./hosts.ts";

export interface ProxyArgs extends Pick<EdgeSettings, "domain" | "certificates" | "requestsPerSecond" | "burst"> {
  /** With a tunnel, nobody but its connector reaches the edge, and no port of the host is published. */
  networks: Networks;
  /** nginx: what a StaticSite is built from. @default the package's */
  images: { traefik: string; haproxy: string; nginx?: string };
  /** Address of the host to listen on. */
  address: string;
  httpsPort: number;
  /** TCP ports of the host, by name: services take them by `tcp` in their arguments. @default {} */
  tcp?: TcpPorts;
  /** The largest request body in MiB, of services that do not say another. @default 10 */
  maxBodyMb?: number;
  /** As for the edge's settings. @default 32: nginx takes as much; each request under way may take it in memory */
  maxHeaderKb?: number;
  /** Memory limit of the edge in MiB. The connections and requests that it takes at once follow from it. @default 512 */
  memoryMb?: number;
  /** As for the edge's settings. @default 100: a browser opens 6, an office behind one address some dozens */
  connectionsPerClient?: number;
  /** As for the edge's settings. @default [] */
  sharedAddresses?: EdgeSettings["sharedAddresses"];
  /** As for the edge's settings. An update that replaces the edge takes as long. @default 60 */
  keepAliveSeconds?: number;
  /** Seconds after which a connection without a byte in either direction ends. @default 86400, a day */
  idleSeconds?: number;
  /** As for the edge's settings, for clients that come to the ports. */
  clientsThrough?: string[];
  /** Further names that it serves, beside its domain. @default [] */
  domains?: readonly Domain[];
  /** Names that redirect to one that it serves. @default [] */
  aliases?: readonly Alias[];
  /** Whether http:// is open, for redirects to https:// and nothing else. @default false */
  httpRedirect?: boolean;
  /** Port of http://. @default 80 */
  httpPort?: number;
  /** Clients get 503 and a page instead of the services: true, or who gets through. @default false */
  maintenance?: boolean | Maintenance;
  /**
   * A folder with pages of the program: 404.html for what no service has; 502.html, 503.html and 504.html for services that do
   * not answer; maintenance.html. At most 64 KiB each, with styles and pictures in them. @default plain words
   */
  pages?: string;
  /** The secret with which the DNS provider lets the zone be edited; only for certificates of kind acme. */
  dnsApiToken?: pulumi.Input<string>;
  /** Address of the API that the token is for. @default Cloudflare's own */
  dnsApiUrl?: string;
}
