import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../settings/certificates.ts";

export interface DnsProviderSettings {
  /** Files by the name of the variable that lego reads without its _FILE. */
  secrets: Record<string, pulumi.Input<string>>;
  /** What of it is no secret. */
  env: Record<string, string>;
}

/** What Traefik's ACME client, lego, is told of the provider that serves the zone: secrets by files alone. */
export function dnsProviderSettings(
  certificates: Certificates & { kind: "acme" },
  secret: pulumi.Input<string>,
  apiUrl?: string,
): DnsProviderSettings {
  const { dnsProvider = "cloudflare", route53, rfc2136 } = certificates;
  switch (dnsProvider) {
    case "cloudflare":
      return {
        secrets: { CF_DNS_API_TOKEN: secret },
        env: apiUrl === undefined ? {} : { CLOUDFLARE_BASE_URL: apiUrl },
      };
    case "hetzner":
      return { secrets: { HETZNER_API_TOKEN: secret }, env: {} };
    case "digitalocean":
      return { secrets: { DO_AUTH_TOKEN: secret }, env: {} };
    case "route53": {
      const { accessKeyId, region = "us-east-1", hostedZoneId } = route53!;
      return {
        // The AWS SDK takes no _FILE for a key, but the file that its command line has.
        secrets: {
          AWS_SHARED_CREDENTIALS: pulumi
            .output(secret)
            .apply((key) => `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${key}\n`),
        },
        env: { AWS_REGION: region, ...(hostedZoneId !== undefined && { AWS_HOSTED_ZONE_ID: hostedZoneId }) },
      };
    }
    case "rfc2136": {
      const { nameserver, tsigKey, tsigAlgorithm = "hmac-sha256" } = rfc2136!;
      return {
        secrets: { RFC2136_TSIG_SECRET: secret },
        env: {
          RFC2136_NAMESERVER: /:\d+$/.test(nameserver) ? nameserver : `${nameserver}:53`,
          // Both as names of DNS, with the dot at the end.
          RFC2136_TSIG_KEY: `${tsigKey}.`,
          RFC2136_TSIG_ALGORITHM: `${tsigAlgorithm}.`,
        },
      };
    }
  }
}
