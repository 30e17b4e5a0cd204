/**
 * The databases' images, by tag and digest, for a program that has one: `loadConfig({ …, images: { postgres:
 * dataImages.postgres } })`, so that a stack file can take another one. Renovate updates both, `make pin` resolves digests.
 */
export const dataImages = {
  postgres: "postgres:17.11-bookworm@sha256:639ab7ceb90e13123085b741fb31ef493fba25463002f6da665352e7b534b652",
} as const;
