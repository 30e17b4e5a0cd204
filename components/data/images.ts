/**
 * The databases' images, by tag and digest, for a program that has one: `loadConfig({ …, images: { postgres:
 * dataImages.postgres } })`, so that a stack file can take another one. Renovate updates both, `make pin` resolves digests.
 */
export const dataImages = {
  postgres: "postgres:17.11-bookworm@sha256:639ab7ceb90e13123085b741fb31ef493fba25463002f6da665352e7b534b652",
  /** What encrypts backups, sends them and fetches them. */
  rclone: "rclone/rclone:1.75.2@sha256:2687085f718d3c628f7fdfb77c52a1d344332aed543110bb88088f2c70d43eb5",
  /** What reads volumes into the vault, and restores them. */
  restic: "restic/restic:0.18.1@sha256:39d9072fb5651c80d75c7a811612eb60b4c06b32ffe87c2e9f3c7222e1797e76",
  /** Of 1.26: what is older has CVE-2026-19888. */
  pgbouncer: "edoburu/pgbouncer:v1.26.0-p0@sha256:9c78945868a6a142c7fc40ccd843bbe5a606df163c7ffce4de70e0d628d696a2",
  valkey: "valkey/valkey:9.1.2-alpine@sha256:48332870af354a799964c0012ae1194a0bf2bf894eb508f945810596dc2d8d11",
} as const;
