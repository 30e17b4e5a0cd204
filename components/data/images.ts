/**
 * The databases' images, by tag and digest, for a program that has one: `loadConfig({ …, images: { postgres:
 * dataImages.postgres } })`, so that a stack file can take another one. Renovate updates both, `make pin` resolves digests.
 */
export const dataImages = {
  postgres: "postgres:17.11-bookworm@sha256:639ab7ceb90e13123085b741fb31ef493fba25463002f6da665352e7b534b652",
  /** What encrypts backups, sends them and fetches them. */
  rclone: "rclone/rclone:1.75.2@sha256:2687085f718d3c628f7fdfb77c52a1d344332aed543110bb88088f2c70d43eb5",
} as const;
