/** What Reach's own images are built from, by tag and digest. Renovate updates both, `make pin` resolves digests anew. */
export const images = {
  /** What the backend is built from. */
  python: "python:3.12.15-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258",
  /** What the frontend is built from. */
  node: "node:24.21.0-bookworm-slim@sha256:d6aa754f16b3197301076f047b5def2f02ea1dbbc2ca920407d46d7ec7f87b20",
} as const;
