/**
 * All that a program imports: `import { DockerHost, Networks, Proxy, WebService } from "bulkhead"`.
 *
 * A program makes a host, its networks and an edge, then its services. Each component says in its arguments what it
 * takes, in which unit, and what it does without.
 */

// What differs between stacks: the settings in Pulumi.<stack>.yaml.
export {
  defineSettings,
  type Config,
  type ProgramSettings,
  type SecretSetting,
  type Settings,
} from "./settings/settings.ts";
export {
  imageReference,
  largestBody,
  object,
  port,
  serviceSettings,
  text,
  wholeNumber,
  yesOrNo,
  type ServiceDefaults,
} from "./settings/fields.ts";
export { type Certificates } from "./settings/certificates.ts";
export { ConfigError } from "./settings/parse.ts";
export type { TcpPorts } from "./settings/platform.ts";
export { images } from "./images.ts";

// The host and what runs on it.
export { DockerHost, type DockerHostArgs } from "./host/docker-host.ts";
export { Networks, type NetworksArgs } from "./host/networks.ts";
export { BuiltImage, type BuiltImageArgs } from "./host/built-image.ts";
export { Container, type ContainerArgs, type Health } from "./host/container.ts";
export { httpHealth } from "./host/http-health.ts";
export { Job, type JobArgs } from "./host/job.ts";
export type { Capability, Exception, Limits, Posture } from "./host/hardening.ts";

// Secrets: generated, and handed to a container as files.
export { GeneratedSecret, SecretFiles, type GeneratedSecretArgs, type SecretFilesArgs } from "./host/secret.ts";

// The edge, and the services behind it.
export { Proxy, type ProxyArgs } from "./edge/proxy.ts";
export { WebService, type PreDeploy, type Routes, type WebServiceArgs } from "./edge/web-service.ts";
export { ServedRoutes, type ServedRoutesArgs } from "./edge/served-routes.ts";

// Cloudflare: the domain, a tunnel, buckets, and tokens that may do one thing alone.
export { domainAtCloudflare, type DomainAtCloudflare } from "./cloudflare/domain-at-cloudflare.ts";
export { CloudflareAccount, type CloudflareAccountArgs } from "./cloudflare/cloudflare-account.ts";
export { Zone, type ZoneArgs } from "./cloudflare/zone.ts";
export { Dns, type DnsArgs, type DnsHost } from "./cloudflare/dns.ts";
export { Tunnel, type TunnelArgs } from "./cloudflare/tunnel.ts";
export { ObjectStorage, type ObjectStorageArgs } from "./cloudflare/object-storage.ts";
export { ApiToken, type ApiTokenArgs } from "./cloudflare/api-token.ts";
