/**
 * Every image that Bulkhead itself runs, by tag and digest: the tag for people, the digest for Docker. Renovate
 * updates both, `make pin` resolves the digests anew, and a stack file can take another one (`images.<key>`).
 */
export const images = {
  /** The edge. */
  traefik: "traefik:v3.7.14@sha256:575fa15b135078fe5e50aa847987d96dbddd7b093c172429618404df73f3fa7c",
  /** The front door that holds the published ports. */
  haproxy: "haproxy:3.4.3-alpine3.24@sha256:fe709fdaf6f2db6f9c2f0bea51a63920cba7ba44bea1a97961611adfa19ac096",
  /** What opens a tunnel to Cloudflare; only for a stack that has one. */
  cloudflared:
    "cloudflare/cloudflared:2026.10.0@sha256:9b49eed8f62806d5d45ddf59ecefb5710429598ea6d3fcccd2af938f621b2b07",
} as const;

/** For a program with a StaticSite: `images: { nginx: siteImages.nginx }` of its settings. */
export const siteImages = {
  /** What serves a StaticSite; only for a program that has one. */
  nginx:
    "nginxinc/nginx-unprivileged:1.30.5-alpine@sha256:15c994d10d6d78658721c3bcafff14cb281fba2a4bdf9d5ba92c416a472516e3",
} as const;
