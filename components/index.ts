/**
 * All that a program imports: `import { DockerHost, Networks, Proxy, WebService } from "bulkhead"`.
 *
 * A program loads its settings, makes the platform (host, networks, edge, domain), then its services. Each component
 * says in its arguments what it takes, in which unit, and what it does without.
 */

// What every program stands on.
export { platform, type Platform, type PlatformOptions, type ServiceOutput } from "./platform.ts";

// What differs between stacks: the settings in Pulumi.<stack>.yaml.
export * from "./settings/index.ts";
export { images } from "./images.ts";

// The parts of the platform, for a program that puts them together otherwise: the host and what runs on it.
export { DockerHost, type DockerHostArgs } from "./host/docker-host.ts";
export { Networks, type NetworksArgs, type Reachable } from "./host/networks.ts";
export type { Connections } from "./host/compartment.ts";
export { provideImages, type Registries } from "./host/provided-images.ts";
export { DataVolume, type DataMount, type DataVolumeArgs } from "./host/data-volume.ts";
export { BuiltImage, type Build, type BuiltImageArgs } from "./host/built-image.ts";
export { Container, type ContainerArgs } from "./host/container.ts";
export type { Health } from "./host/health.ts";
export { httpHealth } from "./host/http-health.ts";
export { Job, type JobArgs } from "./host/job.ts";
export { Worker, type Heartbeat, type WorkerArgs } from "./host/worker.ts";
export { ScheduledJob, type ScheduledJobArgs } from "./host/scheduled-job.ts";
export type { Composing } from "./host/composed.ts";
export type { PreDeploy, ReleaseArgs, ReplicatedArgs } from "./host/release.ts";
export type { Capability, Exception, Limits, Posture } from "./host/hardening.ts";

// Secrets: generated, and handed to a container as files.
export { GeneratedSecret, SecretFiles, type GeneratedSecretArgs, type SecretFilesArgs } from "./host/secret.ts";

// The edge, and the services behind it.
export { Proxy } from "./edge/proxy.ts";
export type { ProxyArgs } from "./edge/proxy-args.ts";
export type { Alias, Domain } from "./edge/hosts.ts";
export type { Cors, Route, RouteException } from "./edge/route.ts";
export type { BasicAuth, ForwardAuth } from "./edge/route-auth.ts";
export type { TcpRoute } from "./edge/tcp-route.ts";
export type { UpstreamTls } from "./edge/upstream-tls.ts";
export { WebService, type Sticky, type WebServiceArgs } from "./edge/web-service.ts";
export { siteImages } from "./images.ts";
export { StaticSite, type SiteBuild, type StaticSiteArgs } from "./edge/static-site.ts";
export { ServedRoutes, type ServedRoutesArgs } from "./edge/served-routes.ts";

// Data: a database on a network of its own.
export { dataImages } from "./data/images.ts";
export { Postgres, type Login, type LoginArgs, type PostgresArgs } from "./data/postgres.ts";
export { Vault, type VaultArgs } from "./data/vault.ts";
export type { VaultCopyArgs } from "./data/vault-copy.ts";
export { VolumeBackup, type BackedUpVolume, type VolumeBackupArgs } from "./data/volume-backup.ts";
export { Backup, type BackupArgs } from "./data/backup.ts";
export { PgBouncer, type PgBouncerArgs } from "./data/pgbouncer.ts";
export { Redis, type RedisArgs, type RedisLogin, type RedisUser } from "./data/redis.ts";
export type { PostgresSettings } from "./data/postgres-settings.ts";

// Cloudflare: the domain, a tunnel, buckets, and tokens that may do one thing alone.
export { domainAtCloudflare, type DomainAtCloudflare } from "./cloudflare/domain-at-cloudflare.ts";
export { CloudflareAccount, type CloudflareAccountArgs } from "./cloudflare/cloudflare-account.ts";
export { Zone, type ZoneArgs } from "./cloudflare/zone.ts";
export { Dns, type DnsArgs, type DnsHost } from "./cloudflare/dns.ts";
export { Tunnel, type TunnelArgs } from "./cloudflare/tunnel.ts";
export { ObjectStorage, type ObjectStorageArgs } from "./cloudflare/object-storage.ts";
export { ApiToken, type ApiTokenArgs } from "./cloudflare/api-token.ts";
